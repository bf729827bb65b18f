//! A device that works by itself: what it is given meanwhile. Order is forced by the fake model, not by time.

use crate::bench::{Bench, bulk, values};
use crate::fake::letters;
use crate::kit::wait_until;

#[test]
fn two_batches_are_under_way_and_no_more() {
    let texts = bulk(60, 100);
    let expected: Vec<_> = texts.iter().map(|text| letters(text)).collect();
    for (bench, most) in [(Bench::with_device(), 2), (Bench::new(), 1)] {
        bench.control.close();
        let (first, second) = (bench.submit(texts.clone()), bench.submit(texts[..30].to_vec()));
        bench.settle();
        wait_until(|| bench.control.batches().len() == most);
        bench.control.open();
        assert_eq!(values(&bench.model, first.wait()), expected);
        assert_eq!(values(&bench.model, second.wait()), expected[..30]);
        assert_eq!(bench.control.most_underway(), most);
    }
}

#[test]
fn a_batch_begins_as_soon_as_another_ends() {
    let bench = Bench::with_device();
    bench.control.close();
    let large = bench.submit(bulk(60, 100));
    for ended in 0..5 {
        wait_until(|| bench.control.batches().len() == ended + 2);
        bench.control.step();
    }
    bench.control.open();
    large.wait().unwrap();
}

#[test]
fn a_single_text_is_in_the_next_batch() {
    let bench = Bench::with_device();
    bench.control.close();
    let large = bench.submit(bulk(60, 100));
    wait_until(|| bench.control.batches().len() == 2);
    let single = bench.submit(vec!["a b c".to_owned()]);
    bench.settle();
    bench.control.open();
    assert_eq!(values(&bench.model, single.wait()), [Some(3.0)]);
    large.wait().unwrap();
    assert!(bench.control.batches()[2].contains(&3), "{:?}", bench.control.batches());
}

#[test]
fn work_under_way_that_nobody_waits_for_is_in_nobodys_way() {
    let bench = Bench::with_device();
    bench.control.close();
    let (given_up, kept) = (bench.submit(bulk(10, 100)), bench.submit(bulk(10, 90)));
    bench.settle();
    wait_until(|| bench.control.batches().len() == 2);
    drop(given_up);
    bench.control.open();
    let expected: Vec<_> = bulk(10, 90).iter().map(|text| letters(text)).collect();
    assert_eq!(values(&bench.model, kept.wait()), expected);
    wait_until(|| bench.scheduler.queued_texts() == 0);
}
