//! The binary `bailey`: command line, configuration, assembly.
//!
//! The only crate that imports everything, and the only one that reads files, the environment and
//! signals. Start reading at [`assemble`], the list of what is plugged together, and [`commands`].

pub mod assemble;
pub mod audit_sink;
pub mod banner;
pub mod cli;
pub mod commands;
pub mod config;
pub mod first_token;
pub mod folder;
pub mod hardening;
pub mod keyfile;
pub mod logging;
pub mod master_keys;
pub mod metrics;
pub mod open_files;
pub mod output;
pub mod private_file;
pub mod process;
pub mod token_keys;
pub mod traces;
