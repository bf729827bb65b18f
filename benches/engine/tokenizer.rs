//! Tokenizing texts that were not seen before: the engine, which remembers words, against the `tokenizers` crate by itself. Part of
//! `make bench-engine`.
//!
//! Texts are the English ones of `tests/reference`, or those of the file that `$TEXTS` names, a JSON string a line. Every other one is
//! read before anything is timed, and the rest once in each measurement, by a tokenizer that has read just those. The more it has
//! read, the more words it knows: a server's has read more.

#![allow(clippy::expect_used, reason = "a benchmark that can't run shall say so")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use ecommerce_ml_checkpoint::config::ModelConfig;
use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_checkpoint::tokenizer::Tokenizer;

/// The English ones come first in the tests' file.
const ENGLISH: usize = 4300;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(5))
        .sample_size(10)
        .configure_from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let texts = texts(&root);
    let every_other =
        |first: usize| texts.iter().skip(first).step_by(2).map(String::as_str).collect::<Vec<_>>();
    let (before, new) = (every_other(0), every_other(1));
    let model = root.join("models/reviews");
    let files = ModelFiles::from_directory(&model).expect("the built-in model is there");
    let config = ModelConfig::load(&files).expect("the built-in model is whole");
    let library =
        tokenizers::Tokenizer::from_file(model.join("tokenizer.json")).expect("its tokenizer is whole");

    let mut group = criterion.benchmark_group(format!("{} new texts after {}", new.len(), before.len()));
    group.throughput(Throughput::Elements(new.len() as u64));
    group.bench_function("tokenizers", |bencher| {
        bencher
            .iter(|| new.iter().map(|text| library.encode_fast(*text, false)).filter(Result::is_ok).count());
    });
    group.bench_function("engine", |bencher| {
        let fresh = || {
            let tokenizer = Tokenizer::load(&files, &config).expect("its tokenizer is whole");
            before.iter().for_each(|text| drop(tokenizer.windows(text)));
            tokenizer
        };
        let read = |tokenizer: &mut Tokenizer| {
            new.iter().map(|text| tokenizer.windows(text)).filter(Result::is_ok).count()
        };
        bencher.iter_batched_ref(fresh, read, BatchSize::PerIteration);
    });
    group.finish();
    criterion.final_summary();
}

fn texts(root: &Path) -> Vec<String> {
    let lines: Box<dyn Read> = match std::env::var_os("TEXTS") {
        Some(path) => Box::new(File::open(path).expect("$TEXTS can be read")),
        None => {
            let path = root.join("tests/reference/texts.jsonl.gz");
            Box::new(flate2::read::GzDecoder::new(File::open(path).expect("texts of the tests are there")))
        }
    };
    let line = |line: Result<String, _>| {
        serde_json::from_str(&line.expect("texts can be read")).expect("lines are JSON")
    };
    let most = if std::env::var_os("TEXTS").is_some() { usize::MAX } else { ENGLISH };
    BufReader::new(lines).lines().take(most).map(line).collect()
}
