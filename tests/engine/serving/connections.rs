//! Handshake, many clients, cancellation, and clients that don't read, don't stop or don't stay.

use std::io::Write;
use std::thread;

use ecommerce_ml_protocol::{
    Answers, ErrorKind, Hello, MAX_TEXT_BYTES, ModelSource, Output, Reply, ReplyBody, RequestBody, RequestId,
};

use crate::client::{Client, answered, error, values};
use crate::fake::letters;
use crate::kit::{BUILTIN_BYTES, Kit, ask_for, builtin, predict, wait_until, words};

#[test]
fn another_build_is_told_ours_and_sent_away() {
    let kit = Kit::new();
    let mut client = Client::silent(&kit.socket());
    client.stream.write_all(&Hello { build: "0.0.0/other".to_owned() }.encode().unwrap()).unwrap();
    assert_eq!(client.hello(), Hello::ours());
    assert_eq!(client.try_receive(), None);
    kit.stats();
}

#[test]
fn many_clients_get_the_right_answers() {
    let kit = Kit::new();
    thread::scope(|scope| {
        for client in 0..16 {
            let mut connection = kit.client();
            scope.spawn(move || {
                for round in 0..20 {
                    let texts =
                        [words(client + 1), "b".repeat(round + 1), String::new(), words(300 + client)];
                    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                    let expected: Vec<_> = texts.iter().map(|text| letters(text)).collect();
                    assert_eq!(values(connection.call(predict(&builtin(), &texts))), expected);
                }
            });
        }
    });
    let stats = kit.stats();
    assert_eq!((stats.queued_requests, stats.queued_texts), (0, 0));
    assert_eq!((stats.models[0].requests, stats.models[0].texts, stats.models[0].cache_hits), (320, 1280, 0));
}

#[test]
fn requests_of_one_connection_overtake_each_other() {
    let kit = Kit::new();
    kit.control.close();
    let mut client = kit.client();
    let slow = client.send(predict(&builtin(), &["slow"]));
    let quick = client.send(RequestBody::Describe { model: builtin() });
    assert_eq!(client.receive().id, quick);
    kit.control.open();
    assert_eq!(client.receive().id, slow);
}

#[test]
fn embeddings_tokens_and_description() {
    let kit = Kit::new();
    let mut client = kit.client();
    let texts = ["two words", " "];
    let (answers, completed) = answered(client.call(ask_for(Output::Embedding, &texts)));
    assert_eq!(answers, Answers::Vectors(vec![Some(vec![8.0]), None]));
    assert_eq!((completed.tokens, completed.cached), (2, 0));
    let pieces = vec!["two".to_owned(), "words".to_owned()];
    let tokens = [
        (Output::TokenPieces, Answers::TokenPieces(vec![pieces, Vec::new()])),
        (Output::TokenIds, Answers::TokenIds(vec![vec![u32::MAX; 2], Vec::new()])),
        (Output::TokenCounts, Answers::TokenCounts(vec![2, 0])),
    ];
    for (output, expected) in tokens {
        let (answers, completed) = answered(client.call(ask_for(output, &texts)));
        assert_eq!((answers, completed.tokens, completed.cached), (expected, 0, 0));
    }
    match client.call(RequestBody::Describe { model: builtin() }) {
        ReplyBody::Described(info) => assert_eq!(info.bytes, BUILTIN_BYTES),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_with_both_sizes() {
    let kit = Kit::new();
    let mut client = kit.client();
    let text = "a".repeat(MAX_TEXT_BYTES + 1);
    let refused = error(client.call(predict(&builtin(), &["fine", &text])));
    assert_eq!(refused.kind, ErrorKind::TextTooLong);
    assert_eq!(refused.message, "text of 4194305 bytes exceeds the limit of 4194304 bytes");
    assert_eq!(values(client.call(predict(&builtin(), &["fine"]))), [Some(4.0)]);
}

#[test]
fn a_reply_that_fits_into_no_frame_is_an_error() {
    let kit = Kit::new();
    let mut client = kit.client();
    // 16 MiB of text whose ids take 40 MiB.
    let texts = vec![words(MAX_TEXT_BYTES / 2); 4];
    let refused = error(client.call(ask_for(Output::TokenIds, &texts)));
    assert_eq!(refused.kind, ErrorKind::InvalidRequest, "{refused:?}");
    kit.stats();
}

#[test]
fn a_panic_after_the_forward_pass_is_an_answer() {
    let kit = Kit::new();
    let mut client = kit.client();
    assert_eq!(error(client.call(predict(&builtin(), &["PANIC_LATE"]))).kind, ErrorKind::Internal);
    assert_eq!(values(client.call(predict(&builtin(), &["fine"]))), [Some(4.0)]);
    assert_eq!(kit.stats().queued_requests, 0);
}

#[test]
fn cancelled_work_is_dropped_and_answered() {
    let kit = Kit::new();
    kit.control.close();
    let mut client = kit.client();
    let running = client.send(predict(&builtin(), &["running"]));
    kit.wait_for_batches(1);
    let queued = client.send(predict(&builtin(), &[&words(100), &words(99)]));
    kit.wait_for(|stats| stats.queued_texts == 3);
    client.send_as(queued, RequestBody::Cancel);
    let Reply { id, body } = client.receive();
    assert_eq!((id, error(body).kind), (queued, ErrorKind::Cancelled));
    kit.control.open();
    assert_eq!(client.receive().id, running);
    // Too late, and for a request that never was: both are passed over.
    client.send_as(running, RequestBody::Cancel);
    client.send_as(RequestId(77), RequestBody::Cancel);
    kit.wait_for(|stats| stats.queued_texts == 0);
    assert_eq!(kit.control.batches(), [[1]]);
}

#[test]
fn the_work_of_a_client_that_vanishes_is_dropped() {
    let kit = Kit::new();
    kit.control.close();
    let mut staying = kit.client();
    staying.send(predict(&builtin(), &["running"]));
    kit.wait_for_batches(1);
    let mut vanishing = kit.client();
    vanishing.send(predict(&builtin(), &[&words(100)]));
    kit.wait_for(|stats| stats.queued_requests == 2);
    drop(vanishing);
    kit.wait_for(|stats| stats.queued_requests == 1);
    kit.control.open();
    assert_eq!(values(staying.receive().body), [Some(7.0)]);
    assert_eq!(kit.control.batches(), [[1]]);
}

#[test]
fn a_client_that_sends_too_much_waits_and_gets_everything() {
    let kit = Kit::new();
    kit.control.close();
    let mut client = kit.client();
    let mut sending = client.sender();
    thread::scope(|scope| {
        scope.spawn(move || sending.send_many(500, &predict(&builtin(), &[&words(50)])));
        kit.wait_for(|stats| stats.queued_requests == 64);
        kit.control.open();
        let replies = client.receive_all(500);
        assert_eq!(replies.len(), 500);
        assert!(replies.into_values().all(|body| values(body) == [Some(50.0)]));
    });
}

#[test]
fn a_client_that_sends_too_much_and_vanishes_is_noticed() {
    let kit = Kit::new();
    kit.control.close();
    let mut client = kit.client();
    client.send_many(100, &predict(&builtin(), &["text"]));
    kit.wait_for(|stats| stats.queued_requests == 64);
    drop(client);
    kit.wait_for(|stats| stats.queued_requests == 0 && stats.connections == 1);
    kit.control.open();
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let kit = Kit::new();
    let mut slow = kit.client();
    slow.send_many(40, &ask_for(Output::TokenPieces, &[words(50_000)]));
    let mut quick = kit.client();
    for _ in 0..50 {
        assert_eq!(values(quick.call(predict(&builtin(), &["quick"]))), [Some(5.0)]);
    }
    // All is there when the slow one comes round to reading.
    wait_until(|| kit.stats().queued_requests == 0);
    assert_eq!(slow.receive_all(40).len(), 40);
}

#[test]
fn the_same_number_twice_ends_the_connection_only() {
    let kit = Kit::new();
    kit.control.close();
    let mut client = kit.client();
    client.send_as(RequestId(1), predict(&builtin(), &["text"]));
    client.send_as(RequestId(1), predict(&builtin(), &["text"]));
    assert_eq!(client.try_receive(), None);
    kit.control.open();
    kit.stats();
}

#[test]
fn names_of_built_in_models_lead_nowhere_else() {
    let kit = Kit::new();
    let mut client = kit.client();
    for name in ["missing", "", "..", "../fake", "fake/", "Fake", "a\0b"] {
        let mut model = builtin();
        model.source = ModelSource::Builtin(name.to_owned());
        let refused = error(client.call(predict(&model, &["text"])));
        assert_eq!(refused.kind, ErrorKind::InvalidRequest, "{name:?}");
    }
}

#[test]
fn statistics_tell_what_is_going_on() {
    let kit = Kit::new();
    let mut client = kit.client();
    client.call(predict(&builtin(), &["one two", "three", "three"]));
    let stats = kit.stats();
    assert_eq!((stats.pid, stats.restarts, stats.threads), (std::process::id(), 3, 2));
    assert_eq!((stats.device.as_str(), stats.kernels.as_str()), ("cpu", "abacus"));
    assert!(stats.started > 1_600_000_000 && stats.connections >= 1);
    let model = &stats.models[0];
    assert_eq!((model.bytes, model.pinned), (BUILTIN_BYTES, false));
    assert_eq!((model.requests, model.texts, model.tokens, model.cache_hits), (1, 3, 3, 0));
    assert_eq!((model.precision.as_str(), model.precision_note.as_str()), ("f32", "nothing is computed"));
}
