//! The house rules that a compiler does not check, read from the source texts: which module may use which, what no layer
//! and no picture may hold, where `unsafe`, threads, clocks and files are allowed.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the engine by level; one may use its own level's earlier ones and all lower ones, so every arrow points to
/// the left or down.
const LEVELS: &[&[&str]] = &[
    &["error", "window", "rng", "real", "kernels", "array", "params", "trace"],
    &["layers"],
    &["graph"],
    &["forward", "rules", "signals", "walk"],
    &["loss", "optim"],
    &["gradcheck", "io", "data", "train"],
];

/// Number types know their kernels and their side of a layer: the one place where an arrow points up, so that everything
/// else can be written once for both.
const UPWARD: &[(&str, &str)] = &[("real", "kernels"), ("real", "layers")];

struct Source {
    /// Path below the workspace, with slashes.
    path: String,
    /// The text without comments, strings and the tests at its end.
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn collect(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// Sources below a folder of the workspace, files that hold only tests left out.
fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    let tests = |p: &PathBuf| p.file_name().is_some_and(|n| n == "tests.rs");
    assert!(!paths.is_empty(), "{folder} holds sources");
    paths
        .into_iter()
        .filter(|p| !tests(p))
        .map(|path| Source {
            code: code(&fs::read_to_string(&path).unwrap()),
            path: path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"),
        })
        .collect()
}

/// What is left of a text without comments, string contents and what follows the first `#[cfg(test)] mod`.
fn code(text: &str) -> String {
    let text = text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at]);
    let mut out = String::new();
    for line in text.lines() {
        let mut in_string = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if in_string => drop(chars.next()),
                '"' => {
                    in_string = !in_string;
                    out.push('"');
                }
                '/' if !in_string && chars.peek() == Some(&'/') => break,
                c if !in_string => out.push(c),
                _ => {}
            }
        }
        out.push('\n');
    }
    out
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// First names after each `prefix::`, through one level of braces.
fn names_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut out = Vec::new();
    let pattern = format!("{prefix}::");
    for (at, _) in code.match_indices(&pattern) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + pattern.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            out.extend(words(rest).next());
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    out.extend(words(&list[i..]).next());
                    start = false;
                }
                _ => {}
            }
        }
    }
    out
}

/// Names that the engine's root re-exports, with their module.
fn exports() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("engine/src/lib.rs")).unwrap();
    let mut out = BTreeMap::new();
    for line in code(&text).split("pub use ").skip(1) {
        let line = line.split(';').next().unwrap();
        let mut names = words(line);
        let module = names.next().unwrap().to_string();
        out.extend(names.map(|name| (name.to_string(), module.clone())));
    }
    assert_eq!(out.get("Graph").map(String::as_str), Some("graph"));
    out
}

#[test]
fn arrows_between_the_engines_modules_point_down() {
    let order: Vec<&str> = LEVELS.concat();
    let rank = |module: &str| order.iter().position(|m| *m == module);
    let exports = exports();
    let (mut seen, mut arrows) = (BTreeSet::new(), BTreeSet::new());
    for source in sources("engine/src") {
        let module = source.path["engine/src/".len()..].split('/').next().unwrap().trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let own = rank(module).unwrap_or_else(|| panic!("module {module} has no level: add it to this test"));
        seen.insert(module.to_string());
        for name in names_after(&source.code, "crate") {
            let used = exports.get(name).map_or(name, String::as_str);
            // macros of the crate itself carry their module's name
            let Some(other) = rank(used) else { continue };
            arrows.insert((module.to_string(), used.to_string()));
            let fine = other <= own || UPWARD.contains(&(module, used));
            assert!(fine, "{} uses {used}, which is not below {module}", source.path);
        }
    }
    assert_eq!(seen.len(), order.len(), "every module in the list is there");
    assert!(arrows.len() > 40, "the arrows are found: {}", arrows.len());
    for (from, to) in UPWARD {
        assert!(arrows.contains(&(from.to_string(), to.to_string())), "{from} -> {to} is no longer needed");
    }
}

#[test]
fn crates_depend_in_one_direction() {
    let dependencies = |name: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let listed = table["dependencies"].as_table().unwrap();
        listed.keys().filter(|k| k.starts_with("glassbox")).cloned().collect()
    };
    let none: [&str; 0] = [];
    assert!(dependencies("engine").iter().eq(none.iter()));
    assert!(dependencies("viz").iter().eq(["glassbox-engine"].iter()));
    assert!(dependencies("cli").iter().eq(["glassbox-engine", "glassbox-viz"].iter()));
    assert!(dependencies("fixtures").iter().eq(["glassbox-engine"].iter()));
}

#[test]
fn viz_knows_no_training_no_data_and_no_files() {
    for source in sources("viz/src") {
        for name in names_after(&source.code, "glassbox_engine") {
            assert!(!["train", "data", "io"].contains(&name), "{} uses the engine's {name}", source.path);
        }
    }
    let text = fs::read_to_string(root().join("viz/Cargo.toml")).unwrap();
    for feature in ["train", "data", "io"] {
        assert!(!text.contains(&format!("\"{feature}\"")), "viz asks for the engine's {feature}");
        assert!(!text.contains(&format!("glassbox-engine/{feature}")), "viz asks for the engine's {feature}");
    }
}

#[test]
fn unsafe_stands_in_kernels_only_and_says_why() {
    for folder in ["engine/src", "viz/src", "cli/src", "fixtures/src"] {
        for source in sources(folder) {
            let found = words(&source.code).filter(|w| *w == "unsafe").count();
            assert!(
                found == 0 || source.path.starts_with("engine/src/kernels/"),
                "{} is unsafe",
                source.path
            );
            if found > 0 {
                let text = fs::read_to_string(root().join(&source.path)).unwrap();
                let said = text.matches("SAFETY").count() + text.matches("# Safety").count();
                assert!(said > 0, "{}: unsafe without its argument", source.path);
            }
        }
    }
}

/// The engine without the parts that need files, clocks or threads.
fn pure() -> Vec<Source> {
    let outside = ["train", "data", "io"].map(|m| format!("engine/src/{m}/"));
    let mut all = sources("engine/src");
    all.retain(|s| !outside.iter().any(|o| s.path.starts_with(o)));
    all.extend(sources("viz/src"));
    all
}

#[test]
fn no_clock_environment_file_or_thread_where_the_web_page_runs() {
    for source in pure() {
        for name in names_after(&source.code, "std") {
            let barred = ["env", "fs", "net", "process", "thread", "time"].contains(&name);
            assert!(!barred, "{} uses std::{name}", source.path);
        }
        let rayon = words(&source.code).any(|w| w == "rayon");
        assert!(!rayon || source.path == "engine/src/kernels/par.rs", "{} uses rayon", source.path);
    }
}

#[test]
fn no_number_goes_through_a_parallel_reduction() {
    for folder in ["engine/src", "viz/src", "cli/src"] {
        for source in sources(folder) {
            let parallel = source.code.contains("par_") || source.code.contains("rayon::prelude");
            // the pictures of a page are packed each for itself and stay in their order
            if !parallel || source.path == "cli/src/report/mod.rs" {
                continue;
            }
            assert!(
                source.path == "engine/src/kernels/par.rs",
                "{} runs in parallel on its own",
                source.path
            );
            for word in ["sum", "reduce", "fold", "product", "min_by", "max_by", "fold_with", "reduce_with"] {
                assert!(words(&source.code).all(|w| w != word), "{} reduces with {word}", source.path);
            }
        }
    }
}

#[test]
fn nothing_global_changes() {
    for source in pure() {
        assert!(!source.code.contains("static mut"), "{}", source.path);
        let barred = ["thread_local", "RefCell", "Mutex", "RwLock", "lazy_static"];
        for word in words(&source.code) {
            // a thread in a job of its own remembers that it splits no further, which changes no result
            if word == "thread_local" && source.path == "engine/src/kernels/par.rs" {
                continue;
            }
            assert!(!barred.contains(&word), "{} holds a {word}", source.path);
        }
    }
}

/// The texts of all struct bodies of a source.
fn structs(code: &str) -> Vec<&str> {
    let bodies = code.match_indices("pub struct ").map(|(at, _)| {
        let rest = &code[at..];
        let end = rest.find([';', '}']).unwrap_or(rest.len());
        &rest[..end]
    });
    bodies.collect()
}

#[test]
fn no_layer_holds_a_tensor() {
    let mut found = 0;
    for source in sources("engine/src/layers") {
        let name = source.path.rsplit('/').next().unwrap();
        if ["mod.rs", "options.rs"].contains(&name) {
            continue;
        }
        for body in structs(&source.code) {
            found += 1;
            for word in words(body) {
                let holds = ["Vec", "Box", "Blocked", "Aligned", "Params", "Cell", "Mutex"].contains(&word)
                    || word.starts_with("Array");
                assert!(!holds, "{} holds a {word}", source.path);
            }
        }
    }
    assert!(found >= 20, "{found} layers");
}

/// A folder whose files are listed in its `mod.rs`, beside helpers that are not: files that declare `mark` must be in the
/// list called `list`, in alphabetical order.
fn listed(folder: &str, list: &str, mark: &str) {
    let sources = sources(folder);
    let this = sources.iter().find(|s| s.path == format!("{folder}/mod.rs")).unwrap();
    let start = this.code.find(&format!("{list}: &[")).unwrap_or_else(|| panic!("{folder} has no {list}"));
    let body = &this.code[start..start + this.code[start..].find("];").unwrap()];
    let entries: Vec<&str> =
        body.lines().filter_map(|l| l.trim().strip_prefix('&')?.split("::").next()).collect();
    assert!(entries.is_sorted() && entries.len() > 3, "{folder}: {entries:?}");
    for source in &sources {
        let stem = source.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        let declares = stem != "mod" && source.code.contains(mark);
        assert_eq!(
            declares,
            entries.contains(&stem),
            "{} is not in {list}, or has nothing to list",
            source.path
        );
    }
}

#[test]
fn every_layer_and_method_is_listed() {
    listed("engine/src/layers", "KINDS", "static KIND: Kind");
    listed("viz/src/methods", "METHODS", "static METHOD: Method");
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["engine/src", "viz/src", "cli/src", "fixtures/src", "tests"] {
        let mut paths = Vec::new();
        collect(&root().join(folder), &mut paths);
        for path in paths {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} has no head", path.display());
        }
    }
}
