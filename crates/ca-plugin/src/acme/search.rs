//! Looks for an order that was asked for, by whoever died before it was written down.

use bailey_core::ca::CaError;
use chrono::TimeDelta;

use super::account::Account;
use super::chain::Chain;
use super::client::Answer;
use super::problem::Trouble;
use super::wire::{Order, OrderList, Status};
use super::{AcmeCa, Asked};

const OPERATION: &str = "look for an order";
/// How many of the account's orders are looked at: beyond that, an order that nobody needs is the lesser evil.
const MOST: usize = 1_000;
/// How much earlier than they were asked for certificates begin, at most: CAs allow for slow clocks.
const BACKDATED: TimeDelta = TimeDelta::minutes(75);

impl AcmeCa {
    /// An order of the account's for just these names that nobody else has: one that has given this request's
    /// certificate, else one that may still give it. None where the server doesn't list orders; those that don't
    /// (Let's Encrypt) answer a second request with the order that is still open.
    pub(super) async fn existing(
        &self,
        asked: &Asked<'_>,
        account: &Account,
        others: &[String],
    ) -> Result<Option<String>, Trouble> {
        let mut open = None;
        let (mut page, mut looked_at) = (account.orders.clone(), 0);
        while let Some(url) = page {
            let answer = match self.ask(&url, None, OPERATION).await {
                Ok(answer) => answer,
                // A list that is announced and isn't there tells as much as one that isn't announced.
                Err(Trouble::Refused(_)) => break,
                Err(trouble) => return Err(trouble),
            };
            let list: OrderList = answer.json(OPERATION)?;
            for url in list.orders.into_iter().filter(|url| !others.contains(url)) {
                looked_at += 1;
                match self.fits(asked, &url).await? {
                    Fit::Has => return Ok(Some(url)),
                    Fit::May => open = open.or(Some(url)),
                    Fit::Not => {}
                }
            }
            page = answer.links("next").next().map(str::to_owned).filter(|_| looked_at < MOST);
        }
        Ok(open)
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
