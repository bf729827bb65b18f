//! Texts answered lately cost nothing, and their answers are those that were given.

use std::path::Path;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::ModelHandle;
use ecommerce_ml_protocol::{ModelSource, ModelStats, Output, ReplyBody};
use ecommerce_ml_text::scheduler::TextRequest;
use ecommerce_ml_text_model::{Device, ForwardOutput, Model, PrecisionChoice, TextModel};

use crate::bench::{Bench, bulk, values};
use crate::client::{Client, answered};
use crate::fake::{Fake, WINDOW, letters};
use crate::kit::{Content, Kit, ask_for, builtin, predict, words};

/// Room for everything in these tests.
const ROOM: u64 = 1 << 20;

fn long_text() -> String {
    words(3 * WINDOW + 7)
}

#[test]
fn a_text_that_comes_again_is_neither_tokenized_nor_computed() {
    let bench = Bench::with(2, ROOM);
    let texts = vec![long_text(), "once".to_owned(), "again".to_owned(), " ".to_owned(), "again".to_owned()];
    let expected: Vec<_> = texts.iter().map(|text| letters(text)).collect();
    let first = bench.submit(texts.clone()).wait().unwrap();
    assert_eq!((first.tokens(), first.cached()), (3 * WINDOW as u64 + 7 + 2, 0));
    assert_eq!(values(&bench.model, Ok(first)), expected);
    let (batches, tokenized) = (bench.control.batches().len(), bench.control.tokenized().len());
    let second = bench.submit(texts).wait().unwrap();
    assert_eq!((second.tokens(), second.cached()), (0, 4));
    assert_eq!(values(&bench.model, Ok(second)), expected);
    // A blank text is looked at again, which costs nothing.
    assert_eq!((bench.control.batches().len(), bench.control.tokenized().len()), (batches, tokenized + 1));
}

#[test]
fn known_and_new_texts_of_a_request_find_their_places() {
    let bench = Bench::with(2, ROOM);
    let even: Vec<String> = bulk(40, 9).into_iter().step_by(2).collect();
    bench.submit(even).wait().unwrap();
    let all = [bulk(40, 9), vec![" ".to_owned()], bulk(40, 9)].concat();
    let expected: Vec<_> = all.iter().map(|text| letters(text)).collect();
    let computed = bench.submit(all).wait().unwrap();
    assert_eq!((computed.tokens(), computed.cached()), (20 * 9, 40));
    assert_eq!(values(&bench.model, Ok(computed)), expected);
}

#[test]
fn another_model_and_another_output_have_answers_of_their_own() {
    let bench = Bench::with(2, ROOM);
    let other = ModelHandle::new(Fake::model(Arc::clone(&bench.control), 1));
    let cached = |model: &ModelHandle<dyn TextModel>, output| {
        let request = TextRequest { model: model.clone(), texts: vec!["text".to_owned()], output };
        bench.scheduler.submit(request).wait().unwrap().cached()
    };
    for expected in [0, 1] {
        for (model, output) in [
            (&bench.model, ForwardOutput::Head),
            (&bench.model, ForwardOutput::Embedding),
            (&other, ForwardOutput::Head),
            (&other, ForwardOutput::Embedding),
        ] {
            assert_eq!(cached(model, output), expected);
        }
    }
}

#[test]
fn what_can_not_be_read_is_told_each_time() {
    for memory in [ROOM, 0] {
        let bench = Bench::with(2, memory);
        let texts =
            ["fine", "UNREADABLE", " ", "UNREADABLE", "fine again", "too UNREADABLE"].map(str::to_owned);
        let expected: Vec<_> = texts.iter().map(|text| letters(text)).collect();
        for _ in 0..2 {
            let computed = bench.submit(texts.to_vec()).wait().unwrap();
            assert_eq!(computed.unread(), [1, 3, 5]);
            assert_eq!(values(&bench.model, Ok(computed)), expected);
        }
    }
}

#[test]
fn without_memory_everything_is_computed() {
    let bench = Bench::with(2, 0);
    for batches in [1, 2] {
        let computed = bench.submit(vec!["text".to_owned(), "text".to_owned()]).wait().unwrap();
        assert_eq!((computed.tokens(), computed.cached(), bench.control.batches().len()), (1, 0, batches));
    }
}

#[test]
fn what_was_computed_for_a_cancelled_request_is_kept() {
    let bench = Bench::with(2, ROOM);
    let blocker = bench.block();
    let large = bench.submit(bulk(20, 100));
    bench.settle();
    // The blocker and two texts of the large request; then the next batch has begun.
    (0..2).for_each(|_| bench.control.step());
    crate::kit::wait_until(|| bench.control.batches().len() == 3);
    drop(large);
    bench.control.open();
    blocker.wait().unwrap();
    let computed = bench.submit(bulk(20, 100)).wait().unwrap();
    assert!((2..=4).contains(&computed.cached()), "{}", computed.cached());
    let expected: Vec<_> = bulk(20, 100).iter().map(|text| letters(text)).collect();
    assert_eq!(values(&bench.model, Ok(computed)), expected);
}

#[test]
fn answers_of_a_real_model_come_again_to_the_last_bit() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/models/bert-classification-3");
    let files = ModelFiles::from_directory(&folder).unwrap();
    let model = Model::load(&files, &Device::open("cpu", 2).unwrap(), PrecisionChoice::Auto).unwrap();
    let model: ModelHandle<dyn TextModel> = ModelHandle::new(Arc::new(model));
    let bench = Bench::with(2, ROOM);
    let texts = ["good", "not good at all", "the strap broke, the lid rattles. "].map(str::to_owned);
    let texts = [&texts[..], &[texts[2].repeat(50), texts[1].repeat(99)]].concat();
    let answers = |output, texts: &[String]| {
        let request = TextRequest { model: model.clone(), texts: texts.to_vec(), output };
        let computed = bench.scheduler.submit(request).wait().unwrap();
        let predictions = computed.rows(|rows| (model.predict(rows), model.embed(rows)));
        (computed.cached(), predictions)
    };
    for output in [ForwardOutput::Head, ForwardOutput::Embedding] {
        let (cached, computed) = answers(output, &texts);
        assert_eq!(cached, 0);
        assert_eq!(answers(output, &texts), (5, computed.clone()));
        // Each alone would be computed in another batch.
        for (text, computed) in texts.iter().zip(computed) {
            assert_eq!(answers(output, std::slice::from_ref(text)), (1, vec![computed]));
        }
    }
}

fn only_model(kit: &Kit) -> ModelStats {
    let mut models = kit.stats().models;
    assert_eq!(models.len(), 1, "{models:?}");
    models.remove(0)
}

#[test]
fn hits_are_counted_by_text() {
    let kit = Kit::with_caches(1000, ROOM);
    let mut client = kit.client();
    let texts = ["one two", "three", "three", " "];
    let expected = [Some(6.0), Some(5.0), Some(5.0), None];
    for (tokens, hits) in [(3, 0), (3, 3), (3, 6)] {
        assert_eq!(crate::client::values(client.call(predict(&builtin(), &texts))), expected);
        let model = only_model(&kit);
        assert_eq!((model.tokens, model.cache_hits), (tokens, hits));
    }
    let model = only_model(&kit);
    assert_eq!((model.requests, model.texts), (3, 12));
    let (_, completed) = answered(client.call(ask_for(Output::Embedding, &texts)));
    assert_eq!((completed.tokens, completed.cached), (3, 0));
}

/// Asks for a text, sending the model if asked.
fn ask(client: &mut Client, content: &Content) {
    let id = client.send(predict(&content.model(), &["text"]));
    let mut reply = client.receive();
    if reply.body == ReplyBody::NeedContent(content.sha) {
        client.upload(id, content);
        reply = client.receive();
    }
    assert_eq!(crate::client::values(reply.body), [Some(4.0)]);
}

#[test]
fn a_model_loaded_anew_does_not_answer_with_what_it_said_before() {
    let kit = Kit::with_caches(100, ROOM);
    let [a, b] = ["a", "b"].map(|name| Content::new(name, 60));
    let mut client = kit.client();
    for (content, batches, hits) in [(&a, 1, 0), (&a, 1, 1), (&b, 2, 0), (&a, 3, 0), (&a, 3, 1)] {
        ask(&mut client, content);
        let model = only_model(&kit);
        assert_eq!(model.source, ModelSource::Content(content.sha));
        assert_eq!((kit.control.batches().len(), model.cache_hits), (batches, hits));
    }
}
