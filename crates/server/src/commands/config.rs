//! `bailey config`

use anyhow::{Context as _, Result};

use crate::cli::{ConfigCommand, Place};
use crate::config::{Config, Loaded, Sources, load};
use crate::output;
use crate::process::Front;

pub fn run(place: &Place, command: ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Check { role } => {
            let loaded = load(&Sources::new(place).of(role))?;
            Front::certificates(&loaded.config)?;
            output::line(&verdict(&loaded))?;
        }
        ConfigCommand::Print => output::line(print(&load(&Sources::new(place))?.config)?.trim_end())?,
    }
    Ok(())
}

fn verdict(loaded: &Loaded) -> String {
    match &loaded.file {
        Some(file) => format!("{}: nothing wrong", file.display()),
        None => "no file, defaults and environment: nothing wrong".to_owned(),
    }
}

/// Passwords are hidden by the types that hold them.
fn print(config: &Config) -> Result<String> {
    toml::to_string_pretty(config).context("the configuration can't be written as TOML")
}
