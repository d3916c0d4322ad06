//! The fuzz targets, bounded and the same every time: their corpus, and changes of it from a fixed seed.
//!
//! `scripts/fuzz` looks further, guided by what code an input reaches. What it finds goes into `fuzz/corpus/<target>/`.

mod targets;

use std::path::{Path, PathBuf};

use targets::TARGETS;

/// How many changes of the corpus a target sees here.
const CHANGES: usize = 2_000;
/// The longest input that is made of others, in bytes.
const LONGEST: usize = 4 << 10;
/// Pieces that mean something in one of the languages.
const PIECES: [&[u8]; 24] = [
    b"$", b"$$", b"${", b"}", b"%A%", b"=~", b"!~", b"&&", b"||", b"null", b"/i", b"(", b")", b"\n", b": ", b"- ", b"[", b"]", b"{",
    b"**/", b"..", b"\"", b"&a", b"*a",
];

/// A generator that needs no library and is the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        drawn as usize % end.max(1)
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder().join("corpus").join(target)).unwrap().map(|found| found.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn changed(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        match random.below(5) {
            0 => data.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied()).for_each(drop),
            1 => data.truncate(at),
            2 => {
                let end = (at + 1 + random.below(8)).min(data.len());
                data.drain(at.min(end)..end);
            }
            3 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = random.below(256) as u8;
                }
            }
            _ => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                data.splice(at..at, other[from..].iter().copied()).for_each(drop);
            }
        }
        data.truncate(LONGEST);
    }
    data
}

#[test]
fn every_target_holds_for_its_corpus_and_for_changes_of_it() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(corpus.len() >= 3, "{name} has a corpus");
        for data in &corpus {
            target(data);
        }
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        for round in 0..CHANGES {
            let data = changed(&corpus, &mut random);
            if let Err(panic) = std::panic::catch_unwind(|| target(&data)) {
                eprintln!("{name}, round {round}: {:?}", String::from_utf8_lossy(&data));
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn every_target_can_be_fuzzed() {
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let program = std::fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("targets::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"")), "{name}");
    }
}
