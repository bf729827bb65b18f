//! The peer candle: plain candle-transformers behind the line protocol of `benches/peers/peer.py`.
//!
//! Usage: `ecommerce_ml_peer_candle MODEL BATCH_SIZE`. Threads are set by `RAYON_NUM_THREADS`.

#![forbid(unsafe_code)]

mod classifier;

use std::cmp::Reverse;
use std::error::Error;
use std::path::Path;
use std::time::Instant;
use std::{env, fs, io};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokenizers::{Encoding, Tokenizer};

use classifier::Classifier;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Single texts that are predicted before those that are timed.
const WARM_UP: usize = 5;

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Command {
    Texts(String),
    Throughput(IgnoredAny),
    Latency(Vec<String>),
    Probabilities(IgnoredAny),
}

struct Peer {
    tokenizer: Tokenizer,
    classifier: Classifier,
    batch_size: usize,
    texts: Vec<String>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, batch_size] = arguments.as_slice() else { return Err("expected MODEL BATCH_SIZE".into()) };
    let mut peer = Peer::load(Path::new(model), batch_size.parse()?)?;
    for line in io::stdin().lines() {
        let answer = peer.answer(&line?).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{answer}");
    }
    Ok(())
}

impl Peer {
    fn load(model: &Path, batch_size: usize) -> Result<Self> {
        let mut tokenizer = Tokenizer::from_file(model.join("tokenizer.json"))?;
        tokenizer.with_padding(None).with_truncation(None)?;
        Ok(Self { tokenizer, classifier: Classifier::load(model)?, batch_size, texts: Vec::new() })
    }

    fn answer(&mut self, line: &str) -> Result<Value> {
        Ok(match serde_json::from_str(line)? {
            Command::Texts(path) => {
                let lines = fs::read_to_string(path)?;
                self.texts = lines.lines().map(serde_json::from_str).collect::<serde_json::Result<_>>()?;
                json!({ "texts": self.texts.len() })
            }
            Command::Throughput(_) => {
                let started = Instant::now();
                let (rows, tokens) = self.predict(&self.texts)?;
                json!({ "seconds": started.elapsed().as_secs_f64(), "texts": rows.len(), "tokens": tokens })
            }
            Command::Latency(texts) => json!({ "ms": self.latency(&texts)? }),
            Command::Probabilities(_) => json!({ "probabilities": self.predict(&self.texts)?.0 }),
        })
    }

    fn latency(&self, texts: &[String]) -> Result<f64> {
        for text in texts.chunks(1).take(WARM_UP) {
            self.predict(text)?;
        }
        let mut times = Vec::new();
        for text in texts.chunks(1) {
            let started = Instant::now();
            self.predict(text)?;
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok(*times.get(times.len() / 2).ok_or("no texts")?)
    }

    /// Probabilities of each text, and how many tokens they all have.
    fn predict(&self, texts: &[String]) -> Result<(Vec<Vec<f32>>, usize)> {
        let encodings = self.tokenizer.encode_batch_fast(texts.iter().map(String::as_str).collect(), true)?;
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&index| Reverse(encodings[index].len()));
        let mut rows = vec![Vec::new(); texts.len()];
        for batch in order.chunks(self.batch_size) {
            let ids: Vec<&[u32]> = batch.iter().map(|&index| encodings[index].get_ids()).collect();
            for (&index, row) in batch.iter().zip(self.classifier.run(&ids)?) {
                rows[index] = row;
            }
        }
        Ok((rows, encodings.iter().map(Encoding::len).sum()))
    }
}
