//! Masked values: they are nowhere on disk but in the person's own file, so whoever starts an engine brings them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::event::RunCreated;
use crate::executor::is_variable_name;

use super::arguments::RunArguments;
use super::environment::variable;
use super::failure::{Exit, Failure};

/// The masked values of a run, and the file that some of them are read from again.
pub(crate) struct Masked {
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) file: Option<PathBuf>,
}

/// Whether what an engine is woken for can start a job, which must have its masked values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Values {
    /// It can.
    #[default]
    Needed,
    /// It only ends things: a cancel waits for nobody's file.
    Unneeded,
}

impl Masked {
    /// Those of a run that is being made.
    pub(crate) fn find(arguments: &RunArguments) -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        let file = arguments
            .variable_file
            .as_ref()
            .map(|path| path.canonicalize().map_err(|error| Failure::new(Exit::Usage, format!("{}: {error}", path.display()))))
            .transpose()?;
        if let Some(path) = &file {
            values.extend(read_variable_file(path)?);
        }
        for name in &arguments.mask_env {
            let value = variable(name).ok_or_else(|| Failure::new(Exit::Usage, format!("`--mask-env {name}`: no such variable is set")))?;
            values.insert(name.clone(), value);
        }
        for (name, value) in &values {
            crate::executor::check_maskable(value).map_err(|error| {
                let from = file.as_ref().filter(|_| !arguments.mask_env.contains(name));
                let place = from.map(|path| format!("{}: ", path.display())).unwrap_or_default();
                Failure::new(Exit::Usage, format!("{place}the value of {name} cannot be masked: {error}"))
                    .hint(format!("what anybody may see is given as it is: --variable {name}=VALUE"))
            })?;
        }
        Ok(Self { values, file })
    }

    /// Those of a run that is there: from the file given, else from its own, then from this environment.
    pub(crate) fn again(created: &RunCreated, given: Option<&Path>, values: Values) -> Result<Self, Failure> {
        let file = given.or(created.variable_file.as_deref());
        let (mut found, trouble) = match file.map(read_variable_file) {
            Some(Ok(found)) => (found, None),
            Some(Err(failure)) => (BTreeMap::new(), Some(failure)),
            None => (BTreeMap::new(), None),
        };
        found.extend(created.masked.iter().filter_map(|name| Some((name.clone(), variable(name)?))));
        let missing: Vec<&str> = created.masked.iter().filter(|name| !found.contains_key(*name)).map(String::as_str).collect();
        if values == Values::Needed && !missing.is_empty() {
            let missing = missing.join(", ");
            let mut failure =
                Failure::new(Exit::NotCarriedOut, format!("masked variables have no value here, and none is kept on disk: {missing}"));
            failure = trouble.into_iter().fold(failure, |failure, trouble| failure.because(trouble.in_one_line()));
            let put_back = file.map(|path| format!("put {} back (mode 600), or ", path.display())).unwrap_or_default();
            return Err(failure.hint(format!("{put_back}set them in this command's environment; nothing was asked of the run")));
        }
        Ok(Self { values: found, file: file.map(Path::to_owned) })
    }
}

fn read_variable_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    use std::os::unix::fs::MetadataExt;
    let unread = |error: std::io::Error| Failure::new(Exit::Usage, format!("the variable file {}: {error}", path.display()));
    let found = std::fs::metadata(path).map_err(unread)?;
    if found.mode() & 0o077 != 0 {
        let failure = Failure::new(Exit::Usage, format!("{} can be read by others (mode {:o})", path.display(), found.mode() & 0o777));
        return Err(failure.hint(format!("chmod 600 {}", path.display())));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let wrong = |line: usize, why: &str| Failure::new(Exit::Usage, format!("{}:{line}: {why}", path.display()));
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        wrong(before.split(|byte| *byte == b'\n').count(), "not UTF-8")
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            let (key, value) = line.split_once('=').ok_or_else(|| wrong(index + 1, "not KEY=VALUE"))?;
            let key = key.trim();
            if !is_variable_name(key) {
                return Err(wrong(index + 1, &format!("no shell can export a variable `{key}`")));
            }
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}
