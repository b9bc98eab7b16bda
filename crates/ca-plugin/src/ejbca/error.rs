//! What EJBCA's refusals and silences mean.

use bailey_core::ca::{CaError, CaErrorKind};

/// Longest part of a message of EJBCA's that is passed on.
const LONGEST_MESSAGE: usize = 300;

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The request never left.
    #[error("it is out of reach: {0}")]
    Unsent(String),
    /// The request may have been carried out, or be under way; nobody knows.
    #[error("its answer was lost: {0}")]
    Lost(String),
    /// EJBCA says no.
    #[error("it answers {status}: {message}")]
    Refused {
        /// The HTTP status, which is EJBCA's own.
        status: u16,
        /// What it says beside that.
        message: String,
    },
}

impl Trouble {
    /// As the failure of an operation.
    pub(super) fn during(self, operation: &'static str) -> CaError {
        let kind = match &self {
            Self::Unsent(_) | Self::Lost(_) => CaErrorKind::Unavailable,
            // Its device or CA is off-line, or it is overburdened.
            Self::Refused { status: 429 | 500.., .. } => CaErrorKind::Unavailable,
            // No right to do it, no such CA or profile: what is configured here and there doesn't go together.
            Self::Refused { .. } => CaErrorKind::Internal,
        };
        CaError::new(kind, operation, self.to_string())
    }
}

/// A message of EJBCA's, fit for logs and clients.
pub(super) fn tame(message: &str) -> String {
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    message.chars().take(LONGEST_MESSAGE).map(printable).collect::<String>().trim().to_owned()
}
