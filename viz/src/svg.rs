//! A writer of SVG text: elements with numbers rounded to a tenth, text escaped, sizes estimated.
//!
//! Text is set in a sans-serif face that the viewer chooses, so widths are estimated on the wide side (0.62 of the
//! size a character, 0.68 in bold) and everything that must fit is laid out by that estimate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::{self, Write};

/// The faces asked for, in order.
const FACES: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

/// A drawing under construction.
pub struct Svg {
    body: String,
}

/// How a line of text is set.
#[derive(Clone, Copy)]
pub struct Font<'a> {
    /// Size in pixels.
    pub size: f64,
    /// Fill colour.
    pub color: &'a str,
    /// `start`, `middle` or `end` of the text lies at x.
    pub anchor: &'a str,
    /// Bold face.
    pub bold: bool,
}

/// Ordinary text from the left.
pub const PLAIN: Font<'static> = Font { size: 13.0, color: "#20202a", anchor: "start", bold: false };

impl Svg {
    /// A white drawing of a size in pixels, with a title for readers that cannot see it.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { body: String::new() };
        svg.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0}\" height=\"{1:.0}\" viewBox=\"0 0 {0:.0} {1:.0}\" \
             font-family=\"{FACES}\">\n<title>{2}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            width,
            height,
            escape(title)
        ));
        svg
    }

    // Writing to a string cannot fail.
    fn put(&mut self, what: fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(what);
    }

    /// A rectangle with rounded corners.
    #[allow(clippy::too_many_arguments)]
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, round: f64, fill: &str, stroke: &str) {
        self.put(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.1}\" \
             fill=\"{fill}\" stroke=\"{stroke}\"/>\n"
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        self.put(format_args!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>\n",
            from.0, from.1, to.0, to.1
        ));
    }

    /// A path that is not filled; `dash` is empty for a solid one.
    pub fn path(&mut self, d: &str, stroke: &str, width: f64, dash: &str) {
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        self.put(format_args!(
            "<path d=\"{d}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>\n"
        ));
    }

    /// A filled polygon.
    pub fn polygon(&mut self, points: &[(f64, f64)], fill: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.put(format_args!("<polygon points=\"{}\" fill=\"{fill}\"/>\n", points.join(" ")));
    }

    /// A PNG picture in a rectangle, its pixels kept as blocks.
    pub fn image(&mut self, x: f64, y: f64, width: f64, height: f64, png: &[u8]) {
        self.put(format_args!(
            "<image x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
            STANDARD.encode(png)
        ));
    }

    /// A dot.
    pub fn dot(&mut self, x: f64, y: f64, radius: f64, fill: &str) {
        self.put(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{fill}\"/>\n"));
    }

    /// A line of text with its base line at y, on a thin white halo that keeps it readable over lines.
    pub fn text(&mut self, x: f64, y: f64, text: &str, font: Font<'_>) {
        let weight = if font.bold { " font-weight=\"bold\"" } else { "" };
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{weight} stroke=\"#ffffff\" \
             stroke-width=\"4\" paint-order=\"stroke\">{}</text>\n",
            font.size,
            font.color,
            font.anchor,
            escape(text)
        ));
    }

    /// A line of text without halo, for coloured grounds.
    pub fn inside(&mut self, x: f64, y: f64, text: &str, font: Font<'_>) {
        let weight = if font.bold { " font-weight=\"bold\"" } else { "" };
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{weight}>{}</text>\n",
            font.size,
            font.color,
            font.anchor,
            escape(text)
        ));
    }

    /// Text without halo, turned a quarter to the left around its anchor.
    pub fn text_up(&mut self, x: f64, y: f64, text: &str, font: Font<'_>) {
        self.put(format_args!(
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\">{}</text>\n",
            font.size,
            font.color,
            font.anchor,
            escape(text)
        ));
    }

    /// The finished text.
    pub fn finish(mut self) -> String {
        self.body.push_str("</svg>\n");
        self.body
    }
}

/// Text with the characters that XML reserves replaced; control characters, which XML cannot hold, become spaces.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The estimated width of a text in pixels.
pub fn width(text: &str, size: f64, bold: bool) -> f64 {
    text.chars().count() as f64 * size * if bold { 0.68 } else { 0.62 }
}

/// Checks that tags are balanced and nothing is left unescaped, for tests of the drawings.
#[cfg(test)]
pub fn check(svg: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        let entity =
            |tail: &str| ["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|e| tail.starts_with(e));
        if text.contains('>') || text.split('&').skip(1).any(|tail| !entity(tail)) {
            return Err(format!("unescaped text {text:?}"));
        }
        let end = at + rest[at..].find('>').ok_or("a tag without end")?;
        let tag = &rest[at + 1..end];
        if tag.contains('<')
            || !tag.matches('"').count().is_multiple_of(2)
            || tag.contains("NaN")
            || tag.contains("inf")
        {
            return Err(format!("bad tag {tag:?}"));
        }
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or(""));
        }
        rest = &rest[end + 1..];
    }
    if open.is_empty() && rest.trim().is_empty() { Ok(()) } else { Err(format!("left open: {open:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_characters_are_escaped_and_tags_balance() {
        let mut svg = Svg::new(10.0, 10.0, "a<b>&\"'\u{1}");
        svg.text(1.0, 2.0, "</text><script>", PLAIN);
        svg.path("M0 0L1 1", "#000000", 1.0, "");
        let text = svg.finish();
        check(&text).unwrap();
        assert!(text.contains("<title>a&lt;b&gt;&amp;&quot;&apos; </title>"));
        assert!(check("<a><b></a></b>").is_err() && check("<a>x & y</a>").is_err() && check("<a>").is_err());
    }
}
