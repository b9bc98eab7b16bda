//! One table of questions with their answers, for both engines.

use bailey_core::secret::{
    Comparison, Direction, PageRequest, Secret, SecretFilter, SecretQuery, SecretSortKey, TimeFilter,
};
use bailey_core::spec::{SecretType, Spec};
use bailey_db::{Sight, acl, secret};

use crate::access::saying;
use crate::fixture::{Fixture, at, empty, on_both, project, user};

on_both!(filters, orders, pages, totals, lists_by_acl, private_ones_out_of_sight);

fn query() -> SecretQuery {
    SecretQuery {
        filter: SecretFilter::default(),
        sort: Vec::new(),
        page: PageRequest { limit: 100, offset: 0 },
        acl_only: false,
    }
}

fn names(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(|secret| secret.name.as_deref().unwrap_or("-")).collect()
}

/// Created in this order, one second apart; `mode` is `m` for the first, NULL for all others.
async fn fill(f: &Fixture) {
    let rows = [
        ("Alpha", SecretType::Opaque, Some("AES"), Some(256), None),
        ("alpha", SecretType::Symmetric, Some("aes"), Some(128), Some(500)),
        ("al_pha", SecretType::Symmetric, None, Some(256), Some(400)),
        ("a%b", SecretType::Opaque, None, None, None),
        (r"back\slash", SecretType::Opaque, Some("RSA"), None, Some(300)),
        ("Ähre", SecretType::Passphrase, None, None, None),
        ("zebra", SecretType::Opaque, None, Some(64), None),
    ];
    for (index, (name, secret_type, algorithm, bit_length, expires)) in (0..).zip(rows) {
        let secret = Secret {
            name: Some(name.into()),
            secret_type,
            spec: Spec { algorithm: algorithm.map(Into::into), bit_length, mode: (index == 0).then(|| "m".to_owned()) },
            expires_at: expires.map(at),
            created_at: at(index),
            updated_at: at(10 - index),
            ..empty("a")
        };
        f.insert(&secret, None).await;
    }
    let gone = Secret { name: Some("expired".into()), expires_at: Some(at(50)), ..empty("a") };
    f.insert(&gone, None).await;
    f.insert(&Secret { name: Some("foreign".into()), ..empty("b") }, None).await;
}

async fn filters(f: Fixture) {
    fill(&f).await;
    let name = |pattern: &str| SecretFilter { name: Some(pattern.into()), ..SecretFilter::default() };
    let time = |comparison, seconds| vec![TimeFilter { comparison, time: at(seconds) }];
    let cases: Vec<(SecretFilter, &[&str])> = vec![
        (SecretFilter::default(), &["Alpha", "alpha", "al_pha", "a%b", r"back\slash", "Ähre", "zebra"]),
        (name("alpha"), &["alpha"]),
        (name("al%"), &["alpha", "al_pha"]),
        (name("al_pha"), &["al_pha"]),
        (name("%%a%%"), &["Alpha", "alpha", "al_pha", "a%b", r"back\slash", "zebra"]),
        (name("_hre"), &["Ähre"]),
        (name("ähre"), &[]),
        (name(r"back\slash"), &[r"back\slash"]),
        (name(r"back\%"), &[r"back\slash"]),
        (name(r"a\%b"), &[]),
        (name("%"), &["Alpha", "alpha", "al_pha", "a%b", r"back\slash", "Ähre", "zebra"]),
        (name(""), &[]),
        (name(&"_".repeat(300)), &[]),
        (name(&"%".repeat(60_000)), &["Alpha", "alpha", "al_pha", "a%b", r"back\slash", "Ähre", "zebra"]),
        (name("' OR 1=1 --"), &[]),
        (SecretFilter { algorithm: Some("AES".into()), ..Default::default() }, &["Alpha"]),
        (SecretFilter { algorithm: Some("%S%".into()), ..Default::default() }, &["Alpha", r"back\slash"]),
        (SecretFilter { mode: Some("_".into()), ..Default::default() }, &["Alpha"]),
        (SecretFilter { bit_length: Some(256), ..Default::default() }, &["Alpha", "al_pha"]),
        (SecretFilter { secret_type: Some("symmetric".into()), ..Default::default() }, &["alpha", "al_pha"]),
        (SecretFilter { secret_type: Some("SYMMETRIC".into()), ..Default::default() }, &[]),
        (SecretFilter { bit_length: Some(256), secret_type: Some("opaque".into()), ..Default::default() }, &["Alpha"]),
        (SecretFilter { created: time(Comparison::After, 5), ..Default::default() }, &["zebra"]),
        (SecretFilter { created: time(Comparison::NotBefore, 5), ..Default::default() }, &["Ähre", "zebra"]),
        (SecretFilter { created: time(Comparison::Before, 1), ..Default::default() }, &["Alpha"]),
        (SecretFilter { created: time(Comparison::NotAfter, 1), ..Default::default() }, &["Alpha", "alpha"]),
        (SecretFilter { created: time(Comparison::Equal, 3), ..Default::default() }, &["a%b"]),
        (SecretFilter { updated: time(Comparison::Equal, 7), ..Default::default() }, &["a%b"]),
        (
            SecretFilter {
                created: [time(Comparison::After, 1), time(Comparison::Before, 4)].concat(),
                ..Default::default()
            },
            &["al_pha", "a%b"],
        ),
        (SecretFilter { expiration: time(Comparison::After, 300), ..Default::default() }, &["alpha", "al_pha"]),
        (
            SecretFilter { expiration: time(Comparison::NotAfter, 400), ..Default::default() },
            &["al_pha", r"back\slash"],
        ),
        (SecretFilter { expiration: time(Comparison::NotAfter, 50), ..Default::default() }, &[]),
    ];
    for (filter, expected) in cases {
        let query = SecretQuery { filter, ..query() };
        let page = secret::list(f.db.reader(), &project("a"), &query, Sight::All, at(100)).await.unwrap();
        assert_eq!(names(&page.items), expected, "{:?}", query.filter);
        assert_eq!(page.total, u64::try_from(expected.len()).unwrap(), "{:?}", query.filter);
    }
}

async fn orders(f: Fixture) {
    use Direction::{Ascending, Descending};
    use SecretSortKey as Key;
    fill(&f).await;
    let created = ["Alpha", "alpha", "al_pha", "a%b", r"back\slash", "Ähre", "zebra"];
    let reversed = ["zebra", "Ähre", r"back\slash", "a%b", "al_pha", "alpha", "Alpha"];
    let by_bytes = ["Alpha", "a%b", "al_pha", "alpha", r"back\slash", "zebra", "Ähre"];
    let cases = [
        (vec![], created),
        (vec![(Key::Status, Descending)], created),
        (vec![(Key::Created, Ascending)], created),
        (vec![(Key::Created, Descending)], reversed),
        (vec![(Key::Updated, Ascending)], reversed),
        (vec![(Key::Name, Ascending)], by_bytes),
        (vec![(Key::Algorithm, Ascending)], ["Alpha", r"back\slash", "alpha", "al_pha", "a%b", "Ähre", "zebra"]),
        (vec![(Key::Algorithm, Descending)], ["al_pha", "a%b", "Ähre", "zebra", "alpha", r"back\slash", "Alpha"]),
        (vec![(Key::BitLength, Ascending)], ["zebra", "alpha", "Alpha", "al_pha", "a%b", r"back\slash", "Ähre"]),
        (vec![(Key::BitLength, Descending)], ["a%b", r"back\slash", "Ähre", "Alpha", "al_pha", "alpha", "zebra"]),
        (vec![(Key::Expiration, Ascending)], [r"back\slash", "al_pha", "alpha", "Alpha", "a%b", "Ähre", "zebra"]),
        (vec![(Key::Expiration, Descending)], ["Alpha", "a%b", "Ähre", "zebra", "alpha", "al_pha", r"back\slash"]),
        (vec![(Key::Mode, Ascending)], created),
        (vec![(Key::Mode, Descending)], ["alpha", "al_pha", "a%b", r"back\slash", "Ähre", "zebra", "Alpha"]),
        (
            vec![(Key::SecretType, Ascending), (Key::Name, Descending)],
            ["zebra", r"back\slash", "a%b", "Alpha", "Ähre", "alpha", "al_pha"],
        ),
    ];
    for (sort, expected) in cases {
        let query = SecretQuery { sort, ..query() };
        let page = secret::list(f.db.reader(), &project("a"), &query, Sight::All, at(100)).await.unwrap();
        assert_eq!(names(&page.items), expected, "{:?}", query.sort);
    }
}

async fn pages(f: Fixture) {
    for number in 0..25 {
        // All alike but for their ids, which decide.
        f.insert(&Secret { name: Some(format!("{number:02}")), ..empty("a") }, None).await;
    }
    let mut seen = Vec::new();
    for (offset, expected) in [(0, 10), (10, 10), (20, 5), (30, 0)] {
        let query = SecretQuery { page: PageRequest { limit: 10, offset }, ..query() };
        let page = secret::list(f.db.reader(), &project("a"), &query, Sight::All, at(1)).await.unwrap();
        assert_eq!((page.items.len(), page.total), (expected, 25));
        seen.extend(page.items);
    }
    assert_eq!(names(&seen), (0..25).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    let far = SecretQuery { page: PageRequest { limit: u64::MAX, offset: u64::MAX }, ..query() };
    assert!(secret::list(f.db.reader(), &project("a"), &far, Sight::All, at(1)).await.unwrap().items.is_empty());
}

async fn totals(f: Fixture) {
    let total = |now: i64| {
        let db = f.db.clone();
        async move { secret::list(db.reader(), &project("a"), &query(), Sight::All, at(now)).await.unwrap().total }
    };
    assert_eq!(total(0).await, 0);
    let mut ids = Vec::new();
    for number in 0..40 {
        let secret = Secret { expires_at: (number < 10).then(|| at(100 + number)), ..empty("a") };
        f.insert(&secret, None).await;
        ids.push(secret.id);
    }
    assert_eq!((total(99).await, total(100).await, total(104).await, total(200).await), (40, 39, 35, 30));
    // One that had expired, and one that had not.
    for id in [ids[0], ids[20]] {
        f.write(move |tx| Box::pin(async move { secret::delete(tx, &project("a"), id, at(99)).await })).await;
    }
    assert_eq!((total(99).await, total(200).await), (38, 29));
    let listed = secret::list(f.db.reader(), &project("a"), &query(), Sight::All, at(200)).await.unwrap();
    assert_eq!(u64::try_from(listed.items.len()).unwrap(), listed.total);
}

async fn lists_by_acl(f: Fixture) {
    fill(&f).await;
    let all = secret::list(f.db.reader(), &project("a"), &query(), Sight::All, at(0)).await.unwrap();
    let foreign = secret::list(f.db.reader(), &project("b"), &query(), Sight::All, at(0)).await.unwrap();
    for (index, secret) in all.items.iter().chain(&foreign.items).enumerate() {
        let (id, owner) = (secret.id, secret.project.clone());
        let change = saying(false, if index % 2 == 0 { &["bob", "eve"] } else { &["eve"] });
        f.write(move |tx| {
            let (owner, change) = (owner.clone(), change.clone());
            Box::pin(async move { acl::put(tx, &owner, id.into(), &change, at(1)).await })
        })
        .await;
    }
    let page = secret::list_readable(f.db.reader(), &user("bob"), &query(), at(100)).await.unwrap();
    let mut found = names(&page.items);
    found.sort_unstable();
    assert_eq!(u64::try_from(found.len()).unwrap(), page.total);
    let eve = secret::list_readable(f.db.reader(), &user("eve"), &query(), at(100)).await.unwrap();
    assert_eq!((eve.total, eve.items.len()), (8, 8));
    assert!(names(&eve.items).contains(&"foreign") && !names(&eve.items).contains(&"expired"));
    assert!(found.len() < 8 && !found.is_empty());
    let by_name = SecretQuery {
        filter: SecretFilter { name: Some("al%".into()), ..SecretFilter::default() },
        sort: vec![(SecretSortKey::Name, Direction::Descending)],
        page: PageRequest { limit: 1, offset: 1 },
        acl_only: true,
    };
    let page = secret::list_readable(f.db.reader(), &user("eve"), &by_name, at(100)).await.unwrap();
    assert_eq!((names(&page.items), page.total), (vec!["al_pha"], 2));
    assert_eq!(secret::list_readable(f.db.reader(), &user("nobody"), &query(), at(0)).await.unwrap().total, 0);
}

async fn private_ones_out_of_sight(f: Fixture) {
    let mut made = Vec::new();
    for (name, owner, acl) in [
        ("plain", "ann", None),
        ("open", "ann", Some(saying(true, &["bob"]))),
        ("ann's", "ann", Some(saying(false, &[]))),
        ("bob's", "bob", Some(saying(false, &[]))),
        ("for bob", "ann", Some(saying(false, &["bob", "eve"]))),
    ] {
        let secret = Secret { name: Some(name.into()), creator: Some(user(owner)), ..empty("a") };
        f.insert(&secret, None).await;
        made.push((secret.id, acl));
    }
    for (id, acl) in made {
        let Some(change) = acl else { continue };
        f.write(move |tx| {
            let change = change.clone();
            Box::pin(async move { acl::put(tx, &project("a"), id.into(), &change, at(1)).await })
        })
        .await;
    }
    let bob = user("bob");
    let by_name = SecretQuery { filter: SecretFilter { name: Some("%".into()), ..SecretFilter::default() }, ..query() };
    for (sight, expected) in [
        (Sight::All, vec!["plain", "open", "ann's", "bob's", "for bob"]),
        (Sight::Of { owner: None, reader: None }, vec!["plain", "open"]),
        (Sight::Of { owner: Some(&bob), reader: None }, vec!["plain", "open", "bob's"]),
        (Sight::Of { owner: None, reader: Some(&bob) }, vec!["plain", "open", "for bob"]),
        (Sight::Of { owner: Some(&bob), reader: Some(&bob) }, vec!["plain", "open", "bob's", "for bob"]),
    ] {
        for query in [query(), by_name.clone()] {
            let page = secret::list(f.db.reader(), &project("a"), &query, sight, at(9)).await.unwrap();
            assert_eq!((names(&page.items), page.total), (expected.clone(), expected.len() as u64), "{sight:?}");
            let rest = SecretQuery { page: PageRequest { limit: 100, offset: 1 }, ..query };
            let page = secret::list(f.db.reader(), &project("a"), &rest, sight, at(9)).await.unwrap();
            assert_eq!((names(&page.items), page.total), (expected[1..].to_vec(), expected.len() as u64));
        }
    }
}
