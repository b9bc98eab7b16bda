//! From a request to its certificate, step by step.

use std::collections::BTreeSet;
use std::time::Duration;

use bailey_core::ca::{CaError, Issuance, Pending};
use serde_json::{Value, json};

use super::account::Account;
use super::chain::Chain;
use super::client::{Answer, unavailable};
use super::limit::Limit;
use super::problem::{Problem, Trouble};
use super::renewal::name;
use super::search::Looked;
use super::state::{Standing, Step};
use super::wire::{Authorization, Challenge, Order, Status};
use super::{AcmeCa, Asked, ChallengeKind, jws};

/// How long a server is left alone that doesn't say for how long.
const USUAL_WAIT: Duration = Duration::from_secs(2);
/// The shortest wait for a server.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
/// How many orders for the same names may turn out to be somebody else's.
const MOST_OTHERS: usize = 8;

/// A state to be kept; with a wait, for as long as the server works.
pub(super) fn pending(standing: &Standing, wait: Option<Duration>) -> Result<Issuance, CaError> {
    let waits_for = match standing.step {
        Step::Order => "an order of the server's",
        Step::Prove | Step::Announce => "the proofs of the names",
        Step::Validate => "the server's look at the proofs",
        Step::Finalize | Step::Collect => "the server's signature",
    };
    let retry_after = wait.unwrap_or_default();
    Ok(Issuance::Pending(Pending { state: standing.state()?, retry_after, waits_for: waits_for.into() }))
}

/// The state of before, to be kept until a limit ends.
pub(super) fn limited(standing: &Standing, limit: Limit, left: Duration) -> Result<Issuance, CaError> {
    let waits_for = format!("the end of its limit: {}", limit.reason);
    let state = Standing { limit: Some(limit), ..standing.clone() }.state()?;
    Ok(Issuance::Pending(Pending { state, retry_after: left, waits_for: waits_for.into() }))
}

/// How long to leave a server alone that works on something.
fn pause(answer: &Answer) -> Duration {
    answer.retry_after.unwrap_or(USUAL_WAIT).max(SHORTEST_WAIT)
}

impl Asked<'_> {
    /// Whether an order is for just these names, under this profile.
    pub(super) fn is_for(&self, order: &Order) -> bool {
        let names: BTreeSet<_> = order.identifiers.iter().map(|name| name.plain()).collect();
        let is_profile = |profile: &String| self.profile.is_empty() || profile == self.profile;
        names == self.names && order.profile.as_ref().is_none_or(is_profile)
    }
}

impl AcmeCa {
    /// Asks as the account.
    pub(super) async fn ask(
        &self,
        url: &str,
        payload: Option<&Value>,
        operation: &'static str,
    ) -> Result<Answer, Trouble> {
        let account = self.account().await?;
        let asked = self.client.post(account.asker(), url, payload, operation).await;
        asked.map_err(|trouble| {
            if matches!(&trouble, Trouble::Refused(problem) if problem.is("accountDoesNotExist")) {
                self.accounts.forget();
            }
            trouble.sorted(operation)
        })
    }

    /// Takes the step that follows from what the server says.
    pub(super) async fn go_on(&self, asked: &Asked<'_>, standing: &Standing) -> Result<Issuance, Trouble> {
        let account = self.account().await?;
        if standing.step == Step::Order {
            return self.order(asked, &account, standing).await;
        }
        let answer = self.ask(&standing.order, None, "read order").await?;
        let order: Order = answer.json("read order")?;
        match (order.status, standing.step) {
            (Status::Valid, _) => self.collect(asked, standing, &order).await,
            (Status::Processing, _) => Ok(pending(&standing.before(Step::Collect), Some(pause(&answer)))?),
            (Status::Ready, Step::Finalize) => self.finalize(asked, standing, &order).await,
            (Status::Ready, _) => {
                self.clear(&account, &order).await?;
                Ok(pending(&standing.before(Step::Finalize), None)?)
            }
            (Status::Pending, Step::Announce) => self.announce(standing, &order).await,
            (Status::Pending, Step::Validate) => self.validate(&account, standing, &order).await,
            (Status::Pending, _) => self.prove(&account, standing, &order).await,
            _ => self.refused(&account, order).await,
        }
    }

    /// The order: a new one, unless somebody may have asked for it and died before that was written down.
    async fn order(&self, asked: &Asked<'_>, account: &Account, standing: &Standing) -> Result<Issuance, Trouble> {
        if !self.intentions.acts_first(&standing.intention) {
            match self.existing(asked, account, standing).await? {
                Looked::Found(order) => return Ok(pending(&standing.with_order(order), None)?),
                Looked::Further(search) => return Ok(pending(&standing.searching(search), Some(SHORTEST_WAIT))?),
                // Whoever finds this state again would look at the rest of the list alone, and not see what is asked
                // for now.
                Looked::Through if standing.search.is_some() => return Ok(pending(&self.beginning(standing), None)?),
                Looked::Through => {}
            }
        }
        match self.new_order(asked).await {
            Ok(order) => Ok(pending(&standing.with_order(order), None)?),
            // Nothing was made, so there is nothing to look for when it ends.
            Err(Trouble::Limited(limit, left)) => Ok(limited(&self.beginning(standing), limit, left)?),
            Err(trouble) => Err(trouble),
        }
    }

    /// Before an order is asked for that nobody has asked for yet.
    fn beginning(&self, standing: &Standing) -> Standing {
        Standing::beginning(self.intentions.tell(), standing.others.clone())
    }

    /// Asks for an order; its URL.
    async fn new_order(&self, asked: &Asked<'_>) -> Result<String, Trouble> {
        const OPERATION: &str = "ask for an order";
        let directory = self.client.directory().await?;
        let mut wanted = json!({"identifiers": asked.names});
        if !asked.profile.is_empty() {
            if !directory.meta.profiles.contains_key(asked.profile) {
                let detail = format!("The CA doesn't offer the profile {} any more", asked.profile);
                return Err(Trouble::Refused(Problem { detail, ..Problem::default() }));
            }
            wanted["profile"] = asked.profile.into();
        }
        let replaced = asked.request.replaces.as_deref().filter(|_| directory.renewal_info.is_some()).and_then(name);
        if let Some(replaced) = &replaced {
            wanted["replaces"] = replaced.as_str().into();
        }
        let mut asked = self.ask(&directory.new_order, Some(&wanted), OPERATION).await;
        // Another order may have taken its place, or another account have ordered it: a certificate is wanted all the
        // same, and only the server's book is the poorer for it (RFC 9773, section 5).
        if let (Some(replaced), Err(Trouble::Refused(problem))) = (&replaced, &asked) {
            tracing::info!(replaced, %problem, "the CA takes no order in place of a certificate; it is asked for one without");
            wanted.as_object_mut().map(|wanted| wanted.remove("replaces"));
            asked = self.ask(&directory.new_order, Some(&wanted), OPERATION).await;
        }
        let answer = asked?;
        Ok(answer.location.ok_or_else(|| unavailable(OPERATION, "the server doesn't tell the order's URL"))?)
    }

    /// Puts the proofs where the CA will look for them.
    async fn prove(&self, account: &Account, standing: &Standing, order: &Order) -> Result<Issuance, Trouble> {
        let mut wait = Duration::ZERO;
        for authorization in self.authorizations(order).await? {
            if authorization.status != Status::Pending {
                continue;
            }
            let (kind, challenge) = self.chosen(&authorization)?;
            if challenge.status == Status::Pending {
                self.proofs.place(&account.key, (kind, challenge), authorization.host()).await?;
                wait = wait.max(self.proofs.wait(kind));
            }
        }
        Ok(pending(&standing.before(Step::Announce), (!wait.is_zero()).then_some(wait))?)
    }

    /// Tells the CA to look. A challenge that it is told of again would be refused, so what it looks at is asked first.
    async fn announce(&self, standing: &Standing, order: &Order) -> Result<Issuance, Trouble> {
        const OPERATION: &str = "announce proof";
        for authorization in self.authorizations(order).await? {
            if authorization.status != Status::Pending {
                continue;
            }
            let (_, challenge) = self.chosen(&authorization)?;
            if challenge.status == Status::Pending {
                match self.ask(&challenge.url, Some(&json!({})), OPERATION).await {
                    // Somebody else was faster: where that led to is asked in the next poll.
                    Ok(_) | Err(Trouble::Refused(_)) => {}
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        Ok(pending(&standing.before(Step::Validate), Some(SHORTEST_WAIT))?)
    }

    /// Waits for the CA to look, and goes back to what it wasn't told.
    async fn validate(&self, account: &Account, standing: &Standing, order: &Order) -> Result<Issuance, Trouble> {
        let mut wait = SHORTEST_WAIT;
        let mut is_told = true;
        for url in &order.authorizations {
            let answer = self.ask(url, None, "read authorization").await?;
            let authorization: Authorization = answer.json("read authorization")?;
            match authorization.status {
                Status::Pending => {
                    wait = wait.max(pause(&answer));
                    is_told &= self.chosen(&authorization)?.1.status != Status::Pending;
                }
                Status::Valid => {}
                _ => return self.refused(account, order.clone()).await,
            }
        }
        let step = if is_told { Step::Validate } else { Step::Prove };
        Ok(pending(&standing.before(step), Some(wait))?)
    }

    /// Asks for the certificate.
    async fn finalize(&self, asked: &Asked<'_>, standing: &Standing, order: &Order) -> Result<Issuance, Trouble> {
        let payload = json!({"csr": jws::encode(&asked.request.csr)});
        let next = standing.before(Step::Collect);
        match self.ask(&order.finalize, Some(&payload), "finalize order").await {
            Ok(answer) => Ok(pending(&next, Some(answer.retry_after.unwrap_or(SHORTEST_WAIT).max(SHORTEST_WAIT)))?),
            // Somebody was faster; what came of it the order tells.
            Err(Trouble::Refused(problem)) if problem.is("orderNotReady") => Ok(pending(&next, Some(SHORTEST_WAIT))?),
            Err(trouble) => Err(trouble),
        }
    }

    /// Takes the certificate, unless the order turns out to be somebody else's: a CA may give one order to all who ask
    /// for the same names.
    async fn collect(&self, asked: &Asked<'_>, standing: &Standing, order: &Order) -> Result<Issuance, Trouble> {
        const OPERATION: &str = "read certificate";
        let nowhere = || unavailable(OPERATION, "the order has no certificate");
        let url = order.certificate.as_deref().ok_or_else(nowhere)?;
        let odd = |what: String| Trouble::Failed(unavailable(OPERATION, what));
        let answer = self.ask(url, None, OPERATION).await?;
        let chain = Chain::read(&answer.body).map_err(odd)?;
        if !chain.is_for(&asked.key) {
            let mut others = standing.others.clone();
            others.push(standing.order.clone());
            if others.len() > MOST_OTHERS {
                let detail = "The CA gives certificates for keys that others asked for".to_owned();
                return Err(Trouble::Refused(Problem { detail, ..Problem::default() }));
            }
            return Ok(pending(&Standing::beginning(self.intentions.tell(), others), None)?);
        }
        let chain = self.preferred(asked, chain, &answer).await?;
        Ok(Issuance::Issued(chain.accept(&asked.names).map_err(odd)?))
    }

    /// The chain to the preferred root, if the CA offers one (RFC 8555, section 7.4.2); else its favourite.
    async fn preferred(&self, asked: &Asked<'_>, favourite: Chain, answer: &Answer) -> Result<Chain, Trouble> {
        let root = self.config.preferred_chain.as_str();
        if root.is_empty() || favourite.leads_to(root) {
            return Ok(favourite);
        }
        for url in answer.links("alternate") {
            let answer = self.ask(url, None, "read certificate").await?;
            match Chain::read(&answer.body) {
                Ok(chain) if chain.is_for(&asked.key) && chain.leads_to(root) => return Ok(chain),
                _ => {}
            }
        }
        Ok(favourite)
    }

    async fn authorizations(&self, order: &Order) -> Result<Vec<Authorization>, Trouble> {
        let mut all = Vec::with_capacity(order.authorizations.len());
        for url in &order.authorizations {
            all.push(self.ask(url, None, "read authorization").await?.json("read authorization")?);
        }
        Ok(all)
    }

    fn chosen<'a>(&self, authorization: &'a Authorization) -> Result<(ChallengeKind, &'a Challenge), Trouble> {
        let chosen = self.proofs.choose(authorization);
        chosen.ok_or_else(|| {
            let detail = format!("There is no way to prove {} to the CA", authorization.name());
            Trouble::Refused(Problem { detail, ..Problem::default() })
        })
    }

    /// Takes the proofs away.
    async fn clear(&self, account: &Account, order: &Order) -> Result<(), Trouble> {
        for authorization in self.authorizations(order).await? {
            self.proofs.clear(&account.key, &authorization).await;
        }
        Ok(())
    }

    /// Why there is no certificate, name by name.
    async fn refused(&self, account: &Account, order: Order) -> Result<Issuance, Trouble> {
        let mut reasons = Vec::new();
        for authorization in self.authorizations(&order).await? {
            self.proofs.clear(&account.key, &authorization).await;
            let name = authorization.name();
            let failed = authorization.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
            reasons.extend(failed.map(|problem| format!("{name}: {problem}")));
        }
        // Servers repeat there what is wrong with a name.
        if reasons.is_empty() {
            reasons.extend(order.error.iter().map(Problem::to_string));
        }
        if reasons.is_empty() {
            reasons.push(format!("The order is {:?}", order.status).to_lowercase());
        }
        Ok(Issuance::rejected(reasons.join("; ")))
    }
}
