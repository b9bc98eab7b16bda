//! `bailey ca`

use std::path::PathBuf;

use clap::Subcommand;

use super::Format;

#[derive(Debug, Clone, Subcommand)]
pub enum CaCommand {
    /// Make the key and the certificate of a CA that is configured
    Init {
        /// Its name in the configuration
        name: String,
    },
    /// List the configured CAs
    List {
        #[command(flatten)]
        format: Format,
    },
    /// Ask CAs themselves whether they can be used
    Check {
        /// Its name in the configuration [default: every CA]
        name: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Give a CA another key and certificate; the ones before issue no more
    Rotate {
        /// Its name in the configuration
        name: String,
    },
    /// Write a CA's certificates in PEM: its own, then its issuer's, up to the root
    Export {
        /// Its name in the configuration
        name: String,
        /// Which of its generations [default: the last]
        #[arg(long, value_name = "NUMBER")]
        generation: Option<u32>,
        /// Only the root
        #[arg(long)]
        root: bool,
        /// Where to [default: stdout]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Sign and write a list of revoked certificates, in PEM
    Crl {
        /// Its name in the configuration
        name: String,
        /// Of which of its generations [default: the last]
        #[arg(long, value_name = "NUMBER")]
        generation: Option<u32>,
        /// Where to [default: stdout]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}
