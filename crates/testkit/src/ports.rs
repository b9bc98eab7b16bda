//! Free ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the range from which the kernel takes the ports of outgoing connections, so that no client
/// sits on a port between the moment it is found and the moment a server binds it.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port that nobody listens on. Never the same one twice in a process; processes start their
/// search in different places.
///
/// # Panics
/// When every port is taken.
#[must_use]
pub fn free() -> u16 {
    let start = std::process::id().wrapping_mul(131);
    (0..COUNT)
        .map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port on 127.0.0.1")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn ports_are_free_and_differ() {
        let ports: HashSet<u16> = (0..50).map(|_| super::free()).collect();
        assert_eq!(ports.len(), 50);
        for port in ports {
            std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        }
    }
}
