//! Line charts as SVG: readable without scripts, on white and on black.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 220.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Told apart by people who see red and green alike, on either background.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888"];

/// A line: its name and its points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// A chart: what its axes say, how far they go, and its lines.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: (&'a str, Vec<(f64, String)>),
    pub(crate) y: (&'a str, Vec<(f64, String)>),
    pub(crate) series: Vec<Series>,
    /// A level that is promised.
    pub(crate) level: Option<(f64, &'a str)>,
}

impl Chart<'_> {
    pub(crate) fn svg(&self) -> String {
        let ends = |ticks: &[(f64, String)]| {
            let first = ticks.first().map_or(0.0, |tick| tick.0);
            (first, ticks.last().map_or(1.0, |tick| tick.0))
        };
        let ((x_low, x_high), (y_low, y_high)) = (ends(&self.x.1), ends(&self.y.1));
        let across = |x: f64| LEFT + (x.clamp(x_low, x_high) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
        let down = |y: f64| HEIGHT - BOTTOM - (y.clamp(y_low, y_high) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}</text>\n",
            self.title
        );
        for (value, label) in &self.x.1 {
            let x = across(*value);
            let _ = writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#e0e0e0\"/>", HEIGHT - BOTTOM);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", HEIGHT - BOTTOM + 16.0);
        }
        for (value, label) in &self.y.1 {
            let y = down(*value);
            let _ = writeln!(svg, "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#e0e0e0\"/>", WIDTH - RIGHT);
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0);
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        let _ = writeln!(svg, "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>", HEIGHT - 12.0, self.x.0);
        let _ = writeln!(
            svg,
            "<text x=\"14\" y=\"{:.1}\" transform=\"rotate(-90 14 {:.1})\" text-anchor=\"middle\">{}</text>",
            HEIGHT / 2.0,
            HEIGHT / 2.0,
            self.y.0
        );
        if let Some((level, label)) = self.level {
            let y = down(level);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#000000\" stroke-dasharray=\"4 3\"/>",
                WIDTH - RIGHT
            );
            let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{label}</text>", LEFT + 4.0, y - 4.0);
        }
        for ((place, (name, points)), colour) in self.series.iter().enumerate().zip(COLOURS.iter().cycle()) {
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), down(*y))).collect();
            let _ = writeln!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>", path.join(" "));
            let y = TOP + 14.0 + 20.0 * (0..place).fold(0.0, |sum, _| sum + 1.0);
            let x = WIDTH - RIGHT + 12.0;
            let _ = writeln!(svg, "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"/>", x + 18.0);
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{name}</text>", x + 24.0, y + 4.0);
        }
        svg.push_str("</svg>\n");
        svg
    }
}
