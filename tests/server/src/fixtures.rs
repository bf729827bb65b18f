//! Copies of the reference models, whole or damaged, in folders that a server may read.

use std::fs;
use std::path::{Path, PathBuf};

use postgres::Client;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::installation::{give_to_server, repository};
use crate::statement::ask;

/// A tiny BERT that tells three classes apart.
pub const CLASSIFIER: &str = "bert-classification-3";

/// The folder of a reference model in the repository.
pub fn reference_model(name: &str) -> PathBuf {
    repository().join("tests/reference/models").join(name)
}

/// Copies a reference model to a folder of the cluster.
pub fn place_model(cluster: &Cluster, model: &str, folder: &str) -> PathBuf {
    let target = cluster.folder(folder);
    for entry in reference_model(model).read_dir().unwrap_or_else(|error| panic!("{model}: {error}")) {
        let entry = entry.expect("the reference models can be read");
        fs::copy(entry.path(), target.join(entry.file_name())).expect("a file can be copied");
    }
    give_to_server(&target);
    target
}

/// Imports a folder of the server's as a model and returns the version.
pub fn import(session: &mut Client, name: &str, folder: &Path) -> i32 {
    ask(session, &import_statement(name, folder))
}

/// The statement that imports a folder of the server's.
pub fn import_statement(name: &str, folder: &Path) -> String {
    format!("SELECT ecommerce_ml.import_model('{name}', 'file://{}')", folder.display())
}

/// Imports a reference model into the session's database; the folder is a new one each time.
pub fn import_reference(cluster: &Cluster, session: &mut Client, name: &str, model: &str) -> i32 {
    let folder = format!("{name}-{model}-{}", ask::<String>(session, "SELECT gen_random_uuid()::text"));
    import(session, name, &place_model(cluster, model, &folder))
}

/// Changes keys of a folder's config.json.
pub fn edit_config(folder: &Path, changes: &[(&str, Value)]) {
    let path = folder.join("config.json");
    let text = fs::read_to_string(&path).expect("config.json can be read");
    let mut config: Value = serde_json::from_str(&text).expect("config.json is JSON");
    for (key, value) in changes {
        config[key] = value.clone();
    }
    fs::write(path, config.to_string()).expect("config.json can be written");
}

/// Replaces a file's content by what `change` makes of it.
pub fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    change(&mut content);
    fs::write(path, content).expect("a file of ours can be written");
}
