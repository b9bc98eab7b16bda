//! The load generator: some connections, each sending its next request when its answer has come.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tokio::task::{JoinSet, LocalSet};

use crate::exchange::Exchange;
use crate::histogram::Histogram;
use crate::http::Connection;
use crate::random::Random;

/// The least time the servers are driven before the figures count.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long figures are taken.
#[derive(Clone, Copy)]
pub enum Span {
    /// So long, after every exchange was sent once and [`WARM_UP`] is over.
    Time(Duration),
    /// So many requests, from the first on.
    Requests(u64),
}

/// What came of it.
pub struct Outcome<T> {
    /// How long figures were taken.
    pub elapsed: Duration,
    /// The latencies of the answers that came in that time.
    pub latency: Histogram,
    /// What the gauge said when the span began.
    pub before: T,
    /// What the gauge said when it ended.
    pub after: T,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Counting,
    Over,
}

struct Progress {
    exchanges: Rc<[Exchange]>,
    phase: Cell<Phase>,
    sent: Cell<u64>,
    limit: u64,
    latency: RefCell<Histogram>,
}

/// Sends `exchanges` over `connections` connections and takes figures for `span`, reading `gauge`
/// when it begins and when it ends.
///
/// # Errors
/// When an answer is a wrong one: then no figure means anything.
pub async fn drive<T>(
    address: SocketAddr,
    exchanges: &Rc<[Exchange]>,
    connections: usize,
    span: Span,
    gauge: impl Fn() -> Result<T>,
) -> Result<Outcome<T>> {
    let limit = match span {
        Span::Time(_) => u64::MAX,
        Span::Requests(count) => count,
    };
    let progress = Rc::new(Progress {
        exchanges: exchanges.clone(),
        phase: Cell::new(Phase::WarmUp),
        sent: Cell::new(0),
        limit,
        latency: RefCell::default(),
    });
    let mut tasks = JoinSet::new();
    let local = LocalSet::new();
    local
        .run_until(async {
            for seed in 0..connections {
                tasks.spawn_local(client(address, seed as u64, progress.clone()));
            }
            if let Span::Time(_) = span {
                warm_up(&progress, &mut tasks).await?;
            }
            let before = gauge()?;
            let start = Instant::now();
            progress.phase.set(Phase::Counting);
            if let Span::Time(time) = span {
                tokio::time::sleep(time).await;
                progress.phase.set(Phase::Over);
            } else {
                while let Some(ended) = tasks.join_next().await {
                    ended??;
                }
            }
            let elapsed = start.elapsed();
            let after = gauge()?;
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            Ok(Outcome { elapsed, latency: progress.latency.take(), before, after })
        })
        .await
}

/// Lets the clients send every exchange once, so that what a server remembers is remembered.
async fn warm_up(progress: &Progress, tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < WARM_UP || progress.sent.get() < progress.exchanges.len() as u64 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if let Some(ended) = tasks.try_join_next() {
            ended??;
            return Err(anyhow!("a client stopped early"));
        }
    }
    Ok(())
}

async fn client(address: SocketAddr, seed: u64, progress: Rc<Progress>) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut random = Random::new(seed);
    let mut request = Vec::new();
    while progress.phase.get() != Phase::Over {
        let number = progress.sent.get();
        if number == progress.limit {
            break;
        }
        progress.sent.set(number + 1);
        let exchange = match progress.exchanges.get(number as usize) {
            Some(exchange) if progress.phase.get() == Phase::WarmUp => exchange,
            _ => &progress.exchanges[random.below(progress.exchanges.len())],
        };
        exchange.write(unique(), &mut request);
        let start = Instant::now();
        let answer = connection.exchange(&request).await.with_context(|| first_line(&request))?;
        let latency = start.elapsed();
        exchange.check(&answer).with_context(|| first_line(&request))?;
        if progress.phase.get() == Phase::Counting {
            progress.latency.borrow_mut().record(latency);
        }
    }
    Ok(())
}

fn first_line(request: &[u8]) -> String {
    String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned()
}

/// A number that no request of this process carried before.
fn unique() -> u64 {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    NEXT.with(|next| next.replace(next.get() + 1))
}

/// Sends `count` requests, each made by `request` from its number, and gives what `read` makes of
/// the answers, in the order of the numbers.
///
/// # Errors
/// When `read` fails on an answer.
pub async fn collect<T>(
    address: SocketAddr,
    connections: usize,
    count: usize,
    request: impl Fn(usize) -> Vec<u8>,
    read: impl Fn(u16, &[u8]) -> Result<T>,
) -> Result<Vec<T>> {
    let next = Cell::new(0);
    let collected = RefCell::new(Vec::with_capacity(count));
    let clients = (0..connections).map(|_| async {
        let mut connection = Connection::open(address).await?;
        loop {
            let number = next.get();
            if number == count {
                return anyhow::Ok(());
            }
            next.set(number + 1);
            let answer = connection.exchange(&request(number)).await?;
            let item = read(answer.status, answer.body)
                .with_context(|| format!("status {}: {}", answer.status, String::from_utf8_lossy(answer.body)))?;
            collected.borrow_mut().push((number, item));
        }
    });
    futures_util::future::try_join_all(clients).await?;
    let mut collected = collected.into_inner();
    collected.sort_by_key(|(number, _)| *number);
    Ok(collected.into_iter().map(|(_, item)| item).collect())
}
