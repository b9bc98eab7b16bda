//! One client, with a connection of its own to the server.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::node::{HEADER, Node, OPERATION, UNIQUE_IDENTIFIER};
use super::{Fault, Shared, fault};

/// How long either side may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// More than anybody sends who is honest.
const LONGEST: usize = 16 << 20;

/// Asks and answers until one of them ends the connection, or a fault does.
pub fn serve(shared: &Shared, client: TcpStream) -> Result<()> {
    let mut client = StreamOwned::new(ServerConnection::new(Arc::clone(&shared.to_clients))?, at_once(client)?);
    let Some(first) = read(&mut client)? else { return Ok(()) };
    let name = ServerName::try_from("localhost")?;
    let server = at_once(TcpStream::connect(shared.server)?)?;
    let mut server = StreamOwned::new(ClientConnection::new(Arc::clone(&shared.to_server), name)?, server);
    let (mut next, mut held) = (Some(first), None::<Vec<u8>>);
    while let Some(question) = next {
        if let Some(late) = held.take() {
            fault::send(&mut client, &late)?;
        }
        let mut question = Node::read(&question)?;
        let strikes =
            question.enumerations(OPERATION).into_iter().map(|operation| (operation, shared.strike(operation)));
        // The first of those that are asked for together.
        let strike = strikes.collect::<Vec<_>>().into_iter().find_map(|(operation, fault)| Some((operation, fault?)));
        let other = shared.other(&question.texts(UNIQUE_IDENTIFIER));
        let mut asked = String::new();
        if let Some((operation, fault)) = strike {
            let item = question.item_mut(operation).context("no such item")?;
            asked = item.texts(UNIQUE_IDENTIFIER).into_iter().next().unwrap_or_default();
            fault.ask(item, &other);
        }
        fault::send(&mut server, &question.to_bytes())?;
        let mut answer = Node::read(&read(&mut server)?.context("the server ends the connection")?)?;
        let named = answer.texts(UNIQUE_IDENTIFIER);
        let other = if named.contains(&other) { shared.other(&named) } else { other };
        learn(shared, named);
        // A server that doesn't come so far says nothing about it.
        if let Some((operation, fault)) = strike
            && let Some(item) = answer.item_mut(operation)
        {
            fault.alter(item, &asked, &other);
        }
        let answer = answer.to_bytes();
        match strike.map(|(_, fault)| fault) {
            Some(Fault::Late) => held = Some(answer),
            Some(fault) if !fault.send(&mut client, &answer)? => return Ok(()),
            Some(_) => {}
            None => fault::send(&mut client, &answer)?,
        }
        next = read(&mut client)?;
    }
    Ok(())
}

fn at_once(stream: TcpStream) -> Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn learn(shared: &Shared, named: Vec<String>) {
    let mut ids = shared.ids();
    for id in named {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
}

/// The next message; `None` when the other side has ended the connection before it.
fn read(from: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let mut message = vec![0; HEADER];
    match from.read_exact(&mut message) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = message.last_chunk::<4>().map_or(0, |length| u32::from_be_bytes(*length));
    let length = usize::try_from(length)?;
    ensure!(length <= LONGEST, "a message of {length} bytes");
    message.resize(HEADER + length, 0);
    from.read_exact(&mut message[HEADER..])?;
    Ok(Some(message))
}
