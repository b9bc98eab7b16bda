//! The HTTP server around the API.

use std::any::Any;
use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error, HttpServer, web};
use socket2::SockRef;

use crate::http2::WINDOW;
use crate::state::State;
use crate::tls::Certificates;
use crate::{cors, edge, http2, router};

/// The whole application: routes and everything around them. Tests serve it without a socket.
pub fn app(
    state: web::Data<State>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = Condition::new(!state.config.cors.allowed_origins.is_empty(), from_fn(cors::allow));
    App::new().app_data(state).configure(router::configure).wrap(cors).wrap(from_fn(edge::enter))
}

/// Serves the API on `listener`, by TLS if there are `certificates`. Await the result, or spawn it; stop it by its handle, which waits
/// for requests in flight. Signals are left to the caller.
///
/// # Errors
/// When the listener can't be used.
pub fn server(listener: TcpListener, state: State, certificates: Option<&Arc<Certificates>>) -> io::Result<Server> {
    let http = state.config.http.clone();
    let workers = NonZeroUsize::new(http.workers).or(available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let connections = http.max_connections.div_ceil(workers).max(1);
    let (state, fresh) = (web::Data::new(state.clone()), state);
    let server = HttpServer::new(move || app(state.clone()))
        .workers(workers)
        .max_connections(connections)
        // Clients that don't finish a handshake are no reason to have others wait for theirs.
        .max_connection_rate(connections)
        .tls_handshake_timeout(http.request_time())
        .h2_initial_window_size(WINDOW)
        .h2_initial_connection_window_size(WINDOW)
        .keep_alive(http.keep_alive_time())
        .client_request_timeout(http.request_time())
        .on_connect(move |connection, data| connected(&fresh, connection, data))
        .tcp_nodelay(true)
        .shutdown_timeout(http.shutdown_seconds)
        .disable_signals();
    let server = match certificates {
        Some(certificates) => {
            let tls = certificates.server_config().map_err(io::Error::other)?;
            server.listen_rustls_0_23(listener, tls)?
        }
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// Stops a server: has `/readyz` send clients elsewhere, goes on for `http.drain_seconds`, then listens no
/// longer and waits for requests in flight.
pub async fn stop(server: &ServerHandle, state: &State) {
    state.end();
    tokio::time::sleep(state.config.http.drain_time()).await;
    tokio::select! {
        () = server.stop(true) => {}
        () = state.connections.close_idle() => {}
    }
}

/// Bounds what a fresh connection, whose handshake is over, may do without being read.
fn connected(state: &State, connection: &dyn Any, data: &mut Extensions) {
    let unread_time = state.config.http.unread_time();
    match http2::tls(connection) {
        Some(tls) => {
            cut_unread(Some(tls.get_ref().0), unread_time);
            state.connections.accept(tls, unread_time, data);
        }
        None => cut_unread(connection.downcast_ref(), unread_time),
    }
}

/// Has the kernel cut a connection whose peer takes nothing for `time`, even while the peer says that
/// its window is closed (RFC 5482). actix gives writing no deadline.
fn cut_unread(connection: Option<&TcpStream>, time: Duration) {
    if let Some(Err(error)) = connection.map(|stream| SockRef::from(stream).set_tcp_user_timeout(Some(time))) {
        tracing::warn!(%error, "a client that doesn't read can't be cut off");
    }
}
