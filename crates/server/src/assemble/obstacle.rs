//! What keeps a worker from coming up: something that passes, or something to be put right.

use std::fmt;

use bailey_core::store::StoreError;

/// Why a worker didn't come up.
#[derive(Debug)]
pub enum Obstacle {
    /// Something doesn't answer; it is worth trying again.
    OutOfReach(anyhow::Error),
    /// It will not work before an operator does something about it.
    Refused(anyhow::Error),
}

impl Obstacle {
    /// A sentence for the operator: what is wrong and what to do.
    pub fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(anyhow::Error::msg(sentence.into()))
    }

    /// Says what it was about.
    #[must_use]
    pub fn about(self, what: impl fmt::Display + Send + Sync + 'static) -> Self {
        match self {
            Self::OutOfReach(error) => Self::OutOfReach(error.context(what)),
            Self::Refused(error) => Self::Refused(error.context(what)),
        }
    }

    fn of(error: impl Into<anyhow::Error>, is_retryable: bool) -> Self {
        if is_retryable { Self::OutOfReach(error.into()) } else { Self::Refused(error.into()) }
    }
}

impl From<bailey_db::Error> for Obstacle {
    fn from(error: bailey_db::Error) -> Self {
        let is_retryable = error.is_retryable();
        Self::of(error, is_retryable)
    }
}

impl From<StoreError> for Obstacle {
    fn from(error: StoreError) -> Self {
        let is_retryable = error.is_retryable();
        Self::of(error, is_retryable)
    }
}

impl From<bailey_migrations::Error> for Obstacle {
    fn from(error: bailey_migrations::Error) -> Self {
        let is_retryable = error.is_retryable();
        Self::of(error, is_retryable)
    }
}

impl From<anyhow::Error> for Obstacle {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Obstacle> for anyhow::Error {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::OutOfReach(error) | Obstacle::Refused(error) => error,
        }
    }
}
