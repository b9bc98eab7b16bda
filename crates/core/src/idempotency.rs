//! Requests that have one effect however often they are sent.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::sensitive::{SecretBytes, wire};

/// Most characters of a key.
pub const LONGEST_KEY: usize = 255;

/// How long an answer is remembered.
pub const KEPT: TimeDelta = TimeDelta::days(1);

/// What a client calls one request and all its repetitions, with what it asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// The name, of 1 to [`LONGEST_KEY`] characters; means something together with caller and route only.
    pub key: String,
    /// SHA-256 of the body. Whoever sees it can guess at the payload: as secret as that.
    #[serde(with = "wire")]
    pub body: SecretBytes,
}
