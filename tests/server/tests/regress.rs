//! Runs tests/pg_regress: one file a behaviour, through psql, in a database of its own, compared with what is expected.
//!
//! `UPDATE_EXPECTED=1` writes what came out instead, to be read before it is committed. Where PostgreSQL itself prints something
//! else from a version on, `NAME.pg18.out` is expected from that version on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use ecommerce_ml_server_tests::Cluster;
use ecommerce_ml_server_tests::fixtures::place_model;
use ecommerce_ml_server_tests::installation::repository;
use ecommerce_ml_server_tests::statement::{run, server_major};

#[test]
fn psql_prints_what_is_expected() {
    let folder = repository().join("tests/pg_regress");
    let scripts = scripts(&folder.join("sql"));
    assert!(!scripts.is_empty());
    // What int8 gives in the last digits depends on the processor.
    let cluster = Cluster::without_extension(&["ecommerce_ml.precision = 'f32'"]);
    let models = cluster.folder("models");
    for entry in
        repository().join("tests/reference/models").read_dir().expect("there are reference models").flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        place_model(&cluster, &name, &format!("models/{name}"));
    }
    let failed: Vec<String> =
        scripts.iter().filter_map(|script| difference(&cluster, &folder, script, &models)).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("there are scripts").flatten();
    let mut scripts: Vec<_> = entries.map(|entry| entry.path()).collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    scripts.sort();
    scripts
}

/// Runs a script and says how its output differs from what is expected, if it does.
fn difference(cluster: &Cluster, folder: &Path, script: &Path, models: &Path) -> Option<String> {
    let name = script.file_stem().expect("a script has a name").to_string_lossy();
    run(&mut cluster.session(), &format!("CREATE DATABASE \"{name}\""));
    run(&mut cluster.session_in(&name), "CREATE EXTENSION ecommerce_ml");
    let models = format!("models={}", models.display());
    let script = File::open(script).expect("a script can be read");
    let printed = cluster.psql(&name, &["-a", "-q", "-v", &models], script);
    let expected = expected(&folder.join("expected"), &name, server_major(&mut cluster.session()));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&expected, &printed).expect("the expected output can be written");
        return None;
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    (wanted != printed).then(|| format!("{}\n{}", expected.display(), first_difference(&wanted, &printed)))
}

/// The file with what is expected of a server of this major version.
fn expected(folder: &Path, name: &str, major: i32) -> PathBuf {
    let of = |major: i32| folder.join(format!("{name}.pg{major}.out"));
    let own = (14..=major).rev().map(of).find(|path| path.exists());
    own.unwrap_or_else(|| folder.join(format!("{name}.out")))
}

fn first_difference(wanted: &str, printed: &str) -> String {
    let (wanted, printed): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), printed.lines().collect());
    let first = wanted.iter().zip(&printed).take_while(|(wanted, printed)| wanted == printed).count();
    let shown = |lines: &[&str], sign| {
        lines[first..].iter().take(5).map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    format!("line {}\n{}{}", first + 1, shown(&wanted, '-'), shown(&printed, '+'))
}
