//! What is asked of a registry: which digest a name has, what is there, which tags, how an image is started.

use std::sync::Arc;

use reqwest::header::LINK;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use super::challenge::Scopes;
use super::credentials::Credentials;
use super::error::{Problem, RegistryError};
use super::manifest::{ACCEPT, Descriptor, Document, ImageConfig, Manifest, Platform, for_platform, read_config, read_document};
use super::name::ImageName;
use super::settings::RegistrySettings;
use super::transport::{Answer, Question, Transport};
use crate::event::Digest;

/// What registries themselves take for a manifest at most.
const MANIFEST_LIMIT_BYTES: usize = 4 << 20;
const CONFIG_LIMIT_BYTES: usize = 8 << 20;
const TAGS_LIMIT_BYTES: usize = 4 << 20;
/// Tags on a page; a registry may give fewer.
const TAGS_ON_A_PAGE: &str = "1000";
/// Pages of tags that are read; more is a registry that never ends.
const PAGES_LIMIT: usize = 1000;

/// Registries, as one user of them. Clones share connections and tokens.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<Transport>);

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}

/// What a name names at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The name as it was asked for.
    pub name: ImageName,
    /// The digest of the manifest, or of the index when the name names one; its bytes were hashed here.
    pub digest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// How many bytes the manifest has.
    pub bytes: u64,
    pub(super) document: Document,
}

/// Whether a tag is still what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagState {
    /// It names that digest.
    Same,
    /// It names another one.
    Moved {
        /// Which.
        to: Digest,
    },
    /// There is no such tag.
    NotThere,
}

/// Whether an image can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Manifest, configuration and every layer are there.
    Whole,
    /// The manifest is there, and these of its parts are not: nobody can start it.
    Damaged {
        /// What is missing.
        missing: Vec<Digest>,
    },
    /// The manifest is not there.
    Absent,
}

impl Resolved {
    /// The name by this digest.
    #[must_use]
    pub fn pinned(&self) -> ImageName {
        self.name.pinned(&self.digest)
    }

    /// Whether the name is an index, with a manifest for each platform.
    #[must_use]
    pub fn is_index(&self) -> bool {
        matches!(self.document, Document::Index(_))
    }

    /// What an index has for a platform; none for what is an image already.
    fn chosen(&self, platform: &Platform) -> Result<Option<&Descriptor>, RegistryError> {
        match &self.document {
            Document::Image(_) => Ok(None),
            Document::Index(manifests) => {
                let chosen = for_platform(manifests, platform).map_err(|problem| RegistryError::new(&self.name, "use it", problem))?;
                Ok(Some(chosen))
            }
        }
    }
}

impl Registry {
    /// Makes a client. It trusts the system's certificate authorities, and takes the proxy of the environment for https.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(credentials: Credentials, settings: RegistrySettings) -> Result<Self, Problem> {
        Ok(Self(Arc::new(Transport::new(credentials, settings)?)))
    }

    /// Finds the digest that a name has, and hashes the bytes that it names. A digest in the name is what is asked for, whatever the
    /// tag beside it says.
    ///
    /// # Errors
    /// When the image is not there ([`RegistryError::is_not_there`]), the registry does not answer or refuses, or its bytes are not
    /// those of the digest it names.
    pub async fn resolve(&self, name: &ImageName) -> Result<Resolved, RegistryError> {
        let digest = match name.digest() {
            Some(digest) => Some(digest.clone()),
            None => self.promised(name).await?,
        };
        // By digest: the tag may move between the two questions, the digest's bytes cannot.
        let reference = digest.as_ref().map_or(name.reference(), Digest::as_str).to_owned();
        let question = self.manifest_question(name, Method::GET, &reference, format!("find it by {reference}"))?;
        let answer = self.0.ask(&question, MANIFEST_LIMIT_BYTES).await?;
        let found = Digest::of(&answer.body);
        if let Some(expected) = digest.filter(|digest| *digest != found) {
            return Err(question.failed(Problem::WrongBytes { expected, found }));
        }
        let (media_type, document) =
            read_document(&answer.body, answer.header("content-type")).map_err(|problem| question.failed(problem))?;
        let bytes = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
        Ok(Resolved { name: name.clone(), digest: found, media_type, bytes, document })
    }

    /// Whether the registry has a manifest or index of this digest. One request; layers are not looked at ([`Registry::presence`]).
    ///
    /// # Errors
    /// When the registry does not answer or refuses: then nobody knows.
    pub async fn exists(&self, name: &ImageName, digest: &Digest) -> Result<bool, RegistryError> {
        let question = self.manifest_question(name, Method::HEAD, digest.as_str(), format!("see whether {digest} is there"))?;
        match self.0.ask(&question, 0).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_there() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a whole image can be had for a platform: the manifest and all that it names.
    ///
    /// # Errors
    /// When the registry does not answer or refuses, or the index has nothing for the platform.
    pub async fn presence(&self, name: &ImageName, digest: &Digest, platform: &Platform) -> Result<Presence, RegistryError> {
        let resolved = match self.resolve(&name.pinned(digest)).await {
            Ok(resolved) => resolved,
            Err(error) if error.is_not_there() => return Ok(Presence::Absent),
            Err(error) => return Err(error),
        };
        let manifest = match self.manifest(&resolved, platform).await {
            Ok((_, manifest)) => manifest,
            Err(error) if error.is_not_there() => {
                let chosen = resolved.chosen(platform)?.map(|one| one.digest.clone());
                return Ok(Presence::Damaged { missing: chosen.into_iter().collect() });
            }
            Err(error) => return Err(error),
        };
        let mut missing = Vec::new();
        // A layer with addresses of its own is kept there and not here.
        for part in std::iter::once(&manifest.config).chain(&manifest.layers).filter(|part| part.urls.is_empty()) {
            if !self.has_blob(name, &part.digest).await? {
                missing.push(part.digest.clone());
            }
        }
        Ok(if missing.is_empty() { Presence::Whole } else { Presence::Damaged { missing } })
    }

    /// Whether the tag of `name` still names `digest`, whatever digest stands in the name. One request.
    ///
    /// # Errors
    /// When the registry does not answer or refuses.
    pub async fn tag_state(&self, name: &ImageName, digest: &Digest) -> Result<TagState, RegistryError> {
        let name = name.by_tag();
        let to = match self.promised(&name).await {
            Ok(Some(to)) => to,
            Ok(None) => self.resolve(&name).await?.digest,
            Err(error) if error.is_not_there() => return Ok(TagState::NotThere),
            Err(error) => return Err(error),
        };
        Ok(if to == *digest { TagState::Same } else { TagState::Moved { to } })
    }

    /// The digest that the registry says a name has; none when it does not say, as some do that are old or count HEAD as something else.
    async fn promised(&self, name: &ImageName) -> Result<Option<Digest>, RegistryError> {
        let question = self.manifest_question(name, Method::HEAD, name.reference(), format!("find it by {}", name.reference()))?;
        let answer = match self.0.ask(&question, 0).await {
            Ok(answer) => answer,
            Err(error) if error.status() == Some(StatusCode::METHOD_NOT_ALLOWED) => return Ok(None),
            Err(error) => return Err(error),
        };
        let digest = answer.header("docker-content-digest").map(str::parse).transpose();
        digest.map_err(|_| question.failed(Problem::Unsupported("its digest is no SHA-256, which is what hms reads".to_owned())))
    }

    /// Every tag of the repository, sorted by its bytes. Registries tell neither order nor time of tags.
    ///
    /// # Errors
    /// When the registry does not answer or refuses, or its pages do not end.
    pub async fn tags(&self, name: &ImageName) -> Result<Vec<String>, RegistryError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let mut question = self.question(name, Method::GET, "tags/list", "list its tags")?;
        question.url.query_pairs_mut().append_pair("n", TAGS_ON_A_PAGE);
        let own = question.url.origin();
        let mut tags = Vec::new();
        for _ in 0..PAGES_LIMIT {
            let answer = self.0.ask(&question, TAGS_LIMIT_BYTES).await?;
            let page: Page = serde_json::from_slice(&answer.body)
                .map_err(|_| question.failed(Problem::Malformed("the list of tags is none".to_owned())))?;
            tags.extend(page.tags.unwrap_or_default());
            let Some(next) = next_page(&answer, &question.url) else {
                tags.sort_unstable();
                tags.dedup();
                return Ok(tags);
            };
            if next.origin() != own {
                return Err(question.failed(Problem::Malformed("the next page of tags is on another host".to_owned())));
            }
            question.url = next;
        }
        Err(question.failed(Problem::Malformed(format!("the list of tags has more than {PAGES_LIMIT} pages"))))
    }

    /// How an image is started; of an index, the image for this platform.
    ///
    /// # Errors
    /// When the index has nothing for the platform, or the registry does not answer, refuses, or sends other bytes.
    pub async fn config(&self, image: &Resolved, platform: &Platform) -> Result<ImageConfig, RegistryError> {
        let (_, manifest) = self.manifest(image, platform).await?;
        let config = self.raw_config(&image.name, &manifest).await?;
        read_config(&config).map_err(|problem| RegistryError::new(&image.name, "read its configuration", problem))
    }

    /// The manifest of an image for a platform, with its digest.
    pub(super) async fn manifest(&self, image: &Resolved, platform: &Platform) -> Result<(Digest, Manifest), RegistryError> {
        let chosen = match (&image.document, image.chosen(platform)?) {
            (Document::Image(manifest), _) => return Ok((image.digest.clone(), manifest.clone())),
            (Document::Index(_), chosen) => chosen,
        };
        let digest = chosen.map_or(&image.digest, |chosen| &chosen.digest);
        let inner = self.resolve(&image.name.pinned(digest)).await?;
        match inner.document {
            Document::Image(manifest) => Ok((inner.digest, manifest)),
            Document::Index(_) => {
                let problem = Problem::Unsupported("an index of indexes, which hms does not read".to_owned());
                Err(RegistryError::new(&image.name, "read its manifest", problem))
            }
        }
    }

    /// The configuration of an image as it stands.
    pub(super) async fn raw_config(&self, name: &ImageName, manifest: &Manifest) -> Result<Value, RegistryError> {
        let path = format!("blobs/{}", manifest.config.digest);
        let question = self.question(name, Method::GET, &path, "read its configuration")?;
        let answer = self.0.ask(&question, CONFIG_LIMIT_BYTES).await?;
        let found = Digest::of(&answer.body);
        if found != manifest.config.digest {
            return Err(question.failed(Problem::WrongBytes { expected: manifest.config.digest.clone(), found }));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| question.failed(Problem::Malformed("the image's configuration is no JSON".to_owned())))
    }

    /// Whether the repository has a blob.
    pub(super) async fn has_blob(&self, name: &ImageName, digest: &Digest) -> Result<bool, RegistryError> {
        let question = self.question(name, Method::HEAD, &format!("blobs/{digest}"), format!("see whether {digest} is there"))?;
        match self.0.ask(&question, 0).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_there() => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn manifest_question<'a>(
        &self,
        name: &'a ImageName,
        method: Method,
        reference: &str,
        action: impl Into<String>,
    ) -> Result<Question<'a>, RegistryError> {
        let question = self.question(name, method, &format!("manifests/{reference}"), action)?;
        Ok(Question { accept: ACCEPT, ..question })
    }

    /// A question about an image's repository that needs reading alone.
    pub(super) fn question<'a>(
        &self,
        name: &'a ImageName,
        method: Method,
        path: &str,
        action: impl Into<String>,
    ) -> Result<Question<'a>, RegistryError> {
        let action = action.into();
        let url = self.0.url(name, path).map_err(|problem| RegistryError::new(name, action.clone(), problem))?;
        let scopes = Scopes::of(name.repository(), &["pull"]);
        Ok(Question { image: name, action, method, url, accept: "", scopes, content: None })
    }
}

/// The address of the next page: `Link: </v2/a/tags/list?n=2&last=b>; rel="next"` (RFC 8288).
fn next_page(answer: &Answer, from: &Url) -> Option<Url> {
    let is_next = |rest: &str| rest.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
    let headers = answer.headers.get_all(LINK).iter().filter_map(|header| header.to_str().ok());
    let mut links = headers.flat_map(|header| header.split(", <")).filter_map(|link| link.split_once('>'));
    let (address, _) = links.find(|(_, rest)| is_next(rest))?;
    from.join(address.trim_start().trim_start_matches('<')).ok()
}
