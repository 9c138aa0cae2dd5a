//! Projections against their definitions.

use super::*;
use crate::set::{ImageSet, InMemory};
use glassbox_engine::graph::models;
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::{Blocked, Mode, forward};
use ndarray::{Array2, Array4};

fn noise(n: usize, d: usize, seed: u64) -> Array2<f64> {
    let mut stream = Stream::new(seed, Purpose::Demo, 0, 0);
    Array2::from_shape_fn((n, d), |_| stream.normal())
}

/// Two clouds far apart, and which point lies in which.
fn two_clouds(n: usize) -> (Array2<f64>, Vec<usize>) {
    let labels: Vec<usize> = (0..n).map(|i| i % 2).collect();
    let mut points = noise(n, 6, 4);
    points.outer_iter_mut().zip(&labels).for_each(|(mut p, &l)| p[0] += 12.0 * l as f64);
    (points, labels)
}

#[test]
fn components_are_orthonormal_uncorrelated_and_leave_out_what_they_say() {
    for (n, d) in [(30, 7), (9, 20)] {
        let points = noise(n, d, 2);
        let all = pca(points.view(), d.min(n - 1)).unwrap();
        assert!((all.share.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let two = pca(points.view(), 2).unwrap();
        let gram = two.directions.dot(&two.directions.t());
        assert!((&gram - &Array2::<f64>::eye(2)).iter().all(|v| v.abs() < 1e-9));
        let spread = two.scores.t().dot(&two.scores) / (n - 1) as f64;
        assert!(spread[[0, 1]].abs() < 1e-9 && (spread[[0, 0]] - two.variance[0]).abs() < 1e-9);
        let mean = points.mean_axis(ndarray::Axis(0)).unwrap();
        let rest = &points - &mean - two.scores.dot(&two.directions);
        let error = rest.iter().map(|v| v * v).sum::<f64>();
        let dropped: f64 = all.variance[2..].iter().sum();
        assert!((error - dropped * (n - 1) as f64).abs() < 1e-8 * error);
        for row in two.directions.outer_iter() {
            let largest = row.iter().fold(0.0f64, |m, v| if v.abs() > m.abs() { *v } else { m });
            assert!(largest > 0.0);
        }
    }
    let flat = pca(Array2::zeros((4, 3)).view(), 2).unwrap();
    assert!(flat.scores.iter().chain(&flat.share).all(|&v| v == 0.0));
    assert!(pca(noise(1, 3, 0).view(), 2).is_err());
}

#[test]
fn every_point_has_the_perplexity_asked_for_and_the_gradient_is_that_of_the_divergence() {
    let points = noise(25, 4, 8);
    let p = joint(points.view(), 6.0);
    assert!((p.sum() - 1.0).abs() < 1e-9 && (&p - &p.t()).iter().all(|v| *v == 0.0));
    let mut places = noise(25, 2, 9);
    let slope = gradient(&p, &places);
    for at in [[0, 0], [7, 1], [24, 0]] {
        let (value, step) = (places[at], 1e-5);
        let mut moved = |v: f64| {
            places[at] = v;
            divergence(&p, &places)
        };
        let numeric = (moved(value + step) - moved(value - step)) / (2.0 * step);
        places[at] = value;
        assert!(
            (numeric - slope[at]).abs() < 1e-6 * (1.0 + numeric.abs()),
            "{at:?}: {numeric} {}",
            slope[at]
        );
    }
}

#[test]
fn clouds_stay_apart_and_a_seed_gives_the_same_layout() {
    let (points, labels) = two_clouds(60);
    for init in [Init::Pca, Init::Random(3)] {
        let options = Options { perplexity: 10.0, steps: 500, init };
        let layout = tsne(points.view(), options, None).unwrap();
        assert_eq!(neighbour_agreement(layout.places.view(), &labels, 10), 1.0);
        assert!(trustworthiness(points.view(), layout.places.view(), 10).unwrap() > 0.85);
        assert_eq!(tsne(points.view(), options, None).unwrap(), layout);
    }
    let other = tsne(points.view(), Options { perplexity: 60.0, steps: 5, init: Init::Pca }, None);
    assert!(other.unwrap_err().to_string().contains("perplexity 60 with 60 points"));
    let same = Array2::ones((10, 3));
    let layout = tsne(same.view(), Options { perplexity: 3.0, steps: 300, init: Init::Pca }, None).unwrap();
    assert!(layout.places.iter().all(|v| v.is_finite()));
}

#[test]
fn measures_know_the_best_and_the_worst() {
    let (points, labels) = two_clouds(40);
    assert_eq!(trustworthiness(points.view(), points.view(), 10), Some(1.0));
    assert_eq!(trustworthiness(points.view(), points.view(), 20), None);
    assert_eq!(neighbour_agreement(points.view(), &labels, 10), 1.0);
    assert!((chance(&labels) - 19.0 / 39.0).abs() < 1e-12);
    let shuffled = noise(40, 2, 77);
    assert!(trustworthiness(points.view(), shuffled.view(), 5).unwrap() < 0.7);
}

#[test]
fn points_are_what_single_passes_give_and_pixels_are_in_their_own_unit() {
    let graph = models::named("gap-small").unwrap().with_pixels(vec![0.5], vec![0.25]);
    let params = graph.init::<f32>(Default::default(), 1);
    let mut stream = Stream::new(1, Purpose::Demo, 0, 0);
    let input = Array4::from_shape_fn((20, 1, 28, 28), |_| stream.normal() as f32);
    let set = InMemory { name: "noise".into(), input, labels: vec![0; 20] };
    let whole = points(&graph, &params, &set, &[0, 2], Pooling::Flatten, None).unwrap();
    let means = points(&graph, &params, &set, &[2], Pooling::Mean, None).unwrap();
    assert_eq!((whole[0].ncols(), whole[1].ncols(), means[0].ncols()), (784, 16 * 784, 16));
    let trace =
        forward(&graph, &params, &Blocked::from_array4(set.images(&[13]).view(), 1), Mode::Eval).unwrap();
    let maps = trace.slot(2).unwrap().image(0);
    for ((got, want), pixel) in whole[1].row(13).iter().zip(maps).zip(whole[0].row(13)) {
        assert_eq!(*got, f64::from(*want));
        assert!(pixel.is_finite());
    }
    assert!((whole[0][[13, 5]] - 0.25 * f64::from(set.input[[13, 0, 0, 5]])).abs() < 1e-12);
    let mean = maps.index_axis(ndarray::Axis(0), 3).mean().unwrap();
    assert!((means[0][[13, 3]] - f64::from(mean)).abs() < 1e-5);
}

#[test]
fn clouds_are_drawn_even_where_they_have_no_extent() {
    for places in [Array2::zeros((4, 2)), Array2::from_elem((4, 2), f64::NAN), noise(4, 2, 1)] {
        let cloud =
            Cloud { title: "a < b".into(), facts: vec![], axes: [String::new(), String::new()], places };
        let names: Vec<String> = (0..25).map(|k| format!("class {k}")).collect();
        let svg = scatter("x", &[], &[cloud.clone(), cloud], &[0, 9, 12, 24], &names).unwrap();
        crate::svg::check(&svg).unwrap();
    }
    assert!(scatter("x", &[], &[], &[], &[]).is_err());
}
