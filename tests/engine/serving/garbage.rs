//! Bytes that are no message, at any point of a conversation.

use std::io::Write;
use std::sync::LazyLock;

use ecommerce_ml_protocol::{Hello, Request, RequestBody, RequestId, encode_frame};
use proptest::prelude::*;

use crate::client::{Client, values};
use crate::kit::{Kit, builtin, predict};

static KIT: LazyLock<Kit> = LazyLock::new(Kit::new);

/// A sensible conversation of a client.
fn conversation() -> Vec<u8> {
    let bodies = [predict(&builtin(), &["some text", ""]), RequestBody::Stats, RequestBody::Cancel];
    let request = |(id, body)| encode_frame(&Request { id: RequestId(id), body }).unwrap();
    let requests = (0..).zip(bodies).flat_map(request);
    Hello::ours().encode().unwrap().into_iter().chain(requests).collect()
}

fn send(bytes: &[u8]) {
    let mut client = Client::silent(&KIT.socket());
    // The engine may have hung up already.
    let _ = client.stream.write_all(bytes);
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    while client.try_read_any() {}
}

fn assert_alive() {
    assert_eq!(values(KIT.client().call(predict(&builtin(), &["alive"]))), [Some(5.0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn garbage_instead_of_a_greeting(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        send(&bytes);
        assert_alive();
    }

    #[test]
    fn garbage_after_any_number_of_sensible_bytes(
        cut in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let sensible = conversation();
        send(&[&sensible[..cut.index(sensible.len() + 1)], &bytes].concat());
        assert_alive();
    }

    #[test]
    fn well_formed_frames_of_garbage(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..10),
    ) {
        let frames = payloads.iter().flat_map(|payload| ecommerce_ml_protocol::frame::frame_payload(payload).unwrap());
        send(&Hello::ours().encode().unwrap().into_iter().chain(frames).collect::<Vec<_>>());
        assert_alive();
    }

    #[test]
    fn flipped_bits(position in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = conversation();
        let position = position.index(bytes.len());
        bytes[position] ^= 1u8 << bit;
        send(&bytes);
        assert_alive();
    }
}
