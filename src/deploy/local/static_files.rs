//! `hms serve-static DIR`: the files of a folder over HTTP, in a process of its own.
//!
//! Names are resolved by the kernel below the folder (`openat2` with `RESOLVE_BENEATH`), so that no `..` and no link leads out;
//! where the kernel has no `openat2`, links are not followed at all. GET and HEAD; a folder is its `index.html`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use tokio::io::{AsyncRead, ReadBuf};

use super::child_server::{Reply, Variable, reply, serve};
use super::supervisor::complain;

const TEXT: &str = "text/plain; charset=utf-8";
const PIECE_BYTES: usize = 64 * 1024;

/// Serves the files below `folder` at `$HOST:$PORT` until the process is ended. Exit code 3 when it cannot.
#[must_use]
pub fn serve_static_main(folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> u8 {
    match File::open(folder).and_then(|file| if file.metadata()?.is_dir() { Ok(file) } else { Err(io::ErrorKind::NotADirectory.into()) }) {
        Ok(root) => {
            let root = Arc::new(OwnedFd::from(root));
            let variable: Variable<'_> = variable;
            serve(variable, move |request| answer(Arc::clone(&root), request))
        }
        Err(error) => {
            complain(&format!("cannot serve {}: {error}", folder.display()));
            3
        }
    }
}

/// What a path names.
enum Found {
    File {
        file: File,
        length: u64,
        kind: &'static str,
    },
    /// A folder whose name lacks its `/`.
    Folder,
    Nothing,
}

async fn answer(root: Arc<OwnedFd>, request: Request<Incoming>) -> Reply {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let path = request.uri().path().to_owned();
    let Some(name) = decode(&path) else { return reply(StatusCode::BAD_REQUEST, TEXT, "this path cannot be read\n") };
    let found = tokio::task::spawn_blocking(move || find(&root, &name)).await;
    match found {
        Ok(Ok(Found::File { file, length, kind })) => file_reply(request.method(), file, length, kind),
        Ok(Ok(Found::Folder)) => {
            let mut response = reply(StatusCode::MOVED_PERMANENTLY, TEXT, "");
            // Relative, and with the last part only, so that `//host` in a path never becomes another server.
            let last = path.rsplit('/').next().unwrap_or_default();
            if let Ok(place) = HeaderValue::from_str(&format!("./{last}/")) {
                response.headers_mut().insert(LOCATION, place);
            }
            response
        }
        Ok(Ok(Found::Nothing)) => reply(StatusCode::NOT_FOUND, TEXT, "not found\n"),
        Ok(Err(_)) | Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "this file cannot be read\n"),
    }
}

fn file_reply(method: &Method, file: File, length: u64, kind: &'static str) -> Reply {
    let body = if method == Method::HEAD {
        Empty::new().map_err(|never| match never {}).boxed()
    } else {
        FileBody { file: tokio::fs::File::from_std(file), left: length, buffer: vec![0; PIECE_BYTES] }.boxed()
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

fn find(root: &OwnedFd, name: &Path) -> io::Result<Found> {
    let folder_asked = name.as_os_str().is_empty() || name.as_os_str().as_encoded_bytes().ends_with(b"/");
    let name = if folder_asked { name.join("index.html") } else { name.to_owned() };
    let file = match open_beneath(root, &name) {
        Ok(file) => File::from(file),
        Err(error) => return not_there(error),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Found::Folder);
    }
    if !metadata.is_file() {
        return Ok(Found::Nothing);
    }
    Ok(Found::File { file, length: metadata.len(), kind: kind_of(&name) })
}

/// What leads nowhere, or out, is not there; anything else is an error.
fn not_there(error: rustix::io::Errno) -> io::Result<Found> {
    use rustix::io::Errno;
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG | Errno::ACCESS | Errno::NXIO | Errno::INVAL => {
            Ok(Found::Nothing)
        }
        error => Err(error.into()),
    }
}

fn open_beneath(root: &OwnedFd, name: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::openat2(root, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS) {
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => open_without_links(root, name, flags),
        opened => opened,
    }
}

fn open_without_links(root: &OwnedFd, name: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut at: Option<OwnedFd> = None;
    for part in name.components() {
        let std::path::Component::Normal(part) = part else { return Err(rustix::io::Errno::XDEV) };
        let here = at.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        at = Some(rustix::fs::openat(here, part, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or(rustix::io::Errno::NOENT)
}

/// The relative path that a URI's path names: `%XX` decoded, without the first `/`. None when it has a NUL or bad digits.
fn decode(path: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.trim_start_matches('/').bytes();
    while let Some(byte) = rest.next() {
        let decoded = if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digit(rest.next()?)? * 16 + digit(rest.next()?)?
        } else {
            byte
        };
        if decoded == 0 {
            return None;
        }
        bytes.push(decoded);
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

/// The media type by the name's ending (<https://www.iana.org/assignments/media-types>).
fn kind_of(name: &Path) -> &'static str {
    let ending = name.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    match ending.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => TEXT,
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}

/// A file's bytes, a piece at a time; never more than its length when it was opened.
struct FileBody {
    file: tokio::fs::File,
    left: u64,
    buffer: Vec<u8>,
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let FileBody { file, left, buffer } = self.get_mut();
        if *left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let mut piece = ReadBuf::new(buffer.get_mut(..most).unwrap_or_default());
        match ready!(Pin::new(file).poll_read(context, &mut piece)) {
            Err(error) => Poll::Ready(Some(Err(error))),
            // The file became shorter: the client must see that, not a complete answer.
            Ok(()) if piece.filled().is_empty() => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Ok(()) => {
                *left -= u64::try_from(piece.filled().len()).unwrap_or(*left);
                Poll::Ready(Some(Ok(Frame::data(Bytes::copy_from_slice(piece.filled())))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn served(root: &Path, path: &str) -> Option<String> {
        let root = OwnedFd::from(File::open(root).unwrap());
        match find(&root, &decode(path)?).unwrap() {
            Found::File { mut file, .. } => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                Some(text)
            }
            Found::Folder => Some("folder".to_owned()),
            Found::Nothing => None,
        }
    }

    #[test]
    fn nothing_outside_the_folder_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("dist");
        std::fs::create_dir_all(root.join("in")).unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::fs::write(root.join("index.html"), "home").unwrap();
        std::fs::write(root.join("in/a b.txt"), "spaced").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("absolute")).unwrap();
        std::os::unix::fs::symlink("in/a b.txt", root.join("inside")).unwrap();
        assert_eq!(served(&root, "/"), Some("home".to_owned()));
        assert_eq!(served(&root, "/in/a%20b.txt"), Some("spaced".to_owned()));
        assert_eq!(served(&root, "/inside"), Some("spaced".to_owned()));
        assert_eq!(served(&root, "/in"), Some("folder".to_owned()));
        for outside in ["/../secret", "/%2e%2e/secret", "/in/../../secret", "/out", "/absolute", "//etc/passwd", "/in/", "/none", "/a%00b"]
        {
            assert_eq!(served(&root, outside), None, "{outside}");
        }
    }

    #[test]
    fn without_openat2_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        let root = OwnedFd::from(File::open(folder.path()).unwrap());
        assert!(open_without_links(&root, Path::new("file"), OFlags::RDONLY).is_ok());
        assert!(open_without_links(&root, Path::new("link"), OFlags::RDONLY).is_err());
        assert!(open_without_links(&root, Path::new("../file"), OFlags::RDONLY).is_err());
    }
}
