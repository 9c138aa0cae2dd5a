//! The net as a drawing: a layered directed graph, SVG.
//!
//! Layers are boxes, coloured by what they do; arrows carry the shape of what flows. Each box lies one step below its
//! lowest input (longest-path layering); an arrow that passes by other boxes gets a lane of its own beside them;
//! the order in a step follows the mean place of the inputs (barycentre), and places are the nearest to the
//! neighbours' that keep boxes apart (isotonic regression). A long net is cut into columns, read from left to
//! right, only where a single arrow crosses the cut.

use crate::error::{Error, Result};
use crate::number::count;
use crate::svg::{Font, PLAIN, Svg, width};

/// One layer of the net.
#[derive(Clone, Debug, Default)]
pub struct Box {
    /// The layer's name.
    pub name: String,
    /// The layer's kind, as in the model text.
    pub kind: String,
    /// Its options in words, such as `5x5, stride 2, pad 2`.
    pub detail: String,
    /// The shape of its output, such as `32 x 28 x 28`.
    pub shape: String,
    /// Number of parameters.
    pub params: u64,
    /// Indices of the boxes it reads, all smaller than its own.
    pub inputs: Vec<usize>,
}

/// What a layer does, for its colour.
const ROLES: [(&str, &str, &str); 8] = [
    ("input", "#e8e8ee", "#6e6e78"),
    ("convolution", "#cfe3f5", "#0072b2"),
    ("dense", "#fbe0cc", "#d55e00"),
    ("pooling", "#cdeee2", "#009e73"),
    ("activation", "#fdf5c4", "#a08a00"),
    ("normalisation", "#f3dcea", "#b0578a"),
    ("join", "#d8f0fb", "#2a8fc4"),
    ("other", "#ffffff", "#6e6e78"),
];

fn role(kind: &str) -> usize {
    match kind {
        "input" => 0,
        "conv" | "conv_transpose" => 1,
        "dense" => 2,
        k if k.contains("pool") => 3,
        "relu" | "leaky_relu" | "elu" | "gelu" | "silu" | "sigmoid" | "tanh" | "softmax" | "log_softmax" => 4,
        "batchnorm" | "lrn" => 5,
        "add" | "concat" => 6,
        _ => 7,
    }
}

const BOX_HEIGHT: f64 = 46.0;
const STEP: f64 = 82.0;
const LANE: f64 = 22.0;
const GAP: f64 = 34.0;
const TALLEST: usize = 11;
const COLUMN_GAP: f64 = 70.0;
const TOP: f64 = 92.0;
const MARGIN: f64 = 24.0;

/// The drawing.
///
/// # Errors
/// No box, or a box that reads itself, a later one, or one that is not there.
pub fn architecture(title: &str, boxes: &[Box]) -> Result<String> {
    if boxes.is_empty() {
        return Err(Error::shape("architecture", "there is no layer", "give at least one"));
    }
    for (i, b) in boxes.iter().enumerate() {
        if let Some(bad) = b.inputs.iter().find(|&&input| input >= i) {
            let problem = format!("\"{}\" is box {i} and reads box {bad}", b.name);
            return Err(Error::shape("architecture", problem, "list each layer after its inputs"));
        }
    }
    let places = Places::new(boxes);
    let total: u64 = boxes.iter().map(|b| b.params).sum();
    let used: Vec<usize> = (0..ROLES.len()).filter(|&r| boxes.iter().any(|b| role(&b.kind) == r)).collect();
    let legend: f64 = used.iter().map(|&r| legend_width(r)).sum();
    let words =
        format!("{} layers, {} parameters; arrows carry the shape of one sample", boxes.len(), count(total));
    let full = places.width.max(legend).max(width(&words, 13.0, false)).max(width(title, 17.0, true));
    let mut svg = Svg::new(full + 2.0 * MARGIN, TOP + places.height + MARGIN, title);
    svg.text(MARGIN, 28.0, title, Font { size: 17.0, bold: true, ..PLAIN });
    svg.text(MARGIN, 48.0, &words, Font { color: "#6e6e78", ..PLAIN });
    let mut x = MARGIN;
    for r in used {
        let (name, fill, stroke) = ROLES[r];
        svg.rect(x, 60.0, 16.0, 12.0, 3.0, fill, stroke);
        svg.text(x + 22.0, 71.0, name, Font { size: 12.0, ..PLAIN });
        x += legend_width(r);
    }
    for (to, b) in boxes.iter().enumerate() {
        for (slot, &from) in b.inputs.iter().enumerate() {
            places.edge(&mut svg, from, to, slot);
        }
    }
    for (i, b) in boxes.iter().enumerate() {
        draw_box(&mut svg, b, places.corner(i), places.wide);
    }
    // Shapes last, over the arrows: one label serves all arrows that leave a box.
    for (i, b) in boxes.iter().enumerate().filter(|(i, _)| boxes.iter().any(|b| b.inputs.contains(i))) {
        let (x, y) = places.at(i);
        let (side, anchor) = if places.leaves_to_the_right(i) { (-7.0, "end") } else { (7.0, "start") };
        let font = Font { size: 11.5, color: "#40404a", anchor, ..PLAIN };
        // A white ground cuts the arrows that pass beneath the words.
        let wide = 0.92 * width(&b.shape, font.size, false);
        let ground = if anchor == "end" { x + side - wide } else { x + side };
        svg.rect(ground, y + BOX_HEIGHT + 5.0, wide, 13.0, 0.0, "#ffffff", "none");
        svg.text(x + side, y + BOX_HEIGHT + 15.0, &b.shape, font);
    }
    Ok(svg.finish())
}

fn legend_width(role: usize) -> f64 {
    22.0 + width(ROLES[role].0, 12.0, false) + 18.0
}

/// First line: name and kind; second line: options and parameters.
fn lines(b: &Box) -> (String, String) {
    let params = if b.params > 0 { format!("{} params", count(b.params)) } else { String::new() };
    let separator = if b.detail.is_empty() || params.is_empty() { "" } else { " | " };
    (format!("  {}", b.kind), format!("{}{separator}{params}", b.detail))
}

fn draw_box(svg: &mut Svg, b: &Box, (x, y): (f64, f64), wide: f64) {
    let (_, fill, stroke) = ROLES[role(&b.kind)];
    let (kind, detail) = lines(b);
    svg.rect(x, y, wide, BOX_HEIGHT, 6.0, fill, stroke);
    let lone = detail.is_empty();
    let base = if lone { y + 28.0 } else { y + 19.0 };
    svg.inside(x + 10.0, base, &b.name, Font { bold: true, ..PLAIN });
    svg.inside(
        x + wide - 10.0,
        base,
        kind.trim(),
        Font { anchor: "end", color: stroke, size: 12.0, ..PLAIN },
    );
    if !lone {
        svg.inside(x + 10.0, y + 36.0, &detail, Font { size: 11.5, color: "#40404a", ..PLAIN });
    }
}

/// A box of the graph, or a bend of an arrow that passes a step.
struct Node {
    step: usize,
    bend: bool,
    above: Vec<usize>,
    below: Vec<usize>,
    x: f64,
}

/// Where everything lies.
struct Places {
    nodes: Vec<Node>,
    /// The bends of each arrow, by (to, slot).
    bends: Vec<Vec<Vec<usize>>>,
    /// Column and row of each step.
    cells: Vec<(usize, usize)>,
    /// Left edge of each column, and the x in the graph that lies there.
    columns: Vec<(f64, f64)>,
    wide: f64,
    width: f64,
    height: f64,
}

impl Places {
    fn new(boxes: &[Box]) -> Self {
        let wide = boxes
            .iter()
            .map(|b| {
                let (kind, detail) = lines(b);
                let first = width(&b.name, 13.0, true) + width(&kind, 12.0, false);
                first.max(width(&detail, 11.5, false)) + 20.0
            })
            .fold(150.0, f64::max);
        let (mut nodes, bends) = graph(boxes);
        let steps = nodes.iter().map(|n| n.step).max().unwrap_or(0) + 1;
        let order = order(&mut nodes, steps);
        spread(&mut nodes, &order, wide);
        let (cells, count) = cut(&nodes, steps);
        let (mut columns, mut left) = (Vec::new(), MARGIN);
        for column in 0..count {
            let inside = nodes.iter().filter(|n| cells[n.step].0 == column);
            let (lo, hi) = inside.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), n| {
                let half = if n.bend { LANE / 2.0 } else { wide / 2.0 };
                (lo.min(n.x - half), hi.max(n.x + half))
            });
            columns.push((left, lo));
            left += hi - lo + COLUMN_GAP;
        }
        let rows = cells.iter().map(|c| c.1).max().unwrap_or(0) + 1;
        let height = rows as f64 * STEP - (STEP - BOX_HEIGHT) + if count > 1 { 26.0 } else { 0.0 };
        Self { nodes, bends, cells, columns, wide, width: left - COLUMN_GAP - MARGIN, height }
    }

    /// Centre x and upper y of a node.
    fn at(&self, node: usize) -> (f64, f64) {
        let (column, row) = self.cells[self.nodes[node].step];
        let (left, from) = self.columns[column];
        (
            left + self.nodes[node].x - from,
            TOP + 14.0 * f64::from(u8::from(self.columns.len() > 1)) + row as f64 * STEP,
        )
    }

    fn corner(&self, node: usize) -> (f64, f64) {
        let (x, y) = self.at(node);
        (x - self.wide / 2.0, y)
    }

    /// Whether an arrow leaves to the right and none to the left, so that the left side is free for its label.
    fn leaves_to_the_right(&self, node: usize) -> bool {
        let from = &self.nodes[node];
        let turns = |sign: f64| from.below.iter().any(|&n| sign * (self.nodes[n].x - from.x) > 8.0);
        turns(1.0) && !turns(-1.0)
    }

    fn edge(&self, svg: &mut Svg, from: usize, to: usize, slot: usize) {
        let (mut x, y) = self.at(from);
        let mut y = y + BOX_HEIGHT;
        let mut d = format!("M{x:.1} {y:.1}");
        let mut step = self.nodes[from].step;
        let stops = self.bends[to][slot].iter().copied().chain([to]);
        for node in stops {
            let (nx, ny) = self.at(node);
            if self.cells[step].0 == self.cells[self.nodes[node].step].0 {
                let middle = (y + ny) / 2.0;
                d += &format!("C{x:.1} {middle:.1} {nx:.1} {middle:.1} {nx:.1} {ny:.1}");
            } else {
                // To the next column: out below, up through the gap between the columns, in from above.
                let gap = self.columns[self.cells[self.nodes[node].step].0].0 - COLUMN_GAP / 2.0;
                d += &format!("V{:.1}H{gap:.1}V{:.1}H{nx:.1}V{ny:.1}", y + 24.0, ny - 16.0);
            }
            (x, y) = (nx, ny);
            if self.nodes[node].bend {
                y += BOX_HEIGHT;
                d += &format!("V{y:.1}");
            }
            step = self.nodes[node].step;
        }
        svg.path(&d, "#50505a", 1.4, "");
        svg.polygon(&[(x, y), (x - 4.5, y - 8.0), (x + 4.5, y - 8.0)], "#50505a");
    }
}

/// The boxes with the bends of long arrows, each one step below its lowest input.
fn graph(boxes: &[Box]) -> (Vec<Node>, Vec<Vec<Vec<usize>>>) {
    let mut steps = vec![0; boxes.len()];
    for (i, b) in boxes.iter().enumerate() {
        steps[i] = b.inputs.iter().map(|&input| steps[input] + 1).max().unwrap_or(0);
    }
    let node = |step, bend| Node { step, bend, above: Vec::new(), below: Vec::new(), x: 0.0 };
    let mut nodes: Vec<Node> = steps.iter().map(|&step| node(step, false)).collect();
    let mut bends = Vec::new();
    for (to, b) in boxes.iter().enumerate() {
        let mut of_box = Vec::new();
        for &from in &b.inputs {
            let mut last = from;
            let mut path = Vec::new();
            for step in steps[from] + 1..steps[to] {
                nodes.push(node(step, true));
                let bend = nodes.len() - 1;
                link(&mut nodes, last, bend);
                path.push(bend);
                last = bend;
            }
            link(&mut nodes, last, to);
            of_box.push(path);
        }
        bends.push(of_box);
    }
    (nodes, bends)
}

fn link(nodes: &mut [Node], from: usize, to: usize) {
    nodes[from].below.push(to);
    nodes[to].above.push(from);
}

/// The nodes of each step from left to right: a few sweeps by the mean place of the neighbours, bends to the right
/// of boxes where means are equal.
fn order(nodes: &mut [Node], steps: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<Vec<usize>> = vec![Vec::new(); steps];
    for (i, node) in nodes.iter().enumerate() {
        order[node.step].push(i);
    }
    let mut place = vec![0.0; nodes.len()];
    for sweep in 0..8 {
        let down = sweep % 2 == 0;
        for k in 0..steps {
            let step = if down { k } else { steps - 1 - k };
            let mean = |i: usize| {
                let near = if down { &nodes[i].above } else { &nodes[i].below };
                let sum: f64 = near.iter().map(|&n| place[n]).sum();
                if near.is_empty() { place[i] } else { sum / near.len() as f64 }
            };
            let mut keyed: Vec<(f64, bool, usize)> =
                order[step].iter().map(|&i| (mean(i), nodes[i].bend, i)).collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            order[step] = keyed.into_iter().map(|k| k.2).collect();
            let count = order[step].len() as f64;
            for (p, &i) in order[step].iter().enumerate() {
                place[i] = p as f64 - (count - 1.0) / 2.0;
            }
        }
    }
    order
}

/// Places along x: each step as near as it can be to its neighbours' places with the boxes apart. Arrows between
/// boxes pull much more than long ones, so that the main path stays straight.
fn spread(nodes: &mut [Node], order: &[Vec<usize>], wide: f64) {
    let half = |n: &Node| if n.bend { LANE / 2.0 } else { wide / 2.0 + GAP / 2.0 };
    for sweep in 0..10 {
        let down = sweep % 2 == 0;
        for k in 0..order.len() {
            let step = &order[if down { k } else { order.len() - 1 - k }];
            let mut offset = 0.0;
            let mut wishes = Vec::new();
            let mut offsets = Vec::new();
            for (p, &i) in step.iter().enumerate() {
                if p > 0 {
                    offset += half(&nodes[step[p - 1]]) + half(&nodes[i]);
                }
                let near = if down { &nodes[i].above } else { &nodes[i].below };
                let pull = |n: usize| if nodes[n].bend == nodes[i].bend { 1.0 } else { 1e-3 };
                let weight: f64 = near.iter().map(|&n| pull(n)).sum();
                let sum: f64 = near.iter().map(|&n| pull(n) * nodes[n].x).sum();
                let wish = if near.is_empty() { nodes[i].x } else { sum / weight };
                wishes.push((wish - offset, if nodes[i].bend { 1e-3 } else { 1.0 }));
                offsets.push(offset);
            }
            for ((&i, x), offset) in step.iter().zip(isotonic(&wishes)).zip(offsets) {
                nodes[i].x = x + offset;
            }
        }
    }
}

/// The ascending sequence nearest to weighted wishes in the mean square (pool adjacent violators).
fn isotonic(wishes: &[(f64, f64)]) -> Vec<f64> {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for &(wish, weight) in wishes {
        blocks.push((wish, weight, 1));
        while let [.., a, b] = blocks[..] {
            if a.0 <= b.0 {
                break;
            }
            blocks.truncate(blocks.len() - 2);
            let weight = a.1 + b.1;
            blocks.push(((a.0 * a.1 + b.0 * b.1) / weight, weight, a.2 + b.2));
        }
    }
    blocks.into_iter().flat_map(|(value, _, n)| std::iter::repeat_n(value, n)).collect()
}

/// Column and row of each step, and the number of columns: about evenly filled, cut only where one arrow passes.
fn cut(nodes: &[Node], steps: usize) -> (Vec<(usize, usize)>, usize) {
    let tall = steps.div_ceil(steps.div_ceil(TALLEST));
    let lone = |step: usize| {
        let of_step = nodes.iter().filter(|n| n.step == step);
        of_step.map(|n| n.below.len()).sum::<usize>() == 1
            && nodes.iter().all(|n| n.step != step + 1 || !n.bend)
    };
    let (mut cells, mut column, mut row) = (Vec::new(), 0, 0);
    for step in 0..steps {
        cells.push((column, row));
        row += 1;
        let left = steps - 1 - step;
        // A cut a little early is better than none within reach.
        let later = (step + 1..(step + 1 + tall.saturating_sub(row)).min(steps)).any(lone);
        if left > 2 && lone(step) && (row >= tall || (row + 3 >= tall && !later)) {
            (column, row) = (column + 1, 0);
        }
    }
    (cells, column + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svg::check;

    fn net(edges: &[&[usize]]) -> Vec<Box> {
        let name = |i: usize| Box {
            name: format!("l<{i}>"),
            kind: if i == 0 { "input".into() } else { "conv".into() },
            detail: "3x3 & pad 1".into(),
            shape: "8 x 4 x 4".into(),
            params: i as u64,
            inputs: edges[i].to_vec(),
        };
        (0..edges.len()).map(name).collect()
    }

    /// Boxes and lanes never overlap, whatever the graph.
    fn apart(boxes: &[Box]) {
        let places = Places::new(boxes);
        for a in 0..places.nodes.len() {
            for b in 0..a {
                let ((ax, ay), (bx, by)) = (places.at(a), places.at(b));
                let half = |n: &Node| if n.bend { LANE / 2.0 } else { places.wide / 2.0 };
                let need = half(&places.nodes[a]) + half(&places.nodes[b]);
                assert!((ay - by).abs() > BOX_HEIGHT || (ax - bx).abs() >= need - 1e-6, "{a} {b}");
            }
        }
        check(&architecture("a & b", boxes).unwrap()).unwrap();
    }

    #[test]
    fn nothing_overlaps_in_chains_skips_and_branches() {
        apart(&net(&[&[]]));
        apart(&net(&[&[], &[0], &[1], &[2], &[1, 3], &[4], &[0, 5]]));
        apart(&net(&[&[], &[0], &[0], &[0], &[1, 2, 3], &[2, 4], &[5, 0]]));
        let chain: Vec<Vec<usize>> = (0..40usize).map(|i| i.checked_sub(1).into_iter().collect()).collect();
        let chain: Vec<&[usize]> = chain.iter().map(Vec::as_slice).collect();
        apart(&net(&chain));
        assert!(Places::new(&net(&chain)).columns.len() > 2);
        let dense: Vec<Vec<usize>> = (0..14usize).map(|i| (0..i).collect()).collect();
        let dense: Vec<&[usize]> = dense.iter().map(Vec::as_slice).collect();
        apart(&net(&dense));
    }

    #[test]
    fn a_chain_is_a_straight_column_and_a_skip_leaves_it_straight() {
        let places = Places::new(&net(&[&[], &[0], &[1], &[2], &[3, 1], &[4]]));
        for i in 1..6 {
            assert!((places.at(i).0 - places.at(0).0).abs() < 4.0, "{i}");
        }
    }

    #[test]
    fn forward_references_are_errors_and_the_total_is_printed() {
        assert!(architecture("x", &[]).is_err());
        let text = architecture("x", &net(&[&[], &[1]])).unwrap_err().to_string();
        assert!(text.contains("reads box 1"), "{text}");
        let svg = architecture("x", &net(&[&[], &[0], &[1]])).unwrap();
        assert!(svg.contains("3 layers, 3 parameters") && svg.contains("l&lt;2&gt;"));
    }

    #[test]
    fn isotonic_regression_pools_violators() {
        assert_eq!(isotonic(&[(1.0, 1.0), (3.0, 1.0), (2.0, 1.0)]), [1.0, 2.5, 2.5]);
        assert_eq!(isotonic(&[(4.0, 3.0), (0.0, 1.0)]), [3.0, 3.0]);
    }
}
