//! Principal components, t-SNE and trustworthiness against scikit-learn.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_fixtures::json;
use glassbox_viz::projection::{Init, Options, divergence, gradient, joint, pca, trustworthiness, tsne};
use ndarray::Array2;
use serde_json::Value;

fn array(value: &Value) -> Array2<f64> {
    let rows = value.as_array().unwrap();
    let columns = rows[0].as_array().unwrap().len();
    Array2::from_shape_fn((rows.len(), columns), |(i, j)| rows[i][j].as_f64().unwrap())
}

fn near(got: &Array2<f64>, want: &Array2<f64>, within: f64) {
    let largest = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert_eq!(got.dim(), want.dim());
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= within * largest, "{got} {want}");
    }
}

#[test]
fn components_are_those_of_scikit_learn() {
    let want = json("reference/projection.json");
    let got = pca(array(&want["points"]).view(), 4).unwrap();
    near(&got.scores.slice(ndarray::s![.., ..2]).to_owned(), &array(&want["pca"]["scores"]), 1e-8);
    near(&got.directions, &array(&want["pca"]["directions"]), 1e-9);
    for (k, (variance, share)) in got.variance.iter().zip(&got.share).enumerate() {
        assert!((variance - want["pca"]["variance"][k].as_f64().unwrap()).abs() < 1e-9);
        assert!((share - want["pca"]["share"][k].as_f64().unwrap()).abs() < 1e-9);
    }
}

/// scikit-learn takes distances in single precision and stops its bisection at 1e-5 nats, so probabilities agree to that.
#[test]
fn probabilities_gradient_and_divergence_are_those_of_scikit_learn() {
    let want = json("reference/projection.json");
    let p = joint(array(&want["points"]).view(), want["perplexity"].as_f64().unwrap());
    let condensed = want["joint"].as_array().unwrap();
    let n = p.nrows();
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| [i, j]));
    for (at, want) in pairs.zip(condensed) {
        assert!((p[at] - want.as_f64().unwrap()).abs() < 1e-6, "{at:?} {} {want}", p[at]);
    }
    let layout = array(&want["layout"]);
    let slope = gradient(&p, &layout);
    assert!((divergence(&p, &layout) - want["kl"].as_f64().unwrap()).abs() < 1e-3);
    near(&slope, &array(&want["gradient"]), 1e-3);
}

/// The descent is chaotic, so layouts are compared by how good they are.
#[test]
fn layouts_are_as_good_as_those_of_scikit_learn() {
    let want = json("reference/projection.json");
    let points = array(&want["points"]);
    let options = Options { perplexity: 8.0, steps: 1000, init: Init::Pca };
    let layout = tsne(points.view(), options, None).unwrap();
    let best = want["tsne"]["kl"].as_f64().unwrap();
    assert!(layout.divergence < 1.1 * best, "{} {best}", layout.divergence);
    let trust = trustworthiness(points.view(), layout.places.view(), 5).unwrap();
    assert!(trust > want["tsne"]["trustworthiness"].as_f64().unwrap() - 0.02, "{trust}");
    for k in [5, 10] {
        let got = trustworthiness(points.view(), array(&want["layout"]).view(), k).unwrap();
        let want = want["trustworthiness"][&k.to_string()].as_f64().unwrap();
        assert!((got - want).abs() < 1e-12, "{got} {want}");
    }
}
