//! Points → the contiguous pieces of a curve. A gap is a gap: nothing that is not a number is ever drawn.

use chrono::{DateTime, TimeDelta, Utc};

use super::span::{Span, seconds};

/// A value at each moment; none is a gap.
pub(super) type Points = Vec<(DateTime<Utc>, Option<f64>)>;

/// A curve in pieces without gaps: seconds before the right edge (0 or less), value.
pub(super) type Pieces = Vec<Vec<(f64, f64)>>;

/// When a curve is cut beside where a moment has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    /// Where nothing came for much longer than usual.
    Silence,
    /// Nowhere: a value holds until the next one.
    Never,
}

/// Cuts a curve where nothing was measured, or nothing was sampled for long; where points are closer than dots, the highest counts.
pub(super) fn pieces(points: &Points, gaps: Gaps, span: Span, dots: usize) -> Pieces {
    let longest = usual_interval(points) * 5 / 2;
    let mut pieces: Pieces = Vec::new();
    let mut before: Option<DateTime<Utc>> = None;
    for (at, value) in points.iter().filter(|(at, _)| span.holds(*at)) {
        let Some(y) = value.filter(|y| y.is_finite()) else {
            before = None;
            continue;
        };
        let contiguous = before.is_some_and(|before| gaps == Gaps::Never || longest.is_zero() || *at - before <= longest);
        before = Some(*at);
        let dot = (-seconds(span.end - *at), y);
        match pieces.last_mut() {
            Some(piece) if contiguous => piece.push(dot),
            _ => pieces.push(vec![dot]),
        }
    }
    let width = seconds(span.length) / u32::try_from(dots.max(1)).map_or(1.0, f64::from);
    // What holds until the next value changes at one moment: two values of that moment are a step.
    let is_thin = |piece: &Vec<(f64, f64)>| gaps == Gaps::Never && piece.len() <= dots;
    pieces.into_iter().map(|piece| if is_thin(&piece) { piece } else { thin(piece, width) }).collect()
}

/// The median time between two points.
fn usual_interval(points: &Points) -> TimeDelta {
    let mut intervals: Vec<TimeDelta> = points.windows(2).filter_map(|pair| Some(pair.get(1)?.0 - pair.first()?.0)).collect();
    intervals.sort_unstable();
    intervals.get(intervals.len() / 2).copied().unwrap_or_default()
}

/// One point for each dot: the highest, so that a spike survives.
fn thin(piece: Vec<(f64, f64)>, width: f64) -> Vec<(f64, f64)> {
    let mut thinned: Vec<(f64, f64)> = Vec::with_capacity(piece.len());
    for (x, y) in piece {
        match thinned.last_mut() {
            Some((start, highest)) if x - *start < width => *highest = highest.max(y),
            _ => thinned.push((x, y)),
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(points: &[(i64, Option<f64>)], gaps: Gaps) -> Vec<usize> {
        let at = |second: i64| DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
        let points: Points = points.iter().map(|(second, value)| (at(*second), *value)).collect();
        let span = Span { end: points.last().unwrap().0, length: TimeDelta::minutes(5) };
        pieces(&points, gaps, span, 1000).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_missing_value_or_a_long_silence_cuts_the_curve() {
        let one = Some(1.0);
        assert_eq!(cut(&[(0, one), (5, None), (10, one), (15, one)], Gaps::Silence), [1, 2]);
        assert_eq!(cut(&[(0, one), (5, one), (10, one), (60, one)], Gaps::Silence), [3, 1]);
        assert_eq!(cut(&[(0, one), (5, one), (10, one), (60, one)], Gaps::Never), [4]);
        assert_eq!(cut(&[(0, one), (60, one), (60, Some(5.0)), (90, one)], Gaps::Never), [4], "a step stays one");
        assert_eq!(cut(&[(0, Some(f64::NAN)), (5, Some(f64::INFINITY)), (10, one)], Gaps::Silence), [1]);
    }

    #[test]
    fn a_spike_survives_thinning() {
        let piece = (0..100).map(|x| (f64::from(x), if x == 57 { 9.0 } else { 1.0 })).collect();
        let thinned = thin(piece, 10.0);
        assert_eq!(thinned.len(), 10);
        assert!(thinned.iter().any(|(_, y)| (*y - 9.0).abs() < 1e-9));
    }
}
