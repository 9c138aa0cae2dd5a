//! Model texts: TOML to graph and back.
//!
//! `[model]` has name and input, and may have mean, std, classes; each `[[layer]]` has name, kind, from (default: the
//! layer above) and the keys of its kind.

use super::builder::{check_model, place};
use super::{Graph, Node, Pixels};
use crate::array::Shape;
use crate::error::{Error, Result, suggest};
use crate::layers::options::{OptionError, Options, Value};
use crate::layers::{KINDS, kind};
use std::fmt::Write;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a text came from, to turn byte offsets into lines.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl Source<'_> {
    fn error(&self, at: usize, problem: impl Into<String>, cure: impl Into<String>) -> Error {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        Error::Text { file: self.file.into(), line, problem: problem.into(), cure: cure.into() }
    }
}

type Entry<'a, 'i> = (&'a str, usize, &'a Spanned<DeValue<'i>>);

fn entries<'a, 'i>(table: &'a DeTable<'i>) -> impl Iterator<Item = Entry<'a, 'i>> {
    table.iter().map(|(k, v)| (k.get_ref().as_ref(), k.span().start, v))
}

pub(super) fn parse(text: &str, file: &str) -> Result<Graph> {
    let source = Source { text, file };
    let table = DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |s| s.start);
        source.error(at, format!("this is not TOML: {}", e.message()), "mend the line")
    })?;
    let (mut model, mut layers) = (None, None);
    for (key, at, value) in entries(table.get_ref()) {
        match (key, value.get_ref()) {
            ("model", DeValue::Table(table)) => model = Some(table),
            ("layer", DeValue::Array(list)) => layers = Some(list),
            ("model" | "layer", _) => {
                return Err(source.error(
                    at,
                    format!("{key} has the wrong form"),
                    "write [model] and [[layer]]",
                ));
            }
            _ => {
                let cure = suggest(key, &["model", "layer"]);
                return Err(source.error(at, format!("unknown table \"{key}\""), cure));
            }
        }
    }
    let model =
        model.ok_or_else(|| source.error(0, "there is no [model]", "add [model] with name and input"))?;
    let head = head(&source, model)?;
    let mut nodes: Vec<Node> = Vec::new();
    for item in layers.into_iter().flat_map(|list| list.iter()) {
        let at = item.span().start;
        let DeValue::Table(table) = item.get_ref() else {
            return Err(source.error(at, "a layer is not a table", "write [[layer]] and its keys below"));
        };
        let node = layer(&source, at, table, &nodes, head.input)?;
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(source.error(text.len(), "the model has no layers", "add at least one [[layer]]"));
    }
    Ok(Graph::assemble(head.name, head.input, head.pixels, head.classes, nodes))
}

struct Head {
    name: String,
    input: Shape,
    pixels: Pixels,
    classes: Vec<String>,
}

fn head(source: &Source<'_>, table: &DeTable<'_>) -> Result<Head> {
    const KEYS: [&str; 5] = ["name", "input", "mean", "std", "classes"];
    let mut head = Head {
        name: "model".into(),
        input: Shape::default(),
        pixels: Pixels::default(),
        classes: Vec::new(),
    };
    let mut input_at = None;
    for (key, at, value) in entries(table) {
        let wrong = |want: &str| source.error(at, format!("key \"{key}\" has the wrong form"), want);
        match key {
            "name" => head.name = string(value).ok_or_else(|| wrong("write a text"))?,
            "input" => {
                let sizes = numbers(value)
                    .filter(|v| v.len() == 3 && v.iter().all(|v| *v >= 1.0 && v.fract() == 0.0));
                let sizes = sizes.ok_or_else(|| wrong("write input = [channels, height, width]"))?;
                head.input = Shape::maps(sizes[0] as usize, sizes[1] as usize, sizes[2] as usize);
                input_at = Some(at);
            }
            "mean" => {
                head.pixels.mean = numbers(value).ok_or_else(|| wrong("write one number per channel"))?
            }
            "std" => head.pixels.std = numbers(value).ok_or_else(|| wrong("write one number per channel"))?,
            "classes" => head.classes = strings(value).ok_or_else(|| wrong("write a list of texts"))?,
            _ => {
                return Err(source.error(
                    at,
                    format!("unknown key \"{key}\" in [model]"),
                    suggest(key, &KEYS),
                ));
            }
        }
    }
    let at = input_at.ok_or_else(|| {
        source.error(0, "key \"input\" is missing in [model]", "write input = [channels, height, width]")
    })?;
    check_model(&head.name, head.input, &head.pixels).map_err(|e| relabel(source, at, e))?;
    Ok(head)
}

fn layer(source: &Source<'_>, at: usize, table: &DeTable<'_>, before: &[Node], input: Shape) -> Result<Node> {
    let (mut name, mut kind_name, mut from, mut keys) = (None, None, None, Vec::new());
    for (key, at, value) in entries(table) {
        let wrong = |want: &str| source.error(at, format!("key \"{key}\" has the wrong form"), want);
        match key {
            "name" => name = Some(string(value).ok_or_else(|| wrong("write a text"))?),
            "kind" => kind_name = Some((at, string(value).ok_or_else(|| wrong("write a text"))?)),
            "from" => {
                let one = string(value).map(|one| vec![one]);
                from = Some(one.or_else(|| strings(value)).ok_or_else(|| wrong("write from = [\"layer\"]"))?);
            }
            _ => keys.push((key, at, value_of(value))),
        }
    }
    let name = name.ok_or_else(|| source.error(at, "a layer has no name", "add name = \"conv1\", say"))?;
    let known: Vec<&str> = KINDS.iter().map(|k| k.name).collect();
    let (kind_at, kind_name) = kind_name.ok_or_else(|| {
        source.error(
            at,
            format!("layer \"{name}\" has no kind"),
            format!("add kind = one of {}", known.join(", ")),
        )
    })?;
    let kind = kind(&kind_name).ok_or_else(|| {
        let problem = format!("layer \"{name}\": unknown kind \"{kind_name}\"");
        source.error(kind_at, problem, suggest(&kind_name, &known))
    })?;
    let mut options = Options::new(keys.iter().map(|(k, _, v)| (k.to_string(), v.clone())));
    let made = (kind.make)(&mut options).and_then(|layer| options.finish().map(|()| layer));
    let layer = made.map_err(|OptionError { key, problem, cure }| {
        let at = keys.iter().find(|(k, _, _)| *k == key).map_or(kind_at, |(_, at, _)| *at);
        source.error(at, format!("layer \"{name}\" ({kind_name}): {problem}"), cure)
    })?;
    place(before, input, name, layer, from.as_deref()).map_err(|e| relabel(source, at, e))
}

/// An error about shapes or names, with its line.
fn relabel(source: &Source<'_>, at: usize, error: Error) -> Error {
    match error {
        Error::Layer { layer, problem, cure } => {
            source.error(at, format!("layer \"{layer}\": {problem}"), cure)
        }
        Error::Request { problem, cure } => source.error(at, problem, cure),
        other => other,
    }
}

fn string(value: &Spanned<DeValue<'_>>) -> Option<String> {
    value.get_ref().as_str().map(str::to_string)
}

fn strings(value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
    value.get_ref().as_array()?.iter().map(string).collect()
}

fn numbers(value: &Spanned<DeValue<'_>>) -> Option<Vec<f64>> {
    let number = |v: &Spanned<DeValue<'_>>| match value_of(v) {
        Value::Int(v) => Some(v as f64),
        Value::Float(v) if v.is_finite() => Some(v),
        _ => None,
    };
    value.get_ref().as_array()?.iter().map(number).collect()
}

fn value_of(value: &Spanned<DeValue<'_>>) -> Value {
    match value.get_ref() {
        DeValue::Integer(i) => match i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()) {
            Ok(v) => Value::Int(v),
            Err(_) => Value::Other(i.as_str().into()),
        },
        DeValue::Float(f) => match f.as_str().replace('_', "").parse() {
            Ok(v) => Value::Float(v),
            Err(_) => Value::Other(f.as_str().into()),
        },
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::String(s) => Value::Other(format!("\"{s}\"")),
        DeValue::Array(list) => {
            let whole = |v: &Spanned<DeValue<'_>>| match value_of(v) {
                Value::Int(v) => Some(v),
                _ => None,
            };
            let ints: Option<Vec<i64>> = list.iter().map(whole).collect();
            ints.map_or_else(|| Value::Other("a list".into()), Value::Ints)
        }
        DeValue::Datetime(d) => Value::Other(d.to_string()),
        DeValue::Table(_) => Value::Other("a table".into()),
    }
}

pub(super) fn write(graph: &Graph) -> String {
    let mut out = String::from("[model]\n");
    let Shape { c, h, w, .. } = graph.input();
    let quoted = |s: &str| toml::Value::String(s.to_string()).to_string();
    // writing to a String cannot fail
    let _ = writeln!(out, "name = {}\ninput = [{c}, {h}, {w}]", quoted(graph.name()));
    for (key, list) in [("mean", &graph.pixels().mean), ("std", &graph.pixels().std)] {
        if !list.is_empty() {
            let _ = writeln!(out, "{key} = {list:?}");
        }
    }
    if !graph.classes().is_empty() {
        let list: Vec<String> = graph.classes().iter().map(|c| quoted(c)).collect();
        let _ = writeln!(out, "classes = [{}]", list.join(", "));
    }
    for (i, node) in graph.nodes().iter().enumerate() {
        let _ = writeln!(out, "\n[[layer]]\nname = \"{}\"\nkind = \"{}\"", node.name, node.layer.kind().name);
        for (key, value) in node.layer.options() {
            let text = match value {
                Value::Int(v) => v.to_string(),
                Value::Float(v) => format!("{v:?}"),
                Value::Bool(v) => v.to_string(),
                Value::Ints(v) => format!("{v:?}"),
                Value::Other(v) => v,
            };
            let _ = writeln!(out, "{key} = {text}");
        }
        if node.inputs != [i] {
            let from: Vec<String> =
                node.inputs.iter().map(|&s| format!("\"{}\"", graph.names()[s])).collect();
            let _ = writeln!(out, "from = [{}]", from.join(", "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::models;

    fn message(text: &str) -> String {
        parse(text, "m.toml").unwrap_err().to_string()
    }

    const HEAD: &str = "[model]\nname = \"m\"\ninput = [1, 8, 8]\n\n[[layer]]\nname = \"conv1\"\n";

    #[test]
    fn errors_name_line_key_and_nearest_spelling() {
        let text = message(&format!("{HEAD}kind = \"conv\"\nout = 4\nkernal = 3\n"));
        assert_eq!(
            text,
            "m.toml:7: layer \"conv1\" (conv): key \"kernel\" is missing; add `kernel = 3`, say"
        );
        let text = message(&format!("{HEAD}kind = \"conv\"\nout = 4\nkernel = 3\nstrides = 2\n"));
        assert!(
            text.starts_with(
                "m.toml:10: layer \"conv1\" (conv): unknown key \"strides\"; did you mean \"stride\"?"
            ),
            "{text}"
        );
        let text = message(&format!("{HEAD}kind = \"cnv\"\n"));
        assert!(
            text.starts_with("m.toml:7: layer \"conv1\": unknown kind \"cnv\"; did you mean \"conv\"?"),
            "{text}"
        );
        let text = message(&format!("{HEAD}kind = \"conv\"\nout = 4\nkernel = 9\n"));
        assert!(
            text.starts_with("m.toml:5: layer \"conv1\": kernel 9x9 does not fit its input 8x8 (pad 0)"),
            "{text}"
        );
        let text = message(&format!("{HEAD}kind = \"relu\"\nfrom = [\"conv2\"]\n"));
        assert!(text.contains("\"conv2\", which is no earlier layer"), "{text}");
        let text = message("[model]\ninput = [1, 8]\n");
        assert!(text.starts_with("m.toml:2: key \"input\" has the wrong form"), "{text}");
        let text = message("[model\n");
        assert!(text.starts_with("m.toml:1: this is not TOML"), "{text}");
    }

    #[test]
    fn graph_to_text_to_graph_is_the_identity() {
        for model in models::MODELS {
            let graph = models::named(model.name).unwrap();
            let text = graph.to_toml();
            let again = parse(&text, "again").unwrap();
            assert_eq!(again.to_toml(), text);
            assert_eq!(again.layout(), graph.layout());
            let inputs = |g: &Graph| g.nodes().iter().map(|n| n.inputs.clone()).collect::<Vec<_>>();
            assert_eq!(inputs(&again), inputs(&graph));
        }
    }
}
