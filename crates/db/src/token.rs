//! Static tokens, without their secrets.

use async_trait::async_trait;
use bailey_core::access::{StaticToken, StaticTokens};
use bailey_core::failure::Failure;
use bailey_core::ids::TokenId;
use bailey_sql::{Db, Error, Explain, parse};
use chrono::SubsecRound;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder, Set};

use crate::entity::static_tokens::{ActiveModel, Column, Entity, Model};

/// Inserts a token.
///
/// # Errors
/// `Conflict` if its id was used before; `Unavailable`.
pub async fn insert<C: ConnectionTrait>(tx: &C, token: &StaticToken) -> Result<(), Error> {
    let roles = serde_json::to_string(&token.roles).map_err(|error| DbErr::Json(error.to_string()));
    let row = ActiveModel {
        id: Set(token.id.uuid()),
        secret_sha256: Set(token.secret_sha256.to_vec()),
        user_id: Set(token.user.to_string()),
        project: Set(token.project.to_string()),
        roles: Set(roles.explain("insert token")?),
        created_at: Set(token.created_at.trunc_subsecs(6)),
        expires_at: Set(token.expires_at.map(|time| time.trunc_subsecs(6))),
    };
    Entity::insert(row).exec_without_returning(tx).await.explain("insert token")?;
    Ok(())
}

/// The token with this id, expired or not.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(connection: &C, id: TokenId) -> Result<Option<StaticToken>, Error> {
    let row = Entity::find_by_id(id.uuid()).one(connection).await;
    row.and_then(|row| row.map(read).transpose()).explain("find token")
}

/// All tokens, oldest first.
///
/// # Errors
/// `Unavailable`.
pub async fn list<C: ConnectionTrait>(connection: &C) -> Result<Vec<StaticToken>, Error> {
    let query = Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Id);
    let rows = query.all(connection).await.explain("list tokens")?;
    rows.into_iter().map(read).collect::<Result<_, _>>().explain("list tokens")
}

/// Removes a token; whether it was there.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(tx: &C, id: TokenId) -> Result<bool, Error> {
    let deleted = Entity::delete_by_id(id.uuid()).exec(tx).await.explain("delete token")?;
    Ok(deleted.rows_affected > 0)
}

fn read(row: Model) -> Result<StaticToken, DbErr> {
    let wrong = |_| DbErr::Type("not a SHA-256".to_owned());
    Ok(StaticToken {
        id: row.id.into(),
        secret_sha256: row.secret_sha256.try_into().map_err(wrong)?,
        user: parse(&row.user_id)?,
        project: parse(&row.project)?,
        roles: serde_json::from_str(&row.roles).map_err(|error| DbErr::Json(error.to_string()))?,
        created_at: row.created_at,
        expires_at: row.expires_at,
    })
}

/// Static tokens as authenticators ask for them.
#[derive(Debug, Clone)]
pub struct Tokens(pub Db);

#[async_trait]
impl StaticTokens for Tokens {
    async fn find(&self, id: TokenId) -> Result<Option<StaticToken>, Failure> {
        Ok(find(self.0.reader(), id).await?)
    }
}
