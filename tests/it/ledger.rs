//! The ledger: nothing can be changed in it unnoticed, and nothing that was written is lost.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use hms::event::{Actor, LedgerHead, LedgerOwner};
use hms::ledger::{
    Entry, Fault, Ledger, LedgerError, LedgerPlaces, OnFault, Phase, Relation, Tree, entries, head, keep_unrecorded, leaf_hash, root_of,
    unresolved, verify, verify_consistency, verify_inclusion,
};
use hms::store::Places;
use proptest::prelude::*;

struct World {
    _folder: tempfile::TempDir,
    places: LedgerPlaces,
    state: PathBuf,
    data: PathBuf,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (state, data) = (folder.path().join("state"), folder.path().join("data"));
        let places = Places { state: state.clone(), runtime: folder.path().join("run"), data: data.clone() };
        Self { places: LedgerPlaces::of(&places), state, data, _folder: folder }
    }

    fn with(entries: usize) -> Self {
        let world = Self::new();
        let mut ledger = world.open().unwrap();
        for number in 1..entries {
            ledger.append(note(&format!("entry {number}")), DateTime::UNIX_EPOCH).unwrap();
        }
        world
    }

    fn open(&self) -> Result<Ledger, LedgerError> {
        Ledger::open(&self.places, &actor(), Duration::from_secs(5), OnFault::Refuse, DateTime::UNIX_EPOCH)
    }

    fn sound(&self) -> bool {
        verify(&self.places, &[]).unwrap().findings.is_empty()
    }
}

fn actor() -> Actor {
    Actor { uid: 1, login: "ada".to_owned(), host: "here".to_owned(), tty: None, ssh_client: None, via: "a test".to_owned() }
}

fn note(reason: &str) -> Entry {
    let mut entry = Entry::new("approve", Phase::Note, actor());
    entry.reason = Some(reason.to_owned());
    entry
}

/// The roots of RFC 6962 trees over the eight inputs that Certificate Transparency's implementations share.
#[test]
fn roots_are_the_known_ones() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut tree = Tree::default();
    for size in 0..=8 {
        let hashes: Vec<_> = leaves[..size].iter().map(|leaf| leaf_hash(leaf)).collect();
        assert_eq!(hex(&root_of(&hashes)), roots[size], "size {size}");
        assert_eq!(hex(&tree.root()), roots[size], "size {size}, grown");
        if let Some(leaf) = leaves.get(size) {
            tree.push(leaf_hash(leaf));
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    hms::event::Digest::from_sha256(bytes).hex().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The root and the proofs of an independent implementation are ours.
    #[test]
    fn roots_and_proofs_agree_with_another_implementation(count in 1usize..60, pick in 0.0..1.0f64) {
        let mut other = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        let mut tree = Tree::default();
        let leaves: Vec<Vec<u8>> = (0..count).map(|number| format!("leaf {number}").into_bytes()).collect();
        let mut roots = vec![tree.root()];
        for leaf in &leaves {
            other.push(leaf.clone());
            tree.push(leaf_hash(leaf));
            roots.push(tree.root());
        }
        let other_root: [u8; 32] = (*other.root().as_bytes()).into();
        prop_assert_eq!(other_root, tree.root());
        let index = ((count - 1) as f64 * pick) as usize;
        let proof: Vec<[u8; 32]> = other.prove_inclusion(index).as_bytes().chunks(32).map(|hash| hash.try_into().unwrap()).collect();
        prop_assert!(verify_inclusion(&leaf_hash(&leaves[index]), index as u64, count as u64, &proof, &tree.root()));
        prop_assert!(!verify_inclusion(&leaf_hash(b"other"), index as u64, count as u64, &proof, &tree.root()));
        if index > 0 {
            let proof: Vec<[u8; 32]> = other.prove_consistency(count - index).as_bytes().chunks(32).map(|hash| hash.try_into().unwrap()).collect();
            prop_assert!(verify_consistency(index as u64, count as u64, &proof, &roots[index], &roots[count]));
            prop_assert!(!verify_consistency(index as u64, count as u64, &proof, &roots[index - 1], &roots[count]));
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    #[serde(default)]
    leaf_idx: u64,
    #[serde(default)]
    tree_size: u64,
    #[serde(default)]
    root: String,
    #[serde(default)]
    leaf_hash: String,
    #[serde(default)]
    size1: u64,
    #[serde(default)]
    size2: u64,
    #[serde(default)]
    root1: String,
    #[serde(default)]
    root2: String,
    proof: Option<Vec<String>>,
    want_err: bool,
}

#[test]
fn proofs_are_accepted_and_refused_as_the_shared_vectors_say() {
    let Some(data) = crate::shared_data("merkle/testdata") else { return };
    let mut seen = 0;
    for kind in ["inclusion", "consistency"] {
        for path in files_below(&data.join(kind)) {
            let vector: Vector = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let proof: Option<Vec<[u8; 32]>> = vector.proof.unwrap_or_default().iter().map(|hash| base64(hash)).collect();
            let accepted = proof.is_some_and(|proof| {
                if kind == "inclusion" {
                    base64(&vector.leaf_hash)
                        .filter(|_| vector.leaf_hash.len() == 44)
                        .zip(base64(&vector.root))
                        .is_some_and(|(leaf, root)| verify_inclusion(&leaf, vector.leaf_idx, vector.tree_size, &proof, &root))
                } else {
                    base64(&vector.root1)
                        .zip(base64(&vector.root2))
                        .is_some_and(|(old, new)| verify_consistency(vector.size1, vector.size2, &proof, &old, &new))
                }
            });
            assert_eq!(accepted, !vector.want_err, "{}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, 196);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// Standard base64. What is no hash by its length is hashed: that keeps equal things equal and different things different.
fn base64(text: &str) -> Option<[u8; 32]> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes().map(|byte| alphabet.iter().position(|known| *known == byte));
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for digit in digits {
        bits = (bits << 6) | digit? as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes.try_into().unwrap_or_else(|odd: Vec<u8>| leaf_hash(&odd)))
}

#[test]
fn any_flipped_bit_is_found() {
    let world = World::with(6);
    assert!(world.sound());
    let pin = std::fs::read_dir(world.data.join("pins")).unwrap().next().unwrap().unwrap().path();
    for path in [world.places.entries(), world.places.head(), pin] {
        let whole = std::fs::read(&path).unwrap();
        for index in 0..whole.len() {
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[index] ^= 1 << bit;
                std::fs::write(&path, &bad).unwrap();
                let found = verify(&world.places, &[]);
                let findings = found.unwrap().findings;
                assert!(!findings.is_empty(), "{} byte {index} bit {bit}", path.display());
            }
        }
        for bad in [&whole[..whole.len() - 1], &[&whole[..], b"\n"].concat(), b""] {
            std::fs::write(&path, bad).unwrap();
            assert!(!world.sound(), "{}: {} bytes instead of {}", path.display(), bad.len(), whole.len());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert!(world.sound());
}

/// The record at the target names the owner beside the head: that is compared too.
#[test]
fn another_owner_at_the_target_is_found() {
    let world = World::with(3);
    let held = head(&world.places).unwrap().unwrap();
    let by = held.by.clone().unwrap();
    let found = |by: LedgerOwner| {
        let held = LedgerHead { by: Some(by), ..held.clone() };
        verify(&world.places, &[("shop/prod on this machine".to_owned(), held)]).unwrap().findings.len()
    };
    assert_eq!(found(by.clone()), 0);
    assert_eq!(found(LedgerOwner { uid: by.uid + 1, ..by.clone() }), 1);
    assert_eq!(found(LedgerOwner { host: "hera".to_owned(), ..by.clone() }), 1);
    assert_eq!(found(LedgerOwner { state: "/elsewhere".into(), ..by }), 1);
}

/// One folder has many names: a pin belongs to the folder.
#[test]
fn a_ledger_reached_by_another_path_is_the_same() {
    let world = World::with(3);
    let link = world.data.join("link");
    std::os::unix::fs::symlink(&world.state, &link).unwrap();
    let other = LedgerPlaces::of(&Places { state: link, runtime: world.state.join("run"), data: world.data.clone() });
    let held = head(&world.places).unwrap().unwrap();
    let by_target = [("shop/prod on this machine".to_owned(), held.clone())];
    let found = verify(&other, &by_target).unwrap();
    assert!(found.findings.is_empty(), "{found:#?}");
    // Written that way it moves no pin, and stays sound both ways.
    Ledger::open(&other, &actor(), Duration::from_secs(5), OnFault::Refuse, DateTime::UNIX_EPOCH)
        .unwrap()
        .append(note("by the other path"), DateTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(head(&other).unwrap().unwrap().by, held.by);
    assert!(world.sound() && verify(&other, &by_target).unwrap().findings.is_empty());
}

#[test]
fn lines_dropped_doubled_swapped_or_added_are_found() {
    let world = World::with(5);
    let whole = std::fs::read_to_string(world.places.entries()).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let mut cases: Vec<Vec<&str>> = (0..5).map(|gone| (0..5).filter(|line| *line != gone).map(|line| lines[line]).collect()).collect();
    cases.extend((0..5).map(|twice| (0..5).flat_map(|line| vec![lines[line]; 1 + usize::from(line == twice)]).collect::<Vec<_>>()));
    cases.extend((0..4).map(|swap| {
        let mut order = lines.clone();
        order.swap(swap, swap + 1);
        order
    }));
    cases.push(Vec::new());
    for case in cases {
        std::fs::write(world.places.entries(), case.concat()).unwrap();
        assert!(!world.sound(), "{case:?}");
        assert!(case.len() > 5 || matches!(world.open(), Err(LedgerError::Fault(_))), "a deploy would have gone on");
    }
    std::fs::write(world.places.entries(), &whole).unwrap();
    assert!(world.sound());
}

/// A cut that takes the head along is found by the pin, is refused to a deploy, and is not laundered by a rollback.
#[test]
fn a_cut_or_restored_ledger_is_found_and_stays_found() {
    let world = World::with(3);
    let (entries_before, head_before) = (std::fs::read(world.places.entries()).unwrap(), std::fs::read(world.places.head()).unwrap());
    let mut ledger = world.open().unwrap();
    let target: LedgerHead = {
        ledger.append(note("later"), DateTime::UNIX_EPOCH).unwrap();
        ledger.head()
    };
    drop(ledger);
    std::fs::write(world.places.entries(), entries_before).unwrap();
    std::fs::write(world.places.head(), head_before).unwrap();

    assert!(!world.sound());
    assert!(matches!(world.open(), Err(LedgerError::Fault(Fault::Pinned { size: 4, .. }))));
    let forked = Ledger::open(&world.places, &actor(), Duration::from_secs(5), OnFault::Record, DateTime::UNIX_EPOCH).unwrap();
    assert_eq!(forked.relation(&target), Relation::Forked);
    drop(forked);
    let list = entries(&world.places).unwrap();
    assert_eq!(list.last().unwrap().kind, "fork");
    let again = verify(&world.places, &[("this machine".to_owned(), target)]).unwrap();
    assert_eq!(again.findings.len(), 2, "the kept pin and the target's record both remember: {:?}", again.findings);
}

#[test]
fn a_ledger_rewritten_whole_is_found_by_its_pin() {
    let world = World::with(4);
    let other = World::with(4);
    for name in ["entries", "head"] {
        std::fs::copy(other.state.join("ledger").join(name), world.state.join("ledger").join(name)).unwrap();
    }
    let found = verify(&world.places, &[]).unwrap();
    assert!(found.findings.iter().any(|finding| finding.what.contains("not here")), "{:?}", found.findings);
}

/// All that lies beside it was rewritten or removed as well: the target's record remembers, until a person begins anew.
#[test]
fn a_ledger_replaced_with_its_pins_is_found_by_the_record_at_the_target() {
    let world = World::with(4);
    let held = head(&world.places).unwrap().unwrap();
    assert_eq!(held.by.as_ref().map(|by| (by.host.as_str(), &by.state)), Some(("here", &world.state)));
    let at_target = [("shop/prod on this machine".to_owned(), held)];
    std::fs::remove_dir_all(world.state.join("ledger")).unwrap();
    std::fs::remove_dir_all(world.data.join("pins")).unwrap();
    let gone = verify(&world.places, &at_target).unwrap();
    assert_eq!(gone.findings.len(), 1, "{gone:?}");

    drop(world.open().unwrap());
    let replaced = verify(&world.places, &at_target).unwrap();
    assert_eq!(replaced.findings.len(), 1, "{replaced:?}");
    assert!(replaced.findings[0].what.contains("does not go on from"), "{replaced:?}");

    std::fs::rename(world.state.join("ledger"), world.state.join("aside")).unwrap();
    let held = [at_target[0].1.clone()];
    drop(Ledger::begin_anew(&world.places, &actor(), "restored by hand", &held, DateTime::UNIX_EPOCH).unwrap());
    let anew = verify(&world.places, &at_target).unwrap();
    assert_eq!(anew.findings, [], "{anew:?}");
    assert!(anew.notes.iter().any(|note| note.contains("which this one goes on from")), "{anew:?}");
}

/// A restored copy, a rollback over it, moved aside, begun anew, and once more: a person has said each time that it is so.
#[test]
fn the_way_out_ends_in_a_ledger_that_verifies() {
    let world = World::with(3);
    let copy: Vec<_> = ["entries", "head"].map(|name| (name, std::fs::read(world.state.join("ledger").join(name)).unwrap())).into();
    world.open().unwrap().append(note("later"), DateTime::UNIX_EPOCH).unwrap();
    for (name, bytes) in copy {
        std::fs::write(world.state.join("ledger").join(name), bytes).unwrap();
    }
    drop(Ledger::open(&world.places, &actor(), Duration::from_secs(5), OnFault::Record, DateTime::UNIX_EPOCH).unwrap());
    assert!(!world.sound(), "the fork is entered, and what was lost stays lost");
    for times in 1..=2 {
        std::fs::rename(world.state.join("ledger"), world.state.join(format!("aside-{times}"))).unwrap();
        drop(Ledger::begin_anew(&world.places, &actor(), "restored from backup", &[], DateTime::UNIX_EPOCH).unwrap());
        let found = verify(&world.places, &[]).unwrap();
        assert_eq!(found.findings, [], "{times}: {found:?}");
        assert!(world.open().is_ok());
    }
}

#[test]
fn a_ledger_that_is_gone_is_begun_anew_only_by_a_person() {
    let world = World::with(4);
    std::fs::remove_dir_all(world.state.join("ledger")).unwrap();
    assert!(matches!(world.open(), Err(LedgerError::Fault(Fault::Gone { size: 4, .. }))));
    let ledger = Ledger::begin_anew(&world.places, &actor(), "the disk died", &[], DateTime::UNIX_EPOCH).unwrap();
    drop(ledger);
    let list = entries(&world.places).unwrap();
    assert_eq!(list[0].follows.as_ref().unwrap().size, 4);
    assert!(world.open().is_ok());
    let found = verify(&world.places, &[]).unwrap();
    assert!(found.findings.is_empty(), "{:?}", found.findings);
    assert!(found.notes.iter().any(|note| note.contains("goes on from")));
}

#[test]
fn a_crash_between_entry_and_head_loses_nothing() {
    let world = World::with(3);
    let head = std::fs::read(world.places.head()).unwrap();
    let pin = std::fs::read_dir(world.data.join("pins")).unwrap().next().unwrap().unwrap().path();
    let pinned = std::fs::read(&pin).unwrap();
    world.open().unwrap().append(note("not headed"), DateTime::UNIX_EPOCH).unwrap();
    std::fs::write(world.places.head(), head).unwrap();
    std::fs::write(&pin, pinned).unwrap();
    let mut torn = std::fs::read(world.places.entries()).unwrap();
    torn.extend_from_slice(b"{\"half\":");
    std::fs::write(world.places.entries(), torn).unwrap();

    let ledger = world.open().unwrap();
    assert_eq!(ledger.head().size, 4);
    assert_eq!(ledger.said().len(), 2);
    drop(ledger);
    world.open().unwrap().append(note("next"), DateTime::UNIX_EPOCH).unwrap();
    assert!(world.sound(), "{:?}", verify(&world.places, &[]));
}

/// Whoever is told that it was not done must not find it done by the next writer.
#[test]
fn an_entry_whose_head_or_pin_finds_no_room_is_not_there() {
    let world = World::with(3);
    let pin = std::fs::read_dir(world.data.join("pins")).unwrap().next().unwrap().unwrap().path();
    for path in [world.places.head(), pin] {
        let before = std::fs::read(world.places.entries()).unwrap();
        // A folder where the next one would be written stands for a full disk, to root too.
        let block = PathBuf::from(format!("{}.{}.new", path.display(), std::process::id()));
        std::fs::create_dir(&block).unwrap();
        let refused = world.open().unwrap().append(note("refused"), DateTime::UNIX_EPOCH);
        assert!(matches!(refused, Err(LedgerError::Disk(_))), "{refused:?}");
        assert_eq!(std::fs::read(world.places.entries()).unwrap(), before);
        std::fs::remove_dir(block).unwrap();
        world.open().unwrap().append(note("taken"), DateTime::UNIX_EPOCH).unwrap();
        assert!(world.sound());
    }
    let reasons: Vec<_> = entries(&world.places).unwrap().into_iter().filter_map(|entry| entry.reason).collect();
    assert_eq!(reasons, ["entry 1", "entry 2", "taken", "taken"]);
}

#[test]
fn an_intent_without_an_outcome_is_told() {
    let world = World::new();
    let mut ledger = world.open().unwrap();
    let done = ledger.append(Entry::new("deploy", Phase::Intent, actor()), DateTime::UNIX_EPOCH).unwrap();
    let open = ledger.append(Entry::new("rollback", Phase::Intent, actor()), DateTime::UNIX_EPOCH).unwrap();
    let mut outcome = Entry::new("deploy", Phase::Outcome, actor());
    outcome.intent_seq = Some(done);
    ledger.append(outcome, DateTime::UNIX_EPOCH).unwrap();
    let list = entries(&world.places).unwrap();
    assert_eq!(unresolved(&list).iter().map(|entry| entry.seq).collect::<Vec<_>>(), [open]);
}

#[test]
fn what_was_unrecorded_is_in_the_ledger_after_the_next_write() {
    let world = World::with(2);
    keep_unrecorded(&world.places, note("rolled back while the lock was held"), DateTime::UNIX_EPOCH).unwrap();
    drop(world.open().unwrap());
    let list = entries(&world.places).unwrap();
    assert!(list.last().unwrap().reason.as_ref().unwrap().contains("UNRECORDED since 1970-01-01"));
    drop(world.open().unwrap());
    assert_eq!(entries(&world.places).unwrap().len(), list.len(), "it was taken in twice");
    assert!(world.sound());
}

#[test]
fn four_writers_at_once_leave_no_gap() {
    let world = World::with(1);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for number in 0..25 {
                    let mut ledger =
                        Ledger::open(&world.places, &actor(), Duration::from_mins(1), OnFault::Refuse, DateTime::UNIX_EPOCH).unwrap();
                    ledger.append(note(&format!("{writer}/{number}")), DateTime::UNIX_EPOCH).unwrap();
                }
            });
        }
    });
    let list = entries(&world.places).unwrap();
    assert_eq!(list.len(), 101);
    assert!(world.sound());
}

#[test]
fn a_held_lock_is_waited_for_no_longer_than_said() {
    let world = World::with(1);
    let held = world.open().unwrap();
    let started = std::time::Instant::now();
    let error = Ledger::open(&world.places, &actor(), Duration::from_millis(50), OnFault::Record, DateTime::UNIX_EPOCH).unwrap_err();
    assert!(matches!(error, LedgerError::Lock(_)));
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(held);
}
