//! belief: methods down, images of every class across, and beside each map the numbers that say whether to believe it.

use super::{Figure, File, Images, Needs, Scene, explanation};
use crate::belief::{self, Better, Jury, Measure, Table, mean};
use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, INK};
use crate::error::Result;
use crate::font;
use crate::methods::{self, Ask, Settings};
use crate::number::{short, significant};
use crate::overlay::pixels;
use crate::scale::{Range, Style};
use crate::sheet::{LINE, Sheet, TEXT};
use ndarray::{ArrayView2, Axis};

pub(super) static FIGURE: Figure = Figure {
    name: "belief",
    summary: "methods down, classes across, each map beside the numbers that say whether to believe it",
    needs: Needs::ImagesAndTime,
    keys: &[],
    draw,
};

/// Images shown.
const MOST: usize = 10;

/// Methods judged.
pub const METHODS: [&str; 9] = [
    "saliency",
    "guided-backprop",
    "deconvnet",
    "gradient-x-input",
    "integrated-gradients",
    "deeplift",
    "lrp-epsilon-plus",
    "grad-cam",
    "occlusion",
];

const TARGET: usize = 112;
const NUMBERS: usize = 5 * font::ADVANCE * TEXT;
const NAMES: usize = 21 * font::ADVANCE * TEXT;
const GUTTER: usize = NAMES + NUMBERS + 26;
const BAR: usize = 8;

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let images = scene.images()?;
    let count = images.input.dim().0.min(MOST);
    let input = images.input.slice_axis(Axis(0), (0..count).into()).to_owned();
    let boxes = images.boxes.get(..count);
    let methods = METHODS.iter().map(|name| {
        let method = methods::named(name)?;
        Ok((method, Settings::defaults(method)))
    });
    let measures = belief::MEASURES.iter().filter(|m| boxes.is_some() || m.name != "pointing-game");
    let measures = measures.map(|m| Ok((*m, m.settings::<&str>(&[])?)));
    let jury = Jury {
        methods: methods.collect::<Result<_>>()?,
        measures: measures.collect::<Result<_>>()?,
        random: Some(0),
    };
    let mut ask = Ask::new(scene.graph, scene.params, &input);
    ask.layer = scene.layer.as_deref();
    ask.progress = scene.progress;
    let table = jury.judge(&ask, boxes)?;
    let picture = Matrix::new(scene, images, &table).draw()?.png()?;
    let mut report = table.report();
    if let Some(report) = report.as_object_mut() {
        report.insert("model".into(), scene.graph.name().into());
        report.insert("images".into(), (0..count).map(|n| images.name(n)).collect());
    }
    let numbers = format!("{report}\n").into_bytes();
    Ok(vec![
        File { path: "belief.png".into(), bytes: picture },
        File { path: "belief.json".into(), bytes: numbers },
    ])
}

/// The picture in the making.
struct Matrix<'a> {
    scene: &'a Scene<'a>,
    images: &'a Images,
    table: &'a Table,
    /// Cells of the picture per pixel of a map.
    factor: usize,
    /// Height and width of a map in the picture, at least the target.
    tile: [usize; 2],
    /// From one column to the next.
    cell: usize,
}

impl<'a> Matrix<'a> {
    fn new(scene: &'a Scene<'a>, images: &'a Images, table: &'a Table) -> Self {
        let shape = scene.graph.input();
        let factor = enlargement(shape.h.max(shape.w), TARGET);
        let tile = [shape.h * factor, (shape.w * factor).max(TARGET)];
        Self { scene, images, table, factor, tile, cell: tile[1] + 8 + NUMBERS + 16 }
    }

    fn draw(&self) -> Result<Canvas> {
        let (rows, columns) = (self.table.verdicts.len(), self.table.classes.len());
        let lines = self.table.measures.len() + 1;
        let row = (lines * LINE).max(self.tile[0] + BAR + 2 * LINE + 8) + 18;
        let head = self.tile[0] + 2 * LINE + 28;
        let width = GUTTER + columns * self.cell;
        let title =
            format!("Do I believe it? Maps of {} and what measures say of them", self.scene.graph.name());
        let mut sheet = Sheet::new(&title, &self.notes(), width, head + rows * row, None)?;
        let (x0, mut y) = (sheet.x, sheet.y);
        for n in 0..columns {
            self.image(&mut sheet.canvas, x0 + GUTTER + n * self.cell, y, n)?;
        }
        y += head;
        for r in 0..rows {
            sheet.canvas.fill(x0, y - 10, width, 1, FAINT);
            self.names(&mut sheet.canvas, x0, y, r);
            for n in 0..columns {
                self.cell(&mut sheet.canvas, x0 + GUTTER + n * self.cell, y, r, n);
            }
            y += row;
        }
        Ok(sheet.canvas)
    }

    fn notes(&self) -> Vec<String> {
        let way = |m: &Measure| if m.better == Better::High { "high" } else { "low" };
        let measures = self
            .table
            .measures
            .iter()
            .map(|(m, _)| format!("{} ({} is good): {}", m.name, way(m), m.summary));
        let reading = "Left: means over the images; right of each map: its own numbers, in the same order. Dark: the \
                       best method of the column. The random map knows nothing: a method that is not better than it, \
                       by a measure, has not shown that it knows anything. Each map has a scale of its own, printed \
                       beneath it: red speaks for the class, blue against it.";
        measures.chain([reading.to_string()]).collect()
    }

    /// An image with what it is and what the net takes it for.
    fn image(&self, canvas: &mut Canvas, x: usize, y: usize, n: usize) -> Result<()> {
        let graph = self.scene.graph;
        let is = self.images.label(n).map_or_else(
            || self.images.name(n).to_string(),
            |label| format!("is {}", graph.class_name(label)),
        );
        let said = format!("net: {}", graph.class_name(self.table.classes[n]));
        for (i, line) in [is, said].iter().enumerate() {
            canvas.text(x, y + i * LINE, &font::fit(line, TEXT, self.cell - 8), TEXT, INK);
        }
        let image = explanation::pixels(graph, self.images.input.index_axis(Axis(0), n))?;
        let cells = pixels(image.view())?;
        let ((h, w), factor) = (cells.dim(), self.factor);
        canvas.blit(x, y + 2 * LINE + 4, cells.view(), factor);
        canvas.frame(x, y + 2 * LINE + 4, w * factor, h * factor, FAINT);
        if let Some([rows, columns]) = self.images.boxes.get(n) {
            let (top, left) = (y + 2 * LINE + 4 + rows.start * factor, x + columns.start * factor);
            canvas.frame(left, top, columns.len() * factor, rows.len() * factor, crate::tiles::DEAD);
        }
        Ok(())
    }

    /// The method, and its mean by every measure.
    fn names(&self, canvas: &mut Canvas, x: usize, y: usize, r: usize) {
        let verdict = &self.table.verdicts[r];
        canvas.text(x, y, verdict.name(), TEXT, INK);
        for (i, (measure, _)) in self.table.measures.iter().enumerate() {
            let y = y + (i + 1) * LINE;
            canvas.text(x + 12, y, measure.name, TEXT, FAINT);
            let best = self.table.best(i) == Some(r);
            number(canvas, x + NAMES + 10, y, mean(&verdict.scores[i]).map(|m| m.0), best);
        }
    }

    /// A map with its range, and its numbers.
    fn cell(&self, canvas: &mut Canvas, x: usize, y: usize, r: usize, n: usize) {
        let verdict = &self.table.verdicts[r];
        let map = verdict.maps.index_axis(Axis(0), n);
        self.map(canvas, x, y, map);
        for (i, scores) in verdict.scores.iter().enumerate() {
            let best = self.table.best_at(i, n) == Some(r);
            number(canvas, x + self.tile[1] + 8, y + (i + 1) * LINE, scores[n].value, best);
        }
    }

    /// The map in colours, with its scale and range beneath it.
    fn map(&self, canvas: &mut Canvas, x: usize, y: usize, map: ArrayView2<'_, f32>) {
        let negative = map.iter().any(|&v| v < 0.0);
        let style = if negative { Style::signed() } else { Style::unsigned() };
        let range = Range::of(map.iter(), style.mode);
        let (h, w) = (map.dim().0 * self.factor, map.dim().1 * self.factor);
        canvas.blit(x, y, map.mapv(|v| style.paint(&range, v)).view(), self.factor);
        canvas.frame(x, y, w, h, FAINT);
        let below = y + h + 4;
        if map.iter().all(|&v| v == 0.0) {
            return canvas.text(x, below, "all zero", TEXT, INK);
        }
        for dx in 0..w {
            canvas.fill(x + dx, below, 1, BAR, style.map.at(dx as f32 / (w.max(2) - 1) as f32));
        }
        canvas.text(x, below + BAR + 4, &short(range.lo.into()), TEXT, FAINT);
        canvas.text(x, below + BAR + 4 + LINE, &format!("to {}", short(range.hi.into())), TEXT, FAINT);
    }
}

/// A number with two digits behind the point, dark if it is the best; a dash where there is none.
fn number(canvas: &mut Canvas, x: usize, y: usize, value: Option<f64>, best: bool) {
    let text = match value {
        None => "-".into(),
        Some(v) if v.abs() < 99.995 => format!("{v:.2}"),
        Some(v) => significant(v, 2),
    };
    let left = x + NUMBERS.saturating_sub(font::text_width(&text, TEXT));
    canvas.text(left, y, &text, TEXT, if best { INK } else { FAINT });
    if best {
        canvas.fill(left, y + font::HEIGHT * TEXT, font::text_width(&text, TEXT), 1, INK);
    }
}
