//! When to draw: at once for a key, at the next slot for data, never for nothing. A terminal that takes long gets fewer frames.

use std::time::Duration;

/// The slowest rate: two frames a second.
const SLOWEST: Duration = Duration::from_millis(500);

/// Between two frames while the terminal's size changes.
const RESIZE_GAP: Duration = Duration::from_millis(50);

/// The pace of one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    base: Duration,
    gap: Duration,
    last: Option<Duration>,
    need: Need,
    /// The next frame has another size.
    resizing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    Soon,
    Now,
}

impl Pace {
    /// At most one frame in `base`, unless a key asks. The first frame is due at once.
    pub(crate) fn new(base: Duration) -> Self {
        Self { base, gap: base, last: None, need: Need::Now, resizing: false }
    }

    /// Something changed.
    pub(crate) fn dirty(&mut self) {
        self.need = self.need.max(Need::Soon);
    }

    /// The terminal has another size; a drag of its corner is many, and each frame of a new size is a whole one.
    pub(crate) fn resized(&mut self) {
        self.dirty();
        self.resizing = true;
    }

    /// A person waits.
    pub(crate) fn urgent(&mut self) {
        self.need = Need::Now;
    }

    /// When to draw; none while there is nothing to draw.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        match self.need {
            Need::Nothing => None,
            Need::Now => Some(now),
            Need::Soon => {
                let gap = if self.resizing { self.gap.max(RESIZE_GAP) } else { self.gap };
                Some(self.last.map_or(now, |last| (last + gap).max(now)))
            }
        }
    }

    /// A frame is out; writing it took so long. Over half the gap: the line is slow, frames are left out, never queued.
    pub(crate) fn drew(&mut self, now: Duration, took: Duration) {
        self.need = Need::Nothing;
        self.resizing = false;
        self.last = Some(now);
        if took > self.gap / 2 {
            self.gap = (self.gap * 2).min(SLOWEST.max(self.base));
        } else if took < self.gap / 8 {
            self.gap = (self.gap / 2).max(self.base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn data_waits_for_its_slot_and_a_key_does_not() {
        let mut pace = Pace::new(100 * MS);
        assert_eq!(pace.due(5 * MS), Some(5 * MS));
        pace.drew(5 * MS, MS);
        assert_eq!(pace.due(6 * MS), None);
        pace.dirty();
        assert_eq!(pace.due(6 * MS), Some(105 * MS));
        pace.urgent();
        assert_eq!(pace.due(6 * MS), Some(6 * MS));
        pace.drew(6 * MS, MS);
        assert_eq!(pace.due(1000 * MS), None);
    }

    #[test]
    fn a_storm_of_sizes_is_twenty_frames_a_second_and_a_key_is_still_drawn_at_once() {
        let mut pace = Pace::new(33 * MS);
        pace.drew(MS, MS);
        pace.resized();
        assert_eq!(pace.due(2 * MS), Some(51 * MS));
        pace.urgent();
        assert_eq!(pace.due(2 * MS), Some(2 * MS));
        pace.drew(60 * MS, MS);
        pace.dirty();
        assert_eq!(pace.due(61 * MS), Some(93 * MS));
    }

    #[test]
    fn a_slow_line_gets_fewer_frames_and_its_rate_back() {
        let mut pace = Pace::new(33 * MS);
        for _ in 0..10 {
            pace.drew(MS, 400 * MS);
        }
        pace.dirty();
        assert_eq!(pace.due(2 * MS), Some(501 * MS));
        for _ in 0..10 {
            pace.drew(MS, MS);
        }
        pace.dirty();
        assert_eq!(pace.due(2 * MS), Some(34 * MS));
    }
}
