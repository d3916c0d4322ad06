//! A line chart as SVG inside a page: its colours come from the page's style, so it is right on light and on dark, and its lines differ
//! in dashes as well as in colour. A gap is a gap; where there are more points than columns, the highest of a column is drawn.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};

use super::escape::escape;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 28.0;
/// The shortest time that is shown: below it the times under the axis would lie on each other.
const SHORTEST: TimeDelta = TimeDelta::seconds(10);
/// The most points of a line.
const COLUMNS: u32 = 780;

/// A chart over the time that the page shows.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    /// From when to when.
    pub(super) span: (DateTime<Utc>, DateTime<Utc>),
    pub(super) series: Vec<Series<'a>>,
    /// A limit and its name.
    pub(super) limit: Option<(f64, &'a str)>,
    /// What lies between two values, with its name.
    pub(super) band: Option<(&'a str, Vec<Band>)>,
    /// Moments with a letter or word, and what they mean.
    pub(super) marks: &'a [(DateTime<Utc>, String)],
    /// The least that the upper end of the axis is.
    pub(super) at_least: f64,
    pub(super) label: fn(f64) -> String,
}

/// A line: its name, its class in the style sheet, its points; a point without a value is a gap.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) class: &'static str,
    pub(super) points: Vec<(DateTime<Utc>, Option<f64>)>,
    pub(super) gaps: Gaps,
}

/// When a line is cut beside where a point has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    /// Where nothing came for much longer than usual.
    Silence,
    /// Nowhere: a value holds until the next one.
    Never,
}

/// Two values at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    pub(super) at: DateTime<Utc>,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Chart<'_> {
    /// The chart as an element of a page.
    pub(super) fn svg(&self) -> String {
        let top = self.top();
        let (from, to) = (self.span.0, self.span.1.max(self.span.0 + SHORTEST));
        let span = (to - from).as_seconds_f64();
        let across = |at: DateTime<Utc>| LEFT + ((at - from).as_seconds_f64() / span).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
        let down = |value: f64| HEIGHT - BOTTOM - (value / top).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM);
        let title = escape(self.title);
        let mut svg = format!(
            "<figure><figcaption>{title}{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n",
            self.legend()
        );
        for part in [0.0, 0.5, 1.0] {
            let y = down(part * top);
            let label = escape(&(self.label)(part * top));
            let _ = writeln!(svg, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>", WIDTH - RIGHT);
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0);
        }
        for (part, anchor) in [(0.0, "start"), (0.5, "middle"), (1.0, "end")] {
            let at = from + (to - from).to_std().map(|span| span.mul_f64(part)).unwrap_or_default();
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                across(at),
                HEIGHT - 8.0,
                at.format("%H:%M:%S")
            );
        }
        if let Some((_, band)) = &self.band {
            let edge = |value: fn(&Band) -> f64| band.iter().map(move |band| (band.at, value(band)));
            let there = edge(|band| band.high).chain(edge(|band| band.low).rev());
            let points: Vec<String> = there.map(|(at, value)| format!("{:.1},{:.1}", across(at), down(value))).collect();
            let _ = writeln!(svg, "<polygon class=\"band\" points=\"{}\"/>", points.join(" "));
        }
        for (at, word) in self.marks {
            let x = across(*at);
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\"><title>{}</title></line>",
                HEIGHT - BOTTOM,
                escape(word)
            );
        }
        self.write_mark_words(&mut svg, &across);
        if let Some((limit, name)) = self.limit.filter(|(limit, _)| *limit <= top) {
            let y = down(limit);
            let _ = writeln!(svg, "<line class=\"limit\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>", WIDTH - RIGHT);
            let _ = writeln!(
                svg,
                "<text class=\"limit\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                y - 4.0,
                escape(name)
            );
        }
        for series in &self.series {
            for piece in pieces(&series.points, series.gaps, span) {
                let points: Vec<String> = piece.iter().map(|(at, value)| format!("{:.1},{:.1}", across(*at), down(*value))).collect();
                let _ = match piece.as_slice() {
                    [(at, value)] => {
                        writeln!(svg, "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"/>", series.class, across(*at), down(*value))
                    }
                    _ => writeln!(svg, "<polyline class=\"{}\" points=\"{}\"/>", series.class, points.join(" ")),
                };
            }
        }
        svg.push_str("</svg></figure>\n");
        svg
    }

    /// The words over the marks; one that would lie on another is left to the list below.
    fn write_mark_words(&self, svg: &mut String, across: &impl Fn(DateTime<Utc>) -> f64) {
        let mut free_from = LEFT;
        for (at, word) in self.marks {
            let (x, width) = (across(*at), f64::from(u32::try_from(word.chars().count()).unwrap_or(u32::MAX)) * 6.5 + 8.0);
            let start = x.min(WIDTH - RIGHT - width).max(LEFT);
            if start < free_from {
                continue;
            }
            let _ = writeln!(svg, "<text class=\"mark\" x=\"{start:.1}\" y=\"{:.1}\">{}</text>", TOP - 6.0, escape(word));
            free_from = start + width;
        }
    }

    fn legend(&self) -> String {
        let lines = self.series.iter().map(|series| format!(" <span class=\"{}\">{}</span>", series.class, escape(series.name)));
        let band = self.band.as_ref().map(|(name, _)| format!(" <span class=\"band\">{}</span>", escape(name)));
        lines.chain(band).collect()
    }

    /// The upper end of the axis: a round number that holds every point and shows the limit.
    fn top(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| series.points.iter().filter_map(|(_, value)| *value));
        let highest = values.filter(|value| value.is_finite()).fold(self.at_least, f64::max);
        round_up(self.limit.map_or(highest, |(limit, _)| highest.max(limit * 1.2)))
    }
}

/// The next 1, 2, 2.5 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let power = 10.0_f64.powf(value.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value * 0.999_999).unwrap_or(value)
}

/// The contiguous pieces of a line, thinned to the columns there are.
fn pieces(points: &[(DateTime<Utc>, Option<f64>)], cut: Gaps, span_seconds: f64) -> Vec<Vec<(DateTime<Utc>, f64)>> {
    let mut gaps: Vec<chrono::TimeDelta> = points.iter().zip(points.iter().skip(1)).map(|(one, next)| next.0 - one.0).collect();
    gaps.sort_unstable();
    let longest = gaps.get(gaps.len() / 2).copied().unwrap_or_default() * 5 / 2;
    let column = span_seconds / f64::from(COLUMNS);
    let mut pieces: Vec<Vec<(DateTime<Utc>, f64)>> = Vec::new();
    let mut before: Option<DateTime<Utc>> = None;
    for (at, value) in points {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            before = None;
            continue;
        };
        let contiguous = before.is_some_and(|before| cut == Gaps::Never || *at - before <= longest);
        before = Some(*at);
        match pieces.last_mut() {
            Some(piece) if contiguous => match piece.last_mut() {
                Some((start, highest)) if (*at - *start).as_seconds_f64() < column => *highest = highest.max(value),
                Some(_) | None => piece.push((*at, value)),
            },
            _ => pieces.push(vec![(*at, value)]),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    #[test]
    fn gaps_are_gaps_and_spikes_survive() {
        let values = [Some(1.0), Some(2.0), None, Some(3.0), Some(f64::NAN), Some(4.0)];
        let points: Vec<_> = (0..).map(|second| at(second * 5)).zip(values).collect();
        assert_eq!(pieces(&points, Gaps::Silence, 30.0).iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1]);
        let silence = [(at(0), Some(1.0)), (at(5), Some(1.0)), (at(10), Some(1.0)), (at(900), Some(1.0))];
        assert_eq!(pieces(&silence, Gaps::Silence, 900.0).len(), 2);
        assert_eq!(pieces(&silence, Gaps::Never, 900.0).len(), 1);
        let day: Vec<_> = (0..17_280).map(|index| (at(index * 5), Some(if index == 7_777 { 9.0 } else { 1.0 }))).collect();
        let thin = pieces(&day, Gaps::Silence, 86_400.0);
        assert!(thin[0].len() <= 800 && thin[0].iter().any(|(_, value)| (*value - 9.0).abs() < 1e-9), "{}", thin[0].len());
    }

    /// Under the axis of a canary of one second the times would be one heap.
    #[test]
    fn a_short_canary_has_an_axis_of_its_own_length() {
        let series = vec![Series { name: "canary", class: "canary", gaps: Gaps::Silence, points: vec![(at(0), Some(1.0))] }];
        let chart = Chart {
            title: "p95",
            span: (at(0), at(0)),
            series,
            limit: None,
            band: None,
            marks: &[],
            at_least: 0.0,
            label: |value| value.to_string(),
        };
        let svg = chart.svg();
        let ticks: Vec<&str> = svg.lines().filter(|line| line.contains(">00:00:")).collect();
        assert_eq!(ticks.len(), 3, "{svg}");
        for (tick, (x, time)) in ticks.iter().zip([("64.0", "00:00:00"), ("454.0", "00:00:05"), ("844.0", "00:00:10")]) {
            assert!(tick.contains(&format!("x=\"{x}\"")) && tick.contains(time), "{tick}");
        }
    }

    #[test]
    fn an_axis_ends_at_a_round_number_above_everything() {
        for (value, end) in [(0.0, 1.0), (0.9, 1.0), (1.0, 1.0), (3.0, 5.0), (0.012, 0.02), (230.0, 250.0), (f64::INFINITY, 1.0)] {
            assert!((round_up(value) - end).abs() < 1e-9, "{value}: {}", round_up(value));
        }
    }

    #[test]
    fn a_chart_is_one_element_and_its_names_are_text() {
        let series = vec![Series {
            name: "<b>",
            class: "canary",
            gaps: Gaps::Silence,
            points: vec![(at(0), Some(1.0)), (at(5), Some(2.0)), (at(30), None), (at(60), Some(1.0))],
        }];
        let marks = [(at(2), "<script>".to_owned())];
        let band = Some(("95 %", vec![Band { at: at(0), low: 0.0, high: 1.0 }, Band { at: at(60), low: 0.5, high: 0.7 }]));
        let chart = Chart {
            title: "a & b",
            span: (at(0), at(60)),
            series,
            limit: Some((3.0, "SLO")),
            band,
            marks: &marks,
            at_least: 0.0,
            label: |value| value.to_string(),
        };
        let svg = chart.svg();
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;script&gt;") && !svg.contains("<script") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("polyline class=\"canary\"") && svg.contains("circle class=\"canary\"") && svg.contains("SLO"), "{svg}");
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (1, 1));
    }
}
