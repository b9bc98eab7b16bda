//! What goes between this process and the one that calls the library: MessagePack, behind its length in four
//! bytes, little-endian.

use std::io::{Error, ErrorKind, Read, Result};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use crate::error::Failure;
use crate::job::{Answer, Job};

/// Longer than any payload that a store takes.
const LONGEST: usize = 256 << 20;
const PREFIX: usize = size_of::<u32>();

/// What is to be done.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) job: Job,
}

/// What came of the request with the same id.
#[derive(Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) id: u64,
    pub(super) outcome: std::result::Result<Answer, Failure>,
}

/// The frame of a message, in a buffer that never grew: growing leaves copies behind.
pub(super) fn encode(message: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    let mut counter = Counter(PREFIX);
    rmp_serde::encode::write(&mut counter, message).map_err(Error::other)?;
    let mut frame = Zeroizing::new(Vec::with_capacity(counter.0));
    let length = u32::try_from(counter.0 - PREFIX).map_err(Error::other)?;
    frame.extend_from_slice(&length.to_le_bytes());
    rmp_serde::encode::write(&mut *frame, message).map_err(Error::other)?;
    Ok(frame)
}

/// The next message; `None` at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>> {
    let mut prefix = [0; PREFIX];
    if from.read(&mut prefix[..1])? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut prefix[1..])?;
    let mut body = body(prefix)?;
    from.read_exact(&mut body)?;
    decode(&body).map(Some)
}

/// The next message.
pub(super) async fn receive<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> Result<T> {
    let mut prefix = [0; PREFIX];
    from.read_exact(&mut prefix).await?;
    let mut body = body(prefix)?;
    from.read_exact(&mut body).await?;
    decode(&body)
}

fn body(prefix: [u8; PREFIX]) -> Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(u32::from_le_bytes(prefix)).map_err(Error::other)?;
    if length > LONGEST {
        return Err(Error::new(ErrorKind::InvalidData, "a frame that is too long"));
    }
    Ok(Zeroizing::new(vec![0; length]))
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    rmp_serde::from_slice(body).map_err(Error::other)
}

/// Counts what is written.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::sensitive::SecretBytes;

    use super::*;
    use crate::config::Config;
    use crate::error::{Fault, Operation};
    use crate::pin::Pin;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let config = Config { pin: Pin::new("1234".to_owned()), sessions: 3, ..Config::default() };
        let reply = Reply { id: 7, outcome: Ok(Answer::Secret(SecretBytes::new(vec![5; 300]))) };
        let failure = Failure::new(Operation::Encrypt, Fault::Late, "late");
        let refusal = Reply { id: 8, outcome: Err(failure.clone()) };
        let frames = [encode(&config).unwrap(), encode(&reply).unwrap(), encode(&refusal).unwrap()];
        assert!(frames.iter().all(|frame| frame.len() == frame.capacity()));
        let all = frames.iter().flat_map(|frame| frame.iter().copied()).collect::<Vec<_>>();
        let mut stream = all.as_slice();
        let read_config: Config = read(&mut stream).unwrap().unwrap();
        assert_eq!(read_config, config);
        assert_eq!(read_config.pin.read().unwrap().expose(), "1234");
        let Reply { id: 7, outcome: Ok(Answer::Secret(bytes)) } = read(&mut stream).unwrap().unwrap() else {
            unreachable!("another reply")
        };
        assert_eq!(bytes.expose(), [5; 300]);
        let Reply { id, outcome } = read(&mut stream).unwrap().unwrap();
        assert_eq!((id, outcome.err()), (8, Some(failure)));
        assert!(read::<Reply>(&mut stream).unwrap().is_none());
        assert!(read::<Reply>(&mut &all[..3]).is_err(), "cut off");
    }

    #[test]
    fn a_length_that_nobody_sends_is_refused() {
        assert!(read::<Reply>(&mut u32::MAX.to_le_bytes().as_slice()).is_err());
    }
}
