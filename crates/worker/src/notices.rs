//! Telling the operator's webhook that certificates were renewed: at least once, and until it says that it has heard.
//!
//! The transaction that changes the container writes down what is to be told. Consumers of a container name URLs of
//! their own; those are told to the webhook and never asked: a key manager that went where its tenants send it would
//! lead them to whatever it can reach.

mod config;
mod webhook;

use bailey_core::consumer::ContainerConsumer;
use bailey_core::failure::Failure;
use bailey_core::ids::{ContainerId, NoticeId, OrderId, ProjectId, SecretId};
use bailey_db::Tx;
use bailey_db::notice::{self, Notice};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::Worker;
use crate::orders::wait;

pub use config::RenewalConfig;
pub use webhook::Webhook;

/// How many notices one pass looks after, and how many of them at once.
const IN_A_PASS: u64 = 100;
const AT_ONCE: usize = 8;
/// The longest time between two attempts at one.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);
/// The first wait is as long as an order's after so many attempts more.
const HEAD_START: i32 = 2;
/// What can come of an attempt.
const DELIVERED: &str = "delivered";
const FAILED: &str = "failed";
const GIVEN_UP: &str = "given_up";
/// Most consumers that one notice names.
const CONSUMERS: usize = 1_000;

/// Shows what is counted from the beginning, so that the first failure shows as a rise.
pub(crate) fn show_counters() {
    for outcome in [DELIVERED, FAILED, GIVEN_UP] {
        metrics::counter!("bailey_notices_total", "outcome" => outcome).increment(0);
    }
}

/// A certificate that was renewed.
#[derive(Clone)]
pub(crate) struct Renewed {
    pub(crate) project: ProjectId,
    pub(crate) container: ContainerId,
    pub(crate) order: OrderId,
    /// What is in the container now, by name.
    pub(crate) secrets: Vec<(&'static str, SecretId)>,
    /// The certificate's serial number, in hexadecimal.
    pub(crate) serial: String,
    pub(crate) begins_at: DateTime<Utc>,
    pub(crate) ends_at: DateTime<Utc>,
    /// What hrefs begin with.
    pub(crate) base: String,
}

impl Renewed {
    /// Has it told, by the transaction that makes it true.
    pub(crate) async fn note(
        &self,
        tx: &Tx,
        consumers: &[ContainerConsumer],
        now: DateTime<Utc>,
    ) -> Result<(), bailey_db::Error> {
        let body = self.body(consumers, now).to_string();
        notice::insert(tx, &Notice { id: NoticeId::new(), body, created_at: now, attempts: 0 }).await
    }

    fn body(&self, consumers: &[ContainerConsumer], now: DateTime<Utc>) -> Value {
        let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let href = |kind: &str, id: String| format!("{}/v1/{kind}/{id}", self.base);
        let told = consumers.iter().take(CONSUMERS);
        let mut data = json!({
            "project_id": self.project.as_str(),
            "container_ref": href("containers", self.container.to_string()),
            "order_ref": href("orders", self.order.to_string()),
            "serial": self.serial,
            "not_before": time(self.begins_at),
            "not_after": time(self.ends_at),
            "consumers": told.map(|one| json!({"name": one.name, "URL": one.url})).collect::<Vec<_>>(),
            "consumers_total": consumers.len(),
        });
        for (name, secret) in &self.secrets {
            data[format!("{name}_ref")] = href("secrets", secret.to_string()).into();
        }
        json!({"type": "certificate.renewed", "timestamp": time(now), "data": data})
    }
}

impl Worker {
    /// Tells the webhook what is due; how much it has heard.
    pub(crate) async fn tell_notices(&self) -> Result<u64, Failure> {
        let told: Vec<Result<bool, Failure>> = match &self.webhook {
            Some(webhook) => {
                let longest = LONGEST_WAIT.max(webhook.lease());
                let due = notice::due(self.db.reader(), self.clock.now(), longest, IN_A_PASS).await?;
                let told = stream::iter(due).map(|notice| self.tell_notice(webhook, notice));
                told.buffer_unordered(AT_ONCE).collect().await
            }
            None => Vec::new(),
        };
        let (waiting, oldest) = notice::standing(self.db.reader()).await?;
        let age = oldest.map_or(0.0, |since| (self.clock.now() - since).as_seconds_f64().max(0.0));
        metrics::gauge!("bailey_notices_waiting").set(waiting as f64);
        metrics::gauge!("bailey_notices_oldest_seconds").set(age);
        let mut count = 0;
        for told in told {
            count += u64::from(told?);
        }
        Ok(count)
    }

    /// Tells it one thing, unless somebody else does; whether it has heard.
    async fn tell_notice(&self, webhook: &Webhook, notice: Notice) -> Result<bool, Failure> {
        let (claimed, until) = (notice.clone(), self.clock.now() + webhook.lease());
        let is_ours = self.db.write(move |tx| {
            let claimed = claimed.clone();
            Box::pin(async move { notice::claim(tx, &claimed, until).await })
        });
        if !is_ours.await? {
            return Ok(false);
        }
        let (id, attempt) = (notice.id, notice.attempts.saturating_add(1));
        let heard = webhook.tell(id, &notice.body, self.clock.now()).await;
        let now = self.clock.now();
        let is_over = now - notice.created_at >= webhook.patience;
        let outcome = match &heard {
            Ok(()) => DELIVERED,
            Err(reason) if is_over => {
                tracing::error!(notice = %id, attempt, reason, "the webhook is not told of a renewed certificate any more");
                GIVEN_UP
            }
            Err(reason) => {
                tracing::warn!(notice = %id, attempt, reason, "the webhook could not be told; it is tried again");
                FAILED
            }
        };
        metrics::counter!("bailey_notices_total", "outcome" => outcome).increment(1);
        let is_done = heard.is_ok() || is_over;
        let next = now + wait(attempt.saturating_add(HEAD_START), LONGEST_WAIT);
        let recorded = self.db.write(move |tx| {
            Box::pin(async move {
                if is_done {
                    notice::delete(tx, id, attempt).await
                } else {
                    notice::put_off(tx, id, attempt, next).await
                }
            })
        });
        recorded.await?;
        Ok(heard.is_ok())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_notice_says_what_was_renewed_and_who_uses_it() {
        let (container, order, secret) = (ContainerId::new(), OrderId::new(), SecretId::new());
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let renewed = Renewed {
            project: "p".parse().unwrap(),
            container,
            order,
            secrets: vec![("certificate", secret)],
            serial: "0a".to_owned(),
            begins_at: at(0),
            ends_at: at(86_400),
            base: "https://keys.example.org".to_owned(),
        };
        let consumer = ContainerConsumer {
            project: "q".parse().unwrap(),
            name: "lb".to_owned(),
            url: "https://lb.example.org".to_owned(),
            created_at: at(0),
            updated_at: at(0),
        };
        let body = renewed.body(&vec![consumer; CONSUMERS + 1], at(1));
        assert_eq!(
            (&body["type"], &body["timestamp"]),
            (&json!("certificate.renewed"), &json!("1970-01-01T00:00:01Z"))
        );
        let data = &body["data"];
        assert_eq!(data["container_ref"], format!("https://keys.example.org/v1/containers/{container}"));
        assert_eq!(data["certificate_ref"], format!("https://keys.example.org/v1/secrets/{secret}"));
        assert_eq!(data["order_ref"], format!("https://keys.example.org/v1/orders/{order}"));
        assert_eq!((&data["not_after"], &data["serial"]), (&json!("1970-01-02T00:00:00Z"), &json!("0a")));
        assert_eq!(data["consumers"].as_array().unwrap().len(), CONSUMERS);
        assert_eq!(data["consumers_total"], CONSUMERS + 1);
        assert_eq!(data["consumers"][0], json!({"name": "lb", "URL": "https://lb.example.org"}));
    }
}
