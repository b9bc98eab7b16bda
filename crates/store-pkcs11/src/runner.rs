//! Carries jobs to a token: in this process, or to another one.

mod child;
mod frame;
mod in_process;
mod supervised;

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{Config, Isolation};
use crate::error::Failure;
use crate::job::{Answer, Job};

pub use child::serve;
pub use in_process::InProcess;
pub use supervised::Supervised;

/// The argument that a program is started with to call a library for another one: it is to call [`serve`] then,
/// before anything else.
pub const CHILD: &str = "pkcs11-child";

/// Carries jobs to one token and opens it when needed. Answers within the configured deadline, whatever the
/// token does.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Has a job done.
    ///
    /// # Errors
    /// The job's own; `Late` past the deadline; `Lost` and `Pin` when the token can't be opened.
    async fn run(&self, job: Job) -> Result<Answer, Failure>;
}

/// The runner that the configuration asks for. Nothing is opened yet.
#[must_use]
pub fn connect(config: &Config) -> Arc<dyn Runner> {
    match config.isolation {
        Isolation::Thread => Arc::new(InProcess::new(config)),
        Isolation::Process => Arc::new(Supervised::new(config)),
    }
}
