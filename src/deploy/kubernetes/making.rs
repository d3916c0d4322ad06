//! An image that hms makes of a release's files: one layer on a base, pushed under a tag that says what is in it (`docs/decisions.md` 20.14).

use std::collections::BTreeMap;
use std::path::Path;

use super::KubernetesTarget;
use super::images::{named, unanswered};
use crate::deploy::registry::{ImageName, ImageRecipe, TakenTag, own_tag};
use crate::deploy::{ImageSource, ReleaseRecord, TargetError};
use crate::event::Digest;

impl KubernetesTarget {
    /// Makes the release's image and pushes it; the same files, base and settings make the same one, and then nothing is sent.
    pub(super) async fn made_image(&self, record: ReleaseRecord, tree: &Path, source: &ImageSource) -> Result<ReleaseRecord, TargetError> {
        let impossible = |what: &str, why: &dyn std::fmt::Display| TargetError::NotPossible { reason: format!("`image.{what}`: {why}") };
        let name = self.image_name()?;
        let base: ImageName = source.base.parse().map_err(|error| impossible("base", &error))?;
        let platform = source.platform.parse().map_err(|error| impossible("platform", &error))?;
        // A base's tag moves; from here on it is the one that was found.
        let base = self.registry.resolve(&base).await.map_err(|error| unanswered(&error))?.pinned();
        let tag = tag_of(&record.release.digest, &base, source);
        let target = name.tagged(&tag).map_err(|error| impossible("base", &error))?;
        let recipe = ImageRecipe {
            base,
            platform,
            folder: source.folder.clone(),
            entrypoint: source.entrypoint.clone(),
            command: Vec::new(),
            labels: BTreeMap::new(),
        };
        let scratch = tree.parent().unwrap_or(tree);
        let pushed = self.registry.push_image(&recipe, tree, scratch, &target, TakenTag::Refuse, &|_| ()).await;
        let pushed = pushed.map_err(|error| unanswered(&error))?;
        if pushed.tree != record.release.digest {
            let why = format!("its files changed while they were packed: they are {} now", pushed.tree.short());
            return Err(TargetError::ReleaseMissing { release: record.release.digest, why });
        }
        named(record, &pushed.name.to_string(), &tag)
    }
}

/// `hms-` and 16 hex digits of all that makes the image: one tag never means two images.
fn tag_of(tree: &Digest, base: &ImageName, source: &ImageSource) -> String {
    let mut text = format!("hms-image-1\n{tree}\n{base}\n{}\n{}\n", source.platform, source.folder);
    for word in &source.entrypoint {
        text.push_str(&Digest::of(word.as_bytes()).to_string());
        text.push('\n');
    }
    own_tag(&Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::registry::is_own_tag;

    #[test]
    fn a_tag_is_of_everything_that_makes_the_image() {
        let source = ImageSource {
            base: "node:22".to_owned(),
            entrypoint: vec!["node".to_owned(), "server.js".to_owned()],
            folder: "/app".to_owned(),
            platform: "linux/amd64".to_owned(),
        };
        let base: ImageName = "127.0.0.1:5000/node:22".parse().unwrap();
        let tree = Digest::of(b"tree");
        let one = tag_of(&tree, &base, &source);
        assert!(is_own_tag(&one) && !is_own_tag("hms-latest"), "{one}");
        assert_eq!(tag_of(&tree, &base, &source), one);
        let joined = ImageSource { entrypoint: vec!["node server.js".to_owned()], ..source.clone() };
        let elsewhere = ImageSource { folder: "/srv".to_owned(), ..source.clone() };
        let newer = base.pinned(&Digest::of(b"base"));
        let others = [
            tag_of(&Digest::of(b"other"), &base, &source),
            tag_of(&tree, &newer, &source),
            tag_of(&tree, &base, &joined),
            tag_of(&tree, &base, &elsewhere),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
    }
}
