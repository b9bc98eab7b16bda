//! What HTTP/2 lets one connection do beyond HTTP/1.1, kept within the same bounds: a request at a time
//! became any number of them, and the kernel no longer knows whether an answer is read.

use std::any::Any;
use std::collections::HashMap;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::rt::task::JoinHandle;
use actix_web::{HttpRequest, web};
use bailey_core::failure::Failure;
use pin_project_lite::pin_project;
use socket2::{SockRef, Socket};

use crate::error::ApiError;

/// Requests under way on one connection. The protocol's own limit can't be set through actix.
const STREAMS: usize = 128;
/// Largest head, as of HTTP/1.1: what h2 lets pass is far more.
const HEAD: usize = 128 * 1024;
/// Windows of RFC 9113: what a client may send before anybody reads it.
pub const WINDOW: u32 = 65_535;
/// Between two looks for idle connections while the server stops.
const REST: Duration = Duration::from_millis(100);

/// The open connections that speak HTTP/2.
#[derive(Clone, Default)]
pub struct Connections(Arc<Open>);

#[derive(Default)]
struct Open {
    next: AtomicU64,
    all: Mutex<HashMap<u64, Weak<Connection>>>,
}

impl Connections {
    /// Takes a fresh connection in, if it speaks HTTP/2, and leaves what its requests need in `data`.
    pub fn accept(&self, connection: &TlsStream<TcpStream>, unread_time: Duration, data: &mut Extensions) {
        let (stream, session) = connection.get_ref();
        if session.alpn_protocol() != Some(b"h2") {
            return;
        }
        let Ok(socket) = SockRef::from(stream).try_clone() else {
            // Without a handle nothing could be bounded.
            let _ = SockRef::from(stream).shutdown(Shutdown::Both);
            return;
        };
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection {
            id,
            socket,
            unread_time,
            streams: AtomicUsize::new(0),
            is_at_rest: AtomicBool::new(false),
            open: Arc::downgrade(&self.0),
        });
        self.0.lock().insert(id, Arc::downgrade(&connection));
        data.insert(connection);
    }

    /// Closes connections on which nothing is under way, for as long as it is polled. Otherwise a server that
    /// stops would wait for clients to do it.
    pub async fn close_idle(&self) {
        loop {
            tokio::time::sleep(REST).await;
            let open: Vec<_> = self.0.lock().values().filter_map(Weak::upgrade).collect();
            open.iter().for_each(|connection| connection.rest());
        }
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Weak<Connection>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that speaks HTTP/2.
struct Connection {
    id: u64,
    socket: Socket,
    unread_time: Duration,
    streams: AtomicUsize,
    is_at_rest: AtomicBool,
    open: Weak<Open>,
}

impl Connection {
    /// Closes it if nothing was under way since the last time: an answer just given is written meanwhile.
    fn rest(&self) {
        if self.streams.load(Ordering::Acquire) == 0 && self.is_at_rest.swap(true, Ordering::AcqRel) {
            self.cut();
        }
    }

    fn cut(&self) {
        // It may be gone already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(open) = self.open.upgrade() {
            open.lock().remove(&self.id);
        }
    }
}

/// A request under way on such a connection, until its answer is handed over.
pub struct Stream {
    connection: Arc<Connection>,
    cut: Option<JoinHandle<()>>,
}

impl Stream {
    /// Counts a request; `None` if it didn't come by HTTP/2.
    ///
    /// # Errors
    /// `Invalid` when its head is too large, `Unavailable` when too many are under way.
    pub fn open(request: &HttpRequest) -> Result<Option<Self>, ApiError> {
        let Some(connection) = request.conn_data::<Arc<Connection>>() else { return Ok(None) };
        let stream = Self { connection: Arc::clone(connection), cut: None };
        connection.is_at_rest.store(false, Ordering::Release);
        if connection.streams.fetch_add(1, Ordering::AcqRel) >= STREAMS {
            return Err(Failure::unavailable("Too many requests are under way on one connection").into());
        }
        let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if headers.sum::<usize>() + target > HEAD {
            return Err(Failure::invalid("The head of the request is too large").into());
        }
        Ok(Some(stream))
    }

    /// Has the connection cut when the answer, or its next part, is not taken in time.
    fn watch(&mut self) {
        self.rest();
        let connection = Arc::clone(&self.connection);
        self.cut = Some(actix_web::rt::spawn(async move {
            tokio::time::sleep(connection.unread_time).await;
            connection.cut();
        }));
    }

    fn rest(&mut self) {
        if let Some(cut) = self.cut.take() {
            cut.abort();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.rest();
        self.connection.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

pin_project! {
    /// The body of an answer, and the request that it ends.
    pub struct Answer<B> {
        #[pin]
        body: B,
        stream: Option<Stream>,
    }
}

impl<B> Answer<B> {
    /// Watches over a body from now on.
    pub fn new(body: B, mut stream: Option<Stream>) -> Self {
        if let Some(stream) = &mut stream {
            stream.watch();
        }
        Self { body, stream }
    }
}

impl<B: MessageBody> MessageBody for Answer<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<web::Bytes, B::Error>>> {
        let this = self.project();
        let next = this.body.poll_next(context);
        if let (Some(stream), Poll::Ready(_)) = (this.stream, &next) {
            stream.watch();
        }
        next
    }

    fn try_into_bytes(self) -> Result<web::Bytes, Self> {
        let Self { body, stream } = self;
        match stream {
            None => body.try_into_bytes().map_err(|body| Self { body, stream: None }),
            stream => Err(Self { body, stream }),
        }
    }
}

/// The TLS connection behind what actix hands over, if it is one.
pub fn tls(connection: &dyn Any) -> Option<&TlsStream<TcpStream>> {
    connection.downcast_ref()
}
