use bailey_server::cli::Cli;
use bailey_server::{commands, hardening};
use clap::Parser as _;

fn main() {
    hardening::keep_files_private();
    match commands::run(Cli::parse()) {
        Ok(()) => hardening::end(0),
        Err(error) => {
            for line in format!("{error:#}").lines() {
                eprintln!("bailey: {line}");
            }
            hardening::end(1)
        }
    }
}
