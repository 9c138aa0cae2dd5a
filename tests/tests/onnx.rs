//! ONNX files of other programs: read, run, and compared with what those programs computed.

use glassbox_engine::io::onnx;
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Graph, forward};
use glassbox_fixtures::{Arrays, arrays, path};
use glassbox_tests::compare::blocked;
use ndarray::ArrayD;

/// Inputs in the engine's order: [N, C, H, W].
fn input(values: &Arrays, name: &str, graph: &Graph) -> Blocked<f32> {
    let x = values.get(&format!("{name}.x"));
    let shape = graph.input();
    let x = if x.ndim() == 4 && x.shape()[1] != shape.c {
        x.clone().permuted_axes(vec![0, 3, 1, 2])
    } else {
        x.clone()
    };
    let n = x.shape()[0];
    let x: Vec<f64> = x.iter().copied().collect();
    let x = ArrayD::from_shape_vec(vec![n, shape.c, shape.h, shape.w], x).expect("sizes of the input");
    blocked(&x, 16)
}

#[test]
fn files_of_other_programs_give_their_values() {
    let values = arrays("onnx");
    let mut count = 0;
    for entry in std::fs::read_dir(path("reference/onnx")).expect("fixtures") {
        let file = entry.expect("fixtures").path();
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let (graph, params) = onnx::read(&file).unwrap_or_else(|e| panic!("{e}"));
        let trace = forward(&graph, &params, &input(&values, &name, &graph), Mode::Eval)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let (y, want) = (trace.output().to_exported(), values.get(&format!("{name}.y")));
        assert_eq!(y.shape(), want.shape(), "{name}");
        for (y, want) in y.iter().zip(want) {
            assert!((f64::from(*y) - want).abs() <= 1e-5 * want.abs().max(1.0), "{name}: {y} for {want}");
        }
        // what was read is a model like any other
        assert_eq!(
            Graph::from_toml(&graph.to_toml(), &name).expect("its own text").to_toml(),
            graph.to_toml()
        );
        // and can be written again
        let bytes = onnx::to_bytes(&graph, &params).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(onnx::parse(&bytes, &name).is_ok(), "{name}");
        count += 1;
    }
    assert!(count > 60, "{count} files");
}

#[test]
fn parameters_keep_their_names() {
    let (graph, params) =
        onnx::read(path("reference/onnx/torch_view_dynamo.onnx")).unwrap_or_else(|e| panic!("{e}"));
    for (name, shape) in
        [("conv1.weight", vec![4, 1, 5, 5]), ("conv2.bias", vec![6]), ("fc.weight", vec![10, 96])]
    {
        assert_eq!(params.get(name).unwrap_or_else(|e| panic!("{e}")).shape(), shape, "{name}");
    }
    let kinds: Vec<_> = graph.nodes().iter().map(|n| n.layer.kind().name).collect();
    let want = ["conv", "relu", "maxpool", "conv", "relu", "maxpool", "flatten", "dense", "log_softmax"];
    assert_eq!(kinds, want);
}

#[test]
fn no_damage_to_any_file_makes_a_panic() {
    for entry in std::fs::read_dir(path("reference/onnx")).expect("fixtures") {
        let file = entry.expect("fixtures").path();
        let bytes = std::fs::read(&file).expect("fixtures");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200 {
            let mut damaged = bytes.clone();
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            damaged[(state >> 33) as usize % bytes.len()] = (state >> 20) as u8;
            if let Err(error) = onnx::parse(&damaged, &file) {
                assert!([2, 4].contains(&error.exit_code()), "{error}");
            }
        }
    }
}
