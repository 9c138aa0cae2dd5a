//! Training seen layer by layer: panels in which a row is a layer and a column an epoch, and histograms over the epochs.

use crate::canvas::{Canvas, enlargement};
use crate::color::{self, ColorMap, Rgb};
use crate::error::{Error, Result};
use crate::number::{percent, short};
use crate::svg::{Font, PLAIN, Svg, width};
use ndarray::Array2;

/// What is known of one layer, epoch by epoch.
#[derive(Clone, Debug, Default)]
pub struct Track {
    /// Its name.
    pub name: String,
    /// For each of [`PANELS`], a value an epoch, where there is one.
    pub values: Vec<Vec<Option<f64>>>,
    /// For each of [`HISTOGRAMS`], counts of each epoch.
    pub histograms: Vec<Vec<Vec<u64>>>,
}

/// A run, diagnosed.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// The epochs.
    pub epochs: Vec<u64>,
    /// Inner edges of all histograms, ascending.
    pub edges: Vec<f64>,
    /// The layers, in execution order.
    pub layers: Vec<Track>,
}

/// A panel: what is shown, and how.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// Title.
    pub title: &'static str,
    /// What to look for.
    pub hint: &'static str,
    /// Shares are painted from 0 to 1, other values by their logarithm.
    pub share: bool,
}

/// The panels, in the order of [`Track::values`].
pub const PANELS: [Panel; 6] = [
    Panel {
        title: "How far weights move: update / weight",
        hint: "about 1e-3 is healthy; far above, training jumps; far below, it stands",
        share: false,
    },
    Panel {
        title: "Gradients at the layers' outputs: standard deviation",
        hint: "fading from the last layer to the first: gradients vanish; growing: they explode",
        share: false,
    },
    Panel {
        title: "Activations: standard deviation",
        hint: "layers should neither fade nor grow over the epochs",
        share: false,
    },
    Panel {
        title: "Activations that are exactly zero",
        hint: "rectifiers are often at 50 to 90 %",
        share: true,
    },
    Panel {
        title: "Dead units: zero on every image",
        hint: "dead units learn nothing any more",
        share: true,
    },
    Panel {
        title: "Saturated units: 95 % of values near a limit",
        hint: "saturated units pass almost no gradient down",
        share: true,
    },
];

/// The histograms, in the order of [`Track::histograms`].
pub const HISTOGRAMS: [&str; 3] = ["activations", "gradients at the output", "weights and biases"];

const ROW: f64 = 17.0;
const HEAT: f64 = 250.0;
const LAST: f64 = 74.0;
const FAINT: &str = "#6e6e78";
const MARGIN: f64 = 24.0;

impl Diagnosis {
    fn check(&self) -> Result<()> {
        let fits = |t: &Track| {
            t.values.len() == PANELS.len()
                && t.values.iter().all(|v| v.len() == self.epochs.len())
                && t.histograms.iter().flatten().all(|h| h.is_empty() || h.len() == self.edges.len() + 1)
        };
        match self.epochs.is_empty() || !self.layers.iter().all(fits) {
            true => Err(Error::shape("diagnosis", "epochs and values do not match", "give a value an epoch")),
            false => Ok(()),
        }
    }
}

/// The panels of a run.
///
/// # Errors
/// No epoch, or layers with other numbers of values.
pub fn panels(title: &str, run: &Diagnosis) -> Result<String> {
    run.check()?;
    let has = |p: usize| run.layers.iter().filter(move |t| t.values[p].iter().any(Option::is_some));
    let shown: Vec<usize> = (0..PANELS.len()).filter(|&p| has(p).count() > 0).collect();
    let names = run.layers.iter().map(|t| width(&t.name, 12.0, false)).fold(40.0, f64::max) + 10.0;
    let hints = PANELS.iter().map(|p| width(p.hint, 11.0, false)).fold(0.0, f64::max);
    let wide = (names + HEAT + LAST).max(hints) + 40.0;
    let tall = |p: &usize| 96.0 + ROW * has(*p).count() as f64;
    let rows: Vec<&[usize]> = shown.chunks(2).collect();
    let heights: Vec<f64> = rows.iter().map(|r| r.iter().map(tall).fold(0.0, f64::max)).collect();
    let full = (2.0 * wide + MARGIN).max(width(title, 18.0, true) + 2.0 * MARGIN);
    let mut svg = Svg::new(full, 70.0 + heights.iter().sum::<f64>(), title);
    svg.text(MARGIN, 30.0, title, Font { size: 18.0, bold: true, ..PLAIN });
    svg.text(
        MARGIN,
        50.0,
        "A row is a layer, a column an epoch; the number is that of the last epoch.",
        Font { color: FAINT, ..PLAIN },
    );
    let mut y = 70.0;
    for (row, height) in rows.iter().zip(heights) {
        for (i, &p) in row.iter().enumerate() {
            let tracks: Vec<&Track> = has(p).collect();
            panel(&mut svg, run, p, &tracks, (MARGIN + i as f64 * wide, y), names)?;
        }
        y += height;
    }
    Ok(svg.finish())
}

fn panel(
    svg: &mut Svg,
    run: &Diagnosis,
    p: usize,
    tracks: &[&Track],
    (x, y): (f64, f64),
    names: f64,
) -> Result<()> {
    let Panel { title, hint, share } = PANELS[p];
    let scaled = |v: f64| if share { v } else { v.max(f64::MIN_POSITIVE).log10() };
    let known = || tracks.iter().flat_map(|t| &t.values[p]).flatten().filter(|v| share || **v > 0.0);
    let ends = known().fold((f64::INFINITY, f64::NEG_INFINITY), |r, &v| (r.0.min(v), r.1.max(v)));
    let (low, high) = if share || ends.0 > ends.1 { (0.0, 1.0) } else { ends };
    let (from, to) = (scaled(low), scaled(high));
    let paint = |v: Option<f64>| match v {
        Some(v) if v.is_finite() => {
            let at = if to > from { (scaled(v) - from) / (to - from) } else { 0.5 };
            color::VIRIDIS.at(at.clamp(0.0, 1.0) as f32)
        }
        _ => color::WHITE,
    };
    let cells =
        Array2::from_shape_fn((tracks.len(), run.epochs.len()), |(r, e)| paint(tracks[r].values[p][e]));
    svg.text(x, y + 16.0, title, Font { size: 14.0, bold: true, ..PLAIN });
    svg.text(x, y + 32.0, hint, Font { size: 11.0, color: FAINT, ..PLAIN });
    let (left, top) = (x + names, y + 42.0);
    svg.image(left, top, HEAT, ROW * tracks.len() as f64, &blocks(&cells)?);
    let words = |v: f64| if share { percent(v) } else { short(v) };
    for (r, track) in tracks.iter().enumerate() {
        let base = top + ROW * r as f64 + 12.5;
        svg.text(left - 6.0, base, &track.name, Font { size: 12.0, anchor: "end", ..PLAIN });
        let last = track.values[p].last().copied().flatten().map_or("-".into(), words);
        svg.text(left + HEAT + 6.0, base, &last, Font { size: 12.0, ..PLAIN });
    }
    let bottom = top + ROW * tracks.len() as f64;
    let small = Font { size: 10.5, color: FAINT, ..PLAIN };
    let span = match (run.epochs.first(), run.epochs.last()) {
        (Some(a), Some(b)) if a != b => format!("epochs {a} to {b}"),
        (Some(a), _) => format!("epoch {a}"),
        _ => String::new(),
    };
    svg.text(left, bottom + 14.0, &span, small);
    bar(svg, left + HEAT - 60.0, bottom + 6.0, &color::VIRIDIS)?;
    svg.text(left + HEAT - 66.0, bottom + 14.0, &words(low), Font { anchor: "end", ..small });
    svg.text(left + HEAT + 6.0, bottom + 14.0, &words(high), small);
    Ok(())
}

/// Cells as a PNG whose blocks stay blocks in viewers that smooth what they enlarge.
fn blocks(cells: &Array2<Rgb>) -> Result<Vec<u8>> {
    let factor = enlargement(cells.nrows().max(cells.ncols()), 480);
    let mut canvas = Canvas::white(cells.ncols() * factor, cells.nrows() * factor)?;
    canvas.blit(0, 0, cells.view(), factor);
    canvas.png()
}

fn bar(svg: &mut Svg, x: f64, y: f64, map: &ColorMap) -> Result<()> {
    let mut canvas = Canvas::white(60, 1)?;
    (0..60).for_each(|i| canvas.set(i, 0, map.at(i as f32 / 59.0)));
    svg.image(x, y, 60.0, 9.0, &canvas.png()?);
    Ok(())
}

const PICTURE: (f64, f64) = (230.0, 117.0);

/// Histograms of a run: for every layer its activations, gradients and weights, each a column an epoch and a row a bin.
///
/// # Errors
/// As [`panels`].
pub fn histograms(title: &str, run: &Diagnosis) -> Result<String> {
    run.check()?;
    let (wide, tall) = (PICTURE.0 + 92.0, PICTURE.1 + 46.0);
    let full = (MARGIN * 2.0 + wide * HISTOGRAMS.len() as f64).max(width(title, 18.0, true) + 2.0 * MARGIN);
    let mut svg = Svg::new(full, 80.0 + tall * run.layers.len() as f64, title);
    svg.text(MARGIN, 30.0, title, Font { size: 18.0, bold: true, ..PLAIN });
    let words = "A column is an epoch, a row a bin, evenly spaced in the logarithm on both sides of zero; brighter: more values.";
    svg.text(MARGIN, 50.0, words, Font { size: 12.0, color: FAINT, ..PLAIN });
    for (l, track) in run.layers.iter().enumerate() {
        for (h, (what, epochs)) in HISTOGRAMS.into_iter().zip(&track.histograms).enumerate() {
            let (x, y) = (MARGIN + wide * h as f64 + 64.0, 80.0 + tall * l as f64);
            svg.text(x, y, &format!("{}: {what}", track.name), Font { size: 12.0, bold: true, ..PLAIN });
            histogram(&mut svg, run, epochs, (x, y + 8.0))?;
        }
    }
    Ok(svg.finish())
}

fn histogram(svg: &mut Svg, run: &Diagnosis, epochs: &[Vec<u64>], (x, y): (f64, f64)) -> Result<()> {
    let small = Font { size: 10.5, color: FAINT, ..PLAIN };
    let bins = run.edges.len() + 1;
    let empty = epochs.iter().all(|counts| counts.iter().sum::<u64>() == 0);
    svg.rect(x - 0.5, y - 0.5, PICTURE.0 + 1.0, PICTURE.1 + 1.0, 0.0, "none", "#c8c8d0");
    if empty {
        svg.text(x + 0.5 * PICTURE.0, y + 0.5 * PICTURE.1, "none", Font { anchor: "middle", ..small });
        return Ok(());
    }
    let cells = Array2::from_shape_fn((bins, epochs.len()), |(row, e)| {
        let counts = &epochs[e];
        let all = counts.iter().sum::<u64>().max(1) as f64;
        let share = counts.get(bins - 1 - row).copied().unwrap_or(0) as f64 / all;
        // the root, so that rare values are seen
        color::MAGMA.at(share.sqrt() as f32)
    });
    svg.image(x, y, PICTURE.0, PICTURE.1, &blocks(&cells)?);
    let at = |edge: usize| y + PICTURE.1 * (1.0 - (edge + 1) as f64 / bins as f64);
    let half = run.edges.len() / 2;
    svg.text(x - 5.0, y + 0.5 * PICTURE.1 + 3.5, "0", Font { anchor: "end", ..small });
    for edge in [0, half / 3, 2 * half / 3].into_iter().filter(|_| half >= 6) {
        for edge in [edge, run.edges.len() - 1 - edge] {
            let words = short(run.edges[edge]);
            svg.text(x - 5.0, at(edge) + 3.5, &words, Font { anchor: "end", ..small });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Diagnosis {
        let values: Vec<Vec<Option<f64>>> =
            (0..6).map(|p| vec![Some(0.5), (p != 5).then_some(0.0), Some(f64::NAN)]).collect();
        let counts = vec![vec![0, 3, 1], vec![1, 1, 1], vec![]];
        let track = Track { name: "a < b".into(), values, histograms: vec![counts; 3] };
        Diagnosis { epochs: vec![1, 2, 3], edges: vec![-1.0, 1.0], layers: vec![track; 2] }
    }

    #[test]
    fn runs_with_holes_are_drawn_and_others_refused() {
        crate::svg::check(&panels("x", &run()).unwrap()).unwrap();
        crate::svg::check(&histograms("x", &run()).unwrap()).unwrap();
        let text = panels("x", &run()).unwrap();
        assert!(PANELS.iter().all(|p| text.contains(&crate::svg::escape(p.title))));
        assert!(panels("x", &Diagnosis::default()).is_err());
        let mut bad = run();
        bad.layers[0].values[2].pop();
        assert!(panels("x", &bad).is_err());
    }
}
