//! Payloads in a KMIP server: Bailey with so many connections to PyKMIP beside as many bare clients that send the same
//! two questions, prepared, and do nothing else.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, ensure};
use bailey_testkit::pykmip::PyKmip;

use crate::figure::{Figure, median};
use crate::hsm::{Site, filled};
use crate::options::Options;
use crate::run::Stage;
use crate::subject::bailey::Installation;

/// Numbers of connections to the server.
const POOLS: [usize; 4] = [1, 2, 4, 8];
/// Connections to Bailey; more than any pool has, so that the pool is what is short.
pub const CONNECTIONS: usize = 16;
/// Secrets that reads are spread over; PyKMIP looks at all it has whenever one is stored.
const SECRETS: usize = 64;
/// Seconds that a request may wait for a connection: all of them are asked for at once when a Bailey is filled.
const PATIENCE: f64 = 25.0;
/// Whom PyKMIP takes the clients for: it shows objects to who stored them only.
const CLIENT: &str = "bailey";

/// One number of connections, round by round.
#[derive(Default)]
pub struct PoolFigures {
    /// Payloads read through Bailey.
    pub read: Vec<Figure>,
    /// Answers that bare clients got, a second.
    pub bare: Vec<f64>,
}

impl PoolFigures {
    /// The median of the rounds' ratios.
    pub fn ratio(&self) -> Option<f64> {
        median(self.read.iter().zip(&self.bare).map(|(read, bare)| read.rate / bare))
    }
}

/// What several rounds measured, by the number of connections to the server.
pub type KmipFigures = BTreeMap<usize, PoolFigures>;

/// Measures all of it.
///
/// # Errors
/// When PyKMIP is missing.
pub(crate) async fn measure(stage: &Stage<'_>) -> Result<KmipFigures> {
    stage.say("filling Baileys over PyKMIP");
    let server = Arc::new(PyKmip::start()?);
    let mut sites = Vec::new();
    for connections in POOLS {
        let installation = stage.installation(&format!("kmip_{connections}"))?.without_cache();
        sites.push((connections, site(installation, &server, connections).await?));
    }
    let mut figures = KmipFigures::new();
    for round in 0..stage.options().rounds {
        stage.say(&format!("KMIP, round {} of {}", round + 1, stage.options().rounds));
        // Nobody always comes first.
        sites.rotate_left(round % POOLS.len());
        for (connections, site) in &sites {
            let figures = figures.entry(*connections).or_default();
            let cpu = || site.process.cpu();
            figures.read.push(stage.turn(cpu, site.installation.address(), &site.reads, CONNECTIONS).await?);
            figures.bare.push(bare(stage.options(), &server, *connections)?);
        }
    }
    Ok(figures)
}

async fn site(installation: Installation, server: &PyKmip, connections: usize) -> Result<Site> {
    let client = server.client(CLIENT)?;
    let installation = installation.with_file(&format!(
        "[[stores]]\nname = \"kmip\"\nkind = \"kmip\"\ndefault = true\nserver = \"{}\"\nserver_name = \"localhost\"\n\
         ca = \"{}\"\nclient_certificate = \"{}\"\nclient_key = \"{}\"\nconnections = {connections}\n\
         answer_seconds = {PATIENCE:.1}\n",
        server.address(),
        client.ca.display(),
        client.certificate.display(),
        client.key.display()
    ))?;
    let installation = installation.with([("BAILEY_WORKER__STORE_DEADLINE_SECONDS", PATIENCE.to_string())]);
    let process = installation.start().await?;
    filled(process, installation, SECRETS).await
}

/// Answers a second to so many clients, each with a connection and a thread of its own.
fn bare(options: &Options, server: &PyKmip, clients: usize) -> Result<f64> {
    let mut streams = (0..clients).map(|_| server.connect(CLIENT)).collect::<Result<Vec<_>>>()?;
    let (answers, begun_at) = (AtomicU64::new(0), Instant::now());
    thread::scope(|scope| {
        let clients: Vec<_> = streams
            .iter_mut()
            .enumerate()
            .map(|(number, stream)| {
                let answers = &answers;
                scope.spawn(move || {
                    // The server numbers its objects.
                    let question = question(&(number + 1).to_string());
                    while begun_at.elapsed() < options.turn() {
                        ask(stream, &question)?;
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
    })?;
    Ok(answers.into_inner() as f64 / begun_at.elapsed().as_secs_f64())
}

fn ask(stream: &mut (impl Read + Write), question: &[u8]) -> Result<()> {
    stream.write_all(question)?;
    stream.flush()?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let [_, _, _, _, length @ ..] = head;
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(length))?];
    stream.read_exact(&mut body)?;
    // Twice: Result Status, an enumeration of four bytes, Success.
    let success = [0x42, 0x00, 0x7F, 0x05, 0, 0, 0, 4, 0, 0, 0, 0];
    let successes = body.windows(success.len()).filter(|window| *window == success).count();
    ensure!(successes == 2, "{successes} of two operations succeeded");
    Ok(())
}

/// What the store asks when it reads an object: Get and Get Attributes, as KMIP 1.4 writes them.
fn question(id: &str) -> Vec<u8> {
    let version = [item(0x42_006A, INTEGER, &1_u32.to_be_bytes()), item(0x42_006B, INTEGER, &4_u32.to_be_bytes())];
    let header = [
        item(0x42_0069, STRUCTURE, &version.concat()),
        item(0x42_000E, ENUMERATION, &2_u32.to_be_bytes()),
        item(0x42_0010, BOOLEAN, &1_u64.to_be_bytes()),
        item(0x42_000D, INTEGER, &2_u32.to_be_bytes()),
    ];
    let id = item(0x42_0094, TEXT, id.as_bytes());
    let name = item(0x42_000A, TEXT, b"Application Specific Information");
    let message = [
        item(0x42_0077, STRUCTURE, &header.concat()),
        operation(0x0A, &id),
        operation(0x0B, &[&id[..], &name].concat()),
    ];
    item(0x42_0078, STRUCTURE, &message.concat())
}

fn operation(number: u32, payload: &[u8]) -> Vec<u8> {
    let items = [
        item(0x42_005C, ENUMERATION, &number.to_be_bytes()),
        item(0x42_0093, BYTES, &[number as u8; 16]),
        item(0x42_0079, STRUCTURE, payload),
    ];
    item(0x42_000F, STRUCTURE, &items.concat())
}

const STRUCTURE: u8 = 1;
const INTEGER: u8 = 2;
const ENUMERATION: u8 = 5;
const BOOLEAN: u8 = 6;
const TEXT: u8 = 7;
const BYTES: u8 = 8;

/// An item of TTLV (KMIP 1.4, section 9.1.1): tag, type, length, value, padded to eight bytes.
fn item(tag: u32, kind: u8, value: &[u8]) -> Vec<u8> {
    let mut item = [&tag.to_be_bytes()[1..], &[kind], &(value.len() as u32).to_be_bytes(), value].concat();
    item.resize(item.len().next_multiple_of(8), 0);
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_padded_to_eight_bytes() {
        assert_eq!(item(0x42_006A, INTEGER, &[0, 0, 0, 1]), [0x42, 0, 0x6A, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(question("1").len() % 8, 0);
    }
}
