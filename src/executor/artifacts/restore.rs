//! From a tree of artifacts into a checkout.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::place::{Tree, open_below, stays_inside};
use super::walk::{Met, Then, walk};
use super::{ArtifactError, GoOn};

/// Puts what is in `tree` into `checkout`, in place of what is there under the same path. Returns how many files and links.
///
/// A link of the checkout that is in the way of a folder is replaced by the folder, never written through: the checkout is the
/// job's own, and the tree is what its producer made of the same commit.
///
/// # Errors
/// When something cannot be copied, or the tree has something that no collection makes.
pub(in crate::executor) fn restore(tree: &Path, checkout: &Path, go_on: GoOn<'_>) -> Result<u64, ArtifactError> {
    let root = match File::open(tree) {
        Ok(root) => root,
        Err(error) => return Err(ArtifactError::of("open the artifacts", tree)(error)),
    };
    let mut target = Tree::at(checkout);
    let mut count = 0;
    walk(tree, Path::new(""), go_on, |Met { path, metadata }| {
        if metadata.is_dir() {
            target.folder(&path, metadata.mode())?;
            return Ok(Then::Enter);
        }
        if metadata.is_symlink() {
            let text = fs::read_link(tree.join(&path)).map_err(ArtifactError::of("read the link", &path))?;
            if !stays_inside(&path, &text) {
                return Err(ArtifactError::of("put back the link", &path)(std::io::Error::other("it leads outside")));
            }
            target.link(&path, &text)?;
        } else {
            target.file(&path, open_below(&root, &path).map_err(ArtifactError::of("open", &path))?)?;
        }
        count += 1;
        Ok(Then::Enter)
    })?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_and_the_later_producer_wins() {
        let folder = tempfile::tempdir().unwrap();
        let [outside, checkout, first, second] = ["outside", "checkout", "first", "second"].map(|name| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        fs::write(outside.join("kept"), "kept").unwrap();
        std::os::unix::fs::symlink(&outside, checkout.join("dist")).unwrap();
        std::os::unix::fs::symlink(outside.join("kept"), checkout.join("file")).unwrap();
        fs::create_dir(first.join("dist")).unwrap();
        fs::write(first.join("dist/kept"), "first").unwrap();
        fs::write(first.join("file"), "first").unwrap();
        fs::write(first.join("turned"), "a file").unwrap();
        fs::create_dir(first.join(".git")).unwrap();
        fs::write(first.join(".git/config"), "bad").unwrap();
        fs::write(second.join("file"), "second").unwrap();
        fs::create_dir(second.join("turned")).unwrap();
        fs::write(second.join("turned/a"), "now a folder").unwrap();
        assert_eq!(restore(&first, &checkout, &mut || true).unwrap(), 3);
        assert_eq!(restore(&second, &checkout, &mut || true).unwrap(), 2);
        let read = |path: &str| fs::read_to_string(checkout.join(path)).unwrap();
        assert_eq!((read("dist/kept"), read("file"), read("turned/a")), ("first".into(), "second".into(), "now a folder".into()));
        assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "kept");
        assert!(!checkout.join(".git").exists());
        assert!(matches!(restore(&first, &checkout, &mut || false), Err(ArtifactError::Stopped)));
        std::os::unix::fs::symlink("/etc", first.join("out")).unwrap();
        assert!(restore(&first, &checkout, &mut || true).is_err());
    }
}
