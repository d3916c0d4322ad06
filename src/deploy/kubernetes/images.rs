//! The release's images: found in the registry under the commit's tags when the release is made, and looked for again before it is relied on
//! (`docs/decisions.md` 20.3, 20.9).

use super::{KubernetesTarget, release_digest};
use crate::deploy::registry::{ImageName, RegistryError, TagState};
use crate::deploy::{ReleaseImage, ReleaseRecord, TargetError};
use crate::event::{Digest, ReleaseRef};

/// Whether a release's images can be pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Images {
    /// All are there.
    There,
    /// This one is not.
    Gone(String),
    /// The registry did not answer.
    Unknown(String),
}

impl KubernetesTarget {
    /// The release under its image's digest: what a job pushed under one of the commit's names.
    pub(super) async fn with_image(&self, record: ReleaseRecord) -> Result<ReleaseRecord, TargetError> {
        let (found, tag) = self.pushed(&self.image_name()?, &record.release).await?;
        named(record, &found, &tag)
    }

    /// The release with the images of those workloads that have one of their own; then it is named by all of them.
    pub(super) async fn with_others(&self, mut record: ReleaseRecord) -> Result<ReleaseRecord, TargetError> {
        for other in self.members().iter().skip(1).filter(|other| other.place.image.is_some()) {
            let (reference, tag) = self.pushed(&other.image_name()?, &record.release).await?;
            record.images.push(ReleaseImage {
                workload: Some(other.place.workload.to_string()),
                container: None,
                reference,
                tag: Some(tag),
            });
        }
        if let Some(digest) = release_digest(&record.images) {
            record.release.digest = digest;
        }
        Ok(record)
    }

    /// The image that a job pushed for a commit, by digest, and the tag that it was found under.
    async fn pushed(&self, name: &ImageName, release: &ReleaseRef) -> Result<(String, String), TargetError> {
        let impossible = |reason: String| TargetError::NotPossible { reason };
        let mut asked = Vec::new();
        for tag in tags_of(release) {
            let tagged = name.tagged(&tag).map_err(|error| impossible(error.to_string()))?;
            match self.registry.resolve(&tagged).await {
                Ok(found) => return Ok((found.pinned().to_string(), tag)),
                Err(error) if error.is_not_there() => asked.push(tagged.to_string()),
                Err(error) => return Err(unanswered(&error)),
            }
        }
        let push = asked.first().cloned().unwrap_or_default();
        Err(impossible(format!(
            "no image of this commit is in the registry: {} are not there (hint: a job before the deploy pushes it, for instance: podman push {push}; or hms makes it: `image: {{base: NAME, entrypoint: [PROGRAM]}}` in .hms)",
            asked.join(", ")
        )))
    }

    /// Where images of the app are.
    pub(super) fn image_name(&self) -> Result<ImageName, TargetError> {
        let impossible = |reason: String| TargetError::NotPossible { reason };
        let Some(image) = &self.place.image else {
            return Err(impossible(format!(
                "no image is named for {} (hint: `registry: {{image: HOST/NAME}}` in .hms, and a job that pushes HOST/NAME:$CI_COMMIT_SHA)",
                self.place.workload
            )));
        };
        image.parse().map_err(|error| impossible(format!("`registry.image`: {error}")))
    }

    /// Refuses a release one of whose tags names another image by now.
    pub(super) async fn tag_holds(&self, record: &ReleaseRecord) -> Result<(), TargetError> {
        for member in self.members() {
            let Some(name) = member.place.image.as_ref().and_then(|image| image.parse::<ImageName>().ok()) else { continue };
            if let [only] = member.images_for(record).as_slice() {
                self.one_tag_holds(&name, only, &record.release).await?;
            }
        }
        Ok(())
    }

    async fn one_tag_holds(&self, name: &ImageName, image: &ReleaseImage, release: &ReleaseRef) -> Result<(), TargetError> {
        let Some(digest) = digest_in(&image.reference) else { return Ok(()) };
        let tags = image.tag.clone().map_or_else(|| tags_of(release), |tag| vec![tag]);
        for tag in tags {
            let Ok(tagged) = name.tagged(&tag) else { continue };
            match self.registry.tag_state(&tagged, &digest).await {
                Ok(TagState::Moved { to }) => {
                    let reason = format!(
                        "{tagged} named {} when the release was made, and names {} now (hint: run the pipeline again, or deploy by digest)",
                        digest.short(),
                        to.short()
                    );
                    return Err(TargetError::NotPossible { reason });
                }
                Ok(TagState::Same) => return Ok(()),
                // A tag that went away moves nothing; a registry that does not answer is asked again by the cluster itself.
                Ok(TagState::NotThere) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether the images of a release are in their registries.
    pub(super) async fn images_of(&self, record: &ReleaseRecord) -> Images {
        for image in &record.images {
            let (Ok(name), Some(digest)) = (image.reference.parse::<ImageName>(), digest_in(&image.reference)) else { continue };
            match self.registry.exists(&name, &digest).await {
                Ok(true) => {}
                Ok(false) => return Images::Gone(image.reference.clone()),
                Err(error) => return Images::Unknown(error.to_string()),
            }
        }
        Images::There
    }
}

/// A registry that did not do what it was asked, with the way out where there is one.
pub(super) fn unanswered(error: &RegistryError) -> TargetError {
    let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
    TargetError::Unreachable { reason: format!("{}{hint}", crate::store::chain(error)) }
}

/// The release by its image.
pub(super) fn named(mut record: ReleaseRecord, reference: &str, tag: &str) -> Result<ReleaseRecord, TargetError> {
    record.images = vec![ReleaseImage { workload: None, container: None, reference: reference.to_owned(), tag: Some(tag.to_owned()) }];
    record.release.digest = release_digest(&record.images)
        .ok_or_else(|| TargetError::NotPossible { reason: format!("{reference} does not name an image by digest") })?;
    Ok(record)
}

fn digest_in(reference: &str) -> Option<Digest> {
    reference.rsplit_once('@')?.1.parse().ok()
}

/// The names under which a job pushes a commit's image: `$CI_COMMIT_SHA`, the tag, `$CI_COMMIT_SHORT_SHA`.
fn tags_of(release: &ReleaseRef) -> Vec<String> {
    let mut tags = Vec::new();
    if let Some(revision) = &release.revision {
        tags.push(revision.to_string());
    }
    if !tags.contains(&release.tag) {
        tags.push(release.tag.clone());
    }
    if let Some(short) = release.revision.as_ref().map(|revision| revision.short().to_owned())
        && !tags.contains(&short)
    {
        tags.push(short);
    }
    tags
}
