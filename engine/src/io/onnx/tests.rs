//! Nets through an ONNX file and back, and files that must be refused. Files of other programs with their values are
//! in the integration tests.

use super::proto::{Attribute, Model, Node};
use super::*;
use crate::array::Shape;
use crate::graph::{Init, models};
use crate::layers::{BatchNorm, Conv, ConvTranspose, Dense, Flatten, KINDS, Layer, MaxPool, Relu};
use proptest::prelude::*;
use std::sync::Arc;

/// A net of one layer, fed by the input and by layers that read it.
fn single(layer: Arc<dyn Layer>, shapes: &[Shape]) -> Graph {
    let Shape { c, h, w, flat } = shapes[0];
    let mut builder = Graph::builder("one", [c, h, w]);
    let mut names = vec![if flat { "flat".to_string() } else { "input".to_string() }];
    if flat {
        builder = builder.layer("flat", Flatten);
    }
    for (i, s) in shapes.iter().enumerate().skip(1) {
        let (name, below) = (format!("branch{i}"), names[0].clone());
        builder = match flat {
            true => builder.layer_from(&name, Dense::new(s.c), &[&below]),
            false => builder.layer_from(&name, Conv::new(s.c, 1), &[&below]),
        };
        names.push(name);
    }
    let from: Vec<&str> = names.iter().map(String::as_str).collect();
    builder.shared("it", layer, &from).build().unwrap()
}

fn check_round_trip(graph: &Graph) {
    let mut params = graph.init::<f32>(Init::He, 4);
    for spec in graph.layout().specs().iter().filter(|s| s.decl.name != "num_batches_tracked") {
        let values = &mut params.slab_mut()[spec.offset..spec.offset + spec.len];
        values.iter_mut().enumerate().for_each(|(i, v)| *v += 0.25 + (i % 7) as f32 * 0.125);
    }
    let bytes = to_bytes(graph, &params).unwrap();
    let (again, read) = parse(&bytes, "x.onnx").unwrap_or_else(|e| panic!("{}: {e}", graph.to_toml()));
    assert_eq!(again.to_toml(), graph.to_toml());
    assert_eq!(read.slab(), params.slab(), "{}", graph.to_toml());
}

#[test]
fn nets_come_back_layer_by_layer_and_bit_by_bit() {
    for name in ["cifar-quick", "gap-small", "lenet", "resnet-small"] {
        check_round_trip(&models::named(name).unwrap());
    }
    for kind in KINDS.iter().filter(|k| k.name != "adaptive_avgpool") {
        for (layer, shapes) in (kind.examples)() {
            // ONNX has no layer for an even window
            if format!("{layer:?}").starts_with("Lrn { size: 4") {
                continue;
            }
            check_round_trip(&single(layer, &shapes));
        }
    }
}

/// A net whose file has most kinds of messages in it, but few bytes.
fn sample() -> Model {
    let graph = Graph::builder("sample", [2, 6, 5])
        .pixels(&[0.5, 0.25], &[1.0, 2.0])
        .layer("conv", Conv::new(3, 2).pad(1))
        .layer("bn", BatchNorm::default())
        .layer("relu", Relu)
        .layer("pool", MaxPool::new(3).stride(2).pad(1))
        .layer(
            "up",
            ConvTranspose {
                out: 2,
                window: crate::window::Window::new([2; 2]),
                output_pad: [0; 2],
                groups: 1,
                bias: true,
            },
        )
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3))
        .build()
        .unwrap();
    export::model(&graph, &graph.init(Init::He, 1)).unwrap()
}

fn refusal(model: &Model) -> (String, u8) {
    let error = parse(&model.encode_to_vec(), "x.onnx").unwrap_err();
    (error.to_string(), error.exit_code())
}

fn node(model: &mut Model, name: &str) -> Node {
    model.graph.as_ref().unwrap().node.iter().find(|n| n.name == name).unwrap().clone()
}

/// The sample with one node changed.
fn with(name: &str, change: impl Fn(&mut Node)) -> Model {
    let mut model = sample();
    change(model.graph.as_mut().unwrap().node.iter_mut().find(|n| n.name == name).unwrap());
    model
}

#[test]
fn what_is_not_supported_is_named_with_what_is() {
    let ints =
        |name: &str, ints: &[i64]| Attribute { name: name.into(), ints: ints.to_vec(), ..Default::default() };
    let int = |name: &str, i: i64| Attribute { name: name.into(), i, ..Default::default() };
    let cases = [
        (
            with("relu", |n| n.op = "Hardmax".into()),
            "node \"relu\" (Hardmax): this operator is not supported; supported are Add, AveragePool,",
        ),
        (
            with("relu", |n| n.domain = "com.example".into()),
            "node \"relu\" (Relu): this operator is not supported",
        ),
        (
            with("conv", |n| n.attribute[1] = ints("strides", &[1 << 40, 1])),
            "node \"conv\" (Conv): strides = 1099511627776; 1 to 4096 is supported",
        ),
        (
            with("pool", |n| n.attribute[2] = ints("pads", &[2, 2, 2, 2])),
            "node \"pool\" (MaxPool): pads [2, 2] [2, 2] with kernel [3, 3]",
        ),
        (with("pool", |n| n.attribute.push(ints("dilations", &[2, 2]))), "pools without dilation"),
        (with("relu", |n| n.op = "Erf".into()), "node \"relu\" (Erf): it is no part of a GELU"),
        (
            with("up", |n| n.attribute.push(ints("output_shape", &[90, 90]))),
            "an output of [90, 90], larger than its windows reach",
        ),
        (with("flatten", |n| n.attribute[0].i = 2), "node \"flatten\" (Flatten): axis = 2"),
        (with("fc", |n| n.attribute.push(int("transA", 1))), "transA = 1"),
    ];
    for (model, want) in cases {
        let (message, code) = refusal(&model);
        assert!(message.contains(want) && message.starts_with("x.onnx: "), "{want}\n{message}");
        assert_eq!(code, 2, "{message}");
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let mut no_graph = sample();
    no_graph.graph = None;
    let mut no_opset = sample();
    no_opset.opset_import.clear();
    let mut short = sample();
    short.graph.as_mut().unwrap().initializer[0].raw.truncate(5);
    let mut many = sample();
    many.graph.as_mut().unwrap().initializer[0].dims = vec![1 << 40, 1 << 40];
    let mut list = sample();
    list.metadata[0].value = "{".into();
    let cases = [
        (no_graph, "model: it holds no graph"),
        (no_opset, "model: it names no operator set"),
        (short, "initializer \"conv.weight\": its 5 bytes are no multiple of 4"),
        (many, "initializer \"conv.weight\": its sizes"),
        (list, "metadata \"glassbox.mean\": it is no list"),
        (with("relu", |n| n.input[0] = "nothing".into()), "graph: it has no input"),
        (with("relu", |n| n.input[0] = "fc".into()), "graph: it has no input"),
        (with("fc", |n| n.input[0] = "x".into()), "graph: it has no input"),
        (
            with("conv", |n| n.attribute[4].i = 2),
            "node \"conv\" (Conv): weights [3, 2, 2, 2] in 2 groups do not fit 2 channels",
        ),
        (with("bn", |n| n.input[3] = "fc.bias2".into()), "computed by no node before it"),
        (with("pool", |n| n.attribute.clear()), "node \"pool\" (MaxPool): it has no kernel_shape"),
    ];
    for (model, want) in cases {
        let (message, code) = refusal(&model);
        assert!(message.contains(want) && message.starts_with("x.onnx: "), "{want}\n{message}");
        assert_eq!(code, 4, "{message}");
    }
    let bytes = sample().encode_to_vec();
    assert_eq!(parse(&bytes[..bytes.len() / 2], "x").unwrap_err().exit_code(), 4);
    assert_eq!(parse(b"no ONNX file", "x").unwrap_err().exit_code(), 4);
    assert_eq!(parse(b"", "x").unwrap_err().exit_code(), 4);
}

#[test]
fn one_small_array_used_often_does_not_make_a_large_net() {
    let mut model = sample();
    let flatten = node(&mut model, "flatten");
    let graph = model.graph.as_mut().unwrap();
    // wide maps by padding, then a scale for each of them, again and again
    let relu = graph.node.iter().position(|n| n.name == "relu").unwrap();
    let before = graph.node[relu].input[0].clone();
    graph.node[relu].input[0] = "wide99".into();
    for i in 0..100 {
        let mut concat = flatten.clone();
        let below = if i == 0 { before.clone() } else { format!("wide{}", i - 1) };
        (concat.op, concat.input, concat.output) =
            ("Concat".into(), vec![below.clone(), below], vec![format!("wide{i}")]);
        concat.name = format!("wide{i}");
        graph.node.insert(relu + i, concat);
    }
    let (message, _) = refusal(&model);
    assert!(message.contains("is larger than 268435456 numbers"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(), whole: bool) {
        let mut bytes = sample().encode_to_vec();
        let n = bytes.len();
        bytes[at.index(n)] = byte;
        if !whole {
            bytes.truncate(cut.index(n));
        }
        if let Err(error) = parse(&bytes, "x") {
            prop_assert!([2, 4].contains(&error.exit_code()), "{}", error);
        }
    }
}
