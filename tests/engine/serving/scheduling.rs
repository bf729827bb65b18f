//! Who goes first, who waits, and who pays for a failure. Order is forced by the fake model, not by time.

use std::thread;

use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_text::scheduler::Promised;
use parking_lot::Mutex;

use crate::bench::{Bench, bulk, values};
use crate::fake::{WINDOW, letters};
use crate::kit::{wait_until, words};

#[test]
fn a_single_text_overtakes_a_bulk_request() {
    let bench = Bench::new();
    let blocker = bench.block();
    let order = Mutex::new(Vec::new());
    let large = bench.submit(bulk(50, 100));
    bench.settle();
    let single = bench.submit(vec!["a b c".to_owned()]);
    bench.settle();
    thread::scope(|scope| {
        scope.spawn(|| large.wait().map(|_| order.lock().push("bulk")));
        scope.spawn(|| {
            let single = single.wait().map(|_| order.lock().push("single"));
            bench.control.open();
            single
        });
        // The blocker, then the batch with the single text.
        (0..2).for_each(|_| bench.control.step());
    });
    assert_eq!(*order.lock(), ["single", "bulk"]);
    assert!(bench.control.batches()[1].contains(&3), "{:?}", bench.control.batches());
    blocker.wait().unwrap();
}

#[test]
fn bulk_requests_take_turns() {
    let bench = Bench::new();
    let blocker = bench.block();
    let first = bench.submit(bulk(20, 100));
    bench.settle();
    let second = bench.submit(bulk(20, 50));
    bench.settle();
    bench.control.open();
    for promised in [blocker, first, second] {
        promised.wait().unwrap();
    }
    let batches = bench.control.batches();
    let leads: Vec<usize> = batches[1..9].iter().map(|batch| batch[0]).collect();
    assert_eq!(leads, [100, 50, 100, 50, 100, 50, 100, 50], "{batches:?}");
}

#[test]
fn small_requests_do_not_starve_a_bulk_request() {
    let bench = Bench::new();
    let blocker = bench.block();
    let large = bench.submit(bulk(10, 99));
    // Twenty batches, where the bulk request takes five.
    let small: Vec<_> = bulk(40, 100).into_iter().map(|text| bench.submit(vec![text])).collect();
    bench.settle();
    bench.control.open();
    for promised in small.into_iter().chain([blocker, large]) {
        promised.wait().unwrap();
    }
    let batches = bench.control.batches();
    let last = |length| batches.iter().rposition(|batch| batch.contains(&length));
    assert!(last(99) < last(100), "{batches:?}");
}

#[test]
fn several_requests_share_a_batch() {
    let bench = Bench::new();
    let blocker = bench.block();
    let small: Vec<_> = (1..=20).map(|index| bench.submit(vec!["b".repeat(index)])).collect();
    bench.settle();
    bench.control.open();
    for (index, promised) in small.into_iter().enumerate() {
        assert_eq!(values(&bench.model, promised.wait()), [Some((index + 1) as f64)]);
    }
    assert_eq!(bench.control.batches().len(), 2);
    blocker.wait().unwrap();
}

#[test]
fn long_texts_blank_texts_and_repetitions_are_answered_in_place() {
    let bench = Bench::new();
    let texts =
        vec![words(3 * WINDOW + 7), String::new(), "twice is twice".to_owned(), "  ".to_owned(), words(2)];
    let texts = [texts.clone(), texts].concat();
    let expected: Vec<_> = texts.iter().map(|text| letters(text)).collect();
    let computed = bench.submit(texts).wait().unwrap();
    assert_eq!(computed.tokens(), 3 * WINDOW as u64 + 7 + 3 + 2);
    assert_eq!(computed.cached(), 0);
    assert_eq!(values(&bench.model, Ok(computed)), expected);
}

#[test]
fn a_panic_or_failure_costs_only_the_guilty_request_its_answer() {
    only_the_guilty_pay(&Bench::new(), 1);
    only_the_guilty_pay(&Bench::with_device(), 2);
}

/// Where so many batches are under way at a time.
fn only_the_guilty_pay(bench: &Bench, most_underway: usize) {
    let mut blockers = vec![bench.block()];
    while blockers.len() < most_underway {
        blockers.push(bench.submit(vec!["blocker".to_owned()]));
        wait_until(|| bench.control.batches().len() == blockers.len());
    }
    let promised = ["good", "PANIC", "fine", "FAIL", "nice"].map(|text| bench.submit(vec![text.to_owned()]));
    bench.settle();
    bench.control.open();
    let [good, panic, fine, fail, nice] = promised.map(Promised::wait);
    for innocent in [good, fine, nice] {
        assert_eq!(values(&bench.model, innocent), [Some(4.0)]);
    }
    let panic = panic.unwrap_err();
    assert_eq!((panic.kind, panic.message.as_str()), (ErrorKind::Internal, "engine panicked: told to panic"));
    assert_eq!(fail.unwrap_err().kind, ErrorKind::OutOfMemory);
    assert_eq!(bench.control.batches().len(), most_underway + 1 + 5);
    blockers.into_iter().for_each(|blocker| drop(blocker.wait().unwrap()));
}

#[test]
fn a_panic_of_the_tokenizer_is_an_answer() {
    let bench = Bench::new();
    let error = bench.submit(vec!["UNTOKENIZABLE".to_owned()]).wait().unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (ErrorKind::Internal, "engine panicked: can't tokenize this")
    );
    assert_eq!(values(&bench.model, bench.submit(vec!["next".to_owned()]).wait()), [Some(4.0)]);
}

#[test]
fn work_that_nobody_waits_for_is_dropped() {
    let bench = Bench::new();
    let blocker = bench.block();
    let (large, small) = (bench.submit(bulk(50, 100)), bench.submit(vec![words(7)]));
    bench.settle();
    assert_eq!(bench.scheduler.queued_texts(), 52);
    drop((large, small));
    bench.control.open();
    blocker.wait().unwrap();
    wait_until(|| bench.scheduler.queued_texts() == 0);
    assert_eq!(bench.control.batches().len(), 1);
}
