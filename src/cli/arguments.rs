//! The command line of `hms`. Verbs and flags are a contract: added to, never renamed (`docs/decisions.md` 10).

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::event::{AppName, EnvironmentName, JobName};
use crate::rollout::wired::ClusterName;

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
    /// Show or accept the policy in force.
    #[command(subcommand, after_help = "Example:\n  hms policy show\n  hms policy accept")]
    Policy(PolicyVerb),
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

/// `hms run`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line, and clap wants a field for each")]
#[derive(Debug, Args, Default)]
pub struct RunArguments {
    /// Without a screen: lines on standard output, and an exit code that can be trusted.
    #[arg(long)]
    pub headless: bool,
    /// Start it and come back at once.
    #[arg(long, conflicts_with = "headless")]
    pub detach: bool,
    /// The commit: a branch, a tag, or a revision. The default is HEAD.
    #[arg(long = "ref", value_name = "REV")]
    pub reference: Option<String>,
    /// The pipeline file, by its path in the commit.
    #[arg(long, value_name = "PATH", default_value = ".hms-ci.yml")]
    pub file: String,
    /// A variable for this run.
    #[arg(long, value_name = "KEY=VALUE")]
    pub variable: Vec<String>,
    /// Only this job, or this instance of one; several times for several.
    #[arg(long, value_name = "JOB")]
    pub job: Vec<String>,
    /// Only the jobs of this stage; several times for several.
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<String>,
    /// With all that the chosen jobs wait for.
    #[arg(long)]
    pub with_needs: bool,
    /// The jobs named by --job run whatever their rules and `workflow` say.
    #[arg(long, requires = "job")]
    pub ignore_rules: bool,
    /// A value for the pipeline file's own `spec: inputs`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub input: Vec<String>,
    /// A file of KEY=VALUE lines, mode 0600; their values are masked in every log.
    #[arg(long, value_name = "FILE")]
    pub variable_file: Option<PathBuf>,
    /// A variable taken from this environment, by name, and masked in every log.
    #[arg(long, value_name = "NAME")]
    pub mask_env: Vec<String>,
    /// A variable let in from this environment, by name.
    #[arg(long, value_name = "NAME")]
    pub pass_env: Vec<String>,
    /// End at a gate even when a canary has weight. The default when CI is set.
    #[arg(long, conflicts_with = "linger")]
    pub no_linger: bool,
    /// Go on watching a canary at a gate, also when CI is set.
    #[arg(long)]
    pub linger: bool,
    /// Go on with a run instead of starting one.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["reference", "variable", "job", "stage"])]
    pub resume: Option<String>,
    /// What becomes of an interrupted job that deploys or is manual.
    #[arg(long, value_enum)]
    pub resume_interrupted: Option<Interrupted>,
    /// GitLab's rules to the letter: hms's deviations are off.
    #[arg(long)]
    pub gitlab_strict: bool,
}

/// What `hms validate`, `list`, `plan` and `explain` look at.
#[derive(Debug, Args, Default)]
pub struct LookArguments {
    /// The file in the working tree to read; the default is .hms-ci.yml there.
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Read it from this revision instead.
    #[arg(long = "ref", value_name = "REV", conflicts_with = "file")]
    pub reference: Option<String>,
    /// GitLab's rules to the letter: hms's deviations are off.
    #[arg(long)]
    pub gitlab_strict: bool,
    /// A variable as a run would be given it.
    #[arg(long, value_name = "KEY=VALUE")]
    pub variable: Vec<String>,
    /// A value for the file's own `spec: inputs`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub input: Vec<String>,
    /// As if a push had moved the ref from this revision: `rules: changes` compare with it.
    #[arg(long, value_name = "REV")]
    pub before: Option<String>,
}

/// `hms plan`.
#[derive(Debug, Args, Default)]
pub struct PlanArguments {
    /// What to look at.
    #[command(flatten)]
    pub look: LookArguments,
    /// Only this job, with its rules and variables.
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// With every job's rules.
    #[arg(long)]
    pub rules: bool,
    /// With every job's variables and where each is from.
    #[arg(long)]
    pub variables: bool,
    /// What waits for what, as a picture instead.
    #[arg(long, value_enum)]
    pub graph: Option<Picture>,
}

/// How a picture of a pipeline is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// Here.
    Terminal,
    /// For Mermaid.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// What becomes of an interrupted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Interrupted {
    /// It runs again.
    Rerun,
    /// It failed.
    Fail,
}

/// `--wait`.
#[derive(Debug, Args, Default)]
pub struct Wait {
    /// Follow the run and take its exit code; at most this long, when a duration is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub wait: Option<String>,
}

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

/// Which canary.
#[derive(Debug, Args, Default)]
pub struct WhichCanary {
    /// The run: its number, its id, or a unique ending of it; or a rollout's id. The default is the newest one with a canary.
    pub run: Option<String>,
    /// The app, when not in its repository: its newest canary on this host.
    #[arg(long)]
    pub app: Option<AppName>,
}

/// `hms canary`.
#[derive(Debug, Subcommand)]
pub enum CanaryVerb {
    /// Tell how a canary stands: weight, verdict, forecast, every metric's counts, rates and evidence.
    #[command(after_help = "Example:\n  hms canary status 42 --output json\n  hms canary status --app irs-api")]
    Status(WhichCanary),
    /// Follow a canary, a line at each change, until it is decided. Exit 0 PASS or promoted, 1 failed, 11 HOLD for too long or unwatched,
    /// 12 taken back.
    #[command(after_help = "Example:\n  hms canary watch 42")]
    Watch(WhichCanary),
    /// Say why the verdict is what it is: what each test says, what PASS still needs, how it came to this.
    #[command(after_help = "Example:\n  hms canary explain 42")]
    Explain(WhichCanary),
    /// Keep a canary at its weight, whatever its verdict; harm is still acted on.
    #[command(after_help = "Example:\n  hms canary pause 42 --reason 'a look at the logs first'")]
    Pause(SteerArguments),
    /// Let a paused canary go on.
    #[command(after_help = "Example:\n  hms canary resume 42")]
    Resume(SteerArguments),
    /// Give a canary its next weight without a PASS, with a reason that goes into the ledger.
    #[command(after_help = "Example:\n  hms canary skip 42 --reason 'too little traffic at 1 % tonight'")]
    Skip(SteerArguments),
    /// Let HOLD last longer at this weight before the canary fails as held.
    #[command(after_help = "Example:\n  hms canary extend 42 --by 30m")]
    Extend(ExtendArguments),
    /// Write a canary's numbers interval by interval, as its graphs show them: a table, CSV or JSON.
    #[command(after_help = "Example:\n  hms canary export 42 --format csv > canary.csv")]
    Export(CanaryExportArguments),
    /// Judge recorded samples: what hms wrote, or intervals. Exit 0 PASS, 11 HOLD, 12 ROLLBACK.
    #[command(
        after_help = "Example:\n  hms canary judge samples.jsonl --to-end\n  hms canary judge samples.jsonl --set slo_errors=0.5% --output json"
    )]
    Judge(JudgeArguments),
    /// Say what a canary can know when, at this traffic.
    #[command(after_help = "Example:\n  hms canary plan --rps 200 --share 1% --errors 0.2%")]
    Plan(CanaryPlanArguments),
}

/// `hms metrics`.
#[derive(Debug, Subcommand)]
pub enum MetricsVerb {
    /// Say which usual metrics are there, what they lack, and the lines of `.hms` that read them.
    #[command(after_help = "Example:\n  hms metrics doctor --scrape http://127.0.0.1:9100/metrics --version-label pod")]
    Doctor {
        /// A page in the text format; several times for several instances.
        #[arg(long, value_name = "URL", required_unless_present = "prometheus", conflicts_with = "prometheus")]
        scrape: Vec<String>,
        /// A server with the query API.
        #[arg(long, value_name = "URL")]
        prometheus: Vec<String>,
        /// The label that tells the version.
        #[arg(long, value_name = "LABEL")]
        version_label: Option<String>,
    },
}

/// `hms canary pause`, `resume` and `skip`.
#[derive(Debug, Args)]
pub struct SteerArguments {
    /// Which canary.
    #[command(flatten)]
    pub which: WhichCanary,
    /// Why; it goes into the ledger.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `hms canary extend`.
#[derive(Debug, Args)]
pub struct ExtendArguments {
    /// Which canary.
    #[command(flatten)]
    pub which: WhichCanary,
    /// By how much, at most 7d.
    #[arg(long, value_name = "DURATION")]
    pub by: String,
    /// Why; it goes into the ledger.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `hms canary export`.
#[derive(Debug, Args)]
pub struct CanaryExportArguments {
    /// Which canary.
    #[command(flatten)]
    pub which: WhichCanary,
    /// In what shape; JSON also with --output json.
    #[arg(long, value_enum, default_value = "table")]
    pub format: TableFormat,
}

/// The shape of a table of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For people.
    Table,
    /// RFC 4180, with a line of names.
    Csv,
    /// One object.
    Json,
}

/// `hms canary judge`.
#[derive(Debug, Args)]
pub struct JudgeArguments {
    /// The sample file, one JSON object a line; `-` is standard input.
    pub file: PathBuf,
    /// Go on after the first PASS or ROLLBACK, and list every change.
    #[arg(long)]
    pub to_end: bool,
    /// A setting instead of the file's, as `bake_seconds=300` or `slo_errors=0.5%`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `hms canary plan`.
#[derive(Debug, Args)]
pub struct CanaryPlanArguments {
    /// Requests a second, of both arms.
    #[arg(long)]
    pub rps: f64,
    /// The canary's share.
    #[arg(long, default_value = "1%")]
    pub share: String,
    /// The share of requests that fail when all is well.
    #[arg(long, default_value = "0.2%")]
    pub errors: String,
    /// The share of requests that may fail.
    #[arg(long, default_value = "1%")]
    pub slo: String,
    /// At most so many healthy releases are rolled back.
    #[arg(long, default_value = "1%")]
    pub alpha: String,
    /// At most so many bad releases pass by chance.
    #[arg(long, default_value = "5%")]
    pub beta: String,
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
