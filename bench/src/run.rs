//! What is measured, in which order.
//!
//! For each database: all servers are started and filled; then, in each round and for each
//! operation, every server is driven in its turn. Lists are measured before that, on two
//! installations that differ only in how many secrets they keep.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::certificates::{self, CertificateFigures};
use crate::exchange::Exchange;
use crate::figure::{Cpu, Figure, Operation};
use crate::hsm::{self, HsmFigures};
use crate::kmip::{self, KmipFigures};
use crate::load::{self, Span};
use crate::machine;
use crate::options::{self, Engine, Extra, Options};
use crate::orders::{self, Orders};
use crate::postgres::Postgres;
use crate::process::{self, Process};
use crate::subject::bailey::Installation;
use crate::subject::barbican::Client;
use crate::subject::containers::Containers;
use crate::subject::keystone::Keystone;
use crate::subject::split::{Layout, Nats, Processor, Split};
use crate::subject::{PROJECTS, Server, Subject, bailey, bare, openbao};

/// Secrets in the smaller of the two projects that are listed.
pub const FEW: usize = 1_000;
/// Requests after which resident memory is read.
pub const MANY_REQUESTS: u64 = 100_000;
/// RSA key pairs that are ordered at least.
const FEWEST_PAIRS: f64 = 8.0;
/// Connections for what isn't measured at several numbers of them.
const CONNECTIONS: usize = 8;

/// What a run measured.
pub struct Results {
    /// How it was run.
    pub options: Options,
    /// The command that gives it.
    pub command: String,
    /// What it ran on.
    pub machine: String,
    /// The load of the machine when it began.
    pub load: f64,
    /// The commit that was measured.
    pub commit: String,
    /// The figures for each database.
    pub databases: Vec<Section>,
}

/// What a run measured on one database.
pub struct Section {
    /// The database.
    pub engine: Engine,
    /// The figures of every round.
    pub turns: BTreeMap<Turn, Vec<Figure>>,
    /// Resident memory of each server at the end.
    pub resident: Vec<(Server, u64)>,
    /// What only Bailey is asked.
    pub alone: Option<Alone>,
}

/// Who was asked what over how many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// The operation.
    pub operation: Operation,
    /// The number of connections.
    pub connections: usize,
    /// The server.
    pub server: Server,
}

/// What only Bailey is asked.
pub struct Alone {
    /// From start to the first payload, on a filled folder.
    pub starts: Vec<Duration>,
    /// Resident memory after [`MANY_REQUESTS`].
    pub resident: u64,
    /// Lists.
    pub lists: Lists,
    /// Containers.
    pub containers: ContainerFigures,
    /// Payload reads by kind of token.
    pub tokens: TokenFigures,
    /// Payloads under an HSM.
    pub hsm: HsmFigures,
    /// Payloads in a KMIP server.
    pub kmip: KmipFigures,
    /// Orders.
    pub orders: Orders,
    /// Certificates.
    pub certificates: CertificateFigures,
    /// Payload reads by number of processes.
    pub split: SplitFigures,
}

/// Containers of [`REFERENCES`](crate::subject::containers::REFERENCES) secrets, round by round.
#[derive(Default)]
pub struct ContainerFigures {
    /// One of them.
    pub get: Vec<Figure>,
    /// A list of ten.
    pub list: Vec<Figure>,
}

/// Payload reads by one and the same Bailey, round by round.
#[derive(Default)]
pub struct TokenFigures {
    /// With tokens of Bailey's own.
    pub own: Vec<Figure>,
    /// With tokens that Keystone issued and Bailey knows.
    pub keystone: Vec<Figure>,
}

/// Payload reads from the same databases, by number of connections and by layout, round by round.
pub type SplitFigures = BTreeMap<usize, BTreeMap<Layout, Vec<Figure>>>;

/// Lists of 10, round by round.
#[derive(Default)]
pub struct Lists {
    /// The first page among [`FEW`].
    pub few: Vec<Figure>,
    /// The first page among many.
    pub many: Vec<Figure>,
    /// A page in the last tenth of many.
    pub deep: Vec<Figure>,
}

/// Measures everything that `options` ask for.
pub async fn everything(options: &Options) -> Result<Results> {
    let mut results = Results {
        options: options.clone(),
        command: options::command(),
        machine: machine::describe(),
        load: machine::load(),
        commit: machine::commit(),
        databases: Vec::new(),
    };
    for engine in &options.databases {
        results.databases.push(section(options, *engine).await.with_context(|| engine.name())?);
    }
    Ok(results)
}

/// What the servers of a section share.
pub(crate) struct Stage<'a> {
    options: &'a Options,
    engine: Engine,
    folder: &'a Path,
    postgres: Option<Postgres>,
    bailey: PathBuf,
}

/// Processes that are asked in turns with others.
struct Site {
    layout: Layout,
    /// What runs beside the process that does everything.
    split: Option<Split>,
    exchanges: Rc<[Exchange]>,
}

async fn section(options: &Options, engine: Engine) -> Result<Section> {
    let folder = tempfile::Builder::new().prefix("bailey-bench-").tempdir()?;
    // PostgreSQL's own user passes through to its folder.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let postgres = match engine {
        Engine::Postgres => Some(Postgres::start(folder.path()).await?),
        Engine::Sqlite => None,
    };
    let bailey = Options::program(options.bailey.as_ref(), "bailey")?;
    let stage = Stage { options, engine, folder: folder.path(), postgres, bailey };
    let with_lists = options.includes(Server::Bailey) && options.operations.contains(&Operation::List);
    let lists = if with_lists { stage.lists().await? } else { Lists::default() };
    let containers = if stage.wants(Extra::Containers) { stage.containers().await? } else { Default::default() };
    let tokens = if stage.wants(Extra::Keystone) { stage.tokens().await? } else { Default::default() };
    let hsm = if stage.wants(Extra::Hsm) { hsm::measure(&stage).await? } else { HsmFigures::default() };
    let kmip = if stage.wants(Extra::Kmip) { kmip::measure(&stage).await? } else { KmipFigures::new() };
    let orders = if stage.wants(Extra::Orders) { stage.orders().await? } else { Orders::default() };
    let with_certificates = stage.wants(Extra::Certificates);
    let certificates = if with_certificates { certificates::measure(&stage).await? } else { Default::default() };
    // Processes that share databases need PostgreSQL.
    let with_split = stage.wants(Extra::Split) && engine == Engine::Postgres;
    let split = if with_split { stage.split().await? } else { SplitFigures::default() };

    stage.say("filling the servers");
    let (folder, postgres, secrets) = (stage.folder, stage.postgres.as_ref(), options.secrets);
    let mut subjects = Vec::new();
    let mut alone = None;
    if options.includes(Server::Bare) {
        subjects.push(bare::start(&Options::program(None, "bare")?, folder, postgres, secrets).await?);
    }
    if options.includes(Server::Bailey) {
        let (subject, starts) = bailey::start(&stage.installation("bailey")?, Server::Bailey, secrets).await?;
        let resident = stage.resident_after_many(&subject).await?;
        alone = Some(Alone { starts, resident, lists, containers, tokens, hsm, kmip, orders, certificates, split });
        subjects.push(subject);
    }
    if options.includes(Server::Uncached) {
        let installation = stage.installation("uncached")?.without_cache();
        let (mut subject, _) = bailey::start(&installation, Server::Uncached, secrets).await?;
        subject.exchanges.retain(|operation, _| *operation == Operation::Payload);
        subjects.push(subject);
    }
    if options.includes(Server::OpenBao)
        && let Some(binary) = &options.openbao
    {
        subjects.push(openbao::start(&binary.canonicalize()?, folder, secrets).await?);
    }

    let turns = stage.rounds(&subjects).await?;
    let resident = subjects.iter().map(|subject| Ok((subject.server, subject.process.resident()?)));
    Ok(Section { engine, turns, resident: resident.collect::<Result<_>>()?, alone })
}

impl Stage<'_> {
    async fn rounds(&self, subjects: &[Subject]) -> Result<BTreeMap<Turn, Vec<Figure>>> {
        let mut turns: BTreeMap<Turn, Vec<Figure>> = BTreeMap::new();
        for round in 0..self.options.rounds {
            for &connections in &self.options.connections {
                self.say(&format!("round {} of {}, {connections} connections", round + 1, self.options.rounds));
                for &operation in &self.options.operations {
                    // Nobody always comes first.
                    for subject in (0..subjects.len()).map(|place| &subjects[(place + round) % subjects.len()]) {
                        let Some(exchanges) = subject.exchanges.get(&operation) else { continue };
                        let figure = self.turn(|| subject.process.cpu(), subject.address, exchanges, connections).await;
                        let figure = figure.with_context(|| format!("{operation} of {}", subject.server))?;
                        let turn = Turn { operation, connections, server: subject.server };
                        turns.entry(turn).or_default().push(figure);
                    }
                }
            }
        }
        Ok(turns)
    }

    /// How it is run.
    pub(crate) const fn options(&self) -> &Options {
        self.options
    }

    pub(crate) async fn turn(
        &self,
        cpu: impl Fn() -> Result<Duration>,
        address: std::net::SocketAddr,
        exchanges: &Rc<[Exchange]>,
        connections: usize,
    ) -> Result<Figure> {
        let gauge = || {
            let database = self.postgres.as_ref().map_or(Ok(Duration::ZERO), Postgres::cpu)?;
            Ok(Cpu { server: cpu()?, database, load: process::own_cpu()? })
        };
        let span = Span::Time(self.options.turn());
        Figure::of(&load::drive(address, exchanges, connections, span, gauge).await?)
    }

    async fn lists(&self) -> Result<Lists> {
        self.say("filling the projects to list");
        let (few, few_process) = self.listed("few", FEW).await?;
        let (many, many_process) = self.listed("many", self.options.listed).await?;
        let first = |client: &Client| Rc::from([client.list(0, 0)]);
        let deep = Rc::from([many.list(0, self.options.listed / 10 * 9)]);
        let mut lists = Lists::default();
        for round in 0..self.options.rounds {
            self.say(&format!("lists, round {} of {}", round + 1, self.options.rounds));
            lists.few.push(self.turn(|| few_process.cpu(), few.address, &first(&few), CONNECTIONS).await?);
            lists.many.push(self.turn(|| many_process.cpu(), many.address, &first(&many), CONNECTIONS).await?);
            lists.deep.push(self.turn(|| many_process.cpu(), many.address, &deep, CONNECTIONS).await?);
        }
        Ok(lists)
    }

    fn wants(&self, extra: Extra) -> bool {
        self.options.includes(Server::Bailey) && self.options.extras.contains(&extra)
    }

    async fn containers(&self) -> Result<ContainerFigures> {
        self.say("filling containers");
        let installation = self.installation("containers")?;
        let process = installation.start().await?;
        let client = installation.client(1)?;
        let containers = Containers::fill(&client).await?;
        let mut figures = ContainerFigures::default();
        for round in 0..self.options.rounds {
            self.say(&format!("containers, round {} of {}", round + 1, self.options.rounds));
            figures.get.push(self.turn(|| process.cpu(), client.address, &containers.get, CONNECTIONS).await?);
            figures.list.push(self.turn(|| process.cpu(), client.address, &containers.list, CONNECTIONS).await?);
        }
        Ok(figures)
    }

    /// The same secrets, asked for with the one and the other kind of token in turns.
    async fn tokens(&self) -> Result<TokenFigures> {
        self.say("filling a Bailey that asks Keystone");
        let keystone = Keystone::start()?;
        let installation = self.installation("tokens")?.with(keystone.settings());
        let process = installation.start().await?;
        let own = installation.client(PROJECTS)?;
        let ids = own.fill(self.options.secrets).await?;
        let known = Client { address: own.address, tokens: Keystone::tokens(PROJECTS) };
        let [own, known] = [own, known].map(|client| client.exchanges(&ids)[&Operation::Payload].clone());
        let address = installation.address();
        let mut figures = TokenFigures::default();
        for round in 0..self.options.rounds {
            self.say(&format!("tokens, round {} of {}", round + 1, self.options.rounds));
            let mut turns = [(&own, &mut figures.own), (&known, &mut figures.keystone)];
            // Nobody always comes first.
            if round % 2 == 1 {
                turns.reverse();
            }
            for (exchanges, figures) in turns {
                figures.push(self.turn(|| process.cpu(), address, exchanges, CONNECTIONS).await?);
            }
        }
        Ok(figures)
    }

    /// A process that does everything, and APIs with workers, all on the same databases.
    async fn split(&self) -> Result<SplitFigures> {
        self.say("filling a Bailey in several processes");
        let installation = self.installation("split")?;
        let process = installation.start().await?;
        let client = installation.client(PROJECTS)?;
        let ids = client.fill(self.options.secrets).await?;
        installation.make_queue_keys()?;
        let nats = Nats::start(self.folder).await?;
        let reads = |address| {
            let client = Client { address, tokens: client.tokens.clone() };
            client.exchanges(&ids)[&Operation::Payload].clone()
        };
        let mut sites = vec![Site { layout: Layout::Single, split: None, exchanges: reads(client.address) }];
        for layout in Layout::ALL {
            let Layout::Split(workers, processor) = layout else { continue };
            match Split::start(&installation, &nats, workers, processor).await {
                Ok(split) => sites.push(Site { layout, exchanges: reads(split.address), split: Some(split) }),
                Err(error) if processor == Processor::Own => self.say(&format!("left out: {layout}: {error:#}")),
                Err(error) => return Err(error),
            }
        }
        let mut figures = SplitFigures::new();
        for round in 0..self.options.rounds {
            self.say(&format!("several processes, round {} of {}", round + 1, self.options.rounds));
            for &connections in &self.options.connections {
                // Nobody always comes first.
                for Site { layout, split, exchanges } in
                    (0..sites.len()).map(|place| &sites[(place + round) % sites.len()])
                {
                    let cpu = || split.as_ref().map_or_else(|| process.cpu(), |split| split.cpu(&nats));
                    let address = split.as_ref().map_or(client.address, |split| split.address);
                    let figure = self.turn(cpu, address, exchanges, connections).await?;
                    figures.entry(connections).or_default().entry(*layout).or_default().push(figure);
                }
            }
        }
        Ok(figures)
    }

    /// As many pairs are ordered as bare threads just made, so that both take about the same time.
    async fn orders(&self) -> Result<Orders> {
        let installation = self.installation("orders")?;
        let _process = installation.start().await?;
        let client = installation.client(PROJECTS)?;
        let mut measured = Orders::default();
        for round in 0..self.options.rounds {
            self.say(&format!("orders, round {} of {}", round + 1, self.options.rounds));
            measured.keys.push(orders::rate(&client, &orders::key(), self.options.orders).await?);
            let waits = orders::waits(&client, &orders::key(), self.options.orders.div_ceil(10)).await?;
            measured.waits.push((waits.quantile(0.5), waits.quantile(0.99)));
            let bare = orders::bare_rate(self.options.turn())?;
            let pairs = (bare * self.options.seconds).ceil().max(FEWEST_PAIRS);
            measured.pairs.push(orders::rate(&client, &orders::rsa(), pairs as usize).await?);
            measured.bare.push(bare);
        }
        Ok(measured)
    }

    async fn listed(&self, name: &str, count: usize) -> Result<(Client, Process)> {
        let installation = self.installation(name)?;
        let process = installation.start().await?;
        let client = installation.client(1)?;
        client.fill(count).await?;
        Ok((client, process))
    }

    /// Every operation in a mixture that reads more than it stores.
    async fn resident_after_many(&self, subject: &Subject) -> Result<u64> {
        self.say("asking Bailey 100,000 times");
        let exchanges = &subject.exchanges;
        let mut mixture = Vec::new();
        for operation in [Operation::Payload, Operation::Metadata] {
            mixture.extend_from_slice(&exchanges[&operation]);
        }
        for operation in [Operation::Store, Operation::List] {
            let some = exchanges[&operation].iter().cycle().take(mixture.len() / 10);
            let some: Vec<Exchange> = some.cloned().collect();
            mixture.extend(some);
        }
        let span = Span::Requests(MANY_REQUESTS);
        load::drive(subject.address, &mixture.into(), CONNECTIONS, span, || Ok(())).await?;
        subject.process.resident()
    }

    pub(crate) fn installation(&self, name: &str) -> Result<Installation> {
        Installation::new(&self.bailey, self.folder, name, self.postgres.as_ref())
    }

    pub(crate) fn say(&self, what: &str) {
        eprintln!("{}: {what}", self.engine.name());
    }
}
