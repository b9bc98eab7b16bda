//! A load balancer: passes each connection on to a server that takes it.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a connection may wait for a server.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// A running load balancer; takes no more connections once it is dropped.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
}

impl Balancer {
    /// Begins to take connections for these servers, in turn.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn start(servers: Vec<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, is_over) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let (over, next) = (Arc::clone(&is_over), AtomicUsize::new(0));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten().take_while(|_| !over.load(Ordering::Relaxed)) {
                let (servers, first) = (servers.clone(), next.fetch_add(1, Ordering::Relaxed));
                std::thread::spawn(move || pass_on(client, &servers, first));
            }
        });
        Ok(Self { address, is_over })
    }

    /// What URLs of it begin with.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn pass_on(client: TcpStream, servers: &[SocketAddr], first: usize) {
    let until = Instant::now() + PATIENCE;
    let taken = (first..).find_map(|number| {
        let server = TcpStream::connect_timeout(&servers[number % servers.len()], BETWEEN_TRIES * 50).ok();
        if server.is_none() {
            std::thread::sleep(BETWEEN_TRIES);
        }
        server.map(Some).or_else(|| (Instant::now() > until).then_some(None))
    });
    let Some(Some(server)) = taken else { return };
    std::thread::scope(|threads| {
        threads.spawn(|| copy(&client, &server));
        copy(&server, &client);
    });
}

/// Copies what one side says to the other until it has said everything, or is gone.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    if io::copy(&mut from, &mut to).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}
