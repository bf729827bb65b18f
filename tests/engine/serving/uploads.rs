//! Models that clients send: who is asked, what is checked.

use std::time::Duration;

use ecommerce_ml_protocol::{ErrorKind, FileEntry, ReplyBody, RequestBody, Sha256, UploadPart};

use crate::client::{error, values};
use crate::kit::{Content, Kit, builtin, predict, words};

#[test]
fn one_of_many_waiting_clients_is_asked() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let mut clients: Vec<_> = (0..5).map(|_| kit.client()).collect();
    clients[0].send(predict(&content.model(), &["text"]));
    let asked = clients[0].is_asked_for(&content);
    for client in &mut clients[1..] {
        client.send(predict(&content.model(), &["text"]));
    }
    kit.wait_for(|stats| stats.queued_requests == 5);
    clients[0].upload(asked, &content);
    for client in &mut clients {
        assert_eq!(values(client.receive().body), [Some(4.0)]);
    }
    assert_eq!(kit.stats().models.len(), 1);
}

#[test]
fn when_the_sender_dies_another_client_is_asked() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let (mut first, mut second) = (kit.client(), kit.client());
    let id = first.send(predict(&content.model(), &["text"]));
    first.is_asked_for(&content);
    first.part(id, UploadPart::Begin { files: content.manifest.clone() });
    first.part(id, UploadPart::Chunk { file: 0, data: content.data[..1].to_vec() });
    second.send(predict(&content.model(), &["text"]));
    kit.wait_for(|stats| stats.queued_requests == 2);
    drop(first);
    let asked = second.is_asked_for(&content);
    second.upload(asked, &content);
    assert_eq!(values(second.receive().body), [Some(4.0)]);
}

#[test]
fn when_the_sender_cancels_or_gives_up_another_client_is_asked() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let mut clients = [kit.client(), kit.client(), kit.client()];
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(predict(&content.model(), &["text"]));
        kit.wait_for(|stats| stats.queued_requests == index as u64 + 1);
    }
    let [cancels, gives_up, sends] = &mut clients;
    let asked = cancels.is_asked_for(&content);
    cancels.part(asked, UploadPart::Begin { files: content.manifest.clone() });
    cancels.send_as(asked, RequestBody::Cancel);
    assert_eq!(error(cancels.receive().body).kind, ErrorKind::Cancelled);
    let asked = gives_up.is_asked_for(&content);
    gives_up.part(asked, UploadPart::Abort { reason: "row is gone".to_owned() });
    let refused = error(gives_up.receive().body);
    assert_eq!(refused.message, "model could not be sent to the engine: row is gone");
    let asked = sends.is_asked_for(&content);
    sends.upload(asked, &content);
    assert_eq!(values(sends.receive().body), [Some(4.0)]);
}

#[test]
fn when_the_sender_is_silent_another_client_is_asked() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let (mut silent, mut other) = (kit.client(), kit.client());
    silent.send(predict(&content.model(), &["text"]));
    let late = silent.is_asked_for(&content);
    other.send(predict(&content.model(), &["other text"]));
    let asked = other.is_asked_for(&content);
    // Too late by now: passed over, and the other's upload isn't disturbed.
    silent.upload(late, &content);
    std::thread::sleep(Duration::from_millis(50));
    other.upload(asked, &content);
    assert_eq!(values(other.receive().body), [Some(9.0)]);
    assert_eq!(values(silent.receive().body), [Some(4.0)]);
}

#[test]
fn a_model_with_another_hash_is_refused_and_another_client_is_asked() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let (mut damaged, mut sound) = (kit.client(), kit.client());
    damaged.send(predict(&content.model(), &["text"]));
    let asked = damaged.is_asked_for(&content);
    sound.send(predict(&content.model(), &["text"]));
    kit.wait_for(|stats| stats.queued_requests == 2);
    let changed = Content { data: b"x".repeat(content.data.len()), ..content.clone() };
    damaged.upload(asked, &changed);
    let refused = error(damaged.receive().body);
    assert_eq!(refused.kind, ErrorKind::DamagedModel);
    assert_eq!(refused.message, "file \"size\" of the model does not have the recorded hash");
    let asked = sound.is_asked_for(&content);
    sound.upload(asked, &content);
    assert_eq!(values(sound.receive().body), [Some(4.0)]);
}

#[test]
fn manifests_and_chunks_that_contradict_each_other_are_refused() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let begin = || UploadPart::Begin { files: content.manifest.clone() };
    let chunk = |file, data: &[u8]| UploadPart::Chunk { file, data: data.to_vec() };
    let other = FileEntry { name: "size".to_owned(), size: 1, sha256: Sha256([0; 32]) };
    let long = [content.data.as_slice(), b"0"].concat();
    let cases = [
        (vec![UploadPart::Begin { files: vec![other] }], "model does not have the recorded hash"),
        (vec![UploadPart::Begin { files: Vec::new() }], "model does not have the recorded hash"),
        (vec![begin(), chunk(1, b"10")], "model has no file number 1"),
        (vec![begin(), chunk(0, &long)], "file \"size\" of the model is longer"),
        (vec![begin(), chunk(0, b"1"), UploadPart::End], "file \"size\" of the model has 1 of"),
    ];
    let mut client = kit.client();
    for (parts, message) in cases {
        client.send(predict(&content.model(), &["text"]));
        let asked = client.is_asked_for(&content);
        parts.into_iter().for_each(|part| client.part(asked, part));
        let refused = error(client.receive().body);
        assert_eq!(refused.kind, ErrorKind::DamagedModel);
        assert!(refused.message.starts_with(message), "{}", refused.message);
    }
}

#[test]
fn a_model_that_cannot_be_loaded_fails_for_all_who_wait_and_is_tried_again() {
    let (kit, content) = (Kit::new(), Content::of("no number".to_owned()));
    let mut clients = [kit.client(), kit.client()];
    clients[0].send(predict(&content.model(), &["text"]));
    let asked = clients[0].is_asked_for(&content);
    clients[1].send(predict(&content.model(), &["text"]));
    kit.wait_for(|stats| stats.queued_requests == 2);
    clients[0].upload(asked, &content);
    for client in &mut clients {
        assert_eq!(error(client.receive().body).message, "file \"size\" has no number");
    }
    clients[1].send(predict(&content.model(), &["text"]));
    clients[1].is_asked_for(&content);
}

#[test]
fn a_client_with_many_open_requests_can_still_send_the_model() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let mut client = kit.client();
    let ids = client.send_many(200, &predict(&content.model(), &[&words(9)]));
    assert_eq!(client.is_asked_for(&content), ids[0]);
    client.upload(ids[0], &content);
    assert!(client.receive_all(200).into_values().all(|body| values(body) == [Some(9.0)]));
}

#[test]
fn parts_that_nobody_asked_for_are_passed_over() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    kit.control.close();
    let mut client = kit.client();
    let id = client.send(predict(&builtin(), &["text"]));
    client.upload(id, &content);
    client.upload(ecommerce_ml_protocol::RequestId(99), &content);
    kit.control.open();
    assert_eq!(values(client.receive().body), [Some(4.0)]);
}

#[test]
fn other_models_answer_while_one_is_being_sent() {
    let (kit, content) = (Kit::new(), Content::new("m", 10));
    let mut client = kit.client();
    let waiting = client.send(RequestBody::Describe { model: content.model() });
    client.is_asked_for(&content);
    let id = client.send(predict(&builtin(), &["text"]));
    assert_eq!(client.receive().id, id);
    client.upload(waiting, &content);
    assert!(matches!(client.receive().body, ReplyBody::Described(info) if info.bytes == 10));
}
