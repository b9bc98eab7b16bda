//! Real clients of the API, in Python environments that `scripts/python-environment` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process;

/// The environment `name`, described by `scripts/python/<name>.txt`; made if it isn't there.
///
/// # Errors
/// When it can't be made.
pub fn environment(name: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python-environment");
    let folder = process::run(Command::new(script).arg(name))?;
    Ok(PathBuf::from(String::from_utf8(folder)?.trim()))
}

/// A command of the environment with the API's clients, such as `python3`, `openstack` or
/// `schemathesis`. It sees nothing of the caller's environment but the PATH.
///
/// # Errors
/// As [`environment`].
pub fn command(program: &str) -> Result<Command> {
    let programs = environment("clients")?.join("bin");
    let mut command = process::command(programs.join(program));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("LC_ALL", "C.UTF-8");
    Ok(command)
}
