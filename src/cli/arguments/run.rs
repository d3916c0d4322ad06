//! `hms run`.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::event::JobName;

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
    /// How many of its jobs may run at once. The default is one for each processor, and two at least.
    #[arg(long, value_name = "NUMBER")]
    pub concurrency: Option<NonZeroU32>,
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
    #[arg(long, value_name = "RUN", conflicts_with_all = ["reference", "variable", "job", "stage", "concurrency"])]
    pub resume: Option<String>,
    /// What becomes of an interrupted job that deploys or is manual.
    #[arg(long, value_enum)]
    pub resume_interrupted: Option<Interrupted>,
    /// GitLab's rules to the letter: hms's deviations are off.
    #[arg(long)]
    pub gitlab_strict: bool,
}

/// `hms artifacts`.
#[derive(Debug, Subcommand)]
pub enum ArtifactsVerb {
    /// List what a job handed on, with sizes.
    #[command(after_help = "Example:\n  hms artifacts show build --run 42")]
    Show(WhichArtifacts),
    /// Write what a job handed on as one file, named by `artifacts: name`, for tar to unpack.
    #[command(after_help = "Example:\n  hms artifacts get build --run 42\n  hms artifacts get build --to - | tar -xz")]
    Get {
        /// Which.
        #[command(flatten)]
        which: WhichArtifacts,
        /// The file to write, or `-` for standard output; by default NAME.tar.gz here.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Keep what a run's jobs handed on, whatever their `expire_in` says.
    #[command(after_help = "Example:\n  hms artifacts keep 42\n  hms artifacts keep 42 build")]
    Keep {
        /// The run.
        run: String,
        /// One job's alone.
        job: Option<JobName>,
    },
    /// List what the next run would do away with, because its time is over; with --remove, do it now.
    #[command(after_help = "Example:\n  hms artifacts expired\n  hms artifacts expired --remove")]
    Expired {
        /// Do away with it.
        #[arg(long)]
        remove: bool,
    },
}

/// Of which job, and which attempt of it.
#[derive(Debug, Args)]
pub struct WhichArtifacts {
    /// The job.
    pub job: JobName,
    /// The run; the newest, when none is named.
    #[arg(long)]
    pub run: Option<String>,
    /// One attempt's, from 1; the last one's when none is named.
    #[arg(long, value_name = "NUMBER")]
    pub attempt: Option<u32>,
}

/// What becomes of an interrupted job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Interrupted {
    /// It runs again.
    Rerun,
    /// It failed.
    Fail,
}
