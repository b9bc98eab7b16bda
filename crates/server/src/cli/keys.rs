//! Commands about keys.

use std::time::Duration;

use bailey_core::ids::{KekId, MasterKeyId, ProjectId};
use clap::Subcommand;

use super::{Format, duration};

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum MasterKeyCommand {
    /// List versions, their states, and how much each is used
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Make another version, unused yet, in the key file
    Add,
    /// Use a version for everything new, once every running worker has it
    Activate {
        /// The version
        id: MasterKeyId,
    },
    /// Give a version up; refused while it is in use
    Retire {
        /// The version
        id: MasterKeyId,
    },
}

#[derive(Debug, Subcommand)]
pub enum HsmCommand {
    /// Make a token in a free slot, with the configured label and PIN
    Init {
        /// Where the PIN of its security officer is: file:PATH or env:NAME
        #[arg(long, value_name = "REFERENCE")]
        so_pin: String,
    },
    /// Make the store's first MKEK in the token
    Generate,
    /// List versions, how much is under each, and their keys in the token
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Report what the token lacks, and what is wrong with its keys
    Check {
        #[command(flatten)]
        format: Format,
    },
    /// Make the next MKEK in the token, and use it for everything new
    Rotate {
        /// How long to wait for every running worker to see it in its token: 30s, 5m
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1m")]
        wait: Duration,
    },
    /// Wrap every project key under the active MKEK, as running servers do by themselves
    Rewrap {
        /// Only show how many there are to wrap
        #[arg(long)]
        dry_run: bool,
    },
    /// Give a version up; refused while it is in use
    Retire {
        /// The version
        id: MasterKeyId,
    },
}

#[derive(Debug, Subcommand)]
pub enum KekCommand {
    /// List project keys, their states, and how many payloads each encrypts
    List {
        /// Of this project only
        #[arg(long, value_name = "ID")]
        project: Option<ProjectId>,
        #[command(flatten)]
        format: Format,
    },
    /// Make a project's next store use another key
    Rotate {
        /// The project
        #[arg(long, value_name = "ID")]
        project: ProjectId,
        /// Move what is encrypted under the old key to the new one, in the background
        #[arg(long)]
        reencrypt: bool,
    },
    /// Destroy a project key; refused while it encrypts anything
    Retire {
        /// The key
        id: KekId,
    },
}
