//! Looks for an order that was asked for, by whoever died before it was written down.

use bailey_core::ca::CaError;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::chain::Chain;
use super::client::Answer;
use super::problem::Trouble;
use super::state::Standing;
use super::wire::{Order, OrderList, Status};
use super::{AcmeCa, Asked};

const OPERATION: &str = "look for an order";
/// How many of the account's orders, and pages of their list, are looked at: beyond that, an order that nobody needs is
/// the lesser evil.
const MOST: usize = 1_000;
/// How many of them in one step, so that a slow server's take no longer than a step may.
const AT_ONCE: usize = 20;
/// How much earlier than they were asked for certificates begin, at most: CAs allow for slow clocks.
const BACKDATED: TimeDelta = TimeDelta::minutes(75);

/// How far the account's list of orders was looked through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    /// The page's URL.
    page: String,
    /// The last order on it that was looked at; blank at its beginning.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    after: String,
    /// An order that may be the one, if none is found that surely is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    open: String,
    looked_at: usize,
}

/// What came of a look.
pub(super) enum Looked {
    Found(String),
    /// There is more to look at.
    Further(Search),
    Through,
}

impl Search {
    fn of(page: &str) -> Self {
        Self { page: page.to_owned(), after: String::new(), open: String::new(), looked_at: 0 }
    }

    fn turn(&mut self, page: &str) {
        page.clone_into(&mut self.page);
        self.after.clear();
    }

    /// Whether there is an order that may be the one, once everything was looked at.
    fn ended(self) -> Looked {
        if self.open.is_empty() { Looked::Through } else { Looked::Found(self.open) }
    }
}

impl AcmeCa {
    /// Goes on looking for an order of the account's for just these names that nobody else has: one that has given this
    /// request's certificate, else one that may still give it. There is none where the server doesn't list orders; those
    /// that don't (Let's Encrypt) answer a second request with the order that is still open.
    pub(super) async fn existing(
        &self,
        asked: &Asked<'_>,
        account: &Account,
        standing: &Standing,
    ) -> Result<Looked, Trouble> {
        let beginning = || account.orders.as_deref().map(Search::of);
        let Some(mut search) = standing.search.clone().or_else(beginning) else { return Ok(Looked::Through) };
        let enough = search.looked_at + AT_ONCE;
        loop {
            let answer = match self.ask(&search.page, None, OPERATION).await {
                Ok(answer) => answer,
                // A list that is announced and isn't there tells as much as one that isn't announced.
                Err(Trouble::Refused(_)) => return Ok(search.ended()),
                Err(trouble) => return Err(trouble),
            };
            search.looked_at += 1;
            let OrderList { orders } = answer.json(OPERATION)?;
            let seen = orders.iter().position(|url| *url == search.after).map_or(0, |last| last + 1);
            for url in orders.into_iter().skip(seen).filter(|url| !standing.others.contains(url)) {
                if search.looked_at >= MOST {
                    return Ok(search.ended());
                }
                if search.looked_at >= enough {
                    return Ok(Looked::Further(search));
                }
                search.looked_at += 1;
                match self.fits(asked, &url).await? {
                    Fit::Has => return Ok(Looked::Found(url)),
                    Fit::May if search.open.is_empty() => search.open.clone_from(&url),
                    Fit::May | Fit::Not => {}
                }
                search.after = url;
            }
            match answer.links("next").next() {
                Some(next) if search.looked_at < MOST => search.turn(next),
                _ => return Ok(search.ended()),
            }
            if search.looked_at >= enough {
                return Ok(Looked::Further(search));
            }
        }
    }

    async fn fits(&self, asked: &Asked<'_>, url: &str) -> Result<Fit, Trouble> {
        let order: Order = match self.ask(url, None, OPERATION).await {
            Ok(answer) => answer.json(OPERATION)?,
            Err(Trouble::Refused(_)) => return Ok(Fit::Not),
            Err(trouble) => return Err(trouble),
        };
        if !asked.is_for(&order) {
            return Ok(Fit::Not);
        }
        Ok(match order.status {
            Status::Pending | Status::Ready | Status::Processing => Fit::May,
            Status::Valid => match self.ask(&order.certificate.unwrap_or_default(), None, OPERATION).await {
                Ok(answer) if has(asked, &answer)? => Fit::Has,
                Ok(_) | Err(Trouble::Refused(_)) => Fit::Not,
                Err(trouble) => return Err(trouble),
            },
            _ => Fit::Not,
        })
    }
}

/// Whether an order is the one.
enum Fit {
    Has,
    May,
    Not,
}

/// Whether this certificate is what the request led to: for its key, and not from before it.
fn has(asked: &Asked<'_>, answer: &Answer) -> Result<bool, CaError> {
    let Ok(chain) = Chain::read(&answer.body) else { return Ok(false) };
    let since = asked.request.requested_at - BACKDATED;
    Ok(chain.is_for(&asked.key) && chain.begins_at().is_some_and(|begins_at| begins_at >= since))
}
