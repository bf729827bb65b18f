//! The walls between crates: what each may depend on, and that no part of one needs a part that needs it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which crates of this workspace a crate may depend on. A crate stands below those that it depends on.
const MAY_DEPEND: [(&str, &[&str]); 26] = [
    ("ecommerce_ml_aspects", &[]),
    ("ecommerce_ml_log", &[]),
    ("ecommerce_ml_matching", &[]),
    ("ecommerce_ml_metrics", &[]),
    ("ecommerce_ml_protocol", &[]),
    ("ecommerce_ml_drift", &["metrics", "protocol"]),
    ("ecommerce_ml_forecast", &["metrics"]),
    ("ecommerce_ml_report", &["forecast", "metrics"]),
    ("ecommerce_ml_tensor_cpu", &[]),
    ("ecommerce_ml_trees", &[]),
    ("ecommerce_ml_xgboost", &[]),
    ("ecommerce_ml_checkpoint", &["protocol"]),
    ("ecommerce_ml_tensor_cuda", &["log", "protocol"]),
    ("ecommerce_ml_predictor", &["checkpoint", "protocol"]),
    ("ecommerce_ml_training", &["checkpoint", "drift", "metrics", "predictor", "protocol"]),
    ("ecommerce_ml_customer", &["checkpoint", "forecast", "metrics", "predictor", "protocol", "training"]),
    ("ecommerce_ml_recommend", &["checkpoint", "metrics", "predictor", "protocol", "tensor_cpu", "training"]),
    ("ecommerce_ml_tabular", &["checkpoint", "predictor", "protocol", "training", "trees", "xgboost"]),
    ("ecommerce_ml_ensemble", &["checkpoint", "predictor", "protocol", "training"]),
    (
        "ecommerce_ml_forecast_model",
        &["checkpoint", "forecast", "predictor", "protocol", "training", "trees", "xgboost"],
    ),
    ("ecommerce_ml_serving", &["checkpoint", "log", "predictor", "protocol"]),
    ("ecommerce_ml_text_model", &["checkpoint", "log", "predictor", "protocol", "tensor_cpu", "tensor_cuda"]),
    (
        "ecommerce_ml_text_train",
        &["checkpoint", "predictor", "protocol", "tensor_cpu", "tensor_cuda", "text_model", "training"],
    ),
    (
        "ecommerce_ml_text",
        &["checkpoint", "predictor", "protocol", "tensor_cpu", "tensor_cuda", "text_model", "text_train"],
    ),
    (
        "ecommerce_ml_engine",
        &[
            "checkpoint",
            "customer",
            "ensemble",
            "forecast_model",
            "log",
            "predictor",
            "protocol",
            "recommend",
            "serving",
            "tabular",
            "tensor_cpu",
            "text",
            "text_model",
        ],
    ),
    ("ecommerce_ml", &["aspects", "drift", "forecast", "matching", "metrics", "protocol", "report"]),
];

/// Crates of others that one of ours keeps to itself.
const ONLY_IN: [(&str, &str); 9] = [
    ("pgrx", "ecommerce_ml"),
    ("candle-core", "ecommerce_ml_text_model"),
    ("candle-nn", "ecommerce_ml_text_model"),
    ("candle-transformers", "ecommerce_ml_text_model"),
    ("tokenizers", "ecommerce_ml_checkpoint"),
    ("gemm", "ecommerce_ml_tensor_cpu"),
    ("cudarc", "ecommerce_ml_tensor_cuda"),
    ("libloading", "ecommerce_ml_xgboost"),
    ("ureq", "ecommerce_ml_engine"),
];

/// Who may write `unsafe`.
const UNSAFE: [&str; 4] =
    ["ecommerce_ml", "ecommerce_ml_tensor_cpu", "ecommerce_ml_tensor_cuda", "ecommerce_ml_xgboost"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The packages that are in the product: the extension and all of `crates/`.
fn packages() -> Vec<(String, PathBuf, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let package = |package: &Value| {
        let folder = PathBuf::from(text(&package["manifest_path"])).parent().unwrap().to_path_buf();
        let normal = package["dependencies"].as_array().unwrap().iter().filter(|one| one["kind"].is_null());
        (text(&package["name"]), folder, normal.map(|one| text(&one["name"])).collect())
    };
    let all = metadata["packages"].as_array().unwrap().iter().map(package);
    all.filter(|(_, folder, _)| *folder == root() || folder.starts_with(root().join("crates"))).collect()
}

#[test]
fn crates_depend_on_what_they_may_know() {
    let packages = packages();
    let allowed = BTreeMap::from(MAY_DEPEND);
    assert_eq!(packages.len(), allowed.len(), "a crate is missing here: {packages:?}");
    for (name, _, dependencies) in &packages {
        let ours: BTreeSet<&str> =
            dependencies.iter().filter_map(|one| one.strip_prefix("ecommerce_ml_")).collect();
        let may: BTreeSet<&str> = allowed[name.as_str()].iter().copied().collect();
        assert_eq!(ours, may, "{name} depends on other crates than it may, or no more on all of them");
        for (library, owner) in ONLY_IN {
            assert!(
                name == owner || !dependencies.iter().any(|one| one == library),
                "{name} needs {library}"
            );
        }
    }
}

#[test]
fn crates_share_lints_and_few_are_unsafe() {
    for (name, folder, _) in packages() {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true\n"), "{name} has lints of its own");
        let without_spaces = |text: &String| text.split_whitespace().collect::<String>();
        let allows = sources(&folder.join("src"))
            .values()
            .any(|text| without_spaces(text).contains("allow(unsafe_code"));
        assert_eq!(allows, UNSAFE.contains(&name.as_str()), "{name}");
    }
}

#[test]
fn no_module_needs_one_that_needs_it() {
    for (name, folder, _) in packages().into_iter().filter(|(name, ..)| name != "ecommerce_ml") {
        let needs = needs(&sources(&folder.join("src")));
        for module in needs.keys() {
            let mut path = vec![module.clone()];
            assert!(
                !returns(module, &needs, &mut path, &mut BTreeSet::new()),
                "{name}: {}",
                path.join(" -> ")
            );
        }
    }
}

/// All source files of a folder by their paths, tests and comments left out.
fn sources(folder: &Path) -> BTreeMap<Vec<String>, String> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let relative = entry.strip_prefix(folder).unwrap().with_extension("");
                let mut path: Vec<String> =
                    relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
                    path.pop();
                }
                if !path.iter().any(|part| part == "tests") {
                    sources.insert(path, product_of(&fs::read_to_string(&entry).unwrap()));
                }
            }
        }
    }
    sources
}

/// A file without comments and its unit tests.
fn product_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Which modules on top of a crate need which others, by the paths in their files.
fn needs(sources: &BTreeMap<Vec<String>, String>) -> BTreeMap<String, BTreeSet<String>> {
    let tops: BTreeSet<&String> = sources.keys().filter_map(|path| path.first()).collect();
    let root = sources.get(&Vec::new()).map_or("", String::as_str);
    // What the crate has at its root from one of its modules.
    let exported: BTreeMap<String, String> = uses(root)
        .into_iter()
        .filter(|path| tops.contains(&path[0]))
        .map(|path| (path[path.len() - 1].clone(), path[0].clone()))
        .collect();
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, text) in sources.iter().filter(|(module, _)| !module.is_empty()) {
        let own = needs.entry(module[0].clone()).or_default();
        for path in uses(text).into_iter().chain(inline(text)) {
            let up = path.iter().take_while(|part| *part == "super").count();
            let first = match path[0].as_str() {
                "crate" => path.get(1),
                "super" if up == module.len() => path.get(up),
                _ => None,
            };
            let Some(first) = first else { continue };
            let first = exported.get(first).filter(|_| !tops.contains(first)).unwrap_or(first);
            if tops.contains(first) && *first != module[0] {
                own.insert(first.clone());
            }
        }
    }
    needs
}

/// The paths of all `use`.
fn uses(text: &str) -> Vec<Vec<String>> {
    let starts = text.match_indices("use ").filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric));
    let trees = starts.filter_map(|(at, word)| text[at + word.len()..].split(';').next());
    trees.flat_map(|tree| expanded("", tree)).map(|path| parts(&path)).collect()
}

/// The paths from the root of the crate that stand in the code.
fn inline(text: &str) -> Vec<Vec<String>> {
    let ends = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    text.match_indices("crate::")
        .map(|(at, _)| parts(text[at..].split(ends).next().unwrap_or_default()))
        .collect()
}

fn parts(path: &str) -> Vec<String> {
    path.split("::").map(|part| part.split(" as ").next().unwrap_or_default().trim().to_owned()).collect()
}

/// `a::{b, c::{d, e}}` as three paths.
fn expanded(before: &str, tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![format!("{before}{}", tree.trim())] };
    let before = format!("{before}{}", prefix.trim());
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.extend(Some(&inner[start..at]).filter(|one| !one.trim().is_empty()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.into_iter().flat_map(|one| expanded(&before, one)).collect()
}

/// Whether a way leads from the end of `path` back to where it began; then `path` is that way.
fn returns(
    to: &str,
    needs: &BTreeMap<String, BTreeSet<String>>,
    path: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) -> bool {
    let here = path[path.len() - 1].clone();
    for next in needs.get(&here).into_iter().flatten() {
        path.push(next.clone());
        if next == to || (seen.insert(next.clone()) && returns(to, needs, path, seen)) {
            return true;
        }
        path.pop();
    }
    false
}

#[test]
fn paths_are_found() {
    let sources = BTreeMap::from([
        (vec![], "pub use b::Thing;".to_owned()),
        (vec!["a".to_owned()], "use crate::{Thing, c::{self, d as e}};".to_owned()),
        (vec!["b".to_owned(), "inner".to_owned()], "use super::super::c::d;\nuse super::other;".to_owned()),
        (vec!["c".to_owned()], "fn f() { crate::a::g() }".to_owned()),
    ]);
    let needs = needs(&sources);
    let of = |module: &str| needs[module].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!((of("a"), of("b"), of("c")), (vec!["b", "c"], vec!["c"], vec!["a"]));
    let mut path = vec!["a".to_owned()];
    assert!(returns("a", &needs, &mut path, &mut BTreeSet::new()), "{path:?}");
}
