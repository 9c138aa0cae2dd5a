//! Model texts and weight files that are cut, changed or lie: an error with its place and its exit code, never a panic,
//! and never more memory than the file's own size plus a limit.
#![allow(clippy::unwrap_used)] // helpers of tests, too
#![allow(unsafe_code)] // an allocator cannot be written without

use glassbox_engine::graph::{Graph, Init, models};
use glassbox_engine::io::{npy, weights};
use glassbox_engine::layers::KINDS;
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Error, Params, forward};
use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Watching;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged, so its guarantees hold.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// No single allocation of this program so far was larger; none of the files here is.
fn no_large_allocation() {
    let largest = LARGEST.load(Ordering::Relaxed);
    assert!(largest < 32 << 20, "{largest} bytes at once");
}

/// A model text's outcome: fine, or an error that a user can act on. Panics, with the text, where reading it panics.
fn outcome(text: &str) -> Option<Error> {
    let read = catch_unwind(|| Graph::from_toml(text, "model.toml"));
    let read = read.unwrap_or_else(|_| panic!("this text made the reader panic:\n{text}"));
    let error = read.err()?;
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert!(message.starts_with("model.toml:") && message.contains("; "), "no place or no cure: {message}");
    Some(error)
}

fn stream(salt: u64) -> Stream {
    Stream::new(1, Purpose::Demo, salt, 0)
}

#[test]
fn cut_and_changed_model_texts_are_explained() {
    let texts = ["lenet", "resnet-small"].map(|name| models::named(name).unwrap().to_toml());
    let mut random = stream(1);
    let mut errors = 0;
    for text in &texts {
        for cut in (0..text.len()).filter(|&at| text.is_char_boundary(at)) {
            errors += usize::from(outcome(&text[..cut]).is_some());
        }
        for _ in 0..600 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = b"0123456789[]=\".-_#\nabcxyz{},\0"[random.below(29)];
            }
            errors += usize::from(outcome(&String::from_utf8(bytes).unwrap()).is_some());
        }
        let lines: Vec<&str> = text.lines().collect();
        for left_out in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(left_out);
            errors += usize::from(outcome(&fewer.join("\n")).is_some());
        }
    }
    assert!(errors > 800, "{errors}");
    no_large_allocation();
}

/// Values that no key should take, or only with care.
const HOSTILE: &[&str] = &[
    "0",
    "-1",
    "1",
    "7",
    "4096",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999",
    "1e308",
    "-0.0",
    "nan",
    "inf",
    "true",
    "\"3\"",
    "[]",
    "[0, 0]",
    "[1, 9223372036854775807]",
    "[9223372036854775807, 9223372036854775807]",
    "[4611686018427387904, 2]",
    "[1, 2, 3]",
    "[9223372036854775807, 1, 1, 9223372036854775807]",
    "[[3]]",
    "{}",
    "1979-05-27",
];

#[test]
fn hostile_values_of_every_key_are_explained() {
    let mut refused = 0;
    for kind in KINDS {
        let (layer, shapes) = (kind.examples)().remove(0);
        let flat = if shapes[0].flat { "[[layer]]\nname = \"flat\"\nkind = \"flatten\"\n" } else { "" };
        let from = if kind.joins { "from = [\"input\", \"input\"]\n" } else { "" };
        let text = |size: &str, keys: &[(String, String)]| {
            let keys: String = keys.iter().map(|(k, v)| format!("{k} = {v}\n")).collect();
            format!(
                "[model]\ninput = {size}\n{flat}[[layer]]\nname = \"l\"\nkind = \"{}\"\n{from}{keys}",
                kind.name
            )
        };
        let own: Vec<(String, String)> = layer
            .options()
            .iter()
            .map(|(key, value)| {
                use glassbox_engine::layers::options::Value::{Bool, Float, Int, Ints, Other};
                let value = match value {
                    Int(v) => v.to_string(),
                    Float(v) => format!("{v:?}"),
                    Bool(v) => v.to_string(),
                    Ints(v) => format!("{v:?}"),
                    Other(v) => v.clone(),
                };
                (key.to_string(), value)
            })
            .collect();
        for value in HOSTILE {
            for changed in 0..own.len() {
                let mut keys = own.clone();
                keys[changed].1 = value.to_string();
                for size in ["[4, 9, 7]", "[1, 1, 1]", "[1, 16384, 16384]"] {
                    refused += usize::from(outcome(&text(size, &keys)).is_some());
                }
                // two at once: products overflow where single values do not
                for other in (0..own.len()).filter(|&o| o != changed) {
                    let mut keys = keys.clone();
                    keys[other].1 = "4611686018427387904".into();
                    refused += usize::from(outcome(&text("[4, 9, 7]", &keys)).is_some());
                }
            }
            let extra = [own.clone(), vec![("surprise".into(), value.to_string())]].concat();
            let error = outcome(&text("[4, 9, 7]", &extra));
            assert!(error.is_some(), "a key that nobody knows is refused");
            outcome(&text(value, &own));
        }
    }
    assert!(refused > 1000, "{refused}");
    no_large_allocation();
}

#[test]
fn the_largest_numbers_that_are_read_can_be_run() {
    let keys = "out = 3\nkernel = 1\nstride = 1048576\ndilation = 1048576\n";
    let text = format!("[model]\ninput = [1, 64, 64]\n[[layer]]\nname = \"c\"\nkind = \"conv\"\n{keys}");
    let graph = Graph::from_toml(&text, "m").unwrap();
    let input = Blocked::zeros(graph.input(), 3, 16);
    let trace = forward(&graph, &graph.init::<f32>(Init::He, 1), &input, Mode::Eval).unwrap();
    assert_eq!(trace.output().to_exported().shape(), [3, 3, 1, 1]);
}

/// A damaged file's outcome: loaded all the same, or an error that says which file is corrupt.
fn load(bytes: &[u8], graph: &Graph) -> Option<Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("damaged.safetensors");
    std::fs::write(&file, bytes).unwrap();
    let loaded: Result<(Graph, Params<f32>), Error> = weights::load(&file, Some(graph.clone()));
    let error = loaded.err()?;
    let message = error.to_string();
    assert_eq!(error.exit_code(), 4, "{message}");
    assert!(message.contains("damaged.safetensors") && message.contains("; "), "{message}");
    Some(error)
}

#[test]
fn cut_changed_and_lying_weight_files_are_refused() {
    let graph = Graph::builder("n", [1, 6, 6])
        .layer("conv", glassbox_engine::layers::Conv::new(4, 3))
        .layer("bn", glassbox_engine::layers::BatchNorm::default())
        .build()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whole.safetensors");
    weights::save(&file, &graph, &graph.init::<f32>(Init::He, 1)).unwrap();
    let whole = std::fs::read(&file).unwrap();
    assert!(load(&whole, &graph).is_none());
    for cut in (0..whole.len()).step_by(7) {
        assert!(load(&whole[..cut], &graph).is_some(), "cut at {cut}");
    }
    assert!(load(&[&whole[..], &[0]].concat(), &graph).is_some(), "bytes at the end");
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut random = stream(2);
    for _ in 0..400 {
        let mut bytes = whole.clone();
        let at = random.below(8 + header);
        bytes[at] ^= 1 << random.below(8);
        load(&bytes, &graph);
    }
    for length in [0, 1, u64::MAX, u64::MAX / 2, whole.len() as u64, 1 << 40] {
        let bytes = [&length.to_le_bytes()[..], &whole[8..]].concat();
        assert!(load(&bytes, &graph).is_some(), "header of {length}");
    }
    let lie = |from: &str, to: &str| {
        let text = String::from_utf8(whole[8..8 + header].to_vec()).unwrap();
        assert!(text.contains(from), "{text}");
        let text = text.replacen(from, to, 1);
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &whole[8 + header..]].concat()
    };
    for (from, to) in [
        ("[4,1,3,3]", "[4,1,3,4]"),
        ("[4,1,3,3]", "[9,1,2,2]"),
        ("[4,1,3,3]", "[18446744073709551615,2,3,3]"),
        ("[4,1,3,3]", "[4294967296,4294967296,1,1]"),
        ("\"F32\"", "\"F64\""),
        ("\"F32\"", "\"X32\""),
        ("conv.weight", "conv.wieght"),
        ("\"data_offsets\":[", "\"data_offsets\":[1"),
    ] {
        let error = load(&lie(from, to), &graph);
        assert!(error.is_some(), "{from} -> {to}");
    }
    let message = load(&lie("conv.weight", "conv.wieght"), &graph).unwrap().to_string();
    assert!(message.contains("did you mean \"conv.weight\"?"), "{message}");
    no_large_allocation();
}

#[test]
fn an_npy_header_that_lies_takes_no_memory() {
    for shape in ["(99999999999,)", "(4294967296, 4294967296)", "(18446744073709551615, 2)", "(1, 2", "(-1,)"]
    {
        let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        while (header.len() + 11) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let bytes =
            [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 64]]
                .concat();
        let error = npy::parse(&bytes, "lying.npy").unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
    }
    no_large_allocation();
}

#[test]
fn missing_files_say_what_was_looked_for() {
    let error = weights::load::<f32>("no/such/file.safetensors", None).unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(error.to_string().contains("no/such/file.safetensors"), "{error}");
    let error = models::named("lenett").unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("did you mean \"lenet\"?"), "{error}");
}
