//! Whose objects they are.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{Inventory as _, Place, SecretStore as _, StoreErrorKind};
use bailey_testkit::pykmip::PyKmip;

use super::{fresh_place, get, put, sql, type_of};
use crate::fixture::KmipFixture;

/// PyKMIP reads text of ASCII only.
pub async fn projects_are_kept_apart_in_every_script(server: Arc<PyKmip>) -> Result<()> {
    let store = KmipFixture::new(server, |_| ())?.open();
    let opaque = (SecretType::Opaque, &Spec::default());
    let names = ["päron", "p%C3%A4ron", "p ron", "果物", "a\tb", "a/b"];
    let mut places = Vec::new();
    for name in names {
        let project = ProjectId::new(name.to_owned()).with_context(|| format!("`{name}` is no project"))?;
        let place = Place { project, secret: SecretId::new(), write: WriteId::new() };
        let reference = put(&store, &place, opaque, name.as_bytes()).await.context(name)?;
        places.push((place, reference));
    }
    for ((place, reference), name) in places.iter().zip(names) {
        ensure!(get(&store, place, reference).await? == name.as_bytes(), "{name}: other bytes came back");
    }
    let listed = store.list(None, None, 10).await?;
    let listed: Vec<_> = listed.into_iter().map(|stored| stored.place.project).collect();
    ensure!(listed == places.iter().map(|(place, _)| place.project.clone()).collect::<Vec<_>>(), "{listed:?}");
    for (place, reference) in &places {
        store.delete(place, reference).await?;
    }
    ensure!(store.list(None, None, 10).await?.is_empty(), "something is left");
    Ok(())
}

pub async fn two_installations_do_not_touch_each_other(server: Arc<PyKmip>) -> Result<()> {
    let (one, other) = (KmipFixture::new(Arc::clone(&server), |_| ())?, KmipFixture::new(server, |_| ())?);
    let (one, other) = (one.open(), other.open());
    let (place, opaque) = (fresh_place(), (SecretType::Opaque, &Spec::default()));
    let reference = put(&one, &place, opaque, b"of the first").await?;
    ensure!(other.list(None, None, 10).await?.is_empty(), "the other one lists it");
    let refused = get(&other, &place, &reference).await.err().context("the other one reads it")?;
    ensure!(refused.kind == StoreErrorKind::Corrupt, "{refused}");
    let refused = other.delete(&place, &reference).await.err().context("the other one destroys it")?;
    ensure!(refused.kind == StoreErrorKind::Corrupt, "{refused}");
    // Not even the same write id is the other's business.
    let theirs = put(&other, &place, opaque, b"of the other").await?;
    other.delete(&place, &theirs).await?;
    ensure!(get(&one, &place, &reference).await? == b"of the first", "it is gone");
    ensure!(one.list(None, None, 10).await?.len() == 1, "it isn't listed");
    Ok(())
}

pub async fn what_was_left_beside_an_object_goes_with_it(server: Arc<PyKmip>) -> Result<()> {
    let fixture = KmipFixture::new(Arc::clone(&server), |_| ())?;
    let (store, place) = (fixture.open(), fresh_place());
    let opaque = (SecretType::Opaque, &Spec::default());
    let first = put(&store, &place, opaque, b"twin").await?;
    // As a crash leaves it that comes between an object and the look for others: made under a name of its own.
    let elsewhere = Place { write: WriteId::new(), ..place.clone() };
    let twin = put(&store, &elsewhere, opaque, b"twin").await?;
    for table in ["managed_object_names", "app_specific_info"] {
        let column = if table == "app_specific_info" { "application_data" } else { "name" };
        let replace = format!("replace({column}, '{}', '{}')", elsewhere.write, place.write);
        sql(&server, &format!("UPDATE {table} SET {column} = {replace}"))?;
    }
    ensure!(store.list(None, None, 10).await?.len() == 1, "the write is listed twice");
    store.delete(&place, &first).await?;
    ensure!(type_of(&server, &first)?.is_empty() && type_of(&server, &twin)?.is_empty(), "something is left");
    Ok(())
}
