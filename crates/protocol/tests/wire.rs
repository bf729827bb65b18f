//! Decoding is total, encoding is its inverse.

use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::*;
use proptest::prelude::*;

fn model() -> impl Strategy<Value = ModelRef> {
    let source = prop_oneof![
        "[a-z_]{0,12}".prop_map(ModelSource::Builtin),
        any::<[u8; 32]>().prop_map(|sha| ModelSource::Content(Sha256(sha))),
    ];
    (source, any::<bool>()).prop_map(|(source, pinned)| ModelRef { source, pinned })
}

fn upload() -> impl Strategy<Value = UploadPart> {
    let entry = (".{0,20}", any::<u64>(), any::<[u8; 32]>()).prop_map(|(name, size, sha)| FileEntry {
        name,
        size,
        sha256: Sha256(sha),
    });
    prop_oneof![
        proptest::collection::vec(entry, 0..5).prop_map(|files| UploadPart::Begin { files }),
        (any::<u32>(), proptest::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(file, data)| UploadPart::Chunk { file, data }),
        Just(UploadPart::End),
        ".{0,30}".prop_map(|reason| UploadPart::Abort { reason }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let texts = || proptest::collection::vec(".{0,80}", 0..8);
    let body = prop_oneof![
        (model(), texts()).prop_map(|(model, texts)| RequestBody::Predict { model, texts }),
        (model(), texts()).prop_map(|(model, texts)| RequestBody::Embed { model, texts }),
        (model(), texts()).prop_map(|(model, texts)| RequestBody::Tokenize {
            model,
            texts,
            detail: TokenDetail::Pieces
        }),
        model().prop_map(|model| RequestBody::Describe { model }),
        Just(RequestBody::Stats),
        Just(RequestBody::Cancel),
        upload().prop_map(RequestBody::Upload),
    ];
    (any::<u64>(), body).prop_map(|(id, body)| Request { id: RequestId(id), body })
}

fn reply() -> impl Strategy<Value = Reply> {
    let prediction = (proptest::collection::vec(0f32..1.0, 0..6), any::<Option<i32>>()).prop_map(
        |(probabilities, value)| Prediction {
            probabilities,
            value: value.map(f64::from),
            sentiment: Some(Sentiment::Neutral),
            score: Some(-0.5),
            rating: None,
        },
    );
    let body = prop_oneof![
        proptest::collection::vec(proptest::option::of(prediction), 0..6).prop_map(|rows| {
            ReplyBody::Predictions { labels: vec!["a".to_owned()], rows, completed: Completed::default() }
        }),
        (".{0,20}", proptest::option::of(".{0,20}")).prop_map(|(message, hint)| ReplyBody::Error(
            EngineError { kind: ErrorKind::DamagedModel, message, detail: None, hint }
        )),
        any::<[u8; 32]>().prop_map(|sha| ReplyBody::NeedContent(Sha256(sha))),
    ];
    (any::<u64>(), body).prop_map(|(id, body)| Reply { id: RequestId(id), body })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_payload::<Request>(&bytes);
        let _ = decode_payload::<Reply>(&bytes);
        let _ = Hello::decode(&bytes);
        let mut decoder = FrameDecoder::default();
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next_payload() {}
    }

    #[test]
    fn a_damaged_request_is_a_message_or_an_error(request in request(), position in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut frame = encode_frame(&request).unwrap();
        let position = position.index(frame.len());
        frame[position] ^= flip;
        let mut decoder = FrameDecoder::default();
        decoder.push(&frame);
        let _ = decoder.next_message::<Request>();
    }

    #[test]
    fn requests_survive_any_fragmentation(requests in proptest::collection::vec(request(), 1..5), step in 1usize..64) {
        let stream: Vec<u8> = requests.iter().flat_map(|request| encode_frame(request).unwrap()).collect();
        let mut decoder = FrameDecoder::default();
        let mut received = Vec::new();
        for bytes in stream.chunks(step) {
            decoder.push(bytes);
            while let Some(request) = decoder.next_message::<Request>().unwrap() {
                received.push(request);
            }
        }
        prop_assert_eq!(received, requests);
    }

    #[test]
    fn replies_round_trip(reply in reply()) {
        let mut decoder = FrameDecoder::default();
        decoder.push(&encode_frame(&reply).unwrap());
        prop_assert_eq!(decoder.next_message::<Reply>().unwrap(), Some(reply));
    }
}

#[test]
fn a_huge_length_is_refused_before_it_is_buffered() {
    let mut decoder = FrameDecoder::default();
    decoder.push(&u32::MAX.to_le_bytes());
    assert_eq!(decoder.next_payload(), Err(DecodeError::TooLarge(u32::MAX as usize)));
}

#[test]
fn trailing_bytes_are_malformed() {
    let mut frame =
        encode_frame(&Request { id: RequestId(1), body: RequestBody::Stats }).unwrap().split_off(4);
    frame.push(0);
    assert!(matches!(decode_payload::<Request>(&frame), Err(DecodeError::Malformed(_))));
}

#[test]
fn a_greeting_of_another_build_is_read_but_not_understood() {
    let other = Hello { build: "9.9.9/7".to_owned() };
    let frame = other.encode().unwrap();
    let mut longer = frame[4..].to_vec();
    longer.extend_from_slice(b"what a later build may add");
    assert_eq!(Hello::decode(&longer), Ok(other.clone()));
    assert!(!Hello::ours().understands(&other));
    assert!(Hello::ours().understands(&Hello::ours()));
}
