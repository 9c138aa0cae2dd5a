//! Weights go to PyTorch and come back.
//!
//! The files were made once with PyTorch 2: what this engine had saved was loaded with `load_state_dict(strict=True)`
//! into a module written by hand, which computed the logits; the other file is that module's own state dict. Here the
//! engine must still write what PyTorch took, read what PyTorch wrote, and compute the same logits.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::Graph;
use glassbox_engine::io::weights;
use glassbox_engine::trace::Mode;
use glassbox_fixtures::{bytes, open, path, text};
use glassbox_tests::compare::{close, wide};
use glassbox_tests::nets::Net;
use safetensors::SafeTensors;
use std::collections::BTreeMap;

const NETS: [&str; 2] = ["medley", "resnet-small"];

fn graph(name: &str) -> Graph {
    Graph::from_toml(&text(&format!("roundtrip/{name}.toml")), name).unwrap()
}

/// Name, type, sizes and bytes of every array, read by the format's own library.
fn arrays(bytes: &[u8]) -> BTreeMap<String, (String, Vec<usize>, Vec<u8>)> {
    let content = SafeTensors::deserialize(bytes).unwrap();
    let array = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| {
        (name.to_string(), (view.dtype().to_string(), view.shape().to_vec(), view.data().to_vec()))
    };
    content.iter().map(array).collect()
}

#[test]
fn both_files_give_the_logits_that_pytorch_computed() {
    for name in NETS {
        let logits = open(&format!("roundtrip/{name}.logits.safetensors"));
        for writer in ["engine", "torch"] {
            let file = path(&format!("roundtrip/{name}.{writer}.safetensors"));
            for lanes in [1, 16] {
                let (graph, params) = weights::load::<f32>(&file, Some(graph(name))).unwrap();
                let trace = Net::new(graph, params, lanes).forward(logits.get("x"), Mode::Eval);
                close(&format!("{name} by {writer}"), &wide(trace.output()), logits.get(writer), 1e-5);
            }
        }
    }
}

#[test]
fn what_is_saved_is_what_pytorch_loaded_strictly() {
    for name in NETS {
        let file = format!("roundtrip/{name}.engine.safetensors");
        // the model rides along in the file
        let (riding, params) = weights::load::<f32>(path(&file), None).unwrap();
        assert_eq!(riding.to_toml(), graph(name).to_toml());
        let folder = tempfile::tempdir().unwrap();
        let saved = folder.path().join("saved.safetensors");
        weights::save(&saved, &riding, &params).unwrap();
        assert_eq!(arrays(&std::fs::read(&saved).unwrap()), arrays(&bytes(&file)), "{name}");
    }
}

#[test]
fn names_types_and_shapes_are_those_of_pytorchs_state_dict() {
    for name in NETS {
        let described = |writer: &str| {
            let all = arrays(&bytes(&format!("roundtrip/{name}.{writer}.safetensors")));
            all.into_iter().map(|(name, (dtype, shape, _))| (name, dtype, shape)).collect::<Vec<_>>()
        };
        assert_eq!(described("engine"), described("torch"), "{name}");
    }
}
