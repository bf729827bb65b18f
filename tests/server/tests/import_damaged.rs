//! A damaged model is refused with a clear error, and the engine that looked at it lives on.

use std::fs;
use std::path::Path;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, edit_config, import_statement, place_model, rewrite};
use ecommerce_ml_server_tests::installation::give_to_server;
use ecommerce_ml_server_tests::processes::resident_bytes;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;
use serde_json::{Value, json};

const WEIGHTS: &str = "model.safetensors";

/// A cluster whose engine is known, to import damaged copies of a model into.
struct Bench {
    cluster: Cluster,
    session: Client,
    engine: i32,
    copies: usize,
}

impl Bench {
    fn new() -> Self {
        let cluster = Cluster::new();
        let mut session = cluster.session();
        let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
        let engine = cluster.engine();
        Self { cluster, session, engine, copies: 0 }
    }

    /// Damages a fresh copy and expects the import to fail with this SQLSTATE.
    fn refuses(&mut self, what: &str, sqlstate: &str, damage: impl FnOnce(&Path)) {
        self.copies += 1;
        let folder = place_model(&self.cluster, CLASSIFIER, &format!("copy-{}", self.copies));
        damage(&folder);
        give_to_server(&folder);
        let error = fails_with(&mut self.session, &import_statement("damaged", &folder), sqlstate);
        println!("{what}: {} ({:?})", error.message(), error.detail());
        assert_eq!(self.cluster.engines(), [self.engine], "{what} ended the engine: {error:?}");
        let versions: i64 =
            ask(&mut self.session, "SELECT count(*) FROM ecommerce_ml.models WHERE name = 'damaged'");
        assert_eq!(versions, 0, "{what} left a model behind");
    }
}

#[test]
fn truncated_and_flipped_weights() {
    let mut bench = Bench::new();
    for (what, keep) in
        [("half of the weights", 2), ("a tenth of the weights", 10), ("no weights", usize::MAX)]
    {
        bench.refuses(what, "XX001", |folder| {
            rewrite(&folder.join(WEIGHTS), |content| content.truncate(content.len() / keep));
        });
    }
    bench.refuses("one byte short", "XX001", |folder| {
        rewrite(&folder.join(WEIGHTS), |content| {
            content.pop();
        })
    });
    bench.refuses("one byte more", "XX001", |folder| {
        rewrite(&folder.join(WEIGHTS), |content| content.push(0))
    });
    for byte in [0, 3, 7, 8] {
        bench.refuses(&format!("a flipped bit in byte {byte}"), "XX001", |folder| {
            rewrite(&folder.join(WEIGHTS), |content| content[byte] ^= 0x40);
        });
    }
    bench.refuses("a header without end", "XX001", |folder| {
        rewrite(&folder.join(WEIGHTS), |content| content[..8].copy_from_slice(&u64::MAX.to_le_bytes()));
    });
    bench.refuses("weights that are a text", "XX001", |folder| {
        fs::write(folder.join(WEIGHTS), "version https://git-lfs.github.com/spec/v1\n")
            .expect("a file of ours");
    });
    bench.refuses("weights that are not numbers", "XX001", |folder| {
        rewrite(&folder.join(WEIGHTS), |content| {
            let end = content.len();
            content[end - 4096..].fill(0xff);
        });
    });
}

#[test]
fn files_that_contradict_each_other() {
    let mut bench = Bench::new();
    let changes: [(&str, Value); 6] = [
        ("hidden_size", json!(64)),
        ("num_hidden_layers", json!(40)),
        ("intermediate_size", json!(7)),
        ("vocab_size", json!(12)),
        ("max_position_embeddings", json!(100_000)),
        ("type_vocab_size", json!(9)),
    ];
    for (key, value) in changes {
        bench.refuses(&format!("{key} = {value}"), "XX001", |folder| edit_config(folder, &[(key, value)]));
    }
    bench.refuses("five labels for three outputs", "XX001", |folder| {
        let labels = json!({ "0": "a", "1": "b", "2": "c", "3": "d", "4": "e" });
        edit_config(folder, &[("id2label", labels), ("num_labels", json!(5))]);
    });
    bench.refuses("a tokenizer with more words than the model", "XX001", |folder| {
        let built_in = ecommerce_ml_server_tests::installation::repository().join("models/reviews");
        for name in ["tokenizer.json", "tokenizer_config.json", "vocab.txt"] {
            if built_in.join(name).exists() {
                fs::copy(built_in.join(name), folder.join(name)).expect("a file can be copied");
            }
        }
    });
}

#[test]
fn absurd_configurations() {
    let mut bench = Bench::new();
    let before = resident_bytes(bench.engine);
    let changes: [(&str, Value); 12] = [
        ("hidden_size", json!(1_000_000_000)),
        ("hidden_size", json!(0)),
        ("hidden_size", json!(-1)),
        ("hidden_size", json!("wide")),
        ("hidden_size", json!(18_446_744_073_709_551_615_u64)),
        ("num_attention_heads", json!(0)),
        ("num_attention_heads", json!(5)),
        ("num_hidden_layers", json!(1_000_000_000)),
        ("vocab_size", json!(4_000_000_000_u64)),
        ("max_position_embeddings", json!(0)),
        ("hidden_act", json!("no such activation")),
        ("layer_norm_eps", json!("tiny")),
    ];
    for (key, value) in changes {
        let what = format!("{key} = {value}");
        let sqlstate = if key == "hidden_act" { "0A000" } else { "XX001" };
        bench.refuses(&what, sqlstate, |folder| edit_config(folder, &[(key, value)]));
    }
    for text in ["", "{", "[]", "null", "{\"model_type\": 3}", &"[".repeat(100_000)] {
        let start = &text[..text.len().min(10)];
        bench.refuses(&format!("the configuration {start:?}"), "XX001", |folder| {
            fs::write(folder.join("config.json"), text).expect("a file of ours");
        });
    }
    let grown = resident_bytes(bench.engine).saturating_sub(before);
    assert!(grown < 200 << 20, "the engine took {grown} bytes for refused models");
}

#[test]
fn models_of_other_kinds() {
    let mut bench = Bench::new();
    bench.refuses("another architecture", "0A000", |folder| {
        edit_config(folder, &[("model_type", json!("gpt2"))])
    });
    bench.refuses("pickled weights only", "58P01", |folder| {
        fs::rename(folder.join(WEIGHTS), folder.join("pytorch_model.bin")).expect("a file of ours");
    });
}

#[test]
fn missing_files() {
    let mut bench = Bench::new();
    for name in ["config.json", WEIGHTS] {
        bench.refuses(&format!("no {name}"), "58P01", |folder| {
            fs::remove_file(folder.join(name)).expect("a file of ours");
        });
    }
    bench.refuses("no tokenizer", "58P01", |folder| {
        for name in ["tokenizer.json", "vocab.txt"] {
            let _ = fs::remove_file(folder.join(name));
        }
    });
    bench.refuses("an empty folder", "58P01", |folder| {
        fs::remove_dir_all(folder).and_then(|()| fs::create_dir(folder)).expect("a folder of ours");
    });
    let nowhere = Path::new("/nowhere/at/all");
    fails_with(&mut bench.session, &import_statement("damaged", nowhere), "58P01");
    bench.refuses("a shard that the index names", "58P01", |folder| {
        let index = json!({ "weight_map": { "classifier.weight": "model-00001-of-00002.safetensors" } });
        fs::remove_file(folder.join(WEIGHTS)).expect("a file of ours");
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("a file of ours");
    });
    bench.refuses("a shard outside the folder", "58P01", |folder| {
        let index = json!({ "weight_map": { "classifier.weight": "../copy-1/model.safetensors" } });
        fs::remove_file(folder.join(WEIGHTS)).expect("a file of ours");
        fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("a file of ours");
    });
}

#[test]
fn tokenizers_that_are_none() {
    let mut bench = Bench::new();
    for text in ["", "{}", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {}}}", "not json"] {
        bench.refuses(&format!("the tokenizer {text:?}"), "XX001", |folder| {
            let _ = fs::remove_file(folder.join("vocab.txt"));
            fs::write(folder.join("tokenizer.json"), text).expect("a file of ours");
        });
    }
}

#[test]
fn stored_content_that_was_changed_is_not_used() {
    let mut bench = Bench::new();
    let folder = place_model(&bench.cluster, CLASSIFIER, "whole");
    let _: i32 = ask(&mut bench.session, &import_statement("shop", &folder));
    let table = "ecommerce_ml.stored_chunk";
    let flip = format!(
        "UPDATE {table} SET data = set_bit(data, length(data) * 8 - 6, 1 - get_bit(data, length(data) * 8 - 6)) \
         WHERE length(data) > 100000"
    );
    assert!(bench.session.execute(&flip, &[]).expect("a superuser may") > 0);
    // The engine still has what it verified, and keeps it for the next one; without that, it has to read the tables.
    let weights = bench.cluster.data().join("pgsql_tmp_ecommerce_ml/weights");
    fs::remove_dir_all(weights).expect("prepared weights are kept");
    bench.cluster.restart();
    let mut session = bench.cluster.session();
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop')", "XX001");
    let engine = bench.cluster.engine();
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop')", "XX001");
    assert_eq!(bench.cluster.engine(), engine);
    let delete = format!("DELETE FROM {table}");
    session.batch_execute(&delete).expect("a superuser may");
    fails_with(&mut session, "SELECT ecommerce_ml.predict_class('good', 'shop')", "XX001");
    assert_eq!(bench.cluster.engine(), engine);
}
