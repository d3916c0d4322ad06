//! An image made of a release's tree, and brought to its registry: no container engine takes part.

use std::path::Path;

use reqwest::Method;

use super::blobs::{Blob, Brought, Source, writing};
use super::client::{Registry, TagState};
use super::error::{Problem, RegistryError};
use super::layer::{Prefix, write_layer};
use super::manifest::Descriptor;
use super::name::ImageName;
use super::recipe::{Base, ImageRecipe, Made, make};
use super::transport::Question;
use crate::event::Digest;

const ANSWER_LIMIT_BYTES: usize = 64 << 10;

/// What becomes of a tag that names another image already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenTag {
    /// Nothing is pushed, and the error names what it has.
    Refuse,
    /// It names the new image from then on; the other one stays, by its digest.
    Move,
}

/// An image that is in its registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Its name by digest.
    pub name: ImageName,
    /// Its digest.
    pub digest: Digest,
    /// The digest of the tree whose bytes are in it (`docs/decisions.md` 5.1): the caller compares it with the release's.
    pub tree: Digest,
    /// The digest of the base's manifest.
    pub base: Digest,
}

impl Registry {
    /// Makes an image of `tree` and pushes it under the tag of `target`. What the registry has is not sent again, so a second push
    /// mends what a first one left. `scratch` is a folder for the layer, which is removed from it; `progress` is told of each part.
    ///
    /// # Errors
    /// When the base is not there or cannot be used, the tree has something that no layer can hold, the tag is taken, or a registry
    /// does not do what it is asked. The tag then names what it named.
    pub async fn push_image(
        &self,
        recipe: &ImageRecipe,
        tree: &Path,
        scratch: &Path,
        target: &ImageName,
        taken: TakenTag,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Pushed, RegistryError> {
        let failed = |problem: Problem| RegistryError::new(target, "make its image", problem);
        let target = &target.by_tag();
        let prefix = Prefix::parse(&recipe.folder).map_err(failed)?;
        let resolved = self.resolve(&recipe.base).await?;
        let (digest, manifest) = self.manifest(&resolved, &recipe.platform).await?;
        let config = self.raw_config(&recipe.base, &manifest).await?;
        let base = Base { digest, manifest, config };

        let (from, into) = (tree.to_owned(), scratch.to_owned());
        let written = tokio::task::spawn_blocking(move || write_layer(&from, &prefix, &into)).await;
        let layer = written.map_err(|_| failed(Problem::Stopped))?.map_err(failed)?;
        let made = make(recipe, &base, &layer).map_err(failed)?;

        if let TagState::Moved { to: has } = self.tag_state(target, &made.digest).await?
            && taken == TakenTag::Refuse
        {
            let tag = target.reference().to_owned();
            return Err(RegistryError::new(target, "push its image", Problem::TagTaken { tag, has }));
        }
        self.bring_base(&base, &recipe.base, target, progress).await?;
        let blob = Blob { digest: &layer.digest, bytes: layer.bytes };
        tell(progress, "the release's layer", self.bring(target, blob, Source::File(&layer.path)).await?);
        let config = Digest::of(&made.config);
        let blob = Blob { digest: &config, bytes: u64::try_from(made.config.len()).unwrap_or(u64::MAX) };
        self.bring(target, blob, Source::Memory(&made.config)).await?;
        self.put_manifest(target, &made).await?;
        Ok(Pushed { name: target.pinned(&made.digest), digest: made.digest, tree: layer.tree.clone(), base: base.digest })
    }

    async fn bring_base(
        &self,
        base: &Base,
        from: &ImageName,
        target: &ImageName,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), RegistryError> {
        // A layer with addresses of its own is kept there and not here.
        let layers: Vec<&Descriptor> = base.manifest.layers.iter().filter(|layer| layer.urls.is_empty()).collect();
        for (index, layer) in layers.iter().enumerate() {
            let blob = Blob { digest: &layer.digest, bytes: layer.size };
            let brought = self.bring(target, blob, Source::Repository(from)).await?;
            tell(progress, &format!("layer {} of {} of the base", index + 1, layers.len()), brought);
        }
        Ok(())
    }

    /// Puts the manifest under the tag. With no answer it is read back, and never sent again blindly.
    async fn put_manifest(&self, target: &ImageName, made: &Made) -> Result<(), RegistryError> {
        let path = format!("manifests/{}", target.reference());
        let question = self.question(target, Method::PUT, &path, format!("push it as {}", target.reference()))?;
        let content = Some((made.media_type.clone(), made.manifest.clone()));
        let question = Question { content, scopes: writing(target), ..question };
        let answer = match self.0.ask(&question, ANSWER_LIMIT_BYTES).await {
            Ok(answer) => answer,
            Err(error) => {
                let there = error.has_no_answer() && matches!(self.tag_state(target, &made.digest).await, Ok(TagState::Same));
                return if there { Ok(()) } else { Err(error) };
            }
        };
        match answer.header("docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok()) {
            Some(found) if found != made.digest => Err(question.failed(Problem::WrongBytes { expected: made.digest.clone(), found })),
            Some(_) | None => Ok(()),
        }
    }
}

fn tell(progress: &(dyn Fn(String) + Send + Sync), what: &str, brought: Brought) {
    let how = match brought {
        Brought::WasThere => "is there already",
        Brought::Mounted => "is mounted from the base's repository",
        Brought::Sent => "is sent",
    };
    progress(format!("{what} {how}"));
}
