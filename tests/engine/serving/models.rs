//! Which models stay in memory.

use ecommerce_ml_protocol::{ErrorKind, ModelSource, ReplyBody, RequestBody};

use crate::client::{Client, error};
use crate::kit::{Content, Kit, predict};

/// Uses a model, sending it if asked.
fn use_model(client: &mut Client, content: &Content, pinned: bool) -> ReplyBody {
    let mut model = content.model();
    model.pinned = pinned;
    let id = client.send(RequestBody::Describe { model });
    let reply = client.receive();
    if reply.body != ReplyBody::NeedContent(content.sha) {
        return reply.body;
    }
    client.upload(id, content);
    client.receive().body
}

fn loaded(kit: &Kit) -> Vec<ModelSource> {
    kit.stats().models.into_iter().map(|model| model.source).collect()
}

#[track_caller]
fn assert_loaded(kit: &Kit, contents: &[&Content]) {
    let loaded = loaded(kit);
    assert_eq!(loaded.len(), contents.len(), "{loaded:?}");
    assert!(contents.iter().all(|content| loaded.contains(&ModelSource::Content(content.sha))));
}

#[test]
fn the_least_recently_used_model_gives_way() {
    let kit = Kit::with_cache(100);
    let [a, b, c] = ["a", "b", "c"].map(|name| Content::new(name, 40));
    let mut client = kit.client();
    for content in [&a, &b, &a, &c] {
        assert!(matches!(use_model(&mut client, content, false), ReplyBody::Described(_)));
    }
    assert_loaded(&kit, &[&a, &c]);
}

#[test]
fn pinned_models_stay_until_a_request_says_otherwise() {
    let kit = Kit::with_cache(100);
    let [a, b, c] = ["a", "b", "c"].map(|name| Content::new(name, 40));
    let mut client = kit.client();
    use_model(&mut client, &a, true);
    use_model(&mut client, &b, false);
    use_model(&mut client, &c, false);
    assert_loaded(&kit, &[&a, &c]);
    use_model(&mut client, &a, false);
    use_model(&mut client, &c, false);
    use_model(&mut client, &b, false);
    assert_loaded(&kit, &[&b, &c]);
}

#[test]
fn a_model_that_does_not_fit_beside_pinned_ones_is_refused_with_the_numbers() {
    let kit = Kit::with_cache(100);
    let [a, b] = [Content::new("a", 70), Content::new("b", 40)];
    let mut client = kit.client();
    use_model(&mut client, &a, true);
    let refused = error(use_model(&mut client, &b, false));
    assert_eq!(refused.kind, ErrorKind::OutOfMemory);
    assert_eq!(refused.message, "model of 40 bytes does not fit into the model cache of 100 bytes");
    assert_eq!(refused.detail.unwrap(), "Pinned models occupy 70 bytes.");
    assert_loaded(&kit, &[&a]);
}

#[test]
fn an_upload_larger_than_the_cache_is_refused_before_it_is_sent() {
    let kit = Kit::with_cache(100);
    let content = Content::of(format!("1{}", " ".repeat(1000)));
    let mut client = kit.client();
    let refused = error(use_model(&mut client, &content, false));
    assert_eq!(refused.kind, ErrorKind::OutOfMemory);
    assert_eq!(refused.message, "model of 1001 bytes does not fit into the model cache of 100 bytes");
    assert_eq!(refused.hint.unwrap(), "Increase ecommerce_ml.model_cache_size.");
}

#[test]
fn a_model_in_use_outlives_its_eviction() {
    let kit = Kit::with_cache(100);
    let [a, b] = ["a", "b"].map(|name| Content::new(name, 60));
    let (mut working, mut client) = (kit.client(), kit.client());
    use_model(&mut client, &a, false);
    kit.control.close();
    working.send(predict(&a.model(), &["text"]));
    kit.wait_for_batches(1);
    use_model(&mut client, &b, false);
    assert_loaded(&kit, &[&b]);
    kit.control.open();
    assert_eq!(crate::client::values(working.receive().body), [Some(4.0)]);
}
