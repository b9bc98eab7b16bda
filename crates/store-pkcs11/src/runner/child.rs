//! The process that calls a library for another one: it can hang, crash and be killed, and only its own
//! store notices.

use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};
use nix::unistd::dup2_stdout;

use super::frame::{self, Reply, Request};
use crate::config::Config;
use crate::connection::{Call, Connection};
use crate::pool::Threads;
use crate::session::lock;

/// Does the jobs that come over stdin, the configuration first, and answers over stdout, until stdin ends. Threads
/// may be inside the library then: whoever calls this ends the process without what libraries registered for its
/// end.
///
/// # Errors
/// When what comes isn't what a parent sends.
pub fn serve() -> Result<()> {
    // The parent decides when this ends: it has calls to finish after the system has asked all to stop.
    let mut ignored = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| ignored.add(signal));
    ignored.thread_block()?;
    let mut requests = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let replies = Arc::new(Mutex::new(File::from(std::io::stdout().as_fd().try_clone_to_owned()?)));
    // Libraries that print would print into the replies.
    dup2_stdout(std::io::stderr())?;

    let config: Config = frame::read(&mut requests)?.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))?;
    let connection = Arc::new(Connection::new(&config));
    // What takes too long is the parent's to see.
    let threads = Threads::new(config.sessions, usize::MAX);
    while let Some(Request { id, job }) = frame::read(&mut requests)? {
        let (connection, replies, limit) = (Arc::clone(&connection), Arc::clone(&replies), config.deadline());
        let task = move || {
            let outcome = connection.run(&job, &Call::default(), Instant::now() + limit);
            // A parent that is gone wants no answer.
            let _sent = frame::encode(&Reply { id, outcome }).and_then(|frame| lock(&replies).write_all(&frame));
        };
        threads.run(task).map_err(|refused| Error::other(format!("{refused:?}")))?;
    }
    // Closing what is open may hang, and what is open ends with the process.
    std::mem::forget(connection);
    Ok(())
}
