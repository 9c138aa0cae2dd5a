//! Everything that slides a window, on random geometries, against slow oracles.

use crate::property;
use glassbox_engine::layers::{AvgPool, Conv, ConvTranspose, Layer, MaxPool};
use glassbox_engine::trace::Mode;
use glassbox_engine::window::Window;
use glassbox_engine::{Real, Shape};
use glassbox_tests::compare::{error, shuffled};
use glassbox_tests::oracle::{self, Geometry};
use glassbox_tests::single::{Setting, Single, param, settings, some_params};
use ndarray::{Array4, ArrayD, Axis, Ix4};
use proptest::prelude::*;
use std::sync::Arc;

/// One random case: geometry, and sizes of the arrays.
#[derive(Clone, Debug)]
struct Case {
    geometry: Geometry,
    size: [usize; 2],
    groups: usize,
    in_per_group: usize,
    out_per_group: usize,
    n: usize,
    bias: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    let geometry = (pair(1..=5), pair(1..=4), pair(0..=3), pair(1..=3))
        .prop_map(|(kernel, stride, pad, dilation)| Geometry { kernel, stride, pad, dilation });
    let channels = (1..=3usize, 1..=3usize, 1..=3usize);
    let n = prop_oneof![Just(1usize), Just(2), Just(17)];
    (geometry, [1..=12usize, 1..=11usize], channels, n, any::<bool>()).prop_map(
        |(geometry, size, (groups, in_per_group, out_per_group), n, bias)| Case {
            geometry,
            size,
            groups,
            in_per_group,
            out_per_group,
            n,
            bias,
        },
    )
}

impl Case {
    fn window(&self) -> Window {
        let Geometry { kernel, stride, pad, dilation } = self.geometry;
        Window { kernel, stride, pad, pad_end: pad, dilation, ceil: false }
    }

    /// The same, with padding that a pool takes and no dilation.
    fn pooling(mut self) -> Self {
        let kernel = self.geometry.kernel;
        self.geometry.pad = [0, 1].map(|a| self.geometry.pad[a].min(kernel[a] / 2));
        self.geometry.dilation = [1; 2];
        self
    }

    fn x(&self) -> ArrayD<f64> {
        shuffled(&[self.n, self.groups * self.in_per_group, self.size[0], self.size[1]], 5)
    }

    fn settings(&self) -> Vec<Setting> {
        settings(Mode::Eval)
    }

    /// The layer's shapes fit exactly where the oracle's do.
    fn fits(&self, layer: &dyn Layer) -> bool {
        let shape = Shape::maps(self.groups * self.in_per_group, self.size[0], self.size[1]);
        let want = self.geometry.output(self.size);
        let got = layer.infer(&[shape]).ok().map(|facts| facts.output.spatial());
        assert_eq!(got, want, "{self:?}");
        want.is_some()
    }
}

fn four(x: ArrayD<f64>) -> Array4<f64> {
    x.into_dimensionality::<Ix4>().unwrap()
}

fn limit<R: Real>() -> f64 {
    if R::NAME == "f64" { 1e-12 } else { 1e-5 }
}

fn convolves<R: Real>(case: &Case, layer: &Arc<dyn Layer>) {
    let x = case.x();
    let facts = layer.infer(&[Shape::maps(x.shape()[1], x.shape()[2], x.shape()[3])]).unwrap();
    let params = some_params::<R>(&facts);
    let w = four(param(&params, "weight"));
    let b = if case.bias { param(&params, "bias").iter().copied().collect() } else { vec![] };
    let y = oracle::conv(&four(x.clone()), &w, &b, &case.geometry, case.groups);
    let dy = shuffled(y.shape(), 9);
    let (dx, dw) =
        oracle::conv_gradients(&four(x.clone()), &w, &four(dy.clone()), &case.geometry, case.groups);
    for setting in case.settings() {
        let run = Single::run(layer, std::slice::from_ref(&x), &params, setting);
        let grads = run.pull_params(&dy);
        let what = format!("{} {setting:?} {case:?}", R::NAME);
        assert!(error(&run.y(), &y.clone().into_dyn()) <= limit::<R>(), "y {what}");
        assert!(error(&run.pull(&dy)[0], &dx.clone().into_dyn()) <= limit::<R>(), "dx {what}");
        assert!(error(&param(&grads, "weight"), &dw.clone().into_dyn()) <= limit::<R>(), "dw {what}");
        if case.bias {
            let db = dy.sum_axis(Axis(3)).sum_axis(Axis(2)).sum_axis(Axis(0));
            // a sum that nearly cancels has no digits relative to itself
            let floor = dy.mapv(f64::abs).sum() / db.len() as f64;
            let worst = (&param(&grads, "bias") - &db).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(worst <= limit::<R>() * floor, "db {what}: {worst:e}");
        }
    }
}

#[test]
fn convolutions_are_their_definition() {
    property(96, cases(), |case| {
        let layer = Conv {
            out: case.groups * case.out_per_group,
            window: case.window(),
            groups: case.groups,
            bias: case.bias,
        };
        if case.fits(&layer) {
            let layer: Arc<dyn Layer> = Arc::new(layer);
            convolves::<f64>(&case, &layer);
            convolves::<f32>(&case, &layer);
        }
        Ok(())
    });
}

fn transposes<R: Real>(case: &Case, layer: &ConvTranspose) {
    let x = case.x();
    let facts = layer.infer(&[Shape::maps(x.shape()[1], x.shape()[2], x.shape()[3])]).unwrap();
    let params = some_params::<R>(&facts);
    let (w, b) = (four(param(&params, "weight")), param(&params, "bias").iter().copied().collect::<Vec<_>>());
    let y = oracle::conv_transpose(&four(x.clone()), &w, &b, &case.geometry, layer.output_pad, case.groups);
    let dy = shuffled(y.shape(), 9);
    // its adjoint is the convolution with the same weights, and its weights' gradient that convolution's
    let dx = oracle::conv(&four(dy.clone()), &w, &[], &case.geometry, case.groups);
    let (_, dw) =
        oracle::conv_gradients(&four(dy.clone()), &w, &four(x.clone()), &case.geometry, case.groups);
    let layer: Arc<dyn Layer> = Arc::new(*layer);
    for setting in case.settings() {
        let run = Single::run(&layer, std::slice::from_ref(&x), &params, setting);
        let what = format!("{} {setting:?} {case:?}", R::NAME);
        assert!(error(&run.y(), &y.clone().into_dyn()) <= limit::<R>(), "y {what}");
        assert!(error(&run.pull(&dy)[0], &dx.clone().into_dyn()) <= limit::<R>(), "dx {what}");
        let got = param(&run.pull_params(&dy), "weight");
        assert!(error(&got, &dw.clone().into_dyn()) <= limit::<R>(), "dw {what}");
    }
}

#[test]
fn transposed_convolutions_are_their_definition() {
    property(48, (cases(), [0..=3usize, 0..=3usize]), |(mut case, extra)| {
        case.bias = true;
        let Geometry { kernel, stride, dilation, .. } = case.geometry;
        let output_pad = [0, 1].map(|a| extra[a].min(stride[a] - 1));
        let full =
            |a: usize| (case.size[a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1 + output_pad[a];
        let (out, groups) = (case.groups * case.out_per_group, case.groups);
        let layer = ConvTranspose { out, window: case.window(), output_pad, groups, bias: true };
        let fits = (0..2).all(|a| full(a) > 2 * case.geometry.pad[a]);
        let shape = Shape::maps(case.groups * case.in_per_group, case.size[0], case.size[1]);
        assert_eq!(layer.infer(&[shape]).is_ok(), fits, "{case:?}");
        if fits {
            transposes::<f64>(&case, &layer);
            transposes::<f32>(&case, &layer);
        }
        Ok(())
    });
}

#[test]
fn max_pooling_is_its_definition_with_and_without_ties() {
    property(96, (cases(), any::<bool>()), |(case, ties)| {
        let case = case.pooling();
        let layer = MaxPool { window: case.window() };
        if !case.fits(&layer) {
            return Ok(());
        }
        let x = if ties { case.x().mapv(|v| (v * 2.0).round()) } else { case.x() };
        let (y, switches) = oracle::maxpool(&four(x.clone()), &case.geometry);
        let dy = shuffled(y.shape(), 9);
        let dx = oracle::unpool(&four(dy.clone()), &switches, case.size).into_dyn();
        let layer: Arc<dyn Layer> = Arc::new(layer);
        let params = some_params::<f64>(
            &layer.infer(&[Shape::maps(x.shape()[1], case.size[0], case.size[1])]).unwrap(),
        );
        for setting in case.settings() {
            let run = Single::run(&layer, std::slice::from_ref(&x), &params, setting);
            assert_eq!(run.y(), y.clone().into_dyn(), "{setting:?} {case:?}");
            assert_eq!(
                run.saved[0].switches().to_array4().mapv(|s| s as usize),
                switches,
                "{setting:?} {case:?}"
            );
            assert!(error(&run.pull(&dy)[0], &dx) <= 1e-14, "{setting:?} {case:?}");
        }
        Ok(())
    });
}

#[test]
fn average_pooling_is_its_definition() {
    property(64, (cases(), any::<bool>()), |(case, count_include_pad)| {
        let case = case.pooling();
        let layer = AvgPool { window: case.window(), count_include_pad };
        if !case.fits(&layer) {
            return Ok(());
        }
        let x = case.x();
        let y = oracle::avgpool(&four(x.clone()), &case.geometry, count_include_pad);
        let dy = shuffled(y.shape(), 9);
        let layer: Arc<dyn Layer> = Arc::new(layer);
        let params = some_params::<f64>(
            &layer.infer(&[Shape::maps(x.shape()[1], case.size[0], case.size[1])]).unwrap(),
        );
        for setting in case.settings() {
            let run = Single::run(&layer, std::slice::from_ref(&x), &params, setting);
            assert!(error(&run.y(), &y.clone().into_dyn()) <= 1e-13, "{setting:?} {case:?}");
            // it is linear, so its pull-back is its adjoint
            let direction = x.mapv(|v| (9.0 * v).cos());
            let pushed =
                oracle::avgpool(&four(direction.clone()), &case.geometry, count_include_pad).into_dyn();
            let (above, below) = ((&pushed * &dy).sum(), (&run.pull(&dy)[0] * &direction).sum());
            assert!((above - below).abs() <= 1e-12 * (1.0 + above.abs()), "{setting:?} {case:?}");
        }
        Ok(())
    });
}
