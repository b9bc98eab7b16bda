//! Commands about secret stores.

use std::time::Duration;

use bailey_core::ids::ProjectId;
use clap::{Args, Subcommand};

use super::{Format, duration};

#[derive(Debug, Clone, Subcommand)]
pub enum StoreCommand {
    /// List stores, and how much needs each
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Show all that is known of a store
    Show {
        /// Its name
        name: String,
        #[command(flatten)]
        format: Format,
    },
    /// Ask stores themselves whether they work
    Check {
        /// Name of the store [default: every store]
        name: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Have a project's new payloads go to a store
    Prefer {
        /// The project
        #[arg(long, value_name = "ID")]
        project: ProjectId,
        /// Name of the store
        #[arg(required_unless_present = "none", conflicts_with = "none")]
        name: Option<String>,
        /// Have them go to the default store again
        #[arg(long)]
        none: bool,
    },
    /// Report payloads without a row, and rows without a payload
    Audit(StoreAudit),
    /// Move payloads from a store into another, while clients go on
    Migrate(StoreMigrate),
}

#[derive(Debug, Clone, Args)]
pub struct StoreAudit {
    /// Name of the store [default: every store]
    #[arg(long, value_name = "NAME")]
    pub store: Option<String>,
    /// Destroy what has no row and is old enough
    #[arg(long)]
    pub repair: bool,
    /// How old a payload without a row must be to count: its row may be about to be written
    /// [default: worker.orphan_age_seconds]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub older_than: Option<Duration>,
    /// After a restore: the databases are as they should be, payloads without a row may be destroyed again
    #[arg(long, conflicts_with = "repair")]
    pub accept_restore: bool,
    #[command(flatten)]
    pub format: Format,
}

#[derive(Debug, Clone, Args)]
pub struct StoreMigrate {
    /// Name of the store they are in
    #[arg(long, value_name = "NAME")]
    pub from: String,
    /// Name of the store they are to be in
    #[arg(long, value_name = "NAME")]
    pub to: String,
    /// Of this project only
    #[arg(long, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Read them only, and show which of them can be moved
    #[arg(long)]
    pub dry_run: bool,
    /// How many a second at most [default: worker.reencrypt_per_second]
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    pub rate: Option<f64>,
    #[command(flatten)]
    pub format: Format,
}

/// So many a second; as with `worker.reencrypt_per_second`, less than one is meant, too.
fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.01..=1_000_000.0).contains(number));
    number.ok_or_else(|| "not a number from 0.01 to 1000000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn a_rate_is_a_number_above_nothing() {
        assert_eq!((rate("100"), rate("0.5")), (Ok(100.0), Ok(0.5)));
        for text in ["", "0", "-1", "NaN", "inf", "1e300", "fast"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
