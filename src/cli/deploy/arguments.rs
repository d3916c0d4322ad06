//! The command line of `hms-deploy`.

use clap::{Args, Parser, Subcommand};

use crate::cli::arguments::{Output, RollbackArguments};
use crate::event::{AppName, EnvironmentName, Weight};
use crate::rollout::wired::ClusterName;

/// Brings a release to an environment: canary, production, and back.
#[derive(Debug, Parser)]
#[command(
    name = "hms-deploy",
    version,
    about,
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  hms-deploy --env canary --traffic 1%\n  hms-deploy --env prod --tag v1.4.0\n  hms-deploy rollback --env prod --app irs-api"
)]
pub(super) struct HmsDeploy {
    /// Something else than a deploy.
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
    /// The deploy.
    #[command(flatten)]
    pub(super) deploy: DeployArguments,
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

/// What `hms-deploy` can be asked beside a deploy.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Go back to the last healthy release.
    #[command(after_help = "Example:\n  hms-deploy rollback --env prod")]
    Rollback(RollbackArguments),
    /// Tell how an environment stands.
    #[command(after_help = "Example:\n  hms-deploy status --env prod --app irs-api")]
    Status(Place),
    /// Tell what was released there: tag, revision and digest.
    #[command(after_help = "Example:\n  hms-deploy history --env prod --app irs-api")]
    History(Place),
}

/// An environment of an app.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The environment; all of them when none is named.
    #[arg(long)]
    pub(super) env: Option<EnvironmentName>,
    /// The app, when not in its repository.
    #[arg(long)]
    pub(super) app: Option<AppName>,
    /// The cluster to look at, CONTEXT/NAMESPACE, when nothing on this machine knows where the app lives.
    #[arg(long, value_name = "CONTEXT/NAMESPACE")]
    pub(super) target: Option<ClusterName>,
}

/// A deploy.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, and clap wants a field for each")]
#[derive(Debug, Args)]
pub(super) struct DeployArguments {
    /// The environment; `canary` is the canary arm of the one that policy says, `prod` by default.
    #[arg(long, required = true)]
    pub(super) env: Option<EnvironmentName>,
    /// The canary's share, for instance 1% or 0.5%; without it policy's steps are walked.
    #[arg(long)]
    pub(super) traffic: Option<Weight>,
    /// The release: a git tag, a unique beginning of its revision, or its digest.
    #[arg(long)]
    pub(super) tag: Option<String>,
    /// Alone and without a terminal: the caller's yes to exactly this release.
    #[arg(long, value_name = "DIGEST")]
    pub(super) promote: Option<String>,
    /// How long to wait while another release holds the environment; 0 for not at all.
    #[arg(long, value_name = "DURATION")]
    pub(super) slot_timeout: Option<String>,
    /// Alone: stay and watch the canary after its verdict, until Ctrl-C. Inside a run its engine watches.
    #[arg(long)]
    pub(super) watch: bool,
    /// Alone: only tell what would change at the target; nothing is changed there, and nothing is entered in the ledger.
    #[arg(long, conflicts_with_all = ["promote", "watch", "supersede"])]
    pub(super) dry_run: bool,
    /// Push out the release that holds the environment.
    #[arg(long)]
    pub(super) supersede: bool,
    /// Allow a revision that does not come after what is there; needs --reason.
    #[arg(long, requires = "reason")]
    pub(super) allow_outdated: bool,
    /// Why; it goes into the ledger.
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// The app, when not in its repository.
    #[arg(long)]
    pub(super) app: Option<AppName>,
    /// The cluster to look at, CONTEXT/NAMESPACE, when nothing on this machine knows where the app lives.
    #[arg(long, value_name = "CONTEXT/NAMESPACE")]
    pub(super) target: Option<ClusterName>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_verb_has_an_example() {
        let command = HmsDeploy::command();
        for command in std::iter::once(&command).chain(command.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:\n  hms-deploy"), "{}", command.get_name());
        }
    }
}
