//! The caller's own yes: the tag typed at a terminal, or `--promote DIGEST`.

use std::io::Write;

use crate::cli::environment::is_interactive;
use crate::cli::failure::{Exit, Failure};
use crate::cli::place::shown;
use crate::event::{Actor, AppName, Digest, EnvironmentName, EnvironmentRecord, Refusal, RefusalKind, ReleaseRef, Yes, YesKind};
use crate::store::now;
use crate::text::plain;

/// What is agreed to.
pub(super) struct Matter<'a> {
    pub(super) app: &'a AppName,
    /// As it was named on the command line.
    pub(super) name: &'a EnvironmentName,
    pub(super) record: &'a EnvironmentRecord,
    pub(super) release: &'a ReleaseRef,
    pub(super) policy_hash: &'a Digest,
    pub(super) actor: &'a Actor,
}

/// No yes.
pub(super) enum NoConsent {
    /// Nobody was asked, because nobody can be: recorded.
    Refused(Refusal),
    /// The person said no, or the line could not be read.
    Failed(Failure),
}

/// The yes, by flag or by hand. `promote` was compared with the release already.
pub(super) fn own_yes(matter: &Matter<'_>, promote: Option<&str>) -> Result<Yes, NoConsent> {
    if promote.is_none() {
        ask(matter)?;
    }
    Ok(Yes {
        kind: YesKind::Approval,
        actor: matter.actor.clone(),
        release: matter.release.digest.clone(),
        policy_hash: matter.policy_hash.clone(),
        reason: None,
        at: now(),
    })
}

fn ask(matter: &Matter<'_>) -> Result<(), NoConsent> {
    let (environment, release) = (&matter.record.environment, matter.release);
    if !is_interactive() {
        let message =
            format!("{environment} is protected, and nobody said yes to {}: there is no terminal to type its tag at", release.tag);
        let hint = format!("hms-deploy --env {} --promote {} --app {}", matter.name, release.digest, matter.app);
        return Err(NoConsent::Refused(Refusal::new(RefusalKind::Protected, message).hint(hint)));
    }
    match typed(matter) {
        Ok(line) if line.trim() == release.tag => Ok(()),
        Ok(_) => Err(NoConsent::Failed(Failure::new(Exit::Refused, format!("{} was not typed, so nothing was changed", release.tag)))),
        Err(error) => Err(NoConsent::Failed(error.into())),
    }
}

fn typed(matter: &Matter<'_>) -> std::io::Result<String> {
    let mut to = std::io::stderr();
    let from = matter.record.current.as_ref().map_or_else(|| "nothing".to_owned(), shown);
    writeln!(to, "{} of {}", matter.record.environment, matter.app)?;
    writeln!(to, "  from  {}", plain(&from))?;
    writeln!(to, "  to    {}", plain(&shown(matter.release)))?;
    write!(to, "Type the tag {} to give it all traffic: ", plain(&matter.release.tag))?;
    to.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line)
}
