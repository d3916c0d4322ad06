//! The command line of `hms`. Verbs and flags are a contract: added to, never renamed (`docs/decisions.md` 10).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::event::{AppName, EnvironmentName, JobName};

mod canary;
mod look;
mod run;
mod target;

pub use canary::{
    CanaryExportArguments, CanaryPlanArguments, CanaryVerb, ExtendArguments, JudgeArguments, MetricsVerb, SteerArguments, TableFormat,
    WhichCanary,
};
pub use look::{LookArguments, Picture, PlanArguments};
pub use run::{ArtifactsVerb, Interrupted, RunArguments, WhichArtifacts};
pub use target::{
    AdoptArguments, BreakArguments, DriftVerb, DrillArguments, EnvironmentsArguments, EnvironmentsVerb, FreezeVerb, ImagesArguments,
    LedgerVerb, LocalVerb, PolicyVerb, RollbackArguments,
};

/// A release console for the terminal: pipeline, canary, promote, rollback.
#[derive(Debug, Parser)]
#[command(
    name = "hms",
    version,
    about,
    max_term_width = 100,
    after_help = "Example:\n  hms demo            the whole story, in a throw-away repository\n  hms run --headless  run this repository's .hms-ci.yml without a screen"
)]
pub struct Hms {
    /// What to do; the console, when nothing is named.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Run without a screen: the same as `hms run --headless`.
    #[arg(long)]
    pub headless: bool,
    /// Whether `hms demo` started this console, and ends with it.
    #[arg(long, hide = true)]
    pub in_demo: bool,
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// The repository, or any folder in it.
    #[arg(long, short = 'C', global = true, value_name = "DIR")]
    pub repository: Option<PathBuf>,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: one JSON value, or JSON lines for what goes on.
    Json,
}

impl Output {
    /// What a command line that could not be parsed asked for: whoever reads JSON reads no prose.
    #[must_use]
    pub fn asked(arguments: &[std::ffi::OsString]) -> Self {
        let told: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).take_while(|argument| *argument != "--").collect();
        let apart = told.windows(2).any(|pair| pair == ["--output", "json"]);
        if apart || told.contains(&"--output=json") { Self::Json } else { Self::Text }
    }
}

/// What `hms` can be asked.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the pipeline of a commit.
    #[command(after_help = "Example:\n  hms run --headless --ref main --variable LEVEL=full")]
    Run(RunArguments),
    /// Start a run at every commit on the watched branches.
    #[command(after_help = "Example:\n  hms watch --headless")]
    Watch {
        /// Without a screen.
        #[arg(long)]
        headless: bool,
    },
    /// List this repository's runs.
    #[command(after_help = "Example:\n  hms runs --output json")]
    Runs,
    /// Tell how a run stands; with --app, how an app's environments stand.
    #[command(after_help = "Example:\n  hms status 42 --output json\n  hms status --app irs-api")]
    Status {
        /// The run: its number, its id, or a unique ending of it.
        run: Option<String>,
        /// An app on this machine, from any folder.
        #[arg(long)]
        app: Option<AppName>,
    },
    /// Write a run as one page of HTML for the change ticket: verdict, graphs, pipeline, ledger entries. It needs no network and no scripts.
    #[command(after_help = "Example:\n  hms report 42 --to /tmp/run-42.html\n  hms report 42 --output json > run-42.json")]
    Report {
        /// The run; the newest, when none is named.
        run: Option<String>,
        /// The file to write; standard output, when none is named and that is no terminal.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Look at a run that is going on.
    #[command(after_help = "Example:\n  hms attach 42")]
    Attach {
        /// The run.
        run: Option<String>,
    },
    /// Show a finished run as it happened.
    #[command(after_help = "Example:\n  hms replay 42")]
    Replay {
        /// The run.
        run: Option<String>,
    },
    /// Print a job's log.
    #[command(after_help = "Example:\n  hms logs test --run 42 --follow")]
    Logs {
        /// The job.
        job: JobName,
        /// The run.
        #[arg(long)]
        run: Option<String>,
        /// One attempt's, from 1; the last one's when none is named.
        #[arg(long, value_name = "NUMBER", conflicts_with = "follow")]
        attempt: Option<u32>,
        /// Go on as it grows, until the attempt ends.
        #[arg(long, short)]
        follow: bool,
    },
    /// What jobs handed on: list it, take it out, keep it, or do away with what has expired.
    #[command(
        subcommand,
        after_help = "Example:\n  hms artifacts show build --run 42\n  hms artifacts get build --run 42\n  hms artifacts keep 42\n  hms artifacts expired"
    )]
    Artifacts(ArtifactsVerb),
    /// Say yes at a gate, or to a release from outside a run.
    #[command(after_help = "Example:\n  hms approve 42 prod\n  hms approve --env prod --release sha256:… --reason 'seen in staging'")]
    Approve {
        /// The run.
        #[arg(required_unless_present = "release")]
        run: Option<String>,
        /// The manual job.
        #[arg(required_unless_present = "release")]
        job: Option<JobName>,
        /// The environment, outside a run.
        #[arg(long, requires = "release")]
        env: Option<EnvironmentName>,
        /// The release's digest, outside a run.
        #[arg(long, requires = "env", conflicts_with_all = ["run", "job"])]
        release: Option<String>,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// A variable for the job that starts; it is written down, so no secret.
        #[arg(long, value_name = "KEY=VALUE", conflicts_with = "release")]
        variable: Vec<String>,
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
        /// Follow the run afterwards and take its exit code.
        #[command(flatten)]
        wait: Wait,
    },
    /// Run a job again, or all that failed.
    #[command(after_help = "Example:\n  hms retry 42 test")]
    Retry {
        /// The run.
        run: String,
        /// The job.
        job: Option<JobName>,
        /// Follow the run afterwards.
        #[command(flatten)]
        wait: Wait,
    },
    /// Pass a canary's HOLD, with a reason that goes into the ledger.
    #[command(
        after_help = "Example:\n  hms override 42 canary --reason 'night traffic, checked by hand'\n  hms override --env prod --release sha256:… --reason 'no traffic at night'"
    )]
    Override {
        /// The run.
        #[arg(required_unless_present = "release")]
        run: Option<String>,
        /// The canary's job.
        #[arg(required_unless_present = "release")]
        job: Option<JobName>,
        /// The environment, outside a run.
        #[arg(long, requires = "release")]
        env: Option<EnvironmentName>,
        /// The release's digest, outside a run.
        #[arg(long, requires = "env", conflicts_with_all = ["run", "job"])]
        release: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// The app, when not in its repository.
        #[arg(long)]
        app: Option<AppName>,
        /// Follow the run afterwards.
        #[command(flatten)]
        wait: Wait,
    },
    /// End a run: its canary to 0 first, then its jobs.
    #[command(after_help = "Example:\n  hms cancel 42")]
    Cancel {
        /// The run.
        run: String,
        /// Follow the run afterwards.
        #[command(flatten)]
        wait: Wait,
    },
    /// Go back to the last healthy release.
    #[command(after_help = "Example:\n  hms rollback --env prod\n  hms rollback --env prod --to v1.4.0 --app irs-api")]
    Rollback(RollbackArguments),
    /// The environments that jobs deploy to: which are there, where, since when and until when; stop one, or keep it.
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Example:\n  hms environments\n  hms environments stop review/topic\n  hms environments keep review/topic"
    )]
    Environments(EnvironmentsArguments),
    /// Tell which images of an app its registry has to keep, and remove the others when told to.
    #[command(after_help = "Example:\n  hms images --app irs-api\n  hms images --app irs-api --remove")]
    Images(ImagesArguments),
    /// Show or accept the policy in force.
    #[command(subcommand, after_help = "Example:\n  hms policy show\n  hms policy accept")]
    Policy(PolicyVerb),
    /// Times when nothing is promoted: what holds, what comes next, and breaking one.
    #[command(
        subcommand,
        after_help = "Example:\n  hms freeze show\n  hms freeze break --env prod --release sha256:… --reason 'nobody can pay'"
    )]
    Freeze(FreezeVerb),
    /// Rehearse the rollback of an environment: start what it would go to beside production, see it healthy, stop it. No traffic moves.
    #[command(after_help = "Example:\n  hms drill --env prod\n  hms drill --env prod --to v1.4.0 --app irs-api")]
    Drill(DrillArguments),
    /// What runs although the record says something else, and what to do about it.
    #[command(subcommand, after_help = "Example:\n  hms drift show\n  hms drift adopt --env prod --reason 'put there by hand'")]
    Drift(DriftVerb),
    /// Check `.hms-ci.yml` and say everything that is wrong with it.
    #[command(after_help = "Example:\n  hms validate --ref main\n  hms validate --file .hms-ci.yml")]
    Validate {
        /// What to look at.
        #[command(flatten)]
        look: LookArguments,
        /// Write SARIF, for editors and code review.
        #[arg(long)]
        sarif: bool,
    },
    /// List the jobs that a run of `.hms-ci.yml` would have.
    #[command(after_help = "Example:\n  hms list --ref main --variable LEVEL=full")]
    List(LookArguments),
    /// Show which jobs would run, in what order, and which rule took or left out each.
    #[command(after_help = "Example:\n  hms plan --job deploy\n  hms plan --graph mermaid")]
    Plan(PlanArguments),
    /// Show a job after includes, `extends`, references and defaults, each key with the line it came from.
    #[command(after_help = "Example:\n  hms explain test")]
    Explain {
        /// The job, or one of its instances.
        job: String,
        /// What to look at.
        #[command(flatten)]
        look: LookArguments,
    },
    /// A canary's verdict: how it stands and why, recorded samples judged again, plans of what can be known when.
    #[command(
        subcommand,
        after_help = "Example:\n  hms canary status 42\n  hms canary plan --rps 200 --share 1% --errors 0.2%\n  hms canary judge samples.jsonl --set bake_seconds=300"
    )]
    Canary(CanaryVerb),
    /// Where measurements come from.
    #[command(subcommand, after_help = "Example:\n  hms metrics doctor --prometheus http://prometheus.monitoring:9090")]
    Metrics(MetricsVerb),
    /// The ledger of control actions.
    #[command(subcommand, after_help = "Example:\n  hms ledger log --env prod\n  hms ledger verify")]
    Ledger(LedgerVerb),
    /// The local target: releases and proxy on this machine.
    #[command(subcommand, after_help = "Example:\n  hms local status\n  hms local load --rps 200 --for 5m")]
    Local(LocalVerb),
    /// Say what hms finds on this machine, and what is missing.
    #[command(after_help = "Example:\n  hms doctor\n  hms doctor --rbac deployer | kubectl apply -f -")]
    Doctor {
        /// Print the rights that this user of the cluster needs for the commit's environments, and no more, as YAML. A service account is
        /// `system:serviceaccount:NAMESPACE:NAME`.
        #[arg(long, value_name = "USER")]
        rbac: Option<String>,
    },
    /// The whole story in a throw-away repository, with real traffic on loopback.
    #[command(after_help = "Example:\n  hms demo\n  hms demo --headless")]
    Demo {
        /// Tell it without a screen, and end.
        #[arg(long)]
        headless: bool,
        /// Leave its folder for a look afterwards; nothing in it runs any more.
        #[arg(long)]
        keep: bool,
    },
    /// Write a shell's completions to standard output.
    #[command(after_help = "Example:\n  hms completions bash > /etc/bash_completion.d/hms")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `--wait`.
#[derive(Debug, Args, Default)]
pub struct Wait {
    /// Follow the run and take its exit code; at most this long, when a duration is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub wait: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    fn without_an_example(command: &Command, path: &str, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !help.contains("Example") || !help.contains(path) {
            found.push(path.to_owned());
        }
        for verb in command.get_subcommands() {
            without_an_example(verb, &format!("{path} {}", verb.get_name()), found);
        }
    }

    #[test]
    fn every_verb_has_an_example_of_itself() {
        let mut found = Vec::new();
        without_an_example(&Hms::command(), "hms", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn what_was_asked_for_is_known_though_the_command_line_is_wrong() {
        let asked = |line: &str| Output::asked(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        assert_eq!(asked("hms frob --output json"), Output::Json);
        assert_eq!(asked("hms --output=json frob"), Output::Json);
        assert_eq!(asked("hms frob --output text json"), Output::Text);
        assert_eq!(asked("hms frob -- --output json"), Output::Text);
    }
}
