//! `bailey token`

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bailey_core::access::StaticToken;
use bailey_core::ids::TokenId;
use bailey_db::token;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use super::admin::Admin;
use crate::cli::{Expiry, TokenCommand};
use crate::output;

pub async fn run(admin: &Admin, command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create { project, user, roles, expiry } => {
            let now = admin.clock.now();
            let expires_at = expires_at(&expiry, now)?;
            let (token, text) = bailey_auth::token::generate(user, project, roles, now, expires_at)?;
            let target = Some(format!("tokens/{}", token.id));
            admin.audited("token create", target, insert(admin, token)).await?;
            output::line(text.expose())?;
        }
        TokenCommand::List { format } => list(admin, format.json).await?,
        TokenCommand::Revoke { id } => {
            admin.audited("token revoke", Some(format!("tokens/{id}")), revoke(admin, id)).await?;
            eprintln!("token {id} is revoked; a running server stops taking it within a second");
        }
    }
    Ok(())
}

async fn insert(admin: &Admin, token: StaticToken) -> Result<()> {
    let token = Arc::new(token);
    let insert = admin.databases.db.write(move |tx| {
        let token = Arc::clone(&token);
        Box::pin(async move { token::insert(tx, &token).await })
    });
    insert.await.context("the token could not be stored")
}

async fn revoke(admin: &Admin, id: TokenId) -> Result<()> {
    if admin.databases.db.write(move |tx| Box::pin(token::delete(tx, id))).await? {
        Ok(())
    } else {
        bail!("there is no token {id}")
    }
}

fn expires_at(expiry: &Expiry, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    let expires_at = match (expiry.expires_in, expiry.expires_at) {
        (Some(duration), _) => {
            let duration = TimeDelta::from_std(duration).ok();
            Some(duration.and_then(|duration| now.checked_add_signed(duration)).context("that is too far away")?)
        }
        (None, time) => time,
    };
    if expires_at.is_some_and(|time| time <= now) {
        bail!("the token would have expired already");
    }
    Ok(expires_at)
}

async fn list(admin: &Admin, as_json: bool) -> Result<()> {
    let tokens = token::list(admin.databases.db.reader()).await?;
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    if as_json {
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({
                    "id": token.id,
                    "project": token.project,
                    "user": token.user,
                    "roles": token.roles,
                    "created_at": token.created_at,
                    "expires_at": token.expires_at,
                })
            })
            .collect();
        return Ok(output::json(&tokens)?);
    }
    let now = admin.clock.now();
    let rows: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let expires = match token.expires_at {
                None => "never".to_owned(),
                Some(at) if at <= now => format!("expired {}", time(at)),
                Some(at) => time(at),
            };
            let (project, user) = (token.project.to_string(), token.user.to_string());
            [token.id.to_string(), project, user, token.roles.join(","), time(token.created_at), expires]
        })
        .collect();
    Ok(output::table(["ID", "PROJECT", "USER", "ROLES", "CREATED", "EXPIRES"], &rows)?)
}
