//! Writes what corpora begin with: `cargo run -p bailey-fuzz-targets --example seed [NAME...]`.

use std::path::Path;
use std::{env, fs, io};

use bailey_fuzz_targets::TARGETS;

fn main() -> io::Result<()> {
    let names: Vec<_> = env::args().skip(1).collect();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("corpus");
    for target in TARGETS.iter().filter(|target| names.is_empty() || names.iter().any(|name| name == target.name)) {
        let folder = corpus.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
    }
    Ok(())
}
