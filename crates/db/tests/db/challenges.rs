//! Answers to the challenges of CAs.

use std::sync::{Arc, Mutex};

use bailey_core::ca::Challenges as _;
use bailey_core::clock::Clock;
use bailey_db::ca::{CaChallenges, find_challenge};

use crate::fixture::{Fixture, at, on_both};

on_both!(answers_stand_until_they_are_removed_or_expire);

async fn answers_stand_until_they_are_removed_or_expire(f: Fixture) {
    let now = Arc::new(Mutex::new(at(0)));
    let clock = Arc::clone(&now);
    let clock = Clock::from_fn(move || *clock.lock().unwrap());
    let challenges = CaChallenges { db: f.db.clone(), clock: clock.clone() };
    assert_eq!(challenges.find("token").await.unwrap(), None);
    challenges.place("token", "first", at(60)).await.unwrap();
    challenges.place("token", "second", at(120)).await.unwrap();
    challenges.place("Token", "other", at(30)).await.unwrap();
    let other_process = CaChallenges { db: f.db.clone(), clock };
    assert_eq!(other_process.find("token").await.unwrap().as_deref(), Some("second"));
    assert_eq!(other_process.find("Token").await.unwrap().as_deref(), Some("other"));

    *now.lock().unwrap() = at(30);
    assert_eq!(challenges.find("Token").await.unwrap(), None);
    assert_eq!(challenges.find("token").await.unwrap().as_deref(), Some("second"));
    // What is over goes with the next that comes.
    challenges.place("third", "answer", at(90)).await.unwrap();
    assert_eq!(find_challenge(f.db.reader(), "Token", at(0)).await.unwrap(), None);
    assert_eq!(find_challenge(f.db.reader(), "token", at(0)).await.unwrap().as_deref(), Some("second"));

    for _ in 0..2 {
        challenges.remove("token").await.unwrap();
        assert_eq!(challenges.find("token").await.unwrap(), None);
    }
    assert_eq!(challenges.find("third").await.unwrap().as_deref(), Some("answer"));
}
