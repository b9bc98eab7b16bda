//! What keeps keys out of core dumps, swap and other users' hands.

use std::io::Write as _;

use nix::libc;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Files that this process makes are its owner's alone, unless a mode is asked for.
pub fn keep_files_private() {
    umask(Mode::from_bits_truncate(0o077));
}

/// Ends the process without what libraries have registered for its end: the library of a token may be in the
/// middle of a call that never returns, and would wait for it or take away what it uses.
pub fn end(code: u8) -> ! {
    // Nobody is left to be told.
    let _flushed = std::io::stdout().flush();
    signal_hook::low_level::exit(code.into())
}

/// Switches core dumps off and locks memory, where the system lets this process.
pub fn protect_memory() {
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    if !may_lock_everything() {
        tracing::info!("memory is not locked and may be swapped out: neither CAP_IPC_LOCK nor an unlimited memlock");
        return;
    }
    // On fault: pages that are never touched cost nothing. nix has no name for it yet.
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    if let Err(error) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault) {
        tracing::info!(%error, "memory is not locked and may be swapped out");
    }
}

/// Under a finite limit locking would succeed now and every allocation beyond it fail later.
fn may_lock_everything() -> bool {
    let unlimited = getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    unlimited || std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_ipc_lock(&status))
}

fn has_ipc_lock(status: &str) -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).is_some_and(|bits| bits & CAP_IPC_LOCK != 0)
}

#[cfg(test)]
mod tests {
    use super::has_ipc_lock;

    #[test]
    fn the_capability_is_read_from_the_status() {
        assert!(has_ipc_lock("Name:\tbailey\nCapEff:\t000001ffffffffff\n"));
        assert!(has_ipc_lock("CapEff:\t0000000000004000\n"));
        assert!(!has_ipc_lock("CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n"));
        assert!(!has_ipc_lock(""));
    }
}
