//! What a decision costs, made and remembered: `cargo run --release -p bailey-worker --example policy_cost`.

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

use std::error::Error;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use bailey_core::access::{Caller, Method};
use bailey_core::ids::{ProjectId, UserId};
use bailey_worker::policy::{Compat, Policy, PolicyConfig, Rule, Target};

const MADE: u32 = 20_000;
const REMEMBERED: u32 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::new(&PolicyConfig::default(), Compat::Barbican)?;
    let project = ProjectId::new("5c9a3b6f0a7e4a7f8c2d1e0f9b8a7c6d")?;
    let caller = Caller::new(Some(UserId::new("alice")?), project.clone(), ["creator"], Method::StaticToken);
    let creators = (0..MADE).map(|number| UserId::new(format!("{number:032x}"))).collect::<Result<Vec<_>, _>>()?;
    let decide = |creator: &UserId| {
        let target = Target { project: Some(&project), creator: Some(creator), is_private: false, readers: &[] };
        black_box(policy.decide(Rule::SecretDecrypt, &caller, &target).is_ok())
    };

    let start = Instant::now();
    creators.iter().for_each(|creator| _ = decide(creator));
    println!("made:                   {:?}", start.elapsed() / MADE);
    // Few enough to be remembered all at once.
    let recent = &creators[creators.len() - 1_000..];
    for threads in [1, 2] {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| recent.iter().cycle().take(REMEMBERED as usize).for_each(|creator| _ = decide(creator)));
            }
        });
        println!("remembered, {threads} at once:  {:?}", start.elapsed() / REMEMBERED);
    }
    Ok(())
}
