use std::process::ExitCode;

use bailey_server::cli::Cli;
use bailey_server::{commands, hardening};
use clap::Parser as _;

fn main() -> ExitCode {
    hardening::keep_files_private();
    match commands::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("bailey: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
