//! What a run does where its configuration is silent: the recipe that suits the net, the augmentation that suits the
//! data.
//!
//! Nets for grey images (digits, clothes) learn from PyTorch's first values with plain SGD. Nets for colour images are
//! deeper and their data harder: from those values each layer shrinks what passes through it, and SGD at a digit's rate
//! leaves the loss at ln(classes). They start from He's values, which keep the variance from layer to layer, and move
//! by AdamW, whose steps do not depend on the scale of the gradients, but move each value by about the rate, so the more
//! values there are, the further they carry the net; slower, too, where many layers follow each other with no batch-norm
//! in between. Few colour images go in small batches, since a deep net wants some thousands of steps before it sees
//! anything in them.

use super::config::Config;
use glassbox_engine::Graph;
use glassbox_engine::data::SOURCES;
use glassbox_engine::params::ParamRole;

/// The most learned layers in a row, without batch-norm, that bear the full rate.
const SHALLOW: usize = 5;

/// Colour images below which batches are small.
const FEW: usize = 10_000;

/// The configuration with everything filled in that depends on the net, the data set and its number of training images.
pub fn fill(config: Config, graph: &Graph, images: usize) -> Config {
    let colour = graph.input().c > 1;
    let usual = |grey: &str, colourful: &str| if colour { colourful } else { grey }.to_string();
    let init = config.init.clone().unwrap_or_else(|| usual("pytorch", "he"));
    let optimizer = config.optimizer.clone().unwrap_or_else(|| usual("sgd", "adamw"));
    let batch = config.batch.unwrap_or(if colour && images < FEW { 16 } else { 64 });
    let lr = config.lr.unwrap_or_else(|| rate(&optimizer, graph, colour));
    let (augment, every) = (augmentation(&config), config.dump_every());
    let mut filled = Config {
        init: Some(init),
        optimizer: Some(optimizer),
        lr: Some(lr),
        batch: Some(batch),
        augment: Some(augment),
        ..config
    };
    filled.dump.every = Some(every);
    filled
}

/// The optimiser's usual base rate for a net of this depth and, where it sees colours, size.
fn rate(optimizer: &str, graph: &Graph, colour: bool) -> f64 {
    match (optimizer, depth(graph) <= SHALLOW) {
        ("sgd", true) => 0.05,
        ("sgd", false) => 0.01,
        (_, true) if colour => by_size(graph.layout().count()),
        (_, true) => 0.001,
        (_, false) => 0.0003,
    }
}

/// 1 / sqrt(parameters) in one digit, between 0.0001 and 0.01: of the rates tried on the generated shapes, the one that
/// each built-in net learns best by, within a factor of two.
fn by_size(parameters: usize) -> f64 {
    let rate = (parameters.max(1) as f64).sqrt().recip().clamp(1e-4, 1e-2);
    format!("{rate:.0e}").parse().unwrap_or(rate)
}

/// The most learned layers that follow each other with no batch-norm in between.
fn depth(graph: &Graph) -> usize {
    let mut depths = vec![0; graph.nodes().len() + 1];
    for (i, node) in graph.nodes().iter().enumerate() {
        let above = node.inputs.iter().map(|&slot| depths[slot]).max().unwrap_or(0);
        let learned = node.facts.params.iter().any(|p| p.role == ParamRole::Weight);
        depths[i + 1] = match node.layer.kind().name {
            "batchnorm" => 0,
            _ => above + usize::from(learned),
        };
    }
    depths.into_iter().max().unwrap_or(0)
}

/// The augmentation steps, or the data set's usual ones; images that are to be learned by heart stay as they are.
fn augmentation(config: &Config) -> Vec<String> {
    let source = SOURCES.iter().find(|source| source.name == config.data && config.overfit.is_none());
    let usual = || source.map_or(Vec::new(), |s| s.augment.iter().map(|step| step.to_string()).collect());
    config.augment.clone().unwrap_or_else(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::graph::models;

    fn filled(model: &str, change: impl FnOnce(&mut Config)) -> (String, String, f64, Vec<String>) {
        let mut config = Config::default();
        change(&mut config);
        let c = fill(config, &models::named(model).unwrap(), 5_000);
        (c.init.unwrap(), c.optimizer.unwrap(), c.lr.unwrap(), c.augment.unwrap())
    }

    #[test]
    fn grey_nets_start_as_pytorch_does_and_colour_nets_as_he_does() {
        let of = |model, change: fn(&mut Config)| filled(model, change);
        let shift = vec!["shift=2".to_string()];
        assert_eq!(of("lenet", |_| {}), ("pytorch".into(), "sgd".into(), 0.05, shift));
        assert_eq!(of("mnist-example", |c| c.optimizer = Some("adam".into())).2, 0.001);
        let (init, optimizer, lr, augment) = of("alexnet-cifar", |c| c.data = "cifar10".into());
        assert_eq!((init.as_str(), optimizer.as_str(), lr), ("he", "adamw", 0.0003));
        assert!(augment.is_empty());
        assert_eq!(of("alexnet-cifar", |c| c.optimizer = Some("sgd".into())).2, 0.01);
        let rates = ["gap-small", "resnet-small", "cifar-quick"].map(|model| of(model, |_| {}).2);
        assert_eq!(rates, [0.05, 0.005, 0.003]);
    }

    #[test]
    fn what_the_user_says_stays() {
        let mine = |c: &mut Config| {
            (c.init, c.optimizer, c.lr) = (Some("glorot".into()), Some("rmsprop".into()), Some(0.7));
            c.augment = Some(vec!["flip".into()]);
        };
        let want = ("glorot".to_string(), "rmsprop".to_string(), 0.7, vec!["flip".to_string()]);
        assert_eq!(filled("alexnet-cifar", mine), want);
        assert!(filled("lenet", |c| c.overfit = Some(8)).3.is_empty());
    }

    #[test]
    fn few_colour_images_go_in_small_batches() {
        let batch = |model, images| fill(Config::default(), &models::named(model).unwrap(), images).batch;
        assert_eq!([batch("lenet", 5_000), batch("cifar-quick", 50_000)], [Some(64); 2]);
        assert_eq!(batch("cifar-quick", 5_000), Some(16));
        let mine = Config { batch: Some(7), ..Config::default() };
        assert_eq!(fill(mine, &models::named("cifar-quick").unwrap(), 5_000).batch, Some(7));
    }

    #[test]
    fn depth_is_counted_from_the_last_batch_norm_on() {
        let known = [("lenet", 5), ("mnist-example", 4), ("cifar-quick", 5), ("alexnet", 8), ("zfnet", 8)];
        for (model, want) in known {
            assert_eq!(depth(&models::named(model).unwrap()), want, "{model}");
        }
        // behind every convolution stands a batch-norm; the dense layer is one more
        assert_eq!(depth(&models::named("resnet-small").unwrap()), 1);
    }
}
