//! Bytes that are brought to a registry: looked for first, mounted from another repository of it, copied from another, or sent.

use std::path::Path;
use std::time::Duration;

use http_body_util::channel::Channel;
use hyper::body::Bytes;
use reqwest::{Body, Method, StatusCode, Url};
use tokio::io::AsyncReadExt as _;

use super::challenge::Scopes;
use super::client::Registry;
use super::error::{Problem, RegistryError};
use super::name::ImageName;
use super::transport::{Answer, Question, Stream};
use crate::event::Digest;

/// How often a blob is begun anew; each time the registry is asked first whether it has it by now.
const ATTEMPTS: u32 = 3;
/// What a transfer takes at most: a minute, and a second for each of so many bytes.
const SLOWEST_BYTES_A_SECOND: u64 = 128 << 10;
/// Pieces in which a file is read.
const PIECE_BYTES: usize = 128 << 10;
/// An answer to an upload has no body to speak of.
const ANSWER_LIMIT_BYTES: usize = 64 << 10;

/// Where a blob's bytes are.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Memory(&'a [u8]),
    File(&'a Path),
    /// In another repository, of this registry or of another.
    Repository(&'a ImageName),
}

/// How a blob came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    WasThere,
    Mounted,
    Sent,
}

/// A blob by its digest.
#[derive(Clone, Copy)]
pub(super) struct Blob<'a> {
    pub(super) digest: &'a Digest,
    pub(super) bytes: u64,
}

/// What a repository answers when an upload is begun.
enum Begun {
    /// It took the blob from the other repository.
    Mounted,
    /// It waits for the bytes there.
    At(Url),
}

impl Registry {
    /// Brings a blob to the repository of `target`. The registry checks the bytes against the digest.
    pub(super) async fn bring(&self, target: &ImageName, blob: Blob<'_>, source: Source<'_>) -> Result<Brought, RegistryError> {
        let mut attempt = 1;
        loop {
            let failed = match self.brought(target, blob, source).await {
                Ok(brought) => return Ok(brought),
                Err(error) => error,
            };
            let broke = matches!(*failed.problem, Problem::Unreachable(_) | Problem::TimedOut | Problem::Throttled { .. });
            let failure = failed.status().is_some_and(|status| status.is_server_error());
            if attempt >= ATTEMPTS || !(broke || failure) {
                return Err(failed);
            }
            tokio::time::sleep(self.0.settings.pause * attempt).await;
            attempt += 1;
        }
    }

    async fn brought(&self, target: &ImageName, blob: Blob<'_>, source: Source<'_>) -> Result<Brought, RegistryError> {
        let look = self.upload(target, Method::HEAD, &format!("blobs/{}", blob.digest), blob)?;
        match self.0.ask(&look, 0).await {
            Ok(_) => return Ok(Brought::WasThere),
            Err(error) if error.is_not_there() => {}
            Err(error) => return Err(error),
        }
        let at = match self.begun(target, blob, source).await? {
            Begun::Mounted => return Ok(Brought::Mounted),
            Begun::At(at) => at,
        };
        let mut put = self.upload(target, Method::PUT, "", blob)?;
        put.url = at;
        put.url.query_pairs_mut().append_pair("digest", blob.digest.as_str());
        self.sent(&put, blob, source).await?;
        Ok(Brought::Sent)
    }

    /// Begins an upload; with the other repository's name where it is of the same registry, which may then need no bytes.
    async fn begun(&self, target: &ImageName, blob: Blob<'_>, source: Source<'_>) -> Result<Begun, RegistryError> {
        let begin = self.upload(target, Method::POST, "blobs/uploads/", blob)?;
        if let Source::Repository(from) = source
            && from.registry() == target.registry()
        {
            let mut mount = begin.clone();
            mount.url.query_pairs_mut().append_pair("mount", blob.digest.as_str()).append_pair("from", from.repository());
            mount.scopes = mount.scopes.and(&Scopes::of(from.repository(), &["pull"]));
            match self.0.ask(&mount, ANSWER_LIMIT_BYTES).await {
                Ok(answer) if answer.status == StatusCode::CREATED => return Ok(Begun::Mounted),
                Ok(answer) => return self.place(&mount, &answer).map(Begun::At),
                // It may be allowed to read there and to write here, and not to do both at once.
                Err(error) if matches!(*error.problem, Problem::Denied { .. }) || error.is_not_there() => {}
                Err(error) => return Err(error),
            }
        }
        let answer = self.0.ask(&begin, ANSWER_LIMIT_BYTES).await?;
        self.place(&begin, &answer).map(Begun::At)
    }

    /// Where the bytes are to be sent.
    fn place(&self, begin: &Question<'_>, answer: &Answer) -> Result<Url, RegistryError> {
        let place = answer.header("location").and_then(|location| begin.url.join(location).ok());
        let malformed = |why: String| begin.failed(Problem::Malformed(why));
        let mut place = place.ok_or_else(|| malformed("it does not say where to send the bytes".to_owned()))?;
        // A registry behind a proxy that ends TLS often does not know that it is asked by https.
        let same_host = place.host_str() == begin.url.host_str() && place.port().is_none();
        if begin.url.scheme() == "https" && place.scheme() == "http" && same_host {
            let _upgraded = place.set_scheme("https");
        }
        if self.0.settings.may_be_asked(&place) {
            return Ok(place);
        }
        Err(malformed(format!("it wants the bytes at {}, without TLS", place.host_str().unwrap_or_default())))
    }

    async fn sent(&self, put: &Question<'_>, blob: Blob<'_>, source: Source<'_>) -> Result<(), RegistryError> {
        let bound = bound(blob.bytes);
        match source {
            Source::Memory(bytes) => {
                let stream = Stream { body: Body::from(bytes.to_vec()), bytes: blob.bytes };
                self.0.send_stream(put, stream, bound).await?;
            }
            Source::File(path) => {
                let (sender, channel) = Channel::<Bytes, std::io::Error>::new(2);
                let stream = Stream { body: Body::wrap(channel), bytes: blob.bytes };
                // The sender ends when the file does, or when nobody reads any more.
                let (sent, read) = tokio::join!(self.0.send_stream(put, stream, bound), pump(path, sender));
                read.map_err(|source| put.failed(Problem::File { path: path.to_owned(), source }))?;
                sent?;
            }
            Source::Repository(from) => {
                let get = self.question(from, Method::GET, &format!("blobs/{}", blob.digest), format!("read {}", blob.digest))?;
                let response = self.0.open(&get, bound).await?;
                if response.content_length().is_some_and(|length| length != blob.bytes) {
                    return Err(get.failed(Problem::Malformed(format!("{} has another length than its manifest says", blob.digest))));
                }
                let stream = Stream { body: Body::from(response), bytes: blob.bytes };
                self.0.send_stream(put, stream, bound).await?;
            }
        }
        Ok(())
    }

    /// A question that needs writing to the repository of `target`.
    fn upload<'a>(&self, target: &'a ImageName, method: Method, path: &str, blob: Blob<'_>) -> Result<Question<'a>, RegistryError> {
        let question = self.question(target, method, path, format!("bring {} there", blob.digest))?;
        Ok(Question { scopes: writing(target), ..question })
    }
}

/// What a token must allow that is to write.
pub(super) fn writing(target: &ImageName) -> Scopes {
    Scopes::of(target.repository(), &["pull", "push"])
}

async fn pump(path: &Path, mut sender: http_body_util::channel::Sender<Bytes, std::io::Error>) -> std::io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        if file.read_buf(&mut piece).await? == 0 || sender.send_data(Bytes::from(piece)).await.is_err() {
            return Ok(());
        }
    }
}

fn bound(bytes: u64) -> Duration {
    Duration::from_mins(1) + Duration::from_secs(bytes / SLOWEST_BYTES_A_SECOND)
}
