//! The one table that is printed, as Markdown.

use std::fmt::Write;

/// A line of the table.
pub(crate) struct Row {
    what: String,
    measured: String,
    reach: Option<(String, Reached)>,
}

/// Whether a figure is where it should be.
#[derive(Clone, Copy)]
pub(crate) enum Reached {
    Yes,
    No,
}

impl From<bool> for Reached {
    fn from(reached: bool) -> Self {
        if reached { Self::Yes } else { Self::No }
    }
}

impl Row {
    /// A figure that only explains another.
    pub(crate) fn plain(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self { what: what.into(), measured: measured.into(), reach: None }
    }

    /// A figure with something to reach.
    pub(crate) fn to_reach(what: impl Into<String>, measured: impl Into<String>, reach: impl Into<String>, reached: bool) -> Self {
        Self { what: what.into(), measured: measured.into(), reach: Some((reach.into(), reached.into())) }
    }

    fn cells(&self) -> [String; 3] {
        let reach = match &self.reach {
            None => String::new(),
            Some((reach, Reached::Yes)) => format!("{reach}: reached"),
            Some((reach, Reached::No)) => format!("{reach}: MISSED"),
        };
        [self.what.clone(), self.measured.clone(), reach]
    }
}

/// The rows under their headings, each column as wide as its widest cell.
pub(crate) fn render(rows: &[Row]) -> String {
    let head = ["figure", "measured", "to reach"].map(str::to_owned);
    let lines: Vec<[String; 3]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    let widths = [0, 1, 2].map(|column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max());
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ", width = width.unwrap_or(0));
        }
        text.push_str("|\n");
        if index == 0 {
            for width in widths {
                let _ = write!(text, "|{}", "-".repeat(width.unwrap_or(0) + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// What the figures were measured on: kernel, processors, and how busy others kept them.
pub(crate) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let name = rustix::system::uname();
    format!(
        "{} {} {}, {processors} × {}, load {} at the end, hms {}\n",
        name.sysname().to_string_lossy(),
        name.release().to_string_lossy(),
        name.machine().to_string_lossy(),
        model.unwrap_or("a processor without a name"),
        load.split(' ').next().unwrap_or("unknown"),
        env!("CARGO_PKG_VERSION"),
    )
}
