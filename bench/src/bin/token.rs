//! The least that has to be asked of a token: nothing but C_Encrypt and C_Decrypt of 32 bytes under one key, in so
//! many sessions at once, by AES-256-GCM with as many bound bytes as Bailey binds.
//!
//! `token MODULE LABEL PIN SESSIONS SECONDS` prints how many of each it did a second.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use clap::Parser;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::Ulong;

/// What Bailey binds a payload to: store, project, secret, write and KEK, with their lengths.
const ASSOCIATED: [u8; 128] = [7; 128];
const PAYLOAD: [u8; 32] = [1; 32];

#[derive(Parser)]
struct Options {
    module: PathBuf,
    label: String,
    pin: String,
    sessions: usize,
    seconds: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let library = Pkcs11::new(&options.module)?;
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let is_meant = |slot: &_| library.get_token_info(*slot).is_ok_and(|info| info.label() == options.label);
    let slot = library.get_slots_with_token()?.into_iter().find(is_meant).context("no such token")?;
    let session = library.open_ro_session(slot)?;
    session.login(UserType::User, Some(&options.pin.as_str().into()))?;
    let key = session.generate_key(
        &Mechanism::AesKeyGen,
        &[
            Attribute::Token(false),
            Attribute::ValueLen(Ulong::new(32)),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
        ],
    )?;
    let sealed = encrypt(&session, key, 0)?;
    let open = || (0..options.sessions).map(|_| library.open_ro_session(slot)).collect::<Result<Vec<_>, _>>();
    let span = Duration::from_secs_f64(options.seconds);
    let encrypts = rate(open()?, span, &|session, number| encrypt(session, key, number).map(drop))?;
    let decrypts = rate(open()?, span, &|session, _| decrypt(session, key, &sealed))?;
    #[expect(clippy::print_stdout, reason = "what the load generator reads")]
    {
        println!("{encrypts} {decrypts}");
    }
    Ok(())
}

/// How often the sessions do something in a second, each on a thread of its own.
fn rate(sessions: Vec<Session>, span: Duration, work: &(dyn Fn(&Session, u64) -> Result<()> + Sync)) -> Result<f64> {
    let (done, begin) = (&AtomicU64::new(1), Instant::now());
    thread::scope(|threads| {
        let run = |session: Session| {
            threads.spawn(move || {
                while begin.elapsed() < span {
                    work(&session, done.fetch_add(1, Ordering::Relaxed))?;
                }
                anyhow::Ok(())
            })
        };
        let running: Vec<_> = sessions.into_iter().map(run).collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })?;
    Ok((done.load(Ordering::Relaxed) - 1) as f64 / begin.elapsed().as_secs_f64())
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn encrypt(session: &Session, key: ObjectHandle, number: u64) -> Result<Vec<u8>> {
    let mut nonce = nonce(number);
    let parameters = GcmParams::new(&mut nonce, &ASSOCIATED, Ulong::new(128))?;
    Ok(session.encrypt(&Mechanism::AesGcm(parameters), key, &PAYLOAD)?)
}

fn decrypt(session: &Session, key: ObjectHandle, sealed: &[u8]) -> Result<()> {
    let mut nonce = nonce(0);
    let parameters = GcmParams::new(&mut nonce, &ASSOCIATED, Ulong::new(128))?;
    let opened = session.decrypt(&Mechanism::AesGcm(parameters), key, sealed)?;
    anyhow::ensure!(opened == PAYLOAD, "it decrypts something else");
    Ok(())
}
