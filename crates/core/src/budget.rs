//! Encryption budgets: how often a key may encrypt, counted so that a crash can't forget any.
//!
//! A process reserves a block of encryptions by compare-and-set, durably, before it uses the first
//! of them, and counts the block down in memory. What it leaves unused counts as used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::ids::MasterKeyId;
use crate::store::{StoreError, StoreErrorKind};
use crate::vault::{MasterKey, MasterKeyPurpose, MasterKeyRegister, MasterKeyState};

/// How often a lost compare-and-set is tried again. Each loss is another's success, so only an unlucky one
/// of many comes near it; whoever waits has a deadline of its own.
pub(crate) const ATTEMPTS: usize = 1_000;

/// How many encryptions a key may do, and how many are reserved at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Encryptions in all. For AES-GCM with random 96-bit nonces, far below 2^32 (NIST SP 800-38D,
    /// section 8.3).
    pub limit: u64,
    /// Encryptions reserved at once; at least one.
    pub block: u64,
}

impl Budget {
    /// Size of the next block when `reserved` are gone already; `None` when all are.
    #[must_use]
    pub fn next_block(self, reserved: u64) -> Option<u64> {
        match self.limit.saturating_sub(reserved) {
            0 => None,
            left => Some(left.min(self.block.max(1))),
        }
    }
}

/// A key with the encryptions that are reserved for it and not yet used.
#[derive(Debug)]
pub struct Allowance<K> {
    key: K,
    left: AtomicU64,
}

impl<K> Allowance<K> {
    /// `block` encryptions under `key`.
    pub const fn new(key: K, block: u64) -> Self {
        Self { key, left: AtomicU64::new(block) }
    }

    /// The key they are reserved for.
    pub const fn key(&self) -> &K {
        &self.key
    }

    /// The key, for one encryption; `None` when the block is used up.
    pub fn take(&self) -> Option<&K> {
        self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok().map(|_| &self.key)
    }
}

type Granted = Arc<Allowance<Arc<MasterKey>>>;

/// Lets one task of a process at a time reserve; the others wait, since they would only lose the
/// compare-and-set, and are told the outcome: one after another they would wait for a database that
/// is down, each for its whole time-out.
///
/// The one place that holds a lock across `.await`; only tasks that have nothing reserved come here.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    lock: tokio::sync::Mutex<()>,
    failed: Mutex<Option<Failed>>,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    kind: StoreErrorKind,
    operation: &'static str,
    context: String,
}

impl Turn {
    /// What is `at_hand` when it is this task's turn, else what `reserve` brings.
    pub(crate) async fn take<T>(
        &self,
        at_hand: impl Fn() -> Option<T>,
        reserve: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let waiting_since = Instant::now();
        let _turn = self.lock.lock().await;
        if let Some(ready) = at_hand() {
            return Ok(ready);
        }
        if let Some(failed) = self.failed().as_ref().filter(|failed| failed.at >= waiting_since) {
            return Err(StoreError::new(failed.kind, failed.operation, failed.context.clone()));
        }
        let outcome = reserve.await;
        if let Err(StoreError { kind, operation, context, .. }) = &outcome {
            let context = context.clone();
            *self.failed() = Some(Failed { at: Instant::now(), kind: *kind, operation, context });
        }
        outcome
    }

    fn failed(&self) -> MutexGuard<'_, Option<Failed>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says which version of a master key is to be used, one encryption at a time.
///
/// Which version is active is the register's word, believed for `trusted_for`.
pub struct MasterKeyBudget {
    register: Arc<dyn MasterKeyRegister>,
    purpose: MasterKeyPurpose,
    budget: Budget,
    trusted_for: Duration,
    granted: RwLock<Option<(Granted, Instant)>>,
    turn: Turn,
}

impl MasterKeyBudget {
    /// Nothing is asked or reserved before the first use.
    #[must_use]
    pub fn new(
        register: Arc<dyn MasterKeyRegister>,
        purpose: MasterKeyPurpose,
        budget: Budget,
        trusted_for: Duration,
    ) -> Self {
        Self { register, purpose, budget, trusted_for, granted: RwLock::default(), turn: Turn::default() }
    }

    /// The active version, as the register says now.
    ///
    /// # Errors
    /// `Unavailable` when there is none or the register can't be asked.
    pub async fn active(&self) -> Result<MasterKey, StoreError> {
        self.find_active().await?.ok_or_else(|| unavailable("no version of the master key is active"))
    }

    /// The active version, as the register says now, if there is one.
    ///
    /// # Errors
    /// `Unavailable` when the register can't be asked.
    pub async fn find_active(&self) -> Result<Option<MasterKey>, StoreError> {
        let keys = self.register.list(self.purpose).await?;
        Ok(keys.into_iter().find(|key| key.state == MasterKeyState::Active))
    }

    /// How much of the active version's budget is reserved, from 0 to 1.
    ///
    /// # Errors
    /// `Unavailable` when there is no active version or the register can't be asked.
    pub async fn used(&self) -> Result<f64, StoreError> {
        let active = self.active().await?;
        #[expect(clippy::cast_precision_loss, reason = "a share, for people")]
        let used = active.reserved as f64 / self.budget.limit.max(1) as f64;
        Ok(used)
    }

    /// Versions that only open what is old, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the register can't be asked.
    pub async fn superseded(&self) -> Result<Vec<MasterKeyId>, StoreError> {
        let keys = self.register.list(self.purpose).await?;
        Ok(keys.into_iter().filter(|key| key.state == MasterKeyState::DecryptOnly).map(|key| key.id).collect())
    }

    /// Versions that are used for nothing any more, oldest first.
    ///
    /// # Errors
    /// `Unavailable` when the register can't be asked.
    pub async fn retired(&self) -> Result<Vec<MasterKeyId>, StoreError> {
        let keys = self.register.list(self.purpose).await?;
        Ok(keys.into_iter().filter(|key| key.state == MasterKeyState::Retired).map(|key| key.id).collect())
    }

    /// The version with this id, whatever its state.
    ///
    /// # Errors
    /// `Unavailable` when the register can't be asked.
    pub async fn find(&self, id: MasterKeyId) -> Result<Option<MasterKey>, StoreError> {
        Ok(self.register.list(self.purpose).await?.into_iter().find(|key| key.id == id))
    }

    /// The active version, for one encryption.
    ///
    /// # Errors
    /// `Unavailable` when no version is active, its budget is used up, or the register can't be asked.
    pub async fn take(&self) -> Result<Arc<MasterKey>, StoreError> {
        match self.trusted() {
            Some(key) => Ok(key),
            None => self.turn.take(|| self.trusted(), self.reserve()).await,
        }
    }

    async fn reserve(&self) -> Result<Arc<MasterKey>, StoreError> {
        for _ in 0..ATTEMPTS {
            let asked_at = Instant::now();
            let active = self.active().await?;
            if let Some(key) = self.held(active.id, asked_at) {
                return Ok(key);
            }
            let block = self.budget.next_block(active.reserved).ok_or_else(|| {
                unavailable(format!("the budget of master key {} is used up, activate another one", active.id))
            })?;
            if self.register.reserve(active.id, active.reserved, block).await? {
                let allowance = Arc::new(Allowance::new(Arc::new(active), block));
                self.remember(Arc::clone(&allowance), asked_at);
                if let Some(key) = allowance.take() {
                    return Ok(Arc::clone(key));
                }
            }
        }
        Err(unavailable("other processes reserve all the time"))
    }

    /// From the block at hand, without asking, while the register's word is believed.
    fn trusted(&self) -> Option<Arc<MasterKey>> {
        let granted = self.granted.read().unwrap_or_else(PoisonError::into_inner);
        let (allowance, asked_at) = granted.as_ref()?;
        if asked_at.elapsed() < self.trusted_for { allowance.take().cloned() } else { None }
    }

    /// From the block at hand, if it is for the version that is active.
    fn held(&self, active: MasterKeyId, asked_at: Instant) -> Option<Arc<MasterKey>> {
        let mut granted = self.granted.write().unwrap_or_else(PoisonError::into_inner);
        let (allowance, believed_since) = granted.as_mut().filter(|(allowance, _)| allowance.key().id == active)?;
        *believed_since = asked_at;
        allowance.take().cloned()
    }

    fn remember(&self, allowance: Granted, asked_at: Instant) {
        *self.granted.write().unwrap_or_else(PoisonError::into_inner) = Some((allowance, asked_at));
    }
}

fn unavailable(context: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "reserve encryptions", context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_ends_at_the_limit() {
        let budget = Budget { limit: 12, block: 5 };
        assert_eq!(budget.next_block(0), Some(5));
        assert_eq!(budget.next_block(10), Some(2));
        assert_eq!(budget.next_block(12), None);
        assert_eq!(budget.next_block(u64::MAX), None);
        assert_eq!(Budget { limit: 1, block: 0 }.next_block(0), Some(1));
    }

    #[tokio::test]
    async fn whoever_waited_while_a_reservation_failed_is_told_so() {
        let turn = Turn::default();
        let asked = AtomicU64::new(0);
        let (go, wait) = tokio::sync::watch::channel(false);
        let take = || {
            let mut wait = wait.clone();
            let asked = &asked;
            turn.take(|| None::<()>, async move {
                asked.fetch_add(1, Ordering::Relaxed);
                let _ = wait.wait_for(|gone| *gone).await;
                Err(unavailable("down"))
            })
        };
        let open = async {
            tokio::task::yield_now().await;
            let _ = go.send(true);
            Ok::<(), StoreError>(())
        };
        let (first, second, third, _) = tokio::join!(take(), take(), take(), open);
        for outcome in [first, second, third] {
            assert_eq!(outcome.map_err(|error| error.kind), Err(StoreErrorKind::Unavailable));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        // Later is another attempt.
        assert!(take().await.is_err());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_allowance_is_taken_once_each() {
        let allowance = Allowance::new("key", 2);
        assert_eq!([allowance.take(), allowance.take(), allowance.take()], [Some(&"key"), Some(&"key"), None]);
    }
}
