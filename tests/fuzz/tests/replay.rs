//! What fuzzing found is replayed, for as long as the code lives.

use std::fs;
use std::path::{Path, PathBuf};

use fuzz::TARGETS;

fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("a file").path()).collect()
}

#[test]
fn every_target_holds_on_its_corpus_which_has_sense_and_nonsense() {
    for (name, target) in TARGETS {
        let mut made_sense = 0;
        let inputs = corpus(name);
        for input in &inputs {
            // A failing input is named by the panic's message that follows.
            println!("{}", input.display());
            made_sense += usize::from(target(&fs::read(input).unwrap()));
        }
        assert!(made_sense > 0 && made_sense < inputs.len(), "{name}: {made_sense} of {}", inputs.len());
    }
}

#[test]
fn the_corpus_stays_small() {
    let sizes: Vec<u64> =
        TARGETS.iter().flat_map(|(name, _)| corpus(name)).map(|input| fs::metadata(input).unwrap().len()).collect();
    assert!(sizes.len() <= 300, "{} files", sizes.len());
    assert!(sizes.iter().sum::<u64>() <= 500 << 10, "{} bytes", sizes.iter().sum::<u64>());
}

#[test]
fn every_target_has_a_program() {
    for (name, _) in TARGETS {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets").join(format!("{name}.rs"));
        assert!(program.is_file(), "{}", program.display());
    }
}
