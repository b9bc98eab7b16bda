//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::figure::Operation;
use crate::subject::Server;

/// Measures Bailey beside a bare program and OpenBao.
#[derive(Debug, Clone, Parser)]
#[command(name = "bailey-bench", args_override_self = true)]
pub struct Options {
    /// Which servers; OpenBao only if its program is given
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Server::ALL)]
    pub servers: Vec<Server>,
    /// Which operations
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Operation::ALL)]
    pub operations: Vec<Operation>,
    /// What is asked of Bailey alone beside that
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0.., default_values_t = Extra::ALL)]
    pub extras: Vec<Extra>,
    /// Which databases
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Engine::Postgres, Engine::Sqlite])]
    pub databases: Vec<Engine>,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_values_t = [8, 64])]
    pub connections: Vec<usize>,
    /// Rounds; each ratio is the median of the rounds' ratios
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds that a server is driven in its turn
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// Secrets that reads are spread over
    #[arg(long, default_value_t = 10_000)]
    pub secrets: usize,
    /// Secrets in the larger of the two projects that are listed
    #[arg(long, default_value_t = 100_000)]
    pub listed: usize,
    /// Key orders that are placed in a round
    #[arg(long, default_value_t = 2_000)]
    pub orders: usize,
    /// The program `bailey`; default: the one beside this program
    #[arg(long)]
    pub bailey: Option<PathBuf>,
    /// The program `bao` of OpenBao
    #[arg(long)]
    pub openbao: Option<PathBuf>,
    /// The file for the report; default: standard output
    #[arg(long)]
    pub output: Option<PathBuf>,
}

/// What only Bailey is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Extra {
    /// Certificates of Bailey's own CA, beside key orders and beside bare signing.
    Certificates,
    /// Containers of many secrets.
    Containers,
    /// Payloads under SoftHSM, beside such in the simple store and beside bare calls.
    Hsm,
    /// Payload reads from PyKMIP, beside bare clients that ask it.
    Kmip,
    /// Payload reads with Keystone's tokens, beside such with Bailey's own.
    Keystone,
    /// Orders, beside the bare making of RSA keys.
    Orders,
    /// Payload reads through an API process and workers of their own, beside those of a single process.
    Split,
}

impl Extra {
    /// All of them.
    pub const ALL: [Extra; 7] =
        [Extra::Certificates, Extra::Containers, Extra::Hsm, Extra::Kmip, Extra::Keystone, Extra::Orders, Extra::Split];
}

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Engine {
    /// PostgreSQL, a private cluster.
    Postgres,
    /// SQLite files.
    Sqlite,
}

impl Engine {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "PostgreSQL",
            Engine::Sqlite => "SQLite",
        }
    }
}

impl Options {
    /// Whether a server is to be measured.
    pub fn includes(&self, server: Server) -> bool {
        self.servers.contains(&server) && (server != Server::OpenBao || self.openbao.is_some())
    }

    /// How long a server is driven in its turn.
    pub fn turn(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// The program `name` that was built with this one, unless `given` says another.
    pub fn program(given: Option<&PathBuf>, name: &str) -> anyhow::Result<PathBuf> {
        match given {
            Some(path) => Ok(path.canonicalize()?),
            None => Ok(std::env::current_exe()?.with_file_name(name)),
        }
    }
}

/// The command that a user types for this run: `bench/run` adds the files itself.
pub fn command() -> String {
    let mut command = "bench/run".to_owned();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if ["--openbao", "--output"].contains(&argument.as_str()) {
            arguments.next();
        } else {
            command.push(' ');
            command.push_str(&argument);
        }
    }
    command
}
