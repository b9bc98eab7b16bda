//! Moves what one store holds into another, for an operator, while clients go on.
//!
//! Progress is the rows themselves: what a killed process left is what the next one finds.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ProjectId, StoreId};
use bailey_core::store::{Place, SecretStore};
use bailey_db::{admin, deletion, project_store};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{Mutex, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::moving::Moved;
use crate::Worker;
use crate::error::store_failure;
use crate::usecase::placement::check_supported;

const BATCH: u64 = 500;
/// Payloads under way at once: most of the time of each is spent waiting.
const IN_FLIGHT: usize = 4;
/// How often what came in meanwhile is looked for. While new payloads still go there, it never ends.
const PASSES: u32 = 5;
/// How long a payload waits for a store or a database that is out of reach: a minute or so.
const PATIENCE: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(Duration::from_secs(10))
    .with_max_times(12)
    .with_jitter();

/// What is to be moved, and how.
pub struct Migration {
    /// Where it lies.
    pub from: Arc<dyn SecretStore>,
    /// Where it is to go.
    pub to: Arc<dyn SecretStore>,
    /// Whose payloads; everybody's if there is none.
    pub project: Option<ProjectId>,
    /// How many payloads are begun in a second at most.
    pub per_second: f64,
    /// Whether payloads are read only, to see which of them can be moved.
    pub dry_run: bool,
}

impl Migration {
    fn source(&self) -> StoreId {
        self.from.descriptor().id
    }
}

/// What became of a migration.
#[derive(Debug, Default)]
pub struct Migrated {
    /// How many payloads there were when it began.
    pub found: u64,
    /// How many were moved, or could be.
    pub moved: u64,
    /// How many were deleted, or moved by somebody else, before it was their turn.
    pub gone: u64,
    /// Payloads that stay where they are, and why.
    pub skipped: Vec<(Place, String)>,
    /// How many payloads of the kind asked for the store still holds.
    pub left: u64,
    /// How many more wait there for their destruction.
    pub doomed: u64,
    /// What ended it early.
    pub trouble: Option<Failure>,
}

impl Worker {
    /// Moves payloads from a store into another until there are none left that can be moved, or `stop` says so.
    /// Whatever it didn't come to is where it was; begun again, it goes on there. `told` is called after each
    /// payload.
    ///
    /// Does nothing while a restore is not accepted: whoever gives that up needs what is destroyed here.
    pub async fn migrate(
        &self,
        migration: &Migration,
        stop: &watch::Receiver<bool>,
        told: &mut dyn FnMut(&Migrated),
    ) -> Migrated {
        let mut migrated = Migrated::default();
        let ended = self.migrate_all(migration, stop, &mut migrated, told).await;
        let counted = self.count_left(migration, &mut migrated).await;
        migrated.trouble = ended.and(counted).err();
        migrated
    }

    async fn migrate_all(
        &self,
        migration: &Migration,
        stop: &watch::Receiver<bool>,
        migrated: &mut Migrated,
        told: &mut dyn FnMut(&Migrated),
    ) -> Result<(), Failure> {
        for store in [&migration.from, &migration.to] {
            store.health().await.map_err(|error| store_failure(&error))?;
        }
        let project = migration.project.as_ref();
        migrated.found = admin::count_placements(self.db.reader(), migration.source(), project).await?;
        for _ in 0..PASSES {
            let moved_before = migrated.moved;
            self.migrate_once(migration, stop, migrated, told).await?;
            if migration.dry_run || migrated.moved == moved_before || *stop.borrow() {
                break;
            }
        }
        // What a killed run left behind is due, too, and there may be no server to see to it.
        if !migration.dry_run && !*stop.borrow() {
            self.destroy_deleted().await?;
        }
        Ok(())
    }

    /// Whether new payloads of the kind asked for still go to where they are to be moved from.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn receives(&self, migration: &Migration) -> Result<bool, Failure> {
        let source = migration.source();
        Ok(match &migration.project {
            Some(project) => self.store_of(project).await?.descriptor().id == source,
            None => self.stores.receives(source) || project_store::is_preferred(self.db.reader(), source).await?,
        })
    }

    async fn count_left(&self, migration: &Migration, migrated: &mut Migrated) -> Result<(), Failure> {
        let (reader, source, project) = (self.db.reader(), migration.source(), migration.project.as_ref());
        migrated.left = admin::count_placements(reader, source, project).await?;
        migrated.doomed = deletion::count_in(reader, source, project).await?;
        Ok(())
    }

    /// One way through all that the store holds.
    async fn migrate_once(
        &self,
        migration: &Migration,
        stop: &watch::Receiver<bool>,
        migrated: &mut Migrated,
        told: &mut dyn FnMut(&Migrated),
    ) -> Result<(), Failure> {
        let pace = Mutex::new(pace(migration.per_second));
        let skipped: HashSet<_> = migrated.skipped.iter().map(|(place, _)| place.write).collect();
        let mut after = None;
        while !*stop.borrow() {
            if !migration.dry_run {
                self.require_accepted().await?;
            }
            let (source, project) = (migration.source(), migration.project.as_ref());
            let batch = admin::live_placements(self.db.reader(), source, project, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { break };
            after = Some(last.write);
            let places = batch.into_iter().map(|(place, _)| place).filter(|place| !skipped.contains(&place.write));
            self.migrate_some(migration, stop, &pace, places.collect(), migrated, told).await?;
        }
        Ok(())
    }

    /// Moves these payloads. When one waited in vain for a store or the database, no further one is begun.
    async fn migrate_some(
        &self,
        migration: &Migration,
        stop: &watch::Receiver<bool>,
        pace: &Mutex<Interval>,
        places: Vec<Place>,
        migrated: &mut Migrated,
        told: &mut dyn FnMut(&Migrated),
    ) -> Result<(), Failure> {
        let is_over = &Cell::new(false);
        let one = async |place: Place| {
            pace.lock().await.tick().await;
            if is_over.get() || *stop.borrow() {
                return None;
            }
            let outcome = (|| self.migrate_one(migration, &place)).retry(PATIENCE);
            let outcome = outcome.when(|failure| failure.kind == FailureKind::Unavailable && !*stop.borrow()).await;
            Some((place, outcome))
        };
        let mut trouble = None;
        let mut ended = stream::iter(places).map(one).buffer_unordered(IN_FLIGHT);
        while let Some(ended) = ended.next().await {
            let Some((place, outcome)) = ended else { continue };
            match outcome {
                Ok(Moved::Yes) => migrated.moved += 1,
                Ok(Moved::Gone) => migrated.gone += 1,
                Err(failure) if failure.kind == FailureKind::Unavailable => {
                    is_over.set(true);
                    trouble = trouble.or(Some(failure));
                }
                Err(failure) => migrated.skipped.push((place, failure.to_string())),
            }
            told(migrated);
        }
        trouble.map_or(Ok(()), Err)
    }

    async fn migrate_one(&self, migration: &Migration, place: &Place) -> Result<Moved, Failure> {
        if !migration.dry_run {
            return self.move_payload(place, &migration.to).await;
        }
        let Some(found) = self.referred(place).await? else { return Ok(Moved::Gone) };
        let Some(bytes) = self.read_referred(&found).await? else { return Ok(Moved::Gone) };
        check_supported(migration.to.as_ref(), found.secret.secret_type, bytes.len())?;
        Ok(Moved::Yes)
    }
}

/// So many ticks a second, and none made up for.
fn pace(per_second: f64) -> Interval {
    let mut pace = interval(Duration::from_secs_f64(1.0 / per_second));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
