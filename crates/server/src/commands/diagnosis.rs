//! What stores and CAs said that were asked whether they work.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::output;

/// What one of them said.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    name: String,
    kind: String,
    works: bool,
    trouble: Option<String>,
}

impl Diagnosis {
    pub fn new(name: &str, kind: &str, said: Result<()>) -> Self {
        let trouble = said.err().map(|error| format!("{error:#}"));
        Self { name: name.to_owned(), kind: kind.to_owned(), works: trouble.is_none(), trouble }
    }

    fn row(&self) -> [String; 3] {
        let said = self.trouble.clone().unwrap_or_else(|| "works".to_owned());
        [self.name.clone(), self.kind.clone(), said]
    }
}

/// Prints what all have said.
///
/// # Errors
/// When one of them doesn't work: each is a `what`.
pub fn print(what: &str, found: &[Diagnosis], as_json: bool) -> Result<()> {
    if as_json {
        output::json(&found)?;
    } else {
        output::table(["NAME", "KIND", "DIAGNOSIS"], &found.iter().map(Diagnosis::row).collect::<Vec<_>>())?;
    }
    match found.iter().filter(|diagnosis| !diagnosis.works).count() {
        0 => Ok(()),
        1 => bail!("a {what} doesn't work"),
        several => bail!("{several} {what}s don't work"),
    }
}
