//! `bailey queue`: the keys that seal what API processes and workers tell each other.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bailey_core::clock::Clock;
use bailey_core::ids::QueueKeyId;
use bailey_core::sensitive::SecretText;
use bailey_queue::keys::WorkerKeys;
use serde_json::json;

use super::admin::with_audit_trouble;
use crate::audit_sink::{self, operator_event};
use crate::cli::{Place, QueueCommand, QueueFiles};
use crate::config::{Config, Sources, load};
use crate::{folder, output, private_file};

pub fn run(place: &Place, files: QueueFiles, command: QueueCommand) -> Result<()> {
    let config = load(&Sources::new(place))?.config;
    let files = Files::new(&config, files)?;
    match command {
        QueueCommand::Keygen => audited(&config, "queue keygen", None, || files.generate()),
        QueueCommand::List { format } => files.list(format.json),
        QueueCommand::Add => audited(&config, "queue add", None, || files.add()),
        QueueCommand::Activate { id } => audited(&config, "queue activate", Some(id), || files.activate(id)),
        QueueCommand::Retire { id } => audited(&config, "queue retire", Some(id), || files.retire(id)),
    }
}

/// Does something and writes the audit event that says so.
fn audited(config: &Config, action: &str, id: Option<QueueKeyId>, work: impl FnOnce() -> Result<()>) -> Result<()> {
    folder::prepare(&config.data_dir)?;
    let audit = audit_sink::open_for_command(&config.audit)?;
    let done = work();
    let trouble = done.as_ref().err().map(|error| format!("{error:#}"));
    let target = id.map(|id| format!("queue-keys/{id}"));
    let event = operator_event(Clock::system().now(), action, target, trouble);
    with_audit_trouble(done, audit.write(&event).err())
}

/// Where the keys are.
struct Files {
    worker: PathBuf,
    api: PathBuf,
}

impl Files {
    fn new(config: &Config, files: QueueFiles) -> Result<Self> {
        let worker = match files.key_file {
            Some(file) => file,
            None => {
                folder::prepare(&config.keys_dir)?;
                config.queue_key_file()
            }
        };
        let worker = std::path::absolute(&worker).with_context(|| format!("{} is no path", worker.display()))?;
        let api = files.api_key_file.unwrap_or_else(|| worker.with_file_name("queue-api.key"));
        let api = std::path::absolute(&api).with_context(|| format!("{} is no path", api.display()))?;
        if worker == api {
            bail!("workers and API processes have a key file each: an API process must not hold a worker's");
        }
        Ok(Self { worker, api })
    }

    fn generate(&self) -> Result<()> {
        let keys = WorkerKeys::generate()?;
        private_file::edit(&self.worker, |text| match text {
            Some(_) => bail!("{} is there already: `bailey queue add` makes another version", self.worker.display()),
            None => Ok(keys.to_text()),
        })?;
        self.tell_api(&keys)?;
        eprintln!("copy {} to every worker, {} to every API process", self.worker.display(), self.api.display());
        Ok(())
    }

    fn list(&self, as_json: bool) -> Result<()> {
        let keys = parse(&private_file::read(&self.worker)?, &self.worker)?;
        let versions = keys.versions().map(|(id, is_active)| (id, if is_active { "active" } else { "accepted" }));
        if as_json {
            let versions: Vec<_> = versions.map(|(id, state)| json!({ "id": id, "state": state })).collect();
            return Ok(output::json(&versions)?);
        }
        let rows: Vec<_> = versions.map(|(id, state)| [id.to_string(), state.to_owned()]).collect();
        Ok(output::table(["ID", "STATE"], &rows)?)
    }

    fn add(&self) -> Result<()> {
        let mut added = None;
        self.change(|keys| {
            added = Some(keys.add()?);
            Ok(())
        })?;
        eprintln!("copy {} to every worker, then activate the version", self.worker.display());
        Ok(output::line(&added.map(|id| id.to_string()).unwrap_or_default())?)
    }

    fn activate(&self, id: QueueKeyId) -> Result<()> {
        let keys = self.change(|keys| Ok(keys.activate(id)?))?;
        // Were this the end, the same command would go on from here.
        self.tell_api(&keys)?;
        eprintln!("copy {} to every API process, then retire the version before", self.api.display());
        Ok(())
    }

    fn retire(&self, id: QueueKeyId) -> Result<()> {
        self.change(|keys| Ok(keys.remove(id)?))?;
        eprintln!("copy {} to every worker: what is sealed with {id} is refused then", self.worker.display());
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut WorkerKeys) -> Result<()>) -> Result<WorkerKeys> {
        let mut changed = None;
        private_file::edit(&self.worker, |text| {
            let text =
                text.with_context(|| format!("{} is missing: `bailey queue keygen` makes it", self.worker.display()))?;
            let mut keys = parse(text, &self.worker)?;
            change(&mut keys)?;
            let text = keys.to_text();
            changed = Some(keys);
            Ok(text)
        })?;
        changed.context("nothing was changed")
    }

    /// Writes what API processes need of the keys.
    fn tell_api(&self, keys: &WorkerKeys) -> Result<()> {
        let text: SecretText = keys.for_api()?.to_text();
        private_file::edit(&self.api, |_| Ok(text))
    }
}

fn parse(text: &str, path: &Path) -> Result<WorkerKeys> {
    WorkerKeys::parse(text).with_context(|| path.display().to_string())
}
