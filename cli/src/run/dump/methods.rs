//! What methods make of the probe images, for a dump.

use super::files::Files;
use super::probe::Probe;
use super::what::What;
use crate::error::Result;
use glassbox_engine::{Graph, Params};
use glassbox_viz::figures::explanation::{caption, panel, pixels};
use glassbox_viz::gallery::{Gallery, Panel, Row};
use glassbox_viz::methods::{self, Answer, Ask, Method, Settings, Unit};
use ndarray::{ArrayD, Axis, stack};

/// Channels of a layer that are projected to pixels, evenly among all: the same ones in every dump.
const CHANNELS: usize = 4;

/// Methods that look at a class: their maps lie over the image.
pub fn at_input(
    files: &mut Files<'_>,
    what: What,
    graph: &Graph,
    params: &Params<f32>,
    probe: &Probe,
    when: &str,
) -> Result<()> {
    for name in ["saliency", "deconvnet", "grad-cam"].into_iter().filter(|n| what.has(n)) {
        let method = methods::named(name)?;
        class(files, method, Ask::new(graph, params, &probe.input), probe, &format!("{name} after {when}"))?;
    }
    Ok(())
}

/// Methods that look at a layer, given by its slot and whether the user asked for it.
pub fn at_layer(
    files: &mut Files<'_>,
    what: What,
    graph: &Graph,
    params: &Params<f32>,
    probe: &Probe,
    (slot, asked): (usize, bool),
    when: &str,
) -> Result<()> {
    let node = &graph.nodes()[slot - 1];
    if node.facts.output.flat || slot > graph.logits() {
        return Ok(());
    }
    if what.has("deconvnet") && (asked || node.layer.kind().name == "relu") {
        units(files, graph, params, probe, &node.name, when)?;
    }
    if what.has("grad-cam") && asked {
        let ask = Ask::new(graph, params, &probe.input).layer(&node.name);
        class(
            files,
            methods::named("grad-cam")?,
            ask,
            probe,
            &format!("grad-cam at {} after {when}", node.name),
        )?;
    }
    Ok(())
}

/// A method's answer for the top class of every image.
fn class(files: &mut Files<'_>, method: &Method, ask: Ask<'_>, probe: &Probe, title: &str) -> Result<()> {
    let answer = method.run(&ask, &Settings::defaults(method))?;
    let row =
        |n: usize| row(ask.graph, probe, n, vec![panel(method.name, method, &answer, n)], Some(&answer));
    let rows = (0..probe.len()).map(row).collect::<Result<_>>()?;
    let mut gallery = Gallery::new(title, rows);
    gallery.notes.extend(answer.notes.iter().cloned());
    files.png(method.name, &gallery.draw()?)?;
    files.npy(method.name, answer.map.view())
}

/// Some channels of a layer, each projected to pixels from its strongest activation.
fn units(
    files: &mut Files<'_>,
    graph: &Graph,
    params: &Params<f32>,
    probe: &Probe,
    layer: &str,
    when: &str,
) -> Result<()> {
    let method = methods::named("deconvnet")?;
    let channels = graph.shape(graph.slot(layer)?).c;
    let count = channels.min(CHANNELS);
    let answers = (0..count).map(|i| {
        let channel = i * channels / count;
        let ask = Ask::new(graph, params, &probe.input).layer(layer).unit(Unit::Channel(channel));
        Ok((channel, method.run(&ask, &Settings::defaults(method))?))
    });
    let answers: Vec<(usize, Answer)> = answers.collect::<Result<_>>()?;
    let rows = (0..probe.len()).map(|n| {
        let panels = answers.iter().map(|(k, answer)| panel(&format!("channel {k}"), method, answer, n));
        row(graph, probe, n, panels.collect(), None)
    });
    let title = format!("deconvnet: channels of {layer} projected to pixels after {when}");
    files.png("deconvnet", &Gallery::new(title, rows.collect::<Result<_>>()?).draw()?)?;
    let maps: Vec<_> = answers.iter().map(|(_, a)| a.map.view()).collect();
    // [N, channels, C, H, W]
    let all: ArrayD<f32> = stack(Axis(1), &maps)
        .map_err(|e| crate::error::Error::Failed(format!("maps of {layer} differ in shape: {e}")))?;
    files.npy("deconvnet", all.view())
}

fn row(graph: &Graph, probe: &Probe, n: usize, panels: Vec<Panel>, answer: Option<&Answer>) -> Result<Row> {
    let image = pixels(graph, probe.input.index_axis(Axis(0), n))?;
    let (name, label) = (format!("test image {}", probe.places[n]), Some(probe.labels[n] as usize));
    Ok(Row { image, panels, caption: caption(graph, &name, label, answer.map(|a| &a.facts[n])) })
}
