//! What trainings take, measured.

use std::path::PathBuf;
use std::time::Instant;

use ecommerce_ml_checkpoint::files::{ModelFiles, content_address};
use ecommerce_ml_protocol::training::{JobOutput, Objective};
use ecommerce_ml_text::{ComputeSettings, ModelLoader};
use serde_json::{Value, json};

use crate::kit::{Said, job_of, row, run, stars, train};
use crate::support::{root, tiny};

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Most memory that the process has held so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// `MODEL=folder OPTIONS='{"tuning": "head"}' THREADS=1 ROWS=2000 WORDS=60 PRECISION=f32 OUT=folder cargo test --release
/// --test trainer measuring -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn time_and_memory_of_a_training() {
    let model = std::env::var("MODEL").map_or_else(|_| root().join("models/reviews"), PathBuf::from);
    let base = ModelFiles::from_directory(&model).unwrap();
    let options: Value = serde_json::from_str(&variable("OPTIONS", "{}")).unwrap();
    let (rows, words): (usize, usize) =
        (variable("ROWS", "800").parse().unwrap(), variable("WORDS", "60").parse().unwrap());
    let vocabulary =
        ["good", "bad", "the", "box", "price", "love", "broke", "again", "it", "was", "slow", "red"];
    let text = |at: usize| {
        let word = |place: usize| vocabulary[(at * 31 + place * 17 + at * place) % vocabulary.len()];
        let text: Vec<&str> = (0..words).map(word).collect();
        format!("{} {}", ["terrible", "great"][at % 2], text.join(" "))
    };
    let rows = (0..rows).map(|at| row(text(at), ["bad", "good"][at % 2])).collect();
    let mut job = job_of(base, Objective::Classification, options, rows);
    job.plan.memory_limit = 1 << 40;
    let threads = variable("THREADS", "1").parse().unwrap();
    let compute =
        ComputeSettings { threads, precision: variable("PRECISION", "auto"), ..ComputeSettings::default() };
    let loader = ModelLoader::new(&compute, None);
    let mut said = Said::default();
    let began = Instant::now();
    let (mut prepared, mut rate) = (0.0, 0.0);
    train(job, loader, |output| {
        match &output {
            JobOutput::Prepared(_) => prepared = began.elapsed().as_secs_f64(),
            JobOutput::Progress(progress) => rate = progress.examples_per_second,
            JobOutput::Epoch(epoch) => println!("{epoch:?}"),
            // Too much to keep.
            JobOutput::Checkpoint(_) => return,
            _ => {}
        }
        if !matches!(output, JobOutput::Model(_)) || std::env::var("OUT").is_ok() {
            said.take(output);
        }
    })
    .unwrap();
    let (estimate, peak) = (said.prepared.as_ref().unwrap().memory, peak());
    println!(
        "prepared after {prepared:.2} s, done after {:.2} s, {rate:.0} rows/s, {} MiB estimated, {} MiB at most, {:.2}",
        began.elapsed().as_secs_f64(),
        estimate >> 20,
        peak >> 20,
        estimate as f64 / peak as f64,
    );
    if let Ok(folder) = std::env::var("OUT") {
        std::fs::create_dir_all(&folder).unwrap();
        for (name, bytes) in &said.files {
            std::fs::write(PathBuf::from(&folder).join(name), bytes).unwrap();
        }
    }
}

/// Prints a hash of the model and the metrics of each kind of training: what a change that is to leave them as they are leaves.
#[test]
#[ignore = "to be compared with another build's"]
fn bits_of_trained_models() {
    for model in
        ["bert-classification-3", "distilbert-regression", "roberta-embedding", "xlm-roberta-classification"]
    {
        for changes in [
            json!({}),
            json!({ "freeze_layers": 1, "augment": { "word_swap": 0.2, "synonym": 0.1 } }),
            json!({ "tuning": "lora" }),
            json!({ "tuning": "head" }),
            json!({ "tuning": "head", "augment": { "noise": 0.2 } }),
            json!({ "adversarial_epsilon": 0.5 }),
        ] {
            let mut options = json!({ "num_train_epochs": 2, "per_device_train_batch_size": 8 });
            options.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            for (objective, rows) in [(Objective::Rating, stars(60)), (Objective::Regression, stars(60))] {
                let said = run(job_of(tiny(model).files(), objective, options.clone(), rows));
                let files = content_address(&said.model().manifest());
                let metrics = blake3::hash(format!("{:?}", said.finished().metrics).as_bytes());
                println!(
                    "{model} {changes} {objective:?} {files} {metrics} {}",
                    said.prepared.unwrap().memory
                );
            }
        }
    }
}
