//! A collector of traces: takes OTLP over HTTP, as a real one does, and keeps what it is sent.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bailey_testkit::process;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// How long a span may take to arrive: they linger a second to share a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector that runs until the test program ends.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    /// Starts it.
    ///
    /// # Panics
    /// When there is no port for it.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&bodies);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                thread::spawn(move || serve(&stream, &kept));
            }
        });
        Self { address, bodies }
    }

    /// What `traces.endpoint` is to be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was sent, byte by byte.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().concat()
    }

    /// All that was sent of one trace.
    ///
    /// # Panics
    /// When something was sent that is no OTLP.
    #[must_use]
    pub fn spans(&self, trace: u128) -> Vec<Span> {
        let all = self.lock().iter().flat_map(|body| decoded(body)).collect::<Vec<_>>();
        all.into_iter().filter(|span| span.trace_id == trace.to_be_bytes()).collect()
    }

    /// The spans of one trace, once those with these names have arrived.
    ///
    /// # Panics
    /// When one of them doesn't.
    #[must_use]
    pub fn wait_for(&self, trace: u128, names: &[&str]) -> Vec<Span> {
        let arrived = process::until(PATIENCE, || {
            let spans = self.spans(trace);
            for name in names {
                let found = spans.iter().any(|span| span.name == *name);
                let known: Vec<_> = spans.iter().map(|span| &span.name).collect();
                anyhow::ensure!(found, "no span `{name}` among {known:?}");
            }
            Ok(spans)
        });
        arrived.unwrap_or_else(|error| panic!("{error:#}"))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decoded(body: &[u8]) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// An attribute of a span, as text.
#[must_use]
pub fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// Takes one request after the other from a connection.
fn serve(stream: &TcpStream, kept: &Mutex<Vec<Vec<u8>>>) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(body)) = read(&mut reader) {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(body);
        let mut writer = stream;
        if writer
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
            .is_err()
        {
            return;
        }
    }
}

/// The body of the next export; `None` at the end of the connection.
fn read(reader: &mut BufReader<&TcpStream>) -> Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push(line.trim_end().to_ascii_lowercase());
    }
    anyhow::ensure!(head.first().is_some_and(|line| line.starts_with("post /v1/traces ")), "{head:?}");
    anyhow::ensure!(head.iter().any(|line| line == "content-type: application/x-protobuf"), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
    let mut body = vec![0; length.parse().map_err(io::Error::other)?];
    reader.read_exact(&mut body)?;
    Ok(Some(body))
}
