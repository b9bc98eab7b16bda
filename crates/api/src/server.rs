//! The HTTP server around the API.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error, HttpServer, web};
use socket2::SockRef;

use crate::state::State;
use crate::{cors, edge, router};

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

/// Serves the API on `listener`. Await the result, or spawn it; stop it by its handle, which waits
/// for requests in flight. Signals are left to the caller.
///
/// # Errors
/// When the listener can't be used.
pub fn server(listener: TcpListener, state: State) -> io::Result<Server> {
    let http = state.config.http.clone();
    let workers = NonZeroUsize::new(http.workers).or(available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let unread_time = http.unread_time();
    let state = web::Data::new(state);
    let server = HttpServer::new(move || app(state.clone()))
        .workers(workers)
        .max_connections(http.max_connections.div_ceil(workers).max(1))
        .keep_alive(http.keep_alive_time())
        .client_request_timeout(http.request_time())
        .on_connect(move |connection, _| cut_unread(connection.downcast_ref(), unread_time))
        .tcp_nodelay(true)
        .shutdown_timeout(http.shutdown_seconds)
        .disable_signals()
        .listen(listener)?;
    Ok(server.run())
}

/// Stops a server: has `/readyz` send clients elsewhere, goes on for `http.drain_seconds`, then listens no
/// longer and waits for requests in flight.
pub async fn stop(server: &ServerHandle, state: &State) {
    state.end();
    tokio::time::sleep(state.config.http.drain_time()).await;
    server.stop(true).await;
}

/// Has the kernel cut a connection whose peer takes nothing for `time`, even while the peer says that
/// its window is closed (RFC 5482). actix gives writing no deadline.
fn cut_unread(connection: Option<&TcpStream>, time: Duration) {
    if let Some(Err(error)) = connection.map(|stream| SockRef::from(stream).set_tcp_user_timeout(Some(time))) {
        tracing::warn!(%error, "a client that doesn't read can't be cut off");
    }
}
