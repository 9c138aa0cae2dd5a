//! evolution: channels at several moments of training, each shown by the image of a data set that excites it most then,
//! projected to pixels by DeconvNet. A sudden jump means that another image took the lead.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4 and figure 4.

use super::explanation::{picture_name, pixels};
use super::{Figure, File, Needs, Scene, layers};
use crate::error::Result;
use crate::methods::{self, Key, Settings};
use crate::mosaic::{Grid, Group, Mosaic, Tile, signed_bar};
use crate::number::short;
use crate::studies::top_images::{Excited, Patches, project, rank};
use ndarray::{Array4, Array5, Axis};
use serde_json::json;

pub(super) static FIGURE: Figure = Figure {
    name: "evolution",
    summary: "channels over the epochs: the image that excites each most, projected by DeconvNet",
    needs: Needs::Snapshots,
    keys: &[Key { default: "8", ..layers::CHANNELS }, methods::OVERLAP],
    draw,
};

/// A channel at one moment; nothing where it fired in no image.
type Moment = Option<(Excited, Patches)>;

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let chosen = layers::Channels::of(settings)?;
    let slots = layers::of_maps(scene);
    slots.iter().try_for_each(|&slot| chosen.check(scene.graph, slot))?;
    let deconvnet = methods::named("deconvnet")?;
    let deconvnet = Settings::parse(deconvnet, &[format!("overlap={}", settings.text("overlap"))])?;
    let (snapshots, set) = (scene.snapshots()?, scene.data()?);
    let mut channels: Vec<Vec<usize>> = Vec::new();
    // [slot][channel shown][moment]
    let mut shown: Vec<Vec<Vec<Moment>>> = Vec::new();
    // from the last moment, which decides the channels, to the first
    for moment in (0..snapshots.len()).rev() {
        let params = snapshots.params(moment)?;
        let rankings = rank(scene.graph, &params, set, &slots, 1, scene.progress)?;
        let strength = |slot: usize| -> Vec<f32> {
            rankings[slot].iter().map(|r| r.top.first().map_or(0.0, |t| t.activation)).collect()
        };
        if channels.is_empty() {
            channels = (0..slots.len()).map(|s| chosen.pick(&strength(s))).collect();
            shown = channels.iter().map(|list| vec![Vec::new(); list.len()]).collect();
        }
        for (s, &slot) in slots.iter().enumerate() {
            for (moments, &channel) in shown[s].iter_mut().zip(&channels[s]) {
                let top = &rankings[s][channel].top;
                let seen = match top.first() {
                    Some(&first) => {
                        Some((first, project(scene.graph, &params, set, (slot, channel), top, &deconvnet)?))
                    }
                    None => None,
                };
                moments.insert(0, seen);
            }
        }
    }
    let mut files = Vec::new();
    for ((&slot, channels), shown) in slots.iter().zip(&channels).zip(&shown) {
        files.extend(layer(scene, slot, channels, shown)?);
    }
    Ok(files)
}

/// The picture of one layer, with its numbers.
fn layer(scene: &Scene<'_>, slot: usize, channels: &[usize], shown: &[Vec<Moment>]) -> Result<Vec<File>> {
    let (name, set, snapshots) = (&scene.graph.names()[slot], scene.data()?, scene.snapshots()?);
    let base = format!("evolution/{}", picture_name(name));
    let labels: Vec<String> = (0..snapshots.len()).map(|i| snapshots.label(i)).collect();
    let moment = |(label, m): (&String, &Moment)| match m {
        Some((e, _)) => json!({
            "at": label, "image": e.image, "label": set.label(e.image), "activation": e.activation, "unit": e.at,
        }),
        None => json!({ "at": label, "image": null }),
    };
    let entries = channels.iter().zip(shown).map(|(channel, moments)| {
        json!({ "channel": channel, "moments": labels.iter().zip(moments).map(moment).collect::<Vec<_>>() })
    });
    let report = json!({
        "model": scene.graph.name(), "layer": name, "data": set.name(), "channels": entries.collect::<Vec<_>>(),
    });
    let mut files = vec![File::json(format!("{base}.json"), &report)];
    let Some(one) = shown.iter().flatten().flatten().next() else { return Ok(files) };
    let (_, c, h, w) = one.1.projections.dim();
    // [channels shown, moments, C, h, w], zero where a channel fired in no image
    let mut array = Array5::zeros((shown.len(), labels.len(), c, h, w));
    for (mut place, moments) in array.axis_iter_mut(Axis(0)).zip(shown) {
        for (mut place, (_, patches)) in
            place.axis_iter_mut(Axis(0)).zip(moments).filter_map(|(place, m)| Some((place, m.as_ref()?)))
        {
            place.assign(&patches.projections.index_axis(Axis(0), 0));
        }
    }
    files.push(File::npy(format!("{base}-projections.npy"), array.view().into_dyn())?);
    let blank = Array4::zeros((1, c, h, w));
    let groups = channels.iter().zip(shown).map(|(&k, moments)| group(scene, k, moments, &labels, &blank));
    let mosaic = Mosaic {
        title: format!("How channels of {name} of {} came to be", scene.graph.name()),
        notes: vec![
            format!(
                "Above: the strongest activation in any of {}, projected to pixels by DeconvNet (Zeiler and Fergus \
                 2014), with the moment of training. Below: the same place of the image, with the activation. A jump \
                 means that another image took the lead. One scale for all moments of a channel.",
                set.name()
            ),
            format!("{} of {} channels are shown", channels.len(), scene.graph.shape(slot).c),
        ],
        groups: groups.collect::<Result<_>>()?,
        tile: 84,
    };
    files.push(File::new(format!("{base}.png"), mosaic.draw()?.png()?));
    Ok(files)
}

fn group(
    scene: &Scene<'_>,
    channel: usize,
    moments: &[Moment],
    labels: &[String],
    blank: &Array4<f32>,
) -> Result<Group> {
    let projection = |m: &Moment| m.as_ref().map_or_else(|| blank.clone(), |(_, p)| p.projections.clone());
    let all: Vec<Array4<f32>> = moments.iter().map(projection).collect();
    let (style, range) = signed_bar(scene.graph.input().c, all.iter().map(|p| p.index_axis(Axis(0), 0)));
    let mut tiles: Vec<Tile> = all
        .iter()
        .zip(labels)
        .map(|(p, label)| Tile::signed(p.index_axis(Axis(0), 0), &range, label.clone()))
        .collect();
    for m in moments {
        let image = m.as_ref().map_or(blank, |(_, patches)| &patches.images);
        let label = m.as_ref().map_or("silent".into(), |(e, _)| short(e.activation.into()));
        tiles.push(Tile::image(pixels(scene.graph, image.index_axis(Axis(0), 0))?.view(), label)?);
    }
    let grid = Grid { tiles, columns: moments.len(), bar: Some((style, range)) };
    Ok(Group { title: format!("channel {channel}"), grids: vec![grid] })
}

#[cfg(test)]
mod tests {
    use super::super::Snapshots;
    use super::*;
    use crate::set::InMemory;
    use glassbox_engine::layers::{Conv, Dense, Flatten, Relu};
    use glassbox_engine::{Graph, Params};
    use ndarray_npy::ReadNpyExt;
    use serde_json::Value;

    /// Two channels of one 2x2 kernel each over images of 4x4.
    fn net() -> Graph {
        Graph::builder("n", [1, 4, 4])
            .layer("conv", Conv::new(2, 2).without_bias())
            .layer("relu", Relu)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(2))
            .build()
            .unwrap()
    }

    /// What was learned at each moment: the kernels of both channels.
    #[derive(Debug)]
    struct Run(Graph, Vec<[[f32; 4]; 2]>);

    impl Snapshots for Run {
        fn len(&self) -> usize {
            self.1.len()
        }

        fn label(&self, moment: usize) -> String {
            format!("ep {}", moment + 1)
        }

        fn params(&self, moment: usize) -> Result<Params<f32>> {
            let mut params = self.0.init::<f32>(Default::default(), 1);
            let kernels = self.1[moment].concat();
            params.set(
                "conv.weight",
                ndarray::ArrayView::from_shape((2, 1, 2, 2), &kernels).unwrap().into_dyn(),
            )?;
            Ok(params)
        }
    }

    #[test]
    fn each_moment_shows_the_image_that_excites_a_channel_most_then() {
        let graph = net();
        // image 0 is bright at one corner, image 1 less bright at another, image 2 is dark
        let mut input = Array4::zeros((3, 1, 4, 4));
        (input[[0, 0, 0, 0]], input[[1, 0, 3, 3]], input[[2, 0, 1, 1]]) = (5.0, 3.0, -2.0);
        let set = InMemory { name: "three images".into(), input, labels: vec![0, 1, 0] };
        let (none, up, left) = ([-1.0; 4], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]);
        // channel 0: silent but for the dark image, then the corner of image 0, then that of image 1, doubled
        let run = Run(graph.clone(), vec![[none, up], [up, up], [left, up]]);
        let params = run.params(2).unwrap();
        let scene = Scene { data: Some(&set), snapshots: Some(&run), ..Scene::new(&graph, &params) };
        let settings = FIGURE.settings(&["channels=0,1"]).unwrap();
        let files = FIGURE.files(&scene, &settings).unwrap();
        let file =
            |path: &str| &files.iter().find(|f| f.path == path).unwrap_or_else(|| panic!("{path}")).bytes;

        let report: Value = serde_json::from_slice(file("evolution/relu.json")).unwrap();
        let moments = |channel: usize| -> Vec<(Value, Value, Value)> {
            let list = report["channels"][channel]["moments"].as_array().unwrap();
            list.iter().map(|m| (m["at"].clone(), m["image"].clone(), m["activation"].clone())).collect()
        };
        let seen = |at: &str, image: u64, activation: f64| (json!(at), json!(image), json!(activation));
        assert_eq!(moments(0), [seen("ep 1", 2, 2.0), seen("ep 2", 0, 5.0), seen("ep 3", 1, 6.0)]);
        assert_eq!(moments(1), [seen("ep 1", 0, 5.0), seen("ep 2", 0, 5.0), seen("ep 3", 0, 5.0)]);

        let arrays = ndarray::ArrayD::<f32>::read_npy(&file("evolution/relu-projections.npy")[..]).unwrap();
        assert_eq!(arrays.shape()[..3], [2, 3, 1]);
        // one convolution: the projection is the kernel times the activation, wherever it is cut out
        for (moment, kernel, activation) in [(0, none, 2.0), (1, up, 5.0), (2, left, 6.0)] {
            let got = arrays.index_axis(Axis(0), 0).index_axis(Axis(0), moment).to_owned();
            let mut got: Vec<f32> = got.into_iter().filter(|v| *v != 0.0).collect();
            let mut want: Vec<f32> = kernel.iter().map(|k| k * activation).filter(|v| *v != 0.0).collect();
            got.sort_by(f32::total_cmp);
            want.sort_by(f32::total_cmp);
            assert_eq!(got, want, "moment {moment}");
        }
        assert!(file("evolution/relu.png").starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_channel_that_never_fires_is_said_to_be_silent() {
        let graph = net();
        let input = Array4::from_elem((2, 1, 4, 4), 1.0);
        let set = InMemory { name: "two images".into(), input, labels: vec![0, 1] };
        let run = Run(graph.clone(), vec![[[-1.0; 4], [1.0; 4]], [[-1.0; 4], [1.0; 4]]]);
        let params = run.params(0).unwrap();
        let scene = Scene { data: Some(&set), snapshots: Some(&run), ..Scene::new(&graph, &params) };
        let files = FIGURE.files(&scene, &FIGURE.settings(&["channels=0,1"]).unwrap()).unwrap();
        let report: Value = serde_json::from_slice(&files[0].bytes).unwrap();
        assert!(report["channels"][0]["moments"].as_array().unwrap().iter().all(|m| m["image"].is_null()));
        // of equal images the first
        assert!(report["channels"][1]["moments"].as_array().unwrap().iter().all(|m| m["image"] == 0));
        let patches = files.iter().find(|f| f.path.ends_with("-projections.npy")).unwrap();
        let arrays = ndarray::ArrayD::<f32>::read_npy(&patches.bytes[..]).unwrap();
        assert!(arrays.index_axis(Axis(0), 0).iter().all(|v| *v == 0.0));
    }
}
