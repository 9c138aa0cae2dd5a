//! Line charts as SVG, and the curves of a training run: loss and accuracy over the epochs, loss over the steps.
//!
//! Lines differ in colour and in dash, so they can be told apart in print and by colour-blind readers. Values that
//! are not finite interrupt their line.

use crate::number::{percent, short, significant, ticks};
use crate::svg::{Font, PLAIN, Svg, width};

const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"];
const DASHES: [&str; 3] = ["", "7 4", "2 3"];
const FAINT: &str = "#6e6e78";

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// Points (x, y), x ascending.
    pub points: Vec<(f64, f64)>,
    /// A thin pale line, for noisy values such as the loss of every step.
    pub thin: bool,
}

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// What x is, with its unit.
    pub x_label: String,
    /// What y is, with its unit.
    pub y_label: String,
    /// The lines.
    pub series: Vec<Series>,
    /// A point to mark, (x, y), with its words.
    pub mark: Option<(f64, f64, String)>,
    /// Whether y is a share, printed in per cent.
    pub share: bool,
}

/// The figures of one epoch; shares in [0, 1].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epoch {
    /// Epochs done, counted from 1.
    pub epoch: f64,
    /// Mean loss over the training samples.
    pub train_loss: Option<f64>,
    /// Mean loss over the test samples.
    pub test_loss: Option<f64>,
    /// Share of training samples classified correctly.
    pub train_accuracy: Option<f64>,
    /// Share of test samples classified correctly.
    pub test_accuracy: Option<f64>,
}

/// Loss and accuracy of a run side by side, the best epoch marked: highest test accuracy and lowest test loss, the
/// first one where several are equal. `steps` holds (epochs done, loss of that step), drawn as a thin line.
pub fn curves(title: &str, epochs: &[Epoch], steps: &[(f64, f64)]) -> String {
    let line = |name: &str, pick: fn(&Epoch) -> Option<f64>| Series {
        name: name.into(),
        points: epochs.iter().filter_map(|e| Some((e.epoch, pick(e)?))).collect(),
        thin: false,
    };
    let mut loss = vec![line("training", |e| e.train_loss), line("test", |e| e.test_loss)];
    if !steps.is_empty() {
        loss.push(Series { name: "each step".into(), points: steps.to_vec(), thin: true });
    }
    let accuracy = vec![line("training", |e| e.train_accuracy), line("test", |e| e.test_accuracy)];
    let lowest = best(&loss[1].points, |a, b| a < b);
    let highest = best(&accuracy[1].points, |a, b| a > b);
    let chart = |title: &str, y_label: &str, series, mark, share| Chart {
        title: title.into(),
        x_label: "epoch".into(),
        y_label: y_label.into(),
        series,
        mark,
        share,
    };
    let charts = [
        chart(
            "Loss",
            "mean loss of a sample",
            loss,
            lowest.map(|(x, y)| (x, y, format!("best test {} (epoch {})", short(y), short(x)))),
            false,
        ),
        chart(
            "Accuracy",
            "samples classified correctly",
            accuracy,
            highest.map(|(x, y)| (x, y, format!("best test {:.2} % (epoch {})", 100.0 * y, short(x)))),
            true,
        ),
    ];
    draw(title, &charts)
}

fn best(points: &[(f64, f64)], better: fn(f64, f64) -> bool) -> Option<(f64, f64)> {
    let finite = points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite());
    finite.reduce(|best, p| if better(p.1, best.1) { p } else { best })
}

const PANEL: (f64, f64) = (520.0, 390.0);
const INSET: (f64, f64, f64, f64) = (78.0, 66.0, 18.0, 52.0); // left, top, right, bottom

/// Charts side by side under a title.
pub fn draw(title: &str, charts: &[Chart]) -> String {
    let head = 40.0;
    let full = (PANEL.0 * charts.len().max(1) as f64).max(width(title, 17.0, true) + 40.0);
    let legend = charts.iter().map(|chart| keys(chart).1).fold(0.0, f64::max);
    let mut svg = Svg::new(full, PANEL.1 + legend + head, title);
    svg.text(20.0, 28.0, title, Font { size: 17.0, bold: true, ..PLAIN });
    for (i, chart) in charts.iter().enumerate() {
        Panel::new(chart, i as f64 * PANEL.0, head, legend).draw(&mut svg, chart);
    }
    svg.finish()
}

/// The place of a chart and its axes.
struct Panel {
    left: f64,
    top: f64,
    /// Height of the legend's rows beneath its first.
    legend: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Panel {
    fn new(chart: &Chart, left: f64, top: f64, legend: f64) -> Self {
        let points =
            || chart.series.iter().flat_map(|s| &s.points).filter(|p| p.0.is_finite() && p.1.is_finite());
        let span = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
        };
        let widen = |(lo, hi): (f64, f64)| match hi - lo {
            d if d > 0.0 => (lo, hi),
            0.0 => (lo - 0.5, hi + 0.5),
            _ => (0.0, 1.0),
        };
        let x = widen(span(&mut points().map(|p| p.0)));
        let (lo, hi) = widen(span(&mut points().map(|p| p.1)));
        // Losses stand on zero; shares fill the panel, or differences near 100 % could not be seen.
        let y = if chart.share {
            ((lo - 0.06 * (hi - lo)).max(0.0), (hi + 0.06 * (hi - lo)).min(1.0))
        } else {
            (lo.min(0.0), hi + 0.05 * (hi - lo.min(0.0)))
        };
        Self { left, top, legend, x, y: widen(y) }
    }

    fn box_(&self) -> (f64, f64, f64, f64) {
        let (left, top) = (self.left + INSET.0, self.top + self.legend + INSET.1);
        (left, top, self.left + PANEL.0 - INSET.2, self.top + self.legend + PANEL.1 - INSET.3)
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (left, top, right, bottom) = self.box_();
        let (tx, ty) = ((x - self.x.0) / (self.x.1 - self.x.0), (y - self.y.0) / (self.y.1 - self.y.0));
        (left + tx * (right - left), bottom - ty * (bottom - top))
    }

    fn draw(&self, svg: &mut Svg, chart: &Chart) {
        let (left, top, right, bottom) = self.box_();
        svg.text(left, self.top + 24.0, &chart.title, Font { size: 15.0, bold: true, ..PLAIN });
        self.axes(svg, chart);
        // Thin lines first, beneath the others.
        for thin in [true, false] {
            for (i, series) in chart.series.iter().enumerate().filter(|(_, s)| s.thin == thin) {
                self.series(svg, series, i);
            }
        }
        self.legend(svg, chart);
        svg.path(&format!("M{left:.1} {top:.1}V{bottom:.1}H{right:.1}"), "#40404a", 1.2, "");
        if let Some((x, y, words)) = &chart.mark {
            self.mark(svg, (*x, *y), words);
        }
    }

    fn axes(&self, svg: &mut Svg, chart: &Chart) {
        let (left, top, right, bottom) = self.box_();
        let small = Font { size: 12.0, color: FAINT, ..PLAIN };
        let step = |t: &[f64]| if t.len() > 1 { t[1] - t[0] } else { 1.0 };
        let y_ticks = ticks(self.y.0, self.y.1, 6);
        for &t in &y_ticks {
            let y = self.place((self.x.0, t)).1;
            svg.line((left, y), (right, y), "#e4e4ea", 1.0);
            let digits = if chart.share && step(&y_ticks) < 0.01 { 4 } else { 3 };
            let text = if chart.share { format!("{} %", significant(100.0 * t, digits)) } else { short(t) };
            svg.text(left - 8.0, y + 4.0, &text, Font { anchor: "end", ..small });
        }
        for t in self.x_ticks(chart) {
            let x = self.place((t, self.y.0)).0;
            svg.line((x, bottom), (x, bottom + 5.0), "#40404a", 1.0);
            svg.text(x, bottom + 19.0, &significant(t, 4), Font { anchor: "middle", ..small });
        }
        let middle = Font { anchor: "middle", ..PLAIN };
        svg.text((left + right) / 2.0, bottom + 40.0, &chart.x_label, middle);
        svg.text_up(self.left + 18.0, (top + bottom) / 2.0, &chart.y_label, middle);
    }

    /// Ticks along x: whole numbers where the points of all thick lines lie at whole numbers, as epochs and layers do.
    fn x_ticks(&self, chart: &Chart) -> Vec<f64> {
        let thick = chart.series.iter().filter(|s| !s.thin).flat_map(|s| &s.points);
        let mut at = thick.map(|p| p.0).filter(|x| x.is_finite()).peekable();
        let whole = at.peek().is_some() && at.all(|x| x.fract() == 0.0);
        let mut ticks = ticks(self.x.0, self.x.1, 8);
        ticks.retain(|t| !whole || (t - t.round()).abs() < 1e-9);
        ticks
    }

    fn series(&self, svg: &mut Svg, series: &Series, index: usize) {
        let (color, dash) = look(index);
        let mut d = String::new();
        let mut open = false;
        for &point in &series.points {
            if !(point.0.is_finite() && point.1.is_finite()) {
                open = false;
                continue;
            }
            let (x, y) = self.place(point);
            d += &format!("{}{x:.1} {y:.1}", if open { "L" } else { "M" });
            open = true;
            if !series.thin && series.points.len() <= 40 {
                svg.dot(x, y, 2.8, color);
            }
        }
        if !d.is_empty() {
            if series.thin { svg.path(&d, "#bcbcc6", 0.8, "") } else { svg.path(&d, color, 2.0, dash) }
        }
    }

    fn legend(&self, svg: &mut Svg, chart: &Chart) {
        for (i, dx, dy) in keys(chart).0 {
            let (x, y, series) = (self.left + INSET.0 + dx, self.top + 46.0 + dy, &chart.series[i]);
            let (color, dash) = look(i);
            let (color, thick, dash) = if series.thin { ("#bcbcc6", 1.0, "") } else { (color, 2.2, dash) };
            svg.path(&format!("M{x:.1} {y:.1}h28"), color, thick, dash);
            svg.text(x + 34.0, y + 4.5, &series.name, PLAIN);
        }
    }

    fn mark(&self, svg: &mut Svg, point: (f64, f64), words: &str) {
        if !(point.0.is_finite() && point.1.is_finite()) {
            return;
        }
        let (left, top, right, bottom) = self.box_();
        let (x, y) = self.place(point);
        svg.line((x, top), (x, bottom), "#8a8a94", 0.8);
        svg.dot(x, y, 6.0, "#20202a");
        svg.dot(x, y, 3.6, "#ffffff");
        // The words stand in the emptier half, and never outside the panel.
        let below = y < (top + bottom) / 2.0;
        let half = width(words, PLAIN.size, false) / 2.0;
        let at = x.clamp((left + half + 4.0).min(right), (right - half - 4.0).max(left));
        svg.text(at, if below { y + 42.0 } else { y - 34.0 }, words, Font { anchor: "middle", ..PLAIN });
    }
}

/// Where the keys of a chart's legend stand, (series, x, y) from its first, in rows as wide as the panel; and the height
/// of the rows beneath the first.
fn keys(chart: &Chart) -> (Vec<(usize, f64, f64)>, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    let mut keys = Vec::new();
    for (i, series) in chart.series.iter().enumerate().filter(|(_, s)| !s.points.is_empty()) {
        let wide = 34.0 + width(&series.name, PLAIN.size, false);
        if x > 0.0 && x + wide > PANEL.0 - INSET.0 {
            (x, y) = (0.0, y + 20.0);
        }
        keys.push((i, x, y));
        x += wide + 20.0;
    }
    (keys, y)
}

fn look(index: usize) -> (&'static str, &'static str) {
    (COLORS[index % COLORS.len()], DASHES[index % DASHES.len()])
}

/// The accuracy of the last epoch in words, for captions.
pub fn last_accuracy(epochs: &[Epoch]) -> Option<String> {
    epochs.iter().rev().find_map(|e| e.test_accuracy).map(percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svg::check;

    fn epochs() -> Vec<Epoch> {
        let row = |epoch: f64, loss, accuracy| Epoch {
            epoch,
            train_loss: Some(loss * 0.9),
            test_loss: Some(loss),
            train_accuracy: None,
            test_accuracy: Some(accuracy),
        };
        vec![row(1.0, 0.5, 0.90), row(2.0, 0.2, 0.97), row(3.0, 0.3, 0.97)]
    }

    #[test]
    fn the_best_epoch_is_the_first_of_equals() {
        let svg = curves("run <1>", &epochs(), &[(0.1, 2.3), (0.2, f64::NAN), (0.3, 2.0)]);
        check(&svg).unwrap();
        assert!(
            svg.contains("best test 0.2 (epoch 2)") && svg.contains("best test 97.00 % (epoch 2)"),
            "{svg}"
        );
        assert_eq!(svg, curves("run <1>", &epochs(), &[(0.1, 2.3), (0.2, f64::NAN), (0.3, 2.0)]));
        assert_eq!(last_accuracy(&epochs()).as_deref(), Some("97 %"));
    }

    #[test]
    fn keys_stay_within_the_width_of_their_chart() {
        let one = |n| Series {
            name: format!("image {n} of a class with a name"),
            points: vec![(0.0, 0.0)],
            thin: false,
        };
        let chart = Chart { series: (0..5).map(one).collect(), ..Chart::default() };
        let (keys, height) = keys(&chart);
        assert_eq!(keys.len(), 5);
        assert!(height >= 20.0 && keys.last().is_some_and(|k| k.2 == height));
        for (i, x, _) in keys {
            assert!(x + 34.0 + width(&chart.series[i].name, PLAIN.size, false) <= PANEL.0 - INSET.0);
        }
    }

    #[test]
    fn points_land_where_the_axes_say() {
        let series = vec![Series { name: "a".into(), points: vec![(0.0, 0.0), (10.0, 2.0)], thin: false }];
        let chart = Chart { series, ..Chart::default() };
        let panel = Panel::new(&chart, 0.0, 0.0, 0.0);
        let (left, top, right, bottom) = panel.box_();
        assert_eq!(panel.place((0.0, 0.0)), (left, bottom));
        assert!(
            (panel.place((10.0, 2.1)).0 - right).abs() < 1e-9
                && (panel.place((10.0, 2.1)).1 - top).abs() < 1e-9
        );
    }

    #[test]
    fn epochs_and_layers_have_ticks_at_whole_numbers_only() {
        let of = |xs: &[f64], thin: &[f64]| {
            let line = |xs: &[f64], thin| Series {
                name: "a".into(),
                points: xs.iter().map(|&x| (x, x)).collect(),
                thin,
            };
            let chart = Chart { series: vec![line(xs, false), line(thin, true)], ..Chart::default() };
            Panel::new(&chart, 0.0, 0.0, 0.0).x_ticks(&chart)
        };
        assert_eq!(of(&[1.0, 2.0, 3.0], &[]), [1.0, 2.0, 3.0]);
        assert_eq!(of(&[1.0, 2.0], &[0.125, 0.25]), [1.0, 2.0]);
        assert_eq!(of(&[1.0], &[]), [1.0]);
        assert!((of(&[0.8, 1.0, 1.2], &[])[1] - 0.85).abs() < 1e-12);
        assert_eq!(of(&[0.0, 100.0], &[]).len(), 6);
    }

    #[test]
    fn empty_single_and_broken_runs_are_drawn() {
        let one =
            [Epoch { epoch: 1.0, test_loss: Some(f64::NAN), test_accuracy: Some(1.0), ..Epoch::default() }];
        for (epochs, steps) in
            [(&[][..], &[][..]), (&one[..], &[][..]), (&[][..], &[(f64::NAN, f64::INFINITY)][..])]
        {
            check(&curves("x", epochs, steps)).unwrap();
        }
    }
}
