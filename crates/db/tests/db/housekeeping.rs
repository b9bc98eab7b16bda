//! Installation, stores, tokens and what looks at all projects.

use bailey_core::access::{StaticToken, StaticTokens};
use bailey_core::ids::{MasterKeyId, StoreId, TokenId, TransportKeyId, WriteId};
use bailey_core::secret::PageRequest;
use bailey_core::secret::Secret;
use bailey_core::store::Place;
use bailey_core::transport_key::{Origin, TransportKey, TransportKeyQuery};
use bailey_db::admin::StoreUse;
use bailey_db::token::Tokens;
use bailey_db::{
    ErrorKind, Placement, admin, installation, project_store, secret, store, target, token, transport_key,
};

use crate::fixture::{Fixture, at, empty, on_both, project, user};

on_both!(
    there_is_one_installation,
    a_restore_goes_on_until_it_is_accepted,
    one_backup_at_a_time_holds_destruction,
    a_store_keeps_its_id,
    a_project_prefers_one_store,
    a_store_has_one_transport_key_of_each_worker_key,
    tokens_are_found_until_they_are_deleted,
    placements_are_listed_in_pages,
    references_are_resealed_once,
    expired_secrets_are_listed_longest_expired_first,
);

async fn there_is_one_installation(f: Fixture) {
    let mut made = Vec::new();
    for _ in 0..8 {
        let db = f.db.clone();
        made.push(tokio::spawn(async move {
            db.write(|tx| Box::pin(installation::get_or_create(tx, at(0)))).await.unwrap()
        }));
    }
    let mut installations = Vec::new();
    for installation in made {
        installations.push(installation.await.unwrap());
    }
    assert!(installations.windows(2).all(|pair| pair[0] == pair[1]), "{installations:?}");
    assert_eq!((installations[0].epoch, installations[0].accepted_epoch), (0, 0));
    assert!(!installations[0].admin_token_made);

    assert!(f.write(|tx| Box::pin(installation::mark_admin_token_made(tx))).await);
    assert!(!f.write(|tx| Box::pin(installation::mark_admin_token_made(tx))).await);
    f.write(|tx| Box::pin(installation::advance_epoch(tx))).await;
    let restored = f.write(|tx| Box::pin(installation::get_or_create(tx, at(0)))).await;
    assert_eq!((restored.epoch, restored.accepted_epoch, restored.admin_token_made), (1, 0, true));
    f.write(|tx| Box::pin(installation::accept_epoch(tx))).await;
    let accepted = f.write(|tx| Box::pin(installation::get_or_create(tx, at(0)))).await;
    assert_eq!((accepted.epoch, accepted.accepted_epoch), (1, 1));
    assert_eq!(accepted.deployment, installations[0].deployment);
}

async fn a_restore_goes_on_until_it_is_accepted(f: Fixture) {
    f.write(|tx| Box::pin(installation::get_or_create(tx, at(0)))).await;
    // The metadata was lost, and nobody has said yet that it was restored.
    f.write(|tx| Box::pin(installation::advance_epoch(tx))).await;
    for (seconds, is_accepted, expected) in
        [(1, false, (1, 0, at(1))), (2, false, (1, 0, at(1))), (3, true, (2, 1, at(3))), (4, true, (3, 2, at(4)))]
    {
        if is_accepted {
            f.write(|tx| Box::pin(installation::accept_epoch(tx))).await;
        }
        f.write(move |tx| Box::pin(installation::begin_restore(tx, at(seconds)))).await;
        let found = installation::find(f.db.reader()).await.unwrap().unwrap();
        assert_eq!((found.epoch, found.accepted_epoch, found.restored_at.unwrap()), expected);
    }
}

async fn one_backup_at_a_time_holds_destruction(f: Fixture) {
    let hold = |from, until| f.write(move |tx| Box::pin(installation::hold_destruction(tx, at(from), at(until))));
    let release = || f.write(|tx| Box::pin(installation::release_destruction(tx)));
    let is_held = async |now| installation::holds_destruction(f.db.reader(), at(now)).await.unwrap();
    assert!(!hold(0, 10).await, "there is no installation yet");
    f.write(|tx| Box::pin(installation::get_or_create(tx, at(0)))).await;
    assert!(!is_held(0).await);
    assert!(hold(0, 10).await);
    assert!(is_held(9).await && !is_held(10).await);
    assert!(!hold(9, 20).await, "another backup is being made");
    assert!(hold(10, 20).await);
    assert_eq!(release().await, Some(at(20)));
    assert_eq!(release().await, None);

    assert!(hold(0, 10).await);
    f.write(|tx| Box::pin(installation::begin_restore(tx, at(1)))).await;
    assert!(!is_held(2).await, "what was restored is no backup under way");
    assert!(!hold(2, 10).await, "the restore is not accepted");
    f.write(|tx| Box::pin(installation::accept_epoch(tx))).await;
    assert!(hold(2, 10).await);
}

async fn a_store_keeps_its_id(f: Fixture) {
    let register = |name: &'static str, kind: &'static str, id: Option<StoreId>| {
        f.db.write(move |tx| Box::pin(store::register(tx, name, kind, id, at(1))))
    };
    assert_eq!(register("main", "simple", None).await.unwrap(), f.store);
    assert_eq!(register("renamed", "simple", Some(f.store)).await.unwrap(), f.store);
    let configured = StoreId::new();
    assert_eq!(register("main", "simple", Some(configured)).await.unwrap(), configured);
    for (name, kind, id) in [
        ("main", "kmip", None),
        ("main", "kmip", Some(configured)),
        ("main", "simple", Some(f.store)),
        ("main", "simple", Some(StoreId::new())),
        ("new", "kmip", Some(f.store)),
    ] {
        let refused = register(name, kind, id).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict, "{name} {kind}");
        assert!(refused.detail.contains(name), "{refused}");
    }
    let stores = store::list(f.db.reader()).await.unwrap();
    let names: Vec<_> = stores.iter().map(|store| (store.name.as_str(), store.id)).collect();
    assert_eq!(names, [("main", configured), ("renamed", f.store)]);
    assert_eq!((stores[0].created_at, stores[0].updated_at), (at(1), at(1)));
    assert_eq!((stores[1].created_at, stores[1].updated_at), (at(0), at(1)));
    assert_eq!(store::find(f.db.reader(), f.store).await.unwrap().as_ref(), stores.get(1));
}

async fn a_project_prefers_one_store(f: Fixture) {
    let (a, b, c) = (project("a"), project("b"), project("c"));
    let second = f.write(|tx| Box::pin(store::register(tx, "second", "simple", None, at(5)))).await;
    for (owner, wanted) in [(&a, f.store), (&b, second), (&a, second)] {
        let owner = owner.clone();
        f.write(move |tx| {
            let owner = owner.clone();
            Box::pin(async move { project_store::put(tx, &owner, wanted, at(9)).await })
        })
        .await;
    }
    let is_preferred = async |store| project_store::is_preferred(f.db.reader(), store).await.unwrap();
    assert_eq!((is_preferred(second).await, is_preferred(f.store).await), (true, false));
    let preferred = async |owner| project_store::find(f.db.reader(), owner).await.unwrap();
    assert_eq!((preferred(&a).await, preferred(&b).await, preferred(&c).await), (Some(second), Some(second), None));
    assert_eq!(admin::projects_preferring(f.db.reader(), second).await.unwrap(), [a.clone(), b.clone()]);
    f.placed("a").await;
    for (store, used) in [
        (second, StoreUse { projects: 2, ..StoreUse::default() }),
        (f.store, StoreUse { secrets: 1, ..StoreUse::default() }),
    ] {
        assert_eq!(admin::store_use(f.db.reader(), store).await.unwrap(), used);
    }

    let (owner, other) = (a.clone(), c.clone());
    let deleted = f.write(move |tx| {
        let (owner, other) = (owner.clone(), other.clone());
        Box::pin(async move {
            let first = project_store::delete(tx, &owner).await?;
            Ok((first, project_store::delete(tx, &owner).await?, project_store::delete(tx, &other).await?))
        })
    });
    assert_eq!(deleted.await, (true, false, false));
    assert_eq!((preferred(&a).await, preferred(&b).await), (None, Some(second)));
}

async fn a_store_has_one_transport_key_of_each_worker_key(f: Fixture) {
    let versions = [MasterKeyId::new(), MasterKeyId::new()];
    let key = |plugin_name: &str, worker_key: Option<MasterKeyId>, seconds| TransportKey {
        id: TransportKeyId::new(),
        plugin_name: plugin_name.into(),
        text: "a key".into(),
        origin: worker_key.map(|worker_key| Origin { store: f.store, worker_key }),
        created_at: at(seconds),
        updated_at: at(seconds),
    };
    let insert = async |key: &TransportKey| {
        let key = key.clone();
        f.write(move |tx| {
            let key = key.clone();
            Box::pin(async move { transport_key::insert(tx, &key).await })
        })
        .await
    };
    let (old, new) = (key("main", Some(versions[0]), 1), key("main", Some(versions[1]), 2));
    let theirs = [key("theirs", None, 3), key("theirs", None, 3)];
    for fresh in [&old, &new, &theirs[1], &theirs[0]] {
        assert!(insert(fresh).await);
    }
    assert!(!insert(&key("late", Some(versions[0]), 0)).await, "the first one stays");
    assert_eq!(transport_key::find(f.db.reader(), old.id).await.unwrap(), Some(old.clone()));
    let origin = Origin { store: f.store, worker_key: versions[1] };
    assert_eq!(transport_key::find_of(f.db.reader(), origin).await.unwrap(), Some(new.clone()));

    let list = async |plugin_name: Option<&str>, limit, offset| {
        let page = PageRequest { limit, offset };
        let query = TransportKeyQuery { plugin_name: plugin_name.map(str::to_owned), page };
        let page = transport_key::list(f.db.reader(), &query).await.unwrap();
        (page.items, page.total)
    };
    assert_eq!(list(None, 2, 0).await, (vec![old.id, new.id], 4));
    assert_eq!(list(None, 10, 2).await, (theirs.each_ref().map(|key| key.id).to_vec(), 4));
    let store = f.store;
    f.write(move |tx| Box::pin(transport_key::rename(tx, store, "renamed"))).await;
    assert_eq!(list(Some("main"), 10, 0).await, (vec![], 0));
    assert_eq!(list(Some("renamed"), 10, 0).await, (vec![old.id, new.id], 2));

    assert_eq!(f.write(move |tx| Box::pin(transport_key::delete_under(tx, versions[0]))).await, 1);
    let id = theirs[0].id;
    assert!(f.write(move |tx| Box::pin(transport_key::delete(tx, id))).await);
    assert!(!f.write(move |tx| Box::pin(transport_key::delete(tx, id))).await);
    assert_eq!(list(None, 10, 0).await, (vec![new.id, theirs[1].id], 2));
}

async fn tokens_are_found_until_they_are_deleted(f: Fixture) {
    let token = StaticToken {
        id: TokenId::new(),
        secret_sha256: [7; 32],
        user: user("ann"),
        project: project("päron"),
        roles: vec!["admin".into(), "key-manager:service-admin".into()],
        created_at: at(0),
        expires_at: Some(at(60)),
    };
    let lasting =
        StaticToken { id: TokenId::new(), created_at: at(-1), expires_at: None, roles: vec![], ..token.clone() };
    for token in [token.clone(), lasting.clone()] {
        f.write(move |tx| {
            let token = token.clone();
            Box::pin(async move { token::insert(tx, &token).await })
        })
        .await;
    }
    let tokens = Tokens(f.db.clone());
    assert_eq!(tokens.find(token.id).await.unwrap(), Some(token.clone()));
    assert_eq!(tokens.find(TokenId::new()).await.unwrap(), None);
    let id = token.id;
    assert_eq!(token::list(f.db.reader()).await.unwrap(), [lasting, token]);
    assert!(f.write(move |tx| Box::pin(token::delete(tx, id))).await);
    assert!(!f.write(move |tx| Box::pin(token::delete(tx, id))).await);
    assert_eq!(tokens.find(id).await.unwrap(), None);
}

async fn placements_are_listed_in_pages(f: Fixture) {
    assert!(admin::is_empty(f.db.reader()).await.unwrap());
    let mut expected = Vec::new();
    for number in 0..5 {
        let (secret, placement) = f.placed(if number % 2 == 0 { "a" } else { "b" }).await;
        expected.push((placement.write, secret.id, secret.project));
    }
    f.insert(&empty("a"), None).await;
    expected.sort();
    assert!(!admin::is_empty(f.db.reader()).await.unwrap());
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = admin::live_placements(f.db.reader(), f.store, None, after, 2).await.unwrap();
        let Some((place, _)) = page.last() else { break };
        after = Some(place.write);
        listed.extend(page.into_iter().map(|(place, placement)| (placement.write, place.secret, place.project)));
    }
    assert_eq!(listed, expected);
    let other = StoreId::new();
    assert!(admin::live_placements(f.db.reader(), other, None, None, 10).await.unwrap().is_empty());

    for (owner, count) in [("a", 3), ("b", 2), ("c", 0)] {
        let owner = project(owner);
        let listed = admin::live_placements(f.db.reader(), f.store, Some(&owner), None, 10).await.unwrap();
        assert!(listed.iter().all(|(place, _)| place.project == owner) && listed.len() == count);
        assert_eq!(admin::count_placements(f.db.reader(), f.store, Some(&owner)).await.unwrap(), count as u64);
    }
    assert_eq!(admin::count_placements(f.db.reader(), f.store, None).await.unwrap(), 5);
    assert_eq!(admin::count_placements(f.db.reader(), other, None).await.unwrap(), 0);
}

async fn references_are_resealed_once(f: Fixture) {
    let (secret, old) = f.placed("a").await;
    let (_, other) = f.placed("a").await;
    let place = Place { project: secret.project.clone(), secret: secret.id, write: old.write };
    let sealed = admin::sealed_under(f.db.reader(), old.key, None, 10).await.unwrap();
    assert_eq!(sealed, [(place.clone(), old.clone())]);
    assert!(admin::sealed_under(f.db.reader(), old.key, Some(old.write), 10).await.unwrap().is_empty());

    let new = MasterKeyId::new();
    for (moved, expected) in [(WriteId::new(), false), (old.write, true), (old.write, false)] {
        let place = Place { write: moved, ..place.clone() };
        let resealed = f
            .write(move |tx| {
                let place = place.clone();
                Box::pin(async move { secret::reseal(tx, &place, old.key, b"new seal", new).await })
            })
            .await;
        assert_eq!(resealed, expected);
    }
    let found = target::find_secret(f.db.reader(), secret.id).await.unwrap().unwrap();
    assert_eq!(found.placement, Some(Placement { reference: b"new seal".to_vec(), key: new, ..old }));
    assert_eq!(found.secret, secret);
    let mut counts = [(other.key, 1), (new, 1)];
    counts.sort();
    assert_eq!(admin::count_by_reference_key(f.db.reader()).await.unwrap(), counts);
}

async fn expired_secrets_are_listed_longest_expired_first(f: Fixture) {
    let mut expected = Vec::new();
    for (owner, seconds) in [("a", 30), ("b", 10), ("a", 20), ("c", 20), ("b", 40)] {
        let secret = Secret { expires_at: Some(at(seconds)), ..empty(owner) };
        f.insert(&secret, None).await;
        expected.push((at(seconds), secret.id));
    }
    f.insert(&empty("a"), None).await;
    expected.sort();
    expected.pop();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = admin::expired(f.db.reader(), at(30), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(*last);
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    assert!(admin::expired(f.db.reader(), at(9), None, 3).await.unwrap().is_empty());
}
