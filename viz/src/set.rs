//! Data sets as pictures see them: labelled images that are read a batch at a time, so that no set has to fit memory.

use crate::error::{Error, Result};
use crate::methods::pass::batch;
use glassbox_engine::forward::forward_into;
use glassbox_engine::graph::{Keep, Plan};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Graph, Params, Shape, Trace};
use ndarray::Array4;
use std::fmt::Debug;

/// Labelled images, as a net sees them: mean and deviation taken out.
pub trait ImageSet: Debug {
    /// What the set is called, with its half: "test images of digits".
    fn name(&self) -> &str;

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Channels, height and width of an image.
    fn shape(&self) -> Shape;

    /// The true class of an image below [`ImageSet::len`].
    fn label(&self, image: usize) -> usize;

    /// Writes the images at `which` into a batch of as many images of [`ImageSet::shape`].
    fn fill(&self, which: &[usize], batch: &mut Blocked<f32>);

    /// The images at `which`, [N, C, H, W].
    fn images(&self, which: &[usize]) -> Array4<f32> {
        let mut batch = Blocked::zeros(self.shape(), which.len(), 1);
        self.fill(which, &mut batch);
        batch.to_array4()
    }
}

/// Images in memory.
#[derive(Clone, Debug)]
pub struct InMemory {
    /// What they are called.
    pub name: String,
    /// As the net sees them, [N, C, H, W].
    pub input: Array4<f32>,
    /// The true class of each.
    pub labels: Vec<usize>,
}

impl ImageSet for InMemory {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.input.dim().0
    }

    fn shape(&self) -> Shape {
        let (_, c, h, w) = self.input.dim();
        Shape::maps(c, h, w)
    }

    fn label(&self, image: usize) -> usize {
        self.labels.get(image).copied().unwrap_or(0)
    }

    fn fill(&self, which: &[usize], batch: &mut Blocked<f32>) {
        for (i, &image) in which.iter().enumerate() {
            batch.set_image(i, self.input.index_axis(ndarray::Axis(0), image));
        }
    }
}

/// The first images of a set.
#[derive(Debug)]
pub struct First<'a> {
    set: &'a dyn ImageSet,
    count: usize,
}

impl<'a> First<'a> {
    /// At most `count` images of a set, from its start.
    pub fn new(set: &'a dyn ImageSet, count: usize) -> Self {
        Self { set, count: count.min(set.len()) }
    }
}

impl ImageSet for First<'_> {
    fn name(&self) -> &str {
        self.set.name()
    }

    fn len(&self) -> usize {
        self.count
    }

    fn shape(&self) -> Shape {
        self.set.shape()
    }

    fn label(&self, image: usize) -> usize {
        self.set.label(image)
    }

    fn fill(&self, which: &[usize], batch: &mut Blocked<f32>) {
        self.set.fill(which, batch);
    }
}

/// Runs a net, in evaluation, over all images of a set in their order, batch by batch; every activation is kept.
/// `then(trace, images)` sees the trace of the images with these numbers, `progress(done, total)` how far it has come.
///
/// # Errors
/// An empty set, images that the net does not take, and what `then` refuses.
pub fn each_batch(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    progress: Option<&dyn Fn(usize, usize)>,
    mut then: impl FnMut(&Trace<f32>, &[usize]) -> Result<()>,
) -> Result<()> {
    check(graph, set)?;
    let size = batch(graph).min(set.len());
    let mut trace = Plan::new(graph, size, Keep::Everything).trace(graph);
    let all: Vec<usize> = (0..set.len()).collect();
    for images in all.chunks(size) {
        trace.set_batch(images.len());
        set.fill(images, trace.input_mut());
        forward_into(graph, params, Mode::Eval, &mut trace);
        then(&trace, images)?;
        if let Some(progress) = progress {
            progress(images[images.len() - 1] + 1, set.len());
        }
    }
    Ok(())
}

/// Errors: an empty set, or images that the net does not take.
pub(crate) fn check(graph: &Graph, set: &dyn ImageSet) -> Result<()> {
    if set.is_empty() {
        return Err(Error::request(format!("{} hold no image", set.name()), "give a set with images"));
    }
    if set.shape() != graph.input() {
        return Err(Error::request(
            format!(
                "{} are {}, but model \"{}\" takes {}",
                set.name(),
                set.shape(),
                graph.name(),
                graph.input()
            ),
            "name the data that the model is for with --data",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::layers::{Conv, Dense, Flatten, Relu};

    fn net() -> Graph {
        Graph::builder("n", [1, 5, 5])
            .layer("conv", Conv::new(2, 3))
            .layer("relu", Relu)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(3))
            .build()
            .unwrap()
    }

    #[test]
    fn every_image_comes_once_with_its_own_activations() {
        let graph = net();
        let params = graph.init(Default::default(), 3);
        let input =
            Array4::from_shape_fn((150, 1, 5, 5), |(n, _, h, w)| ((n * 7 + h * 5 + w) % 11) as f32 - 5.0);
        let set = InMemory { name: "numbers".into(), input, labels: (0..150).map(|n| n % 3).collect() };
        let mut seen = Vec::new();
        each_batch(&graph, &params, &set, None, |trace, images| {
            for (i, &image) in images.iter().enumerate() {
                let alone = Blocked::from_array4(set.images(&[image]).view(), 1);
                let alone = glassbox_engine::forward(&graph, &params, &alone, Mode::Eval)?;
                assert_eq!(trace.slot(2)?.image(i), alone.slot(2)?.image(0));
                seen.push(image);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..150).collect::<Vec<_>>());
    }

    #[test]
    fn sets_that_do_not_fit_are_refused_with_both_shapes() {
        let graph = net();
        let params = graph.init(Default::default(), 3);
        for (dims, want) in [((0, 1, 5, 5), "no image"), ((2, 3, 5, 5), "3x5x5")] {
            let set = InMemory { name: "numbers".into(), input: Array4::zeros(dims), labels: vec![0; 2] };
            let text = each_batch(&graph, &params, &set, None, |_, _| Ok(())).unwrap_err().to_string();
            assert!(text.contains(want) && text.contains("numbers"), "{text}");
        }
    }
}
