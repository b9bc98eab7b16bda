//! Orders, from the request that places one until it is ACTIVE, and RSA keys made by nothing but threads.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use serde_json::{Value, json};

use crate::histogram::Histogram;
use crate::http::Connection;
use crate::load;
use crate::subject::barbican::Client;

/// Connections that place many orders.
const PLACING: usize = 32;
/// Between two looks at an order that isn't ACTIVE yet.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(300);

/// What several rounds measured.
#[derive(Default)]
pub struct Orders {
    /// Key orders a second, from the first placed to the last ACTIVE.
    pub keys: Vec<f64>,
    /// From placing a key order to seeing it ACTIVE while nothing else is asked: median and 99 of 100.
    pub waits: Vec<(Duration, Duration)>,
    /// RSA orders a second, measured as [`Self::keys`].
    pub pairs: Vec<f64>,
    /// RSA key pairs a second that as many threads as processors make.
    pub bare: Vec<f64>,
}

/// An order for a key of 256 bits for AES.
pub fn key() -> Value {
    json!({ "type": "key", "meta": { "name": "ordered", "algorithm": "aes", "bit_length": 256, "mode": "gcm" } })
}

/// An order for an RSA key pair of 2048 bits.
pub fn rsa() -> Value {
    json!({ "type": "asymmetric", "meta": { "name": "ordered", "algorithm": "rsa", "bit_length": 2048 } })
}

/// Places `count` orders and waits until all are ACTIVE; gives how many that is a second.
///
/// # Errors
/// When one fails: then no figure means anything.
pub async fn rate(client: &Client, order: &Value, count: usize) -> Result<f64> {
    let (order, begin) = (order.to_string(), Instant::now());
    let place = |number| place(client, &order, number);
    let targets = load::collect(client.address, PLACING, count, place, target).await?;
    // They end about in the order they came. Whoever was overtaken is looked at next.
    let mut end = begin;
    let mut connection = Connection::open(client.address).await?;
    for (number, target) in targets.iter().enumerate().rev() {
        if wait(client, &mut connection, number, target).await? > 1 || end == begin {
            end = Instant::now();
        }
    }
    Ok(count as f64 / (end - begin).as_secs_f64())
}

/// Places `count` orders one after the other and gives the time until each was seen ACTIVE.
///
/// # Errors
/// When one fails.
pub async fn waits(client: &Client, order: &Value, count: usize) -> Result<Histogram> {
    let order = order.to_string();
    let mut connection = Connection::open(client.address).await?;
    let mut histogram = Histogram::default();
    for number in 0..count {
        let begin = Instant::now();
        let answer = connection.exchange(&place(client, &order, number)).await?;
        let target = target(answer.status, answer.body)?;
        wait(client, &mut connection, number, &target).await?;
        histogram.record(begin.elapsed());
    }
    Ok(histogram)
}

fn place(client: &Client, order: &str, number: usize) -> Vec<u8> {
    client.request("POST", "/v1/orders", number, &[], order)
}

/// The path of an order that was placed.
fn target(status: u16, body: &[u8]) -> Result<String> {
    ensure!(status == 202, "not placed: {}", String::from_utf8_lossy(body));
    let answer: Value = serde_json::from_slice(body)?;
    let (_, id) = answer["order_ref"].as_str().and_then(|href| href.rsplit_once('/')).context("no order_ref")?;
    Ok(format!("/v1/orders/{id}"))
}

/// Waits until an order is ACTIVE; gives how often it looked.
async fn wait(client: &Client, connection: &mut Connection, number: usize, target: &str) -> Result<u32> {
    let (request, begin) = (client.request("GET", target, number, &[], ""), Instant::now());
    let mut looks = 0;
    while begin.elapsed() < PATIENCE {
        looks += 1;
        let answer = connection.exchange(&request).await?;
        let order: Value = serde_json::from_slice(answer.body)?;
        match order["status"].as_str() {
            Some("ACTIVE") => return Ok(looks),
            Some("PENDING") => tokio::time::sleep(PAUSE).await,
            _ => bail!("an order failed: {order}"),
        }
    }
    bail!("an order is not ACTIVE after {PATIENCE:?}");
}

/// RSA key pairs of 2048 bits a second, made and encoded by a thread for each processor for `time`.
///
/// # Errors
/// When one can't be made.
pub fn bare_rate(time: Duration) -> Result<f64> {
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let makers: Vec<_> = (0..threads).map(|_| scope.spawn(move || make_pairs(time))).collect();
        makers.into_iter().map(|maker| maker.join().map_err(|_| anyhow::anyhow!("a thread failed"))?).sum()
    })
}

/// What one thread makes a second. The last pair it began counts, with the time it took.
fn make_pairs(time: Duration) -> Result<f64> {
    let (begin, mut count) = (Instant::now(), 0.0);
    while begin.elapsed() < time {
        let pair = KeyPair::generate(KeySize::Rsa2048).context("no RSA key pair")?;
        let _: Pkcs8V1Der<'_> = pair.as_der().context("no encoding of an RSA key pair")?;
        count += 1.0;
    }
    Ok(count / begin.elapsed().as_secs_f64())
}
