//! User metadata.

use bailey_core::ids::SecretId;
use bailey_core::secret::{Metadatum, UserMetadata};
use bailey_db::{ErrorKind, metadata};

use crate::fixture::{Fixture, on_both, project};

on_both!(metadata_is_kept_per_key, metadata_needs_its_secret);

fn pair(key: &str, value: &str) -> Metadatum {
    Metadatum { key: key.into(), value: value.into() }
}

async fn metadata_is_kept_per_key(f: Fixture) {
    let (secret, _) = f.placed("a").await;
    let id = secret.id;
    f.write(move |tx| Box::pin(async move { metadata::insert(tx, &project("a"), id, &pair("k", "ü")).await })).await;
    let twice =
        f.db.write(move |tx| Box::pin(async move { metadata::insert(tx, &project("a"), id, &pair("k", "w")).await }))
            .await;
    assert_eq!(twice.unwrap_err().kind, ErrorKind::Conflict);
    assert_eq!(metadata::get(f.db.reader(), &project("a"), id, "k").await.unwrap(), Some(pair("k", "ü")));
    assert_eq!(metadata::get(f.db.reader(), &project("b"), id, "k").await.unwrap(), None);
    assert_eq!(metadata::get(f.db.reader(), &project("a"), id, "K").await.unwrap(), None);

    let update = |owner: &'static str, key: &'static str| {
        f.write(move |tx| Box::pin(async move { metadata::update(tx, &project(owner), id, &pair(key, "new")).await }))
    };
    assert_eq!((update("a", "k").await, update("a", "other").await, update("b", "k").await), (true, false, false));

    let all: UserMetadata = [("a", "1"), ("b", ""), ("c", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let given = all.clone();
    f.write(move |tx| {
        let given = given.clone();
        Box::pin(async move { metadata::replace(tx, &project("a"), id, &given).await })
    })
    .await;
    assert_eq!(metadata::list(f.db.reader(), &project("a"), id).await.unwrap(), all);
    assert!(metadata::list(f.db.reader(), &project("b"), id).await.unwrap().is_empty());

    let delete = |owner: &'static str, key: &'static str| {
        f.write(move |tx| Box::pin(async move { metadata::delete(tx, &project(owner), id, key).await }))
    };
    assert_eq!((delete("b", "a").await, delete("a", "a").await, delete("a", "a").await), (false, true, false));
    f.write(move |tx| Box::pin(async move { metadata::replace(tx, &project("a"), id, &UserMetadata::new()).await }))
        .await;
    assert!(metadata::list(f.db.reader(), &project("a"), id).await.unwrap().is_empty());
}

async fn metadata_needs_its_secret(f: Fixture) {
    let (secret, _) = f.placed("a").await;
    for (owner, id) in [("b", secret.id), ("a", SecretId::new())] {
        let refused = f
            .db
            .write(move |tx| Box::pin(async move { metadata::insert(tx, &project(owner), id, &pair("k", "v")).await }));
        assert_eq!(refused.await.unwrap_err().kind, ErrorKind::NotFound);
        let refused = f.db.write(move |tx| {
            Box::pin(async move { metadata::replace(tx, &project(owner), id, &UserMetadata::new()).await })
        });
        assert_eq!(refused.await.unwrap_err().kind, ErrorKind::NotFound);
    }
}
