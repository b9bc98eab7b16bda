//! `bailey hsm`: the MKEKs of a store that are in a token.

mod ceremony;
mod check;
mod init;
mod list;
mod rewrap;

use anyhow::{Context as _, Result, bail};
use bailey_core::ids::StoreId;
use bailey_store_pkcs11::{Config as TokenConfig, Hsm};

use super::admin::Admin;
use super::master_key::{Target, give_up};
use crate::assemble::register;
use crate::cli::{HsmCommand, Place};
use crate::config::{Config, Sources, StoreConfig, load};

pub use check::findings;

pub fn run(place: &Place, store: Option<&str>, command: HsmCommand) -> Result<()> {
    let config = load(&Sources::new(place))?.config;
    let found = find(&config, store)?;
    let name = found.0.name.clone();
    match command {
        HsmCommand::Init { so_pin } => init::run(&config, &found, &so_pin),
        HsmCommand::Check { format } => check::run(place, &found, format.json),
        HsmCommand::Generate => {
            Admin::run(place, async |admin| ceremony::generate(&Token::of(admin, &name).await?).await)
        }
        HsmCommand::Rotate { wait } => {
            Admin::run(place, async |admin| ceremony::rotate(&Token::of(admin, &name).await?, wait).await)
        }
        HsmCommand::List { format } => {
            Admin::run(place, async |admin| list::run(&Token::of(admin, &name).await?, format.json).await)
        }
        HsmCommand::Rewrap { dry_run } => {
            Admin::run(place, async |admin| rewrap::run(&Token::of(admin, &name).await?, dry_run).await)
        }
        HsmCommand::Retire { id } => Admin::run(place, async |admin| {
            let token = Token::of(admin, &name).await?;
            give_up(admin, &token.target, id).await
        }),
    }
}

/// A store whose MKEKs are in a token, with where that is.
type Found = (StoreConfig, TokenConfig);

/// The store with this name; without one the default store, or the only one that has its MKEKs in a token.
fn find(config: &Config, name: Option<&str>) -> Result<Found> {
    let read = |store: &StoreConfig| store.kind().and_then(|kind| kind.token).map(|read| read(&store.settings));
    let in_tokens: Vec<&StoreConfig> = config.stores.iter().filter(|store| read(store).is_some()).collect();
    let store = match name {
        Some(name) => config
            .stores
            .iter()
            .find(|store| store.name == name)
            .with_context(|| format!("there is no store `{name}`"))?,
        None => match in_tokens.as_slice() {
            [] => bail!("no store is configured that has its MKEKs in a token"),
            [only] => only,
            several => several.iter().find(|store| store.default).copied().with_context(|| {
                let names: Vec<_> = several.iter().map(|store| store.name.as_str()).collect();
                format!("say with --store which one is meant: {}", names.join(", "))
            })?,
        },
    };
    let token = read(store)
        .with_context(|| format!("the MKEKs of store `{}` are in no token: see `bailey mkek`", store.name))?;
    Ok((store.clone(), token?))
}

/// A token at an installation.
struct Token<'a> {
    admin: &'a Admin,
    store: &'a StoreConfig,
    config: TokenConfig,
    hsm: Hsm,
    id: StoreId,
    target: Target,
}

impl<'a> Token<'a> {
    /// The store needs not have been started before: its key may be made first.
    async fn of(admin: &'a Admin, name: &str) -> Result<Self> {
        let store = admin.store(Some(name))?;
        let (_, config) = find(&admin.config, Some(name))?;
        let id = register(&admin.databases, store, &admin.clock).await?;
        let (hsm, target) = (Hsm::connect(&config), Target::token(name, id));
        Ok(Self { admin, store, config, hsm, id, target })
    }
}
