//! Fuzzing for a second or two without libFuzzer: each corpus as it is, and altered with a fixed seed.
//!
//! `BAILEY_TEST_SCALE=N` tries so many times as many inputs, `BAILEY_TEST_SEED=N` others.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::{self, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use bailey_fuzz_targets::mutate::Mutator;
use bailey_fuzz_targets::{Reader, TARGETS, Target};
use libtest_mimic::{Arguments, Failed, Trial};

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

fn number(variable: &str, default: u64) -> Result<u64> {
    env::var(variable).map_or(Ok(default), |text| text.parse().with_context(|| format!("{variable} is no number")))
}

fn files(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

/// Runs the target; what it panics at is told so that it can be kept.
fn run(target: &Target, input: &[u8], origin: &str) -> Result<bool> {
    catch_unwind(|| (target.run)(input)).or_else(|_| {
        let mut hex = String::new();
        input.iter().try_for_each(|byte| write!(hex, "{byte:02x}"))?;
        bail!(
            "{} breaks on {origin}; to keep it: echo {hex} | xxd -r -p > fuzz/corpus/{}/NAME",
            target.name,
            target.name
        )
    })
}

/// Everything in the corpus: something of it is taken, or it is out of date, and something is refused.
fn corpus(target: &Target) -> Result<Vec<Vec<u8>>> {
    let (mut corpus, mut taken) = (Vec::new(), 0);
    for file in files(&fuzz_folder().join("corpus").join(target.name))? {
        let input = fs::read(&file)?;
        taken += usize::from(run(target, &input, &file.display().to_string())?);
        corpus.push(input);
    }
    ensure!(taken > 0, "of the corpus's {} inputs none is taken", corpus.len());
    ensure!(taken < corpus.len(), "of the corpus's inputs none is refused");
    Ok(corpus)
}

fn bounded(target: &Target) -> Result<()> {
    let corpus = corpus(target)?;
    let (seed, scale) = (number("BAILEY_TEST_SEED", 1)?, number("BAILEY_TEST_SCALE", 1)?);
    let mut mutator = Mutator::new(seed);
    for round in 0..u64::from(target.rounds) * scale {
        run(target, &mutator.input(&corpus), &format!("input {round} of BAILEY_TEST_SEED={seed}"))?;
    }
    Ok(())
}

/// Each target has its program for libFuzzer and its corpus, and there are no others.
fn nothing_is_left_out() -> Result<()> {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let stems = |folder: &str| -> Result<BTreeSet<String>> {
        let stem = |file: &PathBuf| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(files(&fuzz_folder().join(folder))?.iter().filter_map(stem).collect())
    };
    ensure!(stems("corpus")? == targets, "corpora of {:?}", stems("corpus")?);
    ensure!(stems("fuzz_targets")? == targets, "programs of {:?}", stems("fuzz_targets")?);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml"))?;
    for name in targets {
        ensure!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "Cargo.toml doesn't have {name}");
    }
    Ok(())
}

/// Readers with the usual mistakes, which a bounded run has to find.
static BROKEN: [(&str, Reader); 4] = [
    ("believes_a_length", |bytes| {
        bytes.split_first().is_some_and(|(length, rest)| !rest[..usize::from(*length)].is_empty())
    }),
    ("computes_beyond_a_length", |bytes| {
        let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
        length.checked_next_multiple_of(8).expect("a length") > 8
    }),
    ("believes_a_value", |bytes| bytes.get(4).is_some_and(|kind| ["a", "b", "c", "d"][usize::from(*kind % 8)] == "a")),
    ("ignores_what_follows", |bytes| {
        let is_read = bytes.starts_with(&[3, 1, 2, 3]);
        assert!(!is_read || bytes.len() == 4, "two messages that mean the same");
        is_read
    }),
];

thread_local! {
    /// Whether this thread is about to panic as it should: then nobody needs to read of it.
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

fn is_found(broken: Reader) -> Result<()> {
    let corpus = [vec![3, 1, 2, 3], vec![0, 0, 0, 8, 1]];
    let mut mutator = Mutator::new(number("BAILEY_TEST_SEED", 1)?);
    let is_broken = (0..1_000).any(|_| {
        let input = mutator.input(&corpus);
        IS_EXPECTED.set(true);
        let panicked = catch_unwind(|| broken(&input)).is_err();
        IS_EXPECTED.set(false);
        panicked
    });
    ensure!(is_broken, "a bounded run doesn't find it");
    Ok(())
}

fn trial(name: String, test: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || test().map_err(|error| Failed::from(format!("{error:#}"))))
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !IS_EXPECTED.get() {
            tell(info);
        }
    }));
    let mut trials = vec![trial("nothing_is_left_out".to_owned(), nothing_is_left_out)];
    trials.extend(TARGETS.iter().map(|target| trial(target.name.to_owned(), move || bounded(target))));
    trials.extend(BROKEN.iter().map(|&(name, broken)| trial(format!("broken::{name}"), move || is_found(broken))));
    libtest_mimic::run(&arguments, trials).exit_code()
}
