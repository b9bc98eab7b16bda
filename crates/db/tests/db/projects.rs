//! A project as a whole: closed, emptied, forgotten.

use bailey_core::quota::Quotas;
use bailey_db::deletion;
use bailey_db::project::{self, Contents};
use bailey_db::secret::{self, Created};
use bailey_db::{Error, ErrorKind};
use bailey_sql::{Cells, ConnectionTrait as _, Sql};

use crate::fixture::{Fixture, at, empty, on_both, project as named};
use crate::orders::inserted;

on_both!(
    into_a_closed_project_nothing_comes,
    a_project_is_forgotten_when_it_is_empty,
    what_is_removed_is_the_project_s_own,
    every_table_with_a_project_is_known,
);

const UNLIMITED: Quotas = Quotas { secrets: -1, orders: -1, containers: -1, consumers: -1, cas: -1 };

async fn contents(f: &Fixture, owner: &str) -> Contents {
    project::contents(f.db.reader(), &named(owner)).await.unwrap()
}

async fn close(f: &Fixture, owner: &str) {
    let owner = named(owner);
    f.write(move |tx| {
        let owner = owner.clone();
        Box::pin(async move { project::close(tx, &owner, &UNLIMITED, at(1)).await })
    })
    .await;
}

async fn forget(f: &Fixture, owner: &str) -> Result<(), Error> {
    let owner = named(owner);
    f.db.write(move |tx| {
        let owner = owner.clone();
        Box::pin(async move { project::forget(tx, &owner).await })
    })
    .await
}

/// Removes everything, two at a time; how often there was something to remove.
async fn empty_out(f: &Fixture, owner: &str) -> usize {
    let mut times = 0;
    loop {
        let owner = named(owner);
        let removed = f.write(move |tx| {
            let owner = owner.clone();
            Box::pin(async move { project::remove_some(tx, &owner, 2, at(2)).await })
        });
        match removed.await {
            0 => return times,
            _ => times += 1,
        }
    }
}

async fn into_a_closed_project_nothing_comes(f: Fixture) {
    assert_eq!(secret::create(&f.db, &empty("a"), None).await.unwrap(), Created::Yes);
    for _ in 0..2 {
        close(&f, "a").await;
        assert_eq!(secret::create(&f.db, &empty("a"), None).await.unwrap(), Created::Refused);
    }
    assert_eq!(secret::create(&f.db, &empty("b"), None).await.unwrap(), Created::Yes);
    empty_out(&f, "a").await;
    forget(&f, "a").await.unwrap();
    assert_eq!(secret::create(&f.db, &empty("a"), None).await.unwrap(), Created::Yes, "it is open again");
}

async fn a_project_is_forgotten_when_it_is_empty(f: Fixture) {
    let (_, placement) = f.placed("a").await;
    close(&f, "a").await;
    assert_eq!(contents(&f, "a").await, Contents { secrets: 1, settings: 1, ..Contents::default() });
    assert_eq!(forget(&f, "a").await.unwrap_err().kind, ErrorKind::Conflict);
    empty_out(&f, "a").await;
    assert_eq!(contents(&f, "a").await, Contents { deletions: 1, settings: 1, ..Contents::default() });
    assert_eq!(forget(&f, "a").await.unwrap_err().kind, ErrorKind::Conflict, "its payload is not destroyed yet");
    f.write(move |tx| Box::pin(deletion::finish(tx, placement.write))).await;
    forget(&f, "a").await.unwrap();
    assert!(contents(&f, "a").await.is_empty());
    forget(&f, "a").await.unwrap();
}

async fn what_is_removed_is_the_project_s_own(f: Fixture) {
    let (ours, theirs) = (named("a"), named("b"));
    for owner in ["a", "b"] {
        for _ in 0..3 {
            let _ = f.placed(owner).await;
        }
        let _ = f.container(owner).await;
        let _ = inserted(&f, owner).await;
    }
    let before = contents(&f, "b").await;
    close(&f, "a").await;
    assert_eq!(empty_out(&f, "a").await, 4, "an order, a container, three secrets");
    let left = Contents { deletions: 3, settings: 1, ..Contents::default() };
    assert_eq!(contents(&f, "a").await, left);
    let reader = f.db.reader();
    let deletions = deletion::of_project(reader, &ours, None, 2).await.unwrap();
    assert_eq!(deletions.len(), 2);
    let after = deletions.last().map(|deletion| deletion.place.write);
    assert_eq!(deletion::of_project(reader, &ours, after, 2).await.unwrap().len(), 1);
    assert!(deletion::of_project(reader, &theirs, None, 2).await.unwrap().is_empty());
    assert_eq!(contents(&f, "b").await, before);
}

/// Whoever adds one has to say what a purge does with it.
async fn every_table_with_a_project_is_known(f: Fixture) {
    const TABLES: Sql = Sql {
        sqlite: "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.name = 'project' ORDER BY m.name",
        postgres: "SELECT CAST(table_name AS text) FROM information_schema.columns \
                   WHERE table_schema = 'public' AND column_name = 'project' ORDER BY table_name",
    };
    let reader = f.db.reader();
    let rows = reader.query_all_raw(TABLES.with(reader, [])).await.unwrap();
    let mut found: Vec<String> = rows.iter().map(|row| Cells::of(row).take().unwrap()).collect();
    found.sort();
    let known = [
        "cas",
        "container_consumers",
        "containers",
        "deletions",
        "idempotency_keys",
        "order_inputs",
        "orders",
        "preferred_cas",
        "project_cas",
        "project_counters",
        "project_quotas",
        "project_stores",
        "renewals",
        "secret_consumers",
        "secrets",
        "static_tokens",
    ];
    assert_eq!(found, known);
}
