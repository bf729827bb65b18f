//! Requests that are answered while nothing else is worked on.

use ecommerce_ml_protocol::{ErrorKind, ReplyBody, RequestBody, RequestId, Stage};

use crate::client::{Client, error, values};
use crate::kit::{Content, Kit, builtin, predict};

fn send_alone(client: &mut Client, body: RequestBody) -> RequestId {
    let id = client.send(RequestBody::Alone);
    client.send_as(id, body);
    id
}

fn begins(client: &mut Client, expected: Stage) {
    let reply = client.receive().body;
    let this = std::process::id();
    assert!(
        matches!(reply, ReplyBody::Began { stage, engine } if stage == expected && engine == this),
        "{reply:?}"
    );
}

#[test]
fn the_client_is_told_what_is_worked_on() {
    let kit = Kit::new();
    let mut client = kit.client();
    send_alone(&mut client, predict(&builtin(), &["three words here", "one"]));
    begins(&mut client, Stage::Loading);
    begins(&mut client, Stage::Answering);
    assert_eq!(values(client.receive().body), [Some(14.0), Some(3.0)]);
}

#[test]
fn a_model_that_has_to_be_sent_is_loaded_before() {
    let kit = Kit::new();
    let (mut client, content) = (kit.client(), Content::new("sent", 10));
    send_alone(&mut client, predict(&content.model(), &["four"]));
    begins(&mut client, Stage::Loading);
    let id = client.is_asked_for(&content);
    client.upload(id, &content);
    begins(&mut client, Stage::Answering);
    assert_eq!(values(client.receive().body), [Some(4.0)]);
}

#[test]
fn it_waits_for_others_and_others_wait_for_it() {
    let kit = Kit::new();
    kit.control.close();
    let (mut before, mut lonely, mut after) = (kit.client(), kit.client(), kit.client());
    before.send(predict(&builtin(), &["before"]));
    kit.wait_for_batches(1);
    send_alone(&mut lonely, predict(&builtin(), &["lonely"]));
    kit.wait_for(|stats| stats.queued_requests == 2);
    after.send(predict(&builtin(), &["after"]));
    kit.wait_for(|stats| stats.queued_requests == 3);
    kit.control.step();
    assert_eq!(values(before.receive().body), [Some(6.0)]);
    begins(&mut lonely, Stage::Loading);
    begins(&mut lonely, Stage::Answering);
    kit.wait_for_batches(2);
    assert_eq!(kit.control.batches().len(), 2);
    kit.control.open();
    assert_eq!(values(lonely.receive().body), [Some(6.0)]);
    assert_eq!(values(after.receive().body), [Some(5.0)]);
    assert_eq!(kit.control.batches().len(), 3);
}

/// It holds nobody up who has waited for long, be it for a client that doesn't send its model.
#[test]
fn nobody_waits_for_ever() {
    let kit = Kit::new();
    let (mut silent, mut lonely, mut after) = (kit.client(), kit.client(), kit.client());
    let content = Content::new("never sent", 10);
    silent.send(predict(&content.model(), &["text"]));
    silent.is_asked_for(&content);
    send_alone(&mut lonely, predict(&builtin(), &["lonely"]));
    kit.wait_for(|stats| stats.queued_requests == 2);
    after.send(predict(&builtin(), &["after"]));
    // Not alone, and not said to be.
    assert_eq!(values(lonely.receive().body), [Some(6.0)]);
    assert_eq!(values(after.receive().body), [Some(5.0)]);
}

#[test]
fn a_request_that_was_given_up_holds_nobody_up() {
    let kit = Kit::new();
    kit.control.close();
    let (mut lonely, mut after) = (kit.client(), kit.client());
    let id = send_alone(&mut lonely, predict(&builtin(), &["lonely"]));
    begins(&mut lonely, Stage::Loading);
    begins(&mut lonely, Stage::Answering);
    kit.wait_for_batches(1);
    after.send(predict(&builtin(), &["after"]));
    lonely.send_as(id, RequestBody::Cancel);
    assert_eq!(error(lonely.receive().body).kind, ErrorKind::Cancelled);
    kit.control.open();
    assert_eq!(values(after.receive().body), [Some(5.0)]);
}

/// What needs no model is answered all the same, and one that was only announced is no matter.
#[test]
fn any_request_may_be_announced() {
    let kit = Kit::new();
    let mut client = kit.client();
    send_alone(&mut client, RequestBody::Stats);
    begins(&mut client, Stage::Answering);
    assert!(matches!(client.receive().body, ReplyBody::Stats(_)));
    client.send(RequestBody::Alone);
    assert_eq!(values(client.call(predict(&builtin(), &["text"]))), [Some(4.0)]);
}
