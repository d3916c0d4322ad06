//! A release's tree as one layer of an image: the same bytes give the same digest, on any machine and at any time.
//!
//! Entries are sorted by the bytes of their paths, each folder before what is in it. Folders are written too: an engine makes those
//! that a layer leaves out, and not all make them readable.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use sha2::Digest as _;

use super::error::Problem;
use crate::deploy::release::{Kind, Listing, copy, open, walk};
use crate::deploy::tar::{self, END, padding};
use crate::event::Digest;

/// Beginning of a name that means a removal in layers (image-spec, `layer.md`, whiteouts): a file of this name would remove another.
const WHITEOUT: &str = ".wh.";
/// Written to the header where it says which system made it (RFC 1952): unknown.
const NO_SYSTEM: u8 = 255;

/// A folder of an image that a release's files go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(Vec<String>);

/// A layer in a file, which is removed with it.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) path: PathBuf,
    /// Of the file.
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    /// Of the archive before it was packed.
    pub(super) unpacked: Digest,
    /// The digest of the tree that was read (`docs/decisions.md` 5.1).
    pub(super) tree: Digest,
}

impl Drop for Layer {
    fn drop(&mut self) {
        let _gone = fs::remove_file(&self.path);
    }
}

impl Prefix {
    /// Reads an absolute path. What is mounted over or has modes of its own in every container is refused.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let parts: Vec<String> = text.split('/').skip(1).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let plain = |part: &String| part != "." && part != ".." && !part.starts_with(WHITEOUT) && !part.chars().any(char::is_control);
        let taken = parts.first().is_some_and(|first| ["dev", "proc", "sys", "tmp", "run"].contains(&first.as_str()));
        if !text.starts_with('/') || parts.is_empty() || taken || !parts.iter().all(plain) {
            let why = format!("{text:?} is no folder for a release in an image: name an absolute path such as /app");
            return Err(Problem::Unsupported(why));
        }
        Ok(Self(parts))
    }

    /// The folder and those above it, from the top.
    fn folders(&self) -> impl Iterator<Item = String> {
        (1..=self.0.len()).map(|length| self.0.iter().take(length).cloned().collect::<Vec<_>>().join("/"))
    }
}

/// Packs a tree into a new file in `scratch`.
pub(super) fn write_layer(tree: &Path, prefix: &Prefix, scratch: &Path) -> Result<Layer, Problem> {
    let path = scratch.join(format!("layer-{}.tar.gz", ulid::Ulid::generate()));
    let failed = |source| Problem::File { path: path.clone(), source };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    // From here on the file goes away when anything fails.
    let mut layer = Layer { path: path.clone(), digest: Digest::of(b""), bytes: 0, unpacked: Digest::of(b""), tree: Digest::of(b"") };
    let gzip = GzBuilder::new().operating_system(NO_SYSTEM).write(Hashing::new(BufWriter::new(file)), Compression::new(6));
    let mut archive = Hashing::new(gzip);
    layer.tree = write_tree(tree, prefix, &mut archive)?;
    archive.write_all(&END).map_err(failed)?;
    let (unpacked, gzip) = archive.finish();
    let packed: Hashing<BufWriter<File>> = GzEncoder::finish(gzip).map_err(failed)?;
    layer.bytes = packed.bytes;
    let (digest, file) = packed.finish();
    file.into_inner().map_err(|error| failed(error.into_error()))?;
    (layer.digest, layer.unpacked) = (digest, unpacked);
    Ok(layer)
}

fn write_tree(tree: &Path, prefix: &Prefix, archive: &mut impl Write) -> Result<Digest, Problem> {
    let mut entries = walk(tree)?;
    entries.sort_unstable_by(|left, right| left.0.as_bytes().cmp(right.0.as_bytes()));
    let root = prefix.0.join("/");
    let mut listing = Listing::default();
    let mut made: HashSet<String> = HashSet::new();
    let written = |path: &str| {
        let path = PathBuf::from(path);
        move |source| Problem::File { path, source }
    };
    for folder in prefix.folders() {
        archive.write_all(&tar::header(format!("{folder}/").as_bytes(), tar::Kind::Folder)).map_err(written(&folder))?;
    }
    for (path, kind) in entries {
        if path.split('/').any(|part| part.starts_with(WHITEOUT)) {
            return Err(Problem::Unfit { path, why: "in an image, a name that begins with `.wh.` removes a file of the base" });
        }
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            if made.insert(folder.to_owned()) {
                archive.write_all(&tar::header(format!("{root}/{folder}/").as_bytes(), tar::Kind::Folder)).map_err(written(folder))?;
            }
        }
        let name = format!("{root}/{path}");
        match kind {
            Kind::Link { text } => {
                archive.write_all(&tar::header(name.as_bytes(), tar::Kind::Link { text: &text })).map_err(written(&path))?;
                listing.link(path, &text);
            }
            Kind::File { executable } => {
                let (digest, bytes) = write_file(&tree.join(&path), &name, executable, archive).map_err(written(&path))?;
                listing.file(path, executable, &digest, bytes);
            }
        }
    }
    Ok(listing.finish().0)
}

/// The header comes before the bytes and names their number; a file that another process writes to meanwhile is refused.
fn write_file(from: &Path, name: &str, executable: bool, archive: &mut impl Write) -> io::Result<(Digest, u64)> {
    let mut file = open(from).map_err(io::Error::other)?;
    let expected = file.metadata()?.len();
    archive.write_all(&tar::header(name.as_bytes(), tar::Kind::File { executable, bytes: expected }))?;
    let (digest, bytes) = copy(&mut file, archive)?;
    if bytes != expected {
        return Err(io::Error::other("it was changed while it was read"));
    }
    archive.write_all(&padding(bytes))?;
    Ok((digest, bytes))
}

/// Hashes what it hands on.
struct Hashing<W> {
    inner: W,
    sum: sha2::Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, sum: sha2::Sha256::new(), bytes: 0 }
    }

    fn finish(self) -> (Digest, W) {
        (Digest::from_sha256(&self.sum.finalize().into()), self.inner)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.bytes += u64::try_from(written).unwrap_or(0);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use proptest::prelude::*;

    use super::*;
    use crate::deploy::release::digest_of_tree;

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("start.sh", "#!/bin/sh\nexec sleep 1\n", 0o700);
        put("lib/a.js", "a", 0o600);
        put("lib-b.js", "b", 0o664);
        put("lib/é/ünicode.js", "c", 0o644);
        put(&format!("deep/{}/end.txt", "long-name/".repeat(12)), "d", 0o644);
        put(".git/HEAD", "ref", 0o644);
        symlink("lib/a.js", folder.path().join("link")).unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        folder
    }

    fn layer(tree: &Path, prefix: &str) -> Result<Layer, Problem> {
        let scratch = tempfile::tempdir().unwrap();
        let written = write_layer(tree, &Prefix::parse(prefix)?, scratch.path())?;
        // The file's folder goes away here; digests stay.
        Ok(written)
    }

    #[test]
    fn the_same_tree_is_the_same_layer_and_this_is_its_digest() {
        let (one, two) = (tree(), tree());
        let first = layer(one.path(), "/app").unwrap();
        let second = layer(two.path(), "/app/").unwrap();
        assert_eq!((&first.digest, &first.unpacked), (&second.digest, &second.unpacked));
        assert_eq!(first.tree, digest_of_tree(one.path()).unwrap().0);
        // A change of these is a change of every image that was made: nobody could make the old ones again.
        assert_eq!(first.unpacked.as_str(), "sha256:c190890f204bfeb5541a535136ce0fa547313cd60f6d5e981f81d1544ef3c647");
        assert_eq!(first.digest.as_str(), "sha256:1d04a3f44a5cf89977e15b2ad7419969eb13d92c05006b8b7d327c1ff378bb84");
        assert_ne!(layer(one.path(), "/srv").unwrap().digest, first.digest);
        fs::write(two.path().join("lib/a.js"), "A").unwrap();
        assert_ne!(layer(two.path(), "/app").unwrap().digest, first.digest);
    }

    #[test]
    fn what_means_something_else_in_a_layer_is_refused() {
        let folder = tree();
        fs::create_dir(folder.path().join(".wh.lib")).unwrap();
        fs::write(folder.path().join(".wh.lib/x"), "").unwrap();
        let refused = layer(folder.path(), "/app").unwrap_err();
        assert!(matches!(&refused, Problem::Unfit { path, .. } if path == ".wh.lib/x"), "{refused}");
        for bad in ["", "app", "/", "//", "/app/../etc", "/.", "/tmp/app", "/proc", "/app/.wh.x", "/a\nb"] {
            assert!(Prefix::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Prefix::parse("/usr/share//app").unwrap().folders().collect::<Vec<_>>(), ["usr", "usr/share", "usr/share/app"]);
    }

    #[test]
    fn nothing_is_left_in_the_scratch_folder() {
        let (folder, scratch) = (tree(), tempfile::tempdir().unwrap());
        let prefix = Prefix::parse("/app").unwrap();
        let written = write_layer(folder.path(), &prefix, scratch.path()).unwrap();
        assert_eq!(fs::metadata(&written.path).unwrap().len(), written.bytes);
        assert_eq!(Digest::of(&fs::read(&written.path).unwrap()), written.digest);
        drop(written);
        fs::write(folder.path().join(".wh.x"), "").unwrap();
        assert!(write_layer(folder.path(), &prefix, scratch.path()).is_err());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    fn write_all<'a>(files: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    fn packed(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut gzip = GzBuilder::new().operating_system(NO_SYSTEM).write(Vec::new(), Compression::new(6));
        pieces.for_each(|piece| gzip.write_all(&piece).unwrap());
        gzip.finish().unwrap()
    }

    proptest! {
        #[test]
        fn how_a_file_was_read_does_not_show(seed in any::<u8>(), length in 0..300_000usize, piece in 1..200_000usize) {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at * at / 7 % 251).unwrap() ^ (seed & 15)).collect();
            prop_assert_eq!(packed(bytes.chunks(piece).map(<[u8]>::to_vec)), packed(std::iter::once(bytes)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_layer_is_its_tree_and_nothing_else(
            files in proptest::collection::btree_map("[a-zé]{1,3}/[a-z .-]{0,60}x(/y[a-z]{60}){0,2}", proptest::collection::vec(any::<u8>(), 0..1100), 0..6),
        ) {
            // A name that is a folder of another cannot be a file too.
            let files: BTreeMap<String, Vec<u8>> = files.iter().filter(|(name, _)| !files.keys().any(|other| other.starts_with(&format!("{name}/"))))
                .map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
            let (forward, backward) = (write_all(files.iter()), write_all(files.iter().rev()));
            let (one, two) = (layer(forward.path(), "/app").unwrap(), layer(backward.path(), "/app").unwrap());
            prop_assert_eq!((&one.digest, &one.unpacked), (&two.digest, &two.unpacked));
            prop_assert_eq!(&one.tree, &digest_of_tree(forward.path()).unwrap().0);
        }
    }
}
