//! What looks at a pipeline file and runs nothing: `validate`, `list`, `plan`, `explain`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

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
