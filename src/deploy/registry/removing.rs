//! Looking at a repository for a retention decision, and carrying one out.

use std::num::NonZeroUsize;

use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;

use super::challenge::Scopes;
use super::client::{Registry, TagState};
use super::error::{Problem, RegistryError};
use super::manifest::Document;
use super::name::ImageName;
use super::retention::{KnownImages, Removal, RetentionPlan, Survey, plan_retention};
use super::transport::Question;
use crate::event::Digest;

/// Questions under way at once: a repository has a tag for every release, and each is a question.
const AT_ONCE: usize = 8;
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

/// What became of a removal.
#[derive(Debug)]
pub enum Removed {
    /// It is gone, with its tags.
    Gone,
    /// It was gone already.
    WasNotThere,
    /// It stays: since the list was shown, something came to need it, or its tags changed.
    Stays,
    /// The registry did not do it.
    Failed(RegistryError),
}

impl Registry {
    /// Looks at every tag of the repository, and into every index that one of them or `known` names.
    ///
    /// # Errors
    /// When any part cannot be read: what is not known cannot be decided on.
    pub async fn survey(&self, image: &ImageName, known: &KnownImages) -> Result<Survey, RegistryError> {
        let tags = match self.tags(image).await {
            Ok(tags) => tags,
            // A repository that nothing was pushed to.
            Err(error) if error.is_not_there() => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for tag in tags {
            let bad = |bad: crate::event::BadName| RegistryError::new(image, "list its tags", Problem::Malformed(bad.to_string()));
            names.push(image.tagged(&tag).map_err(bad)?);
        }
        names.extend(known.digests().iter().map(|digest| image.pinned(digest)));

        let mut survey = Survey::default();
        let mut looking = JoinSet::new();
        let mut waiting = names.into_iter();
        loop {
            while looking.len() < AT_ONCE
                && let Some(name) = waiting.next()
            {
                let registry = self.clone();
                looking.spawn(async move { registry.resolve(&name).await.map(|resolved| (name, resolved)) });
            }
            let Some(looked) = looking.join_next().await else { return Ok(survey) };
            match looked.map_err(|_| RegistryError::new(image, "look at its tags", Problem::Stopped))? {
                Ok((name, resolved)) => {
                    if let Document::Index(manifests) = &resolved.document {
                        let parts = manifests.iter().map(|one| one.digest.clone()).collect();
                        survey.parts.insert(resolved.digest.clone(), parts);
                    }
                    if let Some(tag) = name.tag() {
                        survey.tags.insert(tag.to_owned(), resolved.digest);
                    }
                }
                // Removed since the list was made, or a release that is no more.
                Err(error) if error.is_not_there() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Carries out what was shown, as far as it still holds: the repository is looked at and decided on again, with what is known
    /// now. What `shown` does not list is not touched, whatever would be decided now.
    ///
    /// # Errors
    /// When the repository cannot be looked at, or deletion is switched off there: then nothing was removed.
    pub async fn remove_images(
        &self,
        image: &ImageName,
        shown: &RetentionPlan,
        known: &KnownImages,
        keep: NonZeroUsize,
    ) -> Result<Vec<(Removal, Removed)>, RegistryError> {
        let now = plan_retention(known, &self.survey(image, known).await?, keep);
        let mut done = Vec::new();
        for removal in &shown.remove {
            let outcome = if now.remove.contains(removal) { self.remove_image(image, removal).await } else { Ok(Removed::Stays) };
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) if matches!(*error.problem, Problem::DeletionOff(_)) && done.is_empty() => return Err(error),
                Err(error) => Removed::Failed(error),
            };
            done.push((removal.clone(), outcome));
        }
        Ok(done)
    }

    async fn remove_image(&self, image: &ImageName, removal: &Removal) -> Result<Removed, RegistryError> {
        // Many may have been removed before this one; its tags are looked at once more.
        for tag in &removal.tags {
            let bad = |bad: crate::event::BadName| RegistryError::new(image, "look at its tags", Problem::Malformed(bad.to_string()));
            if self.tag_state(&image.tagged(tag).map_err(bad)?, &removal.digest).await? != TagState::Same {
                return Ok(Removed::Stays);
            }
        }
        self.delete(image, &removal.digest).await
    }

    /// Removes a manifest by its digest, and with it every tag that names it. Its layers stay until the registry's own cleaner comes.
    ///
    /// # Errors
    /// When deletion is switched off there ([`Problem::DeletionOff`]), or the registry does not answer or refuses.
    pub async fn delete(&self, image: &ImageName, digest: &Digest) -> Result<Removed, RegistryError> {
        let question = self.question(image, Method::DELETE, &format!("manifests/{digest}"), format!("remove {digest}"))?;
        let question = Question { scopes: Scopes::of(image.repository(), &["pull", "delete"]), ..question };
        let error = match self.0.ask(&question, ANSWER_LIMIT_BYTES).await {
            Ok(_) => return Ok(Removed::Gone),
            Err(error) if error.is_not_there() => return Ok(Removed::WasNotThere),
            Err(error) => error,
        };
        // No answer is read back, and never asked for again blindly.
        if error.has_no_answer() && matches!(self.exists(image, digest).await, Ok(false)) {
            return Ok(Removed::Gone);
        }
        if let Problem::Answered(said) = &*error.problem
            && (said.status == StatusCode::METHOD_NOT_ALLOWED || said.code == "UNSUPPORTED")
        {
            return Err(question.failed(Problem::DeletionOff(said.clone())));
        }
        Err(error)
    }
}
