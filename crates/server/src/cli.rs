//! The command line.

mod ca;
mod keys;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bailey_core::ids::{OrderId, ProjectId, QueueKeyId, TokenId, UserId};
use bailey_core::order::OrderStatus;
use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};
use toml::Value;

pub use ca::CaCommand;
pub use keys::{HsmCommand, KekCommand, MasterKeyCommand};
pub use store::{StoreAudit, StoreCommand, StoreMigrate};

use crate::config::Role;

/// Bailey keeps secrets for services: a key manager with the OpenStack Key Manager API.
#[derive(Debug, Parser)]
#[command(name = "bailey", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: Command,
}

/// Where configuration and data are.
#[derive(Debug, Default, Clone, Args)]
pub struct Place {
    /// Folder of databases and key files [also: BAILEY_DATA_DIR] [default: /var/lib/bailey for root, otherwise
    /// ~/.local/share/bailey]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Configuration file [also: BAILEY_CONFIG] [default: bailey.toml in the data folder, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API, and do its work, in one process
    Serve(Serve),
    /// Serve the API alone, asking workers over NATS for everything
    Api(Api),
    /// Do the work of API processes that ask over NATS
    Worker(Worker),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look after the database schemas
    #[command(subcommand)]
    Db(DbCommand),
    /// Make, list and revoke static tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look after the master keys that wrap project keys
    Mkek {
        /// Name of the store [default: the default store]
        #[arg(long, global = true, value_name = "NAME")]
        store: Option<String>,
        #[command(subcommand)]
        command: MasterKeyCommand,
    },
    /// Look after master keys that are in a token, such as an HSM's
    Hsm {
        /// Name of the store [default: the one that has its master keys in a token]
        #[arg(long, global = true, value_name = "NAME")]
        store: Option<String>,
        #[command(subcommand)]
        command: HsmCommand,
    },
    /// Look after the keys that seal store references
    #[command(subcommand)]
    WorkerKey(MasterKeyCommand),
    /// Look after the project keys that encrypt payloads
    Kek {
        /// Name of the store [default: the default store]
        #[arg(long, global = true, value_name = "NAME")]
        store: Option<String>,
        #[command(subcommand)]
        command: KekCommand,
    },
    /// Keep payloads from being destroyed while the databases are dumped
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Begin anew after the databases were restored from a backup: run it before the server
    Restore,
    /// Look after the secret stores
    #[command(subcommand)]
    Store(StoreCommand),
    /// Look after projects
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Look after orders, of whatever project
    #[command(subcommand)]
    Order(OrderCommand),
    /// Look after certificate authorities of Bailey's own
    #[command(subcommand)]
    Ca(CaCommand),
    /// Call a token's library for the process that starts this one
    #[command(hide = true, name = bailey_store_pkcs11::CHILD)]
    Pkcs11Child,
    /// Look after the keys that seal what API processes and workers tell each other
    Queue {
        #[command(flatten)]
        files: QueueFiles,
        #[command(subcommand)]
        command: QueueCommand,
    },
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port of the API [default: 127.0.0.1:9311]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// How callers are authenticated, instead of what is configured
    #[arg(long, value_name = "METHOD")]
    pub auth: Option<Auth>,
}

#[derive(Debug, Args)]
pub struct Api {
    /// Address and port of the API [default: 127.0.0.1:9311]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct Worker {
    /// How callers are authenticated, instead of what is configured
    #[arg(long, value_name = "METHOD")]
    pub auth: Option<Auth>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Tokens made with `bailey token create`
    StaticToken,
    /// Tokens that Keystone issues; where it is, is configured
    Keystone,
    /// Believe the identity headers of whoever asks
    NoneForDevelopment,
}

impl Auth {
    /// As `auth.methods` has it.
    #[must_use]
    pub fn methods(self) -> Value {
        let method = match self {
            Self::StaticToken => "static-token",
            Self::Keystone => "keystone",
            Self::NoneForDevelopment => "none-for-development",
        };
        Value::Array(vec![Value::String(method.to_owned())])
    }
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Report everything that is wrong with the configuration
    Check {
        /// The process that is to run with it
        #[arg(long, value_name = "ROLE", default_value = "serve")]
        role: Role,
    },
    /// Print the configuration in effect, as TOML, without secrets
    Print,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum DbCommand {
    /// Bring both databases to this version's schema
    Migrate,
    /// Show the schema versions of both databases
    Status,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it; it is shown this once
    Create {
        /// The project it acts in
        #[arg(long, value_name = "ID")]
        project: ProjectId,
        /// The user it stands for
        #[arg(long, value_name = "ID")]
        user: UserId,
        /// A role it carries; repeat for several
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        #[command(flatten)]
        expiry: Expiry,
    },
    /// List tokens, without their secret halves
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Make a token worthless
    Revoke {
        /// The part before the dot
        id: TokenId,
    },
}

/// When a token stops working; never, unless one is given.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Expiry {
    /// How long it works: 90s, 15m, 8h, 30d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub expires_in: Option<Duration>,
    /// Until when it works: 2030-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct Format {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum BackupCommand {
    /// Destroy nothing from now on, before the metadata and then the vault are dumped
    Begin {
        /// How long at most: 30m, 1h, 2d
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "1h")]
        hold: Duration,
    },
    /// Destroy what was deleted meanwhile; fails if it could have been destroyed before
    End,
    /// Show whether a backup is being made, and how much it keeps
    Status {
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum ProjectCommand {
    /// Destroy everything of a project: secrets, containers, orders, tokens, quotas, keys
    Purge {
        /// The project
        id: ProjectId,
        /// Only show how much there is
        #[arg(long)]
        dry_run: bool,
        /// Don't ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Clone, Subcommand)]
pub enum OrderCommand {
    /// List orders, by creation
    List {
        /// Of this project only
        #[arg(long, value_name = "ID")]
        project: Option<ProjectId>,
        /// In this status only: PENDING, ACTIVE or ERROR
        #[arg(long, value_name = "STATUS", value_parser = status)]
        status: Option<OrderStatus>,
        #[command(flatten)]
        format: Format,
    },
    /// Show all that is known of an order
    Show {
        /// The order
        id: OrderId,
        #[command(flatten)]
        format: Format,
    },
    /// Try a failed order again, or a waiting one at once
    Retry {
        /// The order
        id: OrderId,
    },
    /// Have a pending order fail
    Cancel {
        /// The order
        id: OrderId,
    },
}

/// Where the queue's keys are.
#[derive(Debug, Clone, Args)]
pub struct QueueFiles {
    /// Key file of workers [default: queue.key_file, which is queue.key with the other key files]
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Key file of API processes [default: queue-api.key beside it]
    #[arg(long, global = true, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum QueueCommand {
    /// Make both key files, with a first version
    Keygen,
    /// List versions and their states
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Make another version, which workers accept and API processes don't use yet
    Add,
    /// Have API processes use a version, once every worker has it
    Activate {
        /// The version
        id: QueueKeyId,
    },
    /// Have workers refuse a version, once no API process uses it
    Retire {
        /// The version
        id: QueueKeyId,
    },
}

fn status(text: &str) -> Result<OrderStatus, String> {
    text.to_ascii_uppercase().parse().map_err(|_| "not PENDING, ACTIVE or ERROR".to_owned())
}

/// A whole number and a unit: s, m, h or d.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration such as 90s, 15m, 8h or 30d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "5", "h", "-1h", "1.5h", "5 h", "0s", "99999999999999999999d", "213503982334602d", "5ä"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_expires_in_one_way_only() {
        let create = ["bailey", "token", "create", "--project", "p", "--user", "u", "--role", "a", "--role", "b"];
        let parse = |more: &[&str]| Cli::try_parse_from(create.iter().chain(more));
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--expires-in", "1h"]).is_ok());
        assert!(parse(&["--expires-in", "1h", "--expires-at", "2030-01-01T00:00:00Z"]).is_err());
    }
}
