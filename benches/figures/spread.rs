//! Many measurements of one thing, in order.

use std::time::Duration;

/// At least one measurement, in milliseconds.
pub(crate) struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// Of durations.
    pub(crate) fn of(durations: impl IntoIterator<Item = Duration>) -> Self {
        Self::of_milliseconds(durations.into_iter().map(|duration| duration.as_secs_f64() * 1000.0))
    }

    /// Of differences, which may be negative.
    pub(crate) fn of_milliseconds(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// The value that so many of a thousand do not pass (nearest rank); NaN of nothing.
    pub(crate) fn at(&self, thousandths: usize) -> f64 {
        let rank = (self.sorted.len() * thousandths).div_ceil(1000).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// Half are below it.
    pub(crate) fn median(&self) -> f64 {
        self.at(500)
    }

    /// `min / median / max`, in milliseconds.
    pub(crate) fn three(&self) -> String {
        format!("{:.1} / {:.1} / {:.1} ms", self.at(0), self.median(), self.at(1000))
    }
}
