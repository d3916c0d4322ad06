//! What concerns an environment and its record: `rollback`, `images`, `policy`, `ledger`, `local`.

use clap::{Args, Subcommand};

use crate::event::{AppName, EnvironmentName};
use crate::rollout::wired::ClusterName;

use super::Wait;

/// `hms rollback`, and `hms-deploy rollback`.
#[derive(Debug, Args)]
pub struct RollbackArguments {
    /// The environment; `canary` takes the canary to 0.
    #[arg(long)]
    pub env: EnvironmentName,
    /// A release: its tag, its digest, or a unique beginning of its revision.
    #[arg(long)]
    pub to: Option<String>,
    /// The app, when not in its repository.
    #[arg(long)]
    pub app: Option<AppName>,
    /// The cluster to look at, CONTEXT/NAMESPACE, when nothing on this machine knows where the app lives.
    #[arg(long, value_name = "CONTEXT/NAMESPACE")]
    pub target: Option<ClusterName>,
    /// Why; it goes into the ledger.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `hms images`.
#[derive(Debug, Args)]
pub struct ImagesArguments {
    /// Remove what is listed as not needed; without it nothing is changed.
    #[arg(long)]
    pub remove: bool,
    /// The app, when not in its repository.
    #[arg(long)]
    pub app: Option<AppName>,
    /// The cluster to look at, CONTEXT/NAMESPACE, when nothing on this machine knows where the app lives.
    #[arg(long, value_name = "CONTEXT/NAMESPACE")]
    pub target: Option<ClusterName>,
}

/// `hms environments`.
#[derive(Debug, Args, Default)]
pub struct EnvironmentsArguments {
    /// What to do with one; all are listed when nothing is said.
    #[command(subcommand)]
    pub verb: Option<EnvironmentsVerb>,
    /// Stopped ones, too.
    #[arg(long)]
    pub all: bool,
}

/// What can be done with an environment of jobs.
#[derive(Debug, Subcommand)]
pub enum EnvironmentsVerb {
    /// Start the job that its last deployment names with `on_stop`; without such a job it is stopped by saying so.
    #[command(after_help = "Example:\n  hms environments stop review/topic --wait\n  hms environments stop --due")]
    Stop {
        /// Its name.
        #[arg(required_unless_present = "due")]
        name: Option<String>,
        /// All whose `auto_stop_in` is over, but those that only a person may stop: each of them is told.
        #[arg(long, conflicts_with_all = ["name", "force", "wait"])]
        due: bool,
        /// Call it stopped without running any job.
        #[arg(long, conflicts_with = "wait")]
        force: bool,
        /// Follow the run of that job afterwards.
        #[command(flatten)]
        wait: Wait,
    },
    /// Do away with the time after which it would be stopped, until the next deployment sets one.
    #[command(after_help = "Example:\n  hms environments keep review/topic")]
    Keep {
        /// Its name.
        name: String,
    },
}

/// `hms policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Show what is in force, and how this commit differs.
    #[command(after_help = "Example:\n  hms policy show\n  hms policy show --app irs-api")]
    Show {
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Put this commit's policy in force.
    #[command(after_help = "Example:\n  hms policy accept --reason 'a second pair of eyes'\n  hms policy accept --hash sha256:…")]
    Accept {
        /// The hash that was looked at; asked for when there is no terminal.
        #[arg(long)]
        hash: Option<String>,
        /// The commit. The default is HEAD.
        #[arg(long = "ref", value_name = "REV")]
        reference: Option<String>,
        /// Why; it goes into the ledger.
        #[arg(long)]
        reason: Option<String>,
    },
}

/// `hms drill`.
#[derive(Debug, Args)]
pub struct DrillArguments {
    /// The environment.
    #[arg(long)]
    pub env: EnvironmentName,
    /// A release: its tag, its digest, or a beginning of its revision; where a rollback would go, when none is named.
    #[arg(long)]
    pub to: Option<String>,
    /// Why; it goes into the ledger.
    #[arg(long)]
    pub reason: Option<String>,
    /// The app, when not in its repository.
    #[arg(long)]
    pub app: Option<AppName>,
}

/// `hms drift`.
#[derive(Debug, Subcommand)]
pub enum DriftVerb {
    /// Compare what runs with the record; 1 when they differ.
    #[command(after_help = "Example:\n  hms drift show\n  hms drift show --env prod --output json")]
    Show {
        /// Only this environment.
        #[arg(long)]
        env: Option<EnvironmentName>,
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Have the record say what runs. It goes into the ledger.
    #[command(after_help = "Example:\n  hms drift adopt --env prod --reason 'put there by hand in last night\'s incident'")]
    Adopt(AdoptArguments),
    /// Have what was recorded run again, as a rollback does. It goes into the ledger.
    #[command(after_help = "Example:\n  hms drift restore --env prod --reason 'nobody knows who did that'")]
    Restore(AdoptArguments),
}

/// `hms drift adopt`, and `hms drift restore`.
#[derive(Debug, Args)]
pub struct AdoptArguments {
    /// The environment.
    #[arg(long)]
    pub env: EnvironmentName,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// The app, when not in its repository.
    #[arg(long)]
    pub app: Option<AppName>,
}

/// `hms freeze`.
#[derive(Debug, Subcommand)]
pub enum FreezeVerb {
    /// Say what is frozen until when, and what comes next.
    #[command(after_help = "Example:\n  hms freeze show\n  hms freeze show --app irs-api --output json")]
    Show {
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Let one release be promoted although its environment is frozen. It goes into the ledger.
    #[command(after_help = "Example:\n  hms freeze break --env prod --release sha256:… --reason 'nobody can pay'")]
    Break(BreakArguments),
}

/// `hms freeze break`.
#[derive(Debug, Args)]
pub struct BreakArguments {
    /// The environment.
    #[arg(long)]
    pub env: EnvironmentName,
    /// The release's digest.
    #[arg(long)]
    pub release: String,
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// The app, when not in its repository.
    #[arg(long)]
    pub app: Option<AppName>,
}

/// `hms ledger`.
#[derive(Debug, Subcommand)]
pub enum LedgerVerb {
    /// Tell what was done, oldest first.
    #[command(after_help = "Example:\n  hms ledger log --env prod")]
    Log {
        /// Only this environment.
        #[arg(long)]
        env: Option<EnvironmentName>,
        /// Only this app.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Check every byte against tree, head and pins.
    #[command(after_help = "Example:\n  hms ledger verify")]
    Verify,
    /// Begin a ledger where a pin says that there was one.
    #[command(after_help = "Example:\n  hms ledger new --reason 'the disk died'")]
    New {
        /// Why; it goes into the ledger.
        #[arg(long)]
        reason: String,
    },
}

/// `hms local`.
#[derive(Debug, Subcommand)]
pub enum LocalVerb {
    /// Say what runs, with which share, and where.
    #[command(after_help = "Example:\n  hms local status --app irs-api")]
    Status {
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Stop releases and proxy.
    #[command(after_help = "Example:\n  hms local stop")]
    Stop {
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Send synthetic traffic to the proxy; it is named as synthetic wherever it counts.
    #[command(after_help = "Example:\n  hms local load --rps 200 --for 5m --path /health")]
    Load {
        /// Requests a second, at most 5000.
        #[arg(long, default_value_t = 200)]
        rps: u32,
        /// For how long, at most 1h.
        #[arg(long = "for", default_value = "5m", value_name = "DURATION")]
        duration: String,
        /// The path to ask for.
        #[arg(long, default_value = "/")]
        path: String,
        /// The environment.
        #[arg(long, default_value = "prod")]
        env: EnvironmentName,
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
    },
}
