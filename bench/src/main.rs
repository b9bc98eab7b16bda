//! The command `bailey-bench`: measures and writes the report. `bench/run` builds what it needs first.

use anyhow::Result;
use bailey_bench::options::Options;
use bailey_bench::{report, run};
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let results = run::everything(&options).await?;
    let text = report::write(&results);
    match &options.output {
        Some(path) => std::fs::write(path, text)?,
        None => print!("{text}"),
    }
    Ok(())
}
