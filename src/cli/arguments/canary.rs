//! `hms canary` and `hms metrics`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::event::AppName;

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

/// `hms metrics`.
#[derive(Debug, Subcommand)]
pub enum MetricsVerb {
    /// Say which usual metrics are there, what they lack, and the lines of `.hms` that read them; and whether each metric of `.hms` is
    /// there. Without an address it is the source that `.hms` names.
    #[command(after_help = "Example:\n  hms metrics doctor --scrape http://127.0.0.1:9100/metrics --version-label pod")]
    Doctor {
        /// A page in the text format; several times for several instances.
        #[arg(long, value_name = "URL", conflicts_with = "prometheus")]
        scrape: Vec<String>,
        /// A server with the query API.
        #[arg(long, value_name = "URL")]
        prometheus: Vec<String>,
        /// The label that tells the version.
        #[arg(long, value_name = "LABEL")]
        version_label: Option<String>,
    },
}
