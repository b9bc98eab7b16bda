//! What this store does beside the contract: typed objects, outages, other installations, and what is said of TLS.

mod formats;
mod objects;
mod places;
mod server;

use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;

use anyhow::Result;
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{Place, RetrieveRequest, SecretStore as _, StoreError, StoreReference, StoreRequest};
use bailey_store_kmip::KmipStore;
use bailey_testkit::process;
use bailey_testkit::pykmip::PyKmip;
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

type Pending = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type Case = fn(Arc<PyKmip>) -> Pending;

macro_rules! cases {
    ($($file:ident::$name:ident),* $(,)?) => {
        [$(case(stringify!($name), |server| Box::pin($file::$name(server)))),*]
    };
}

fn case(name: &'static str, run: Case) -> (&'static str, Case) {
    (name, run)
}

pub fn trials(server: &Arc<PyKmip>, runtime: &Handle) -> Vec<Trial> {
    let cases = cases![
        objects::payloads_become_objects_of_their_type,
        objects::what_is_not_of_its_type_becomes_opaque,
        objects::keys_of_aes_are_made_by_the_server,
        formats::reference_and_attributes_are_as_the_page_says,
        objects::key_pairs_are_made_by_the_server,
        objects::changed_bytes_are_corrupt,
        places::projects_are_kept_apart_in_every_script,
        places::two_installations_do_not_touch_each_other,
        places::what_was_left_beside_an_object_goes_with_it,
        server::the_usual_mistakes_are_told,
        server::connections_that_were_ended_are_made_again,
        server::a_server_that_hangs_is_not_waited_for,
        server::it_recovers_when_the_server_is_back,
    ];
    let trial = |(name, run): (&str, Case)| {
        let (server, runtime) = (Arc::clone(server), runtime.clone());
        Trial::test(format!("own::{name}"), move || {
            runtime.block_on(run(server)).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    cases.into_iter().map(trial).collect()
}

fn fresh_place() -> Place {
    let project = ProjectId::new(format!("project {}", SecretId::new())).expect("a project id");
    Place { project, secret: SecretId::new(), write: WriteId::new() }
}

async fn put(
    store: &KmipStore,
    place: &Place,
    (secret_type, spec): (SecretType, &Spec),
    payload: &[u8],
) -> Result<StoreReference, StoreError> {
    let payload = SecretBytes::new(payload.to_vec());
    store.store(StoreRequest { place, secret_type, spec, payload: &payload }).await
}

async fn get(store: &KmipStore, place: &Place, reference: &StoreReference) -> Result<Vec<u8>, StoreError> {
    let got = store.retrieve(RetrieveRequest { place, reference, verify: true }).await;
    Ok(got?.expose().to_vec())
}

fn spec(algorithm: &str, bits: i32) -> Spec {
    Spec { algorithm: Some(algorithm.to_owned()), bit_length: Some(bits), mode: None }
}

/// The identifier that the server gave the object.
fn id(reference: &StoreReference) -> &str {
    std::str::from_utf8(&reference.0[51..]).expect("an identifier")
}

fn sql(server: &PyKmip, query: &str) -> Result<String> {
    let answer =
        process::run(Command::new("sqlite3").args(["-cmd", ".timeout 10000"]).arg(server.database()).arg(query))?;
    Ok(String::from_utf8(answer)?.trim().to_owned())
}

/// What type the server's own database says an object has, as KMIP numbers them (1.4, section 9.1.3.2.12).
fn type_of(server: &PyKmip, reference: &StoreReference) -> Result<String> {
    sql(server, &format!("SELECT object_type FROM managed_objects WHERE uid = {}", id(reference)))
}
