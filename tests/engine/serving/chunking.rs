//! A large request is tokenized by all threads, and comes out as if by one.

use ecommerce_ml_checkpoint::tokenizer::{TokenDetail, Tokens};
use ecommerce_ml_protocol::ErrorKind;

use crate::bench::{Bench, values};
use crate::fake::letters;
use crate::kit::{wait_until, words};

/// More text than a chunk has: each such text is a chunk of its own.
const CHUNK_WORDS: usize = 20_000;

/// Texts of a chunk each that the tokenizer holds; `name` is their last word.
fn held(texts: usize, name: &str) -> Vec<String> {
    (0..texts).map(|index| format!("HOLD {} {name}", words(CHUNK_WORDS + index))).collect()
}

fn wait_for_tokenizer(bench: &Bench, texts: usize) {
    wait_until(|| bench.control.tokenized().len() == texts);
}

#[test]
fn several_threads_work_on_one_request() {
    let bench = Bench::with(3, 0);
    bench.control.hold();
    let promised = bench.submit(held(5, "a"));
    wait_for_tokenizer(&bench, 3);
    bench.control.release();
    let expected: Vec<_> = held(5, "a").iter().map(|text| letters(text)).collect();
    assert_eq!(values(&bench.model, promised.wait()), expected);
}

#[test]
fn answers_are_in_order_and_equal_texts_are_tokenized_once() {
    let bench = Bench::with(3, 0);
    // Of about 40 chunks; repetitions are near each other, far from each other, and many.
    let texts: Vec<String> = (0..4000)
        .map(|index| match index % 10 {
            0 => words(150),
            1 => String::new(),
            2..5 => "b".repeat(400 + index / 10 % 100),
            _ => format!("{} {}", words(100), "b".repeat(index)),
        })
        .collect();
    let expected: Vec<_> = texts.iter().map(|text| letters(text)).collect();
    let mut distinct = texts.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(values(&bench.model, bench.submit(texts).wait()), expected);
    assert_eq!(bench.control.tokenized().len(), distinct.len());
    assert_eq!(bench.scheduler.queued_texts() + bench.scheduler.untokenized_texts(), 0);
}

#[test]
fn tokens_are_in_order() {
    let bench = Bench::with(3, 0);
    let texts: Vec<String> = (0..3000).map(|index| words(index % 200)).collect();
    let counts = |texts: Vec<String>| {
        bench.scheduler.tokenize(bench.model.clone(), texts, TokenDetail::Count).wait().unwrap()
    };
    let expected: Vec<_> = (0..3000).map(|index| Tokens::Count(index % 200)).collect();
    assert_eq!(counts(texts), expected);
    assert_eq!(counts(Vec::new()), []);
}

#[test]
fn a_request_without_texts_is_answered() {
    let bench = Bench::new();
    assert_eq!(values(&bench.model, bench.submit(Vec::new()).wait()), []);
}

#[test]
fn a_failure_in_one_chunk_is_the_answer() {
    let bench = Bench::with(2, 0);
    bench.control.hold();
    let mut texts = held(20, "a");
    texts[1] = format!("{} UNTOKENIZABLE", words(CHUNK_WORDS));
    let promised = bench.submit(texts);
    // While the first chunk is held, the other thread meets the bad text, and nobody works on any other.
    let error = promised.wait().unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Internal, "engine panicked: can't tokenize this")
    );
    assert_eq!(bench.scheduler.queued_texts(), 0);
    bench.control.release();
    bench.settle();
    let mut tokenized = bench.control.tokenized();
    tokenized.sort_unstable();
    assert_eq!(tokenized, ["UNTOKENIZABLE", "a"]);
    assert_eq!(bench.control.batches().len(), 0);
    assert_eq!(values(&bench.model, bench.submit(vec!["next".to_owned()]).wait()), [Some(4.0)]);
}

#[test]
fn nothing_more_is_tokenized_when_nobody_waits() {
    let bench = Bench::with(2, 0);
    bench.control.hold();
    let promised = bench.submit(held(20, "a"));
    wait_for_tokenizer(&bench, 2);
    drop(promised);
    bench.control.release();
    bench.settle();
    assert_eq!((bench.control.tokenized().len(), bench.scheduler.queued_texts()), (2, 0));
    assert_eq!(bench.control.batches().len(), 0);
}

#[test]
fn large_requests_take_turns() {
    let bench = Bench::with(1, 0);
    bench.control.hold();
    let first = bench.submit(held(4, "a"));
    wait_for_tokenizer(&bench, 1);
    let second = bench.submit(held(4, "b"));
    bench.control.release();
    for promised in [first, second] {
        promised.wait().unwrap();
    }
    assert_eq!(bench.control.tokenized(), ["a", "a", "b", "a", "b", "a", "b", "b"]);
}

#[test]
fn a_small_request_does_not_wait_for_a_large_one() {
    let bench = Bench::with(2, 0);
    bench.control.hold();
    let large = bench.submit(held(5, "a"));
    wait_for_tokenizer(&bench, 2);
    assert_eq!(values(&bench.model, bench.submit(vec!["small".to_owned()]).wait()), [Some(5.0)]);
    assert_eq!(bench.control.tokenized().len(), 3);
    bench.control.release();
    large.wait().unwrap();
}
