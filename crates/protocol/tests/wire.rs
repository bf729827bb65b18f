//! Decoding is total, encoding is its inverse.

use ecommerce_ml_protocol::frame::decode_payload;
use ecommerce_ml_protocol::training::*;
use ecommerce_ml_protocol::*;
use proptest::prelude::*;

fn model() -> impl Strategy<Value = ModelRef> {
    let source = prop_oneof![
        "[a-z_]{0,12}".prop_map(ModelSource::Builtin),
        any::<[u8; 32]>().prop_map(|sha| ModelSource::Content(Sha256(sha))),
    ];
    let purpose = prop_oneof![Just(Purpose::Predict), Just(Purpose::Explain)];
    (source, any::<bool>(), purpose).prop_map(|(source, pinned, purpose)| ModelRef {
        source,
        pinned,
        purpose,
    })
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

fn texts() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(".{0,80}", 0..8)
}

/// Of any length, with codes beyond the dictionary: what a stranger could send.
fn values() -> impl Strategy<Value = Values> {
    let few = 0..6usize;
    let codes = proptest::collection::vec(proptest::option::of(0..9u32), few.clone());
    prop_oneof![
        (proptest::collection::vec(".{0,9}", 0..4), codes)
            .prop_map(|(dictionary, codes)| Values::Text { dictionary, codes }),
        proptest::collection::vec(proptest::option::of(-1e9..1e9), few.clone()).prop_map(Values::Number),
        proptest::collection::vec(any::<Option<bool>>(), few.clone()).prop_map(Values::Boolean),
        proptest::collection::vec(any::<Option<i64>>(), few).prop_map(Values::Timestamp),
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    let column = (".{0,9}", values()).prop_map(|(name, values)| Column { name, values });
    (0..6u32, proptest::collection::vec(column, 0..4)).prop_map(|(count, columns)| Rows { count, columns })
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![texts().prop_map(Input::Texts), rows().prop_map(Input::Rows)]
}

fn output() -> impl Strategy<Value = Output> {
    prop_oneof![
        Just(Output::Prediction),
        Just(Output::Embedding),
        Just(Output::TokenIds),
        Just(Output::TokenPieces),
        Just(Output::TokenCounts),
        any::<Option<u32>>().prop_map(|class| Output::Contributions { class }),
        table().prop_map(Output::Table),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![
        Just(Table::Forecast),
        Just(Table::Recommendations),
        Just(Table::SimilarItems),
        Just(Table::Lifetimes),
        Just(Table::TotalDemand),
        Just(Table::PriceResponse),
        Just(Table::RankingQuality),
        Just(Table::ItemSet),
        Just(Table::ForecastErrors),
        Just(Table::SeriesAnomalies)
    ]
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let value_type = prop_oneof![
        Just(ValueType::Text),
        Just(ValueType::Number),
        Just(ValueType::Boolean),
        Just(ValueType::Timestamp)
    ];
    let field = (".{0,9}", value_type).prop_map(|(name, value_type)| Field { name, value_type });
    proptest::collection::vec(field, 0..4)
}

fn training_call() -> impl Strategy<Value = TrainingCall> {
    let objective = prop_oneof![
        Just(Objective::Classification),
        Just(Objective::Rating),
        Just(Objective::Regression),
        Just(Objective::Forecast),
        Just(Objective::Recommendation),
        Just(Objective::Lifetime),
        Just(Objective::Anomaly),
        Just(Objective::Elasticity)
    ];
    let input = prop_oneof![
        Just(TrainingInput::Text),
        (fields(), proptest::option::of(".{0,9}"))
            .prop_map(|(fields, text)| TrainingInput::Columns { fields, text }),
        (fields(), fields()).prop_map(|(keys, fields)| TrainingInput::Events { keys, fields }),
    ];
    (objective, input, any::<bool>(), ".{0,40}").prop_map(|(objective, input, has_time, options)| {
        TrainingCall { objective, input, has_time, options }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let body = prop_oneof![
        (model(), input(), output()).prop_map(|(model, input, output)| RequestBody::Predict {
            model,
            input,
            output
        }),
        model().prop_map(|model| RequestBody::Describe { model }),
        training_call().prop_map(RequestBody::CheckTraining),
        (".{0,20}", proptest::option::of(".{0,20}".prop_map(Secret))).prop_map(|(name, token)| {
            RequestBody::Fetch {
                repository: name.clone(),
                revision: None,
                endpoint: name.clone(),
                token,
                directory: name,
            }
        }),
        Just(RequestBody::Stats),
        Just(RequestBody::Cancel),
        Just(RequestBody::Alone),
        upload().prop_map(RequestBody::Upload),
    ];
    (any::<u64>(), body).prop_map(|(id, body)| Request { id: RequestId(id), body })
}

fn explanation() -> impl Strategy<Value = Explanation> {
    let span = (any::<(u32, u32)>(), -1f32..1.0)
        .prop_map(|((start, length), contribution)| SpanContribution { start, length, contribution });
    let member = (".{0,9}", proptest::option::of(-1e3..1e3), -1e3..1e3)
        .prop_map(|(member, says, contribution)| MemberContribution { member, says, contribution });
    let contributions = prop_oneof![
        proptest::collection::vec(span, 0..6).prop_map(Contributions::Spans),
        proptest::collection::vec(-1e9..1e9, 0..6).prop_map(Contributions::Columns),
        proptest::collection::vec(member, 0..4).prop_map(Contributions::Members),
    ];
    (-1e9..1e9, contributions).prop_map(|(baseline, contributions)| Explanation { baseline, contributions })
}

fn answers() -> impl Strategy<Value = Answers> {
    let numbers = || proptest::option::of(proptest::collection::vec(0f32..1.0, 0..6));
    let vectors = || proptest::collection::vec(numbers(), 0..6);
    prop_oneof![
        (proptest::collection::vec(".{0,9}", 0..5), vectors())
            .prop_map(|(labels, probabilities)| Answers::Classes { labels, probabilities }),
        proptest::collection::vec(proptest::option::of(-1e9..1e9), 0..6).prop_map(Answers::Numbers),
        vectors().prop_map(Answers::Vectors),
        proptest::collection::vec(proptest::collection::vec(any::<u32>(), 0..5), 0..5)
            .prop_map(Answers::TokenIds),
        proptest::collection::vec(texts(), 0..5).prop_map(Answers::TokenPieces),
        proptest::collection::vec(any::<u64>(), 0..5).prop_map(Answers::TokenCounts),
        proptest::collection::vec(proptest::option::of(explanation()), 0..5).prop_map(Answers::Explanations),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let body = prop_oneof![
        (answers(), any::<(Vec<u32>, u64, u64, u64)>()).prop_map(
            |(answers, (unread, tokens, cached, micros))| {
                ReplyBody::Answered { answers, unread, completed: Completed { tokens, cached, micros } }
            }
        ),
        info().prop_map(ReplyBody::Described),
        (".{0,9}", proptest::option::of(".{0,9}")).prop_map(|(kind, default_base)| {
            ReplyBody::TrainingChecked(TrainingChecked { kind, default_base })
        }),
        (".{0,20}", proptest::option::of(".{0,20}")).prop_map(|(message, hint)| ReplyBody::Error(
            EngineError { kind: ErrorKind::DamagedModel, message, detail: None, hint }
        )),
        any::<[u8; 32]>().prop_map(|sha| ReplyBody::NeedContent(Sha256(sha))),
        any::<u32>().prop_map(|engine| ReplyBody::Began { stage: Stage::Answering, engine }),
    ];
    (any::<u64>(), body).prop_map(|(id, body)| Reply { id: RequestId(id), body })
}

fn training_rows() -> impl Strategy<Value = TrainingRows> {
    let label = prop_oneof![
        ".{0,12}".prop_map(Label::Class),
        (-1e9..1e9).prop_map(Label::Number),
        (1.0..5.0, 1.0..5.0).prop_map(|(one, other)| Label::Range(one, other))
    ];
    let labels = proptest::collection::vec(label, 0..6);
    let times = proptest::collection::vec(any::<i64>(), 0..6);
    (input(), labels, times, proptest::collection::vec(texts(), 0..3))
        .prop_map(|(input, labels, times, paraphrases)| TrainingRows { input, labels, times, paraphrases })
}

fn plan() -> impl Strategy<Value = TrainingPlan> {
    let source = || proptest::option::of(model().prop_map(|model| model.source));
    let member = (".{0,9}", model()).prop_map(|(name, model)| PlannedMember { name, source: model.source });
    let members = proptest::collection::vec(member, 0..3);
    (training_call(), source(), source(), members, any::<(u64, u64)>()).prop_map(
        |(call, base, incumbent, members, (memory_limit, checkpoint_interval))| TrainingPlan {
            call,
            base,
            incumbent,
            members,
            memory_limit,
            checkpoint_interval,
        },
    )
}

fn job_input() -> impl Strategy<Value = JobInput> {
    let role = prop_oneof![Just(Role::Base), Just(Role::Incumbent), any::<u32>().prop_map(Role::Member)];
    prop_oneof![
        plan().prop_map(JobInput::Begin),
        (role, upload()).prop_map(|(role, part)| JobInput::File { role, part }),
        training_rows().prop_map(JobInput::Rows),
        proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4).prop_map(JobInput::Synonyms),
        proptest::collection::vec((".{0,9}", ".{0,9}"), 0..4).prop_map(JobInput::Descriptions),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(JobInput::Checkpoint),
        Just(JobInput::Start),
    ]
}

fn metrics() -> impl Strategy<Value = Vec<Metric>> {
    let metric = (".{0,12}", proptest::option::of(".{0,9}"), -1e3..1e3)
        .prop_map(|(name, class, value)| Metric { name, class, value });
    proptest::collection::vec(metric, 0..5)
}

fn comparison() -> impl Strategy<Value = Comparison> {
    (any::<(u64, u64, u64, bool)>(), 0.0_f64..1.0).prop_map(|((wins, losses, rows, better), value)| {
        let (metric, test) = ("mae".to_owned(), "bootstrap".to_owned());
        let (more_is_better, incumbent, p_value) = (better, -value, value);
        Comparison {
            more_is_better,
            metric,
            new: value,
            incumbent,
            test,
            p_value,
            wins,
            losses,
            rows,
            better,
        }
    })
}

fn baseline() -> impl Strategy<Value = Baseline> {
    (proptest::option::of(".{0,9}"), proptest::option::of(-1e3..1e3), metrics()).prop_map(
        |(label, mean, metrics)| Baseline { method: label.clone(), label, mean, median: mean, metrics },
    )
}

fn info() -> impl Strategy<Value = ModelInfo> {
    let reads =
        prop_oneof![Just(Reads::Text), fields().prop_map(Reads::Columns), fields().prop_map(Reads::Keys)];
    let answer = prop_oneof![
        Just(Answer::Classes),
        Just(Answer::Number),
        Just(Answer::AnomalyScore),
        any::<u32>().prop_map(Answer::Embedding),
        Just(Answer::Tokens),
        table().prop_map(Answer::Table)
    ];
    let answers = proptest::collection::vec(answer, 0..4);
    let signature = (reads, answers, proptest::collection::vec(".{0,9}", 0..5))
        .prop_map(|(reads, answers, labels)| Signature { reads, answers, labels });
    (".{0,9}", signature, any::<(u64, u64)>(), ".{0,20}").prop_map(
        |(kind, signature, (parameters, bytes), details)| ModelInfo {
            kind,
            signature,
            parameters,
            bytes,
            details,
        },
    )
}

fn finished() -> impl Strategy<Value = Finished> {
    let against_baseline = (comparison(), any::<(bool, bool)>())
        .prop_map(|(comparison, (testable, beaten))| BaselineComparison { comparison, testable, beaten });
    let comparisons = (proptest::option::of(comparison()), proptest::option::of(against_baseline));
    let reference = proptest::option::of(".{0,20}");
    (info(), metrics(), any::<(u32, bool, bool)>(), comparisons, reference).prop_map(
        |(info, metrics, (epoch, stopped_early, uses_base), (comparison, against_baseline), reference)| {
            Finished {
                info,
                metrics,
                epoch,
                stopped_early,
                uses_base,
                comparison,
                against_baseline,
                reference,
            }
        },
    )
}

fn job_output() -> impl Strategy<Value = JobOutput> {
    let numbers = || any::<(u32, u64, u64)>();
    let labels = proptest::collection::vec((".{0,9}", any::<u64>()), 0..5);
    let checkpoint = prop_oneof![
        any::<(u64, u64)>().prop_map(|(step, size)| CheckpointPart::Begin { step, size }),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(CheckpointPart::Chunk),
        Just(CheckpointPart::End),
    ];
    prop_oneof![
        any::<(u64, u64)>().prop_map(|(done, of)| JobOutput::Reading { done, of }),
        any::<u32>().prop_map(|number| JobOutput::TrialChosen { number }),
        (numbers(), proptest::option::of(-1e3..1e3)).prop_map(|((number, rung, rows), loss)| {
            let rung = (rung % 4) as u32;
            JobOutput::Trial(Trial { number, settings: "{}".to_owned(), rung, rows, loss, seconds: 0.5 })
        }),
        (labels, numbers(), any::<[u8; 32]>(), proptest::option::of(baseline())).prop_map(
            |(labels, (epochs, rows, steps), sha, baseline)| {
                let findings =
                    Findings { repeated_rows: rows, contradicting_texts: steps, ..Findings::default() };
                JobOutput::Prepared(Box::new(Prepared {
                    training_rows: rows,
                    held_out_rows: steps,
                    labels,
                    rows_sha256: Sha256(sha),
                    ignored_rows: rows,
                    epochs,
                    steps,
                    resumed_at: steps,
                    memory: rows,
                    options: "{}".to_owned(),
                    baseline,
                    findings,
                }))
            }
        ),
        (numbers(), -1e3..1e3).prop_map(|((epoch, step, examples), value)| {
            JobOutput::Progress(Progress {
                epoch,
                step,
                loss: value,
                learning_rate: value,
                examples,
                examples_per_second: value,
                seconds_left: value,
            })
        }),
        (numbers(), metrics(), any::<bool>()).prop_map(|((epoch, step, _), evaluation, best)| {
            JobOutput::Epoch(Epoch { epoch, step, training_loss: 0.5, evaluation, best, seconds: 1.5 })
        }),
        checkpoint.prop_map(JobOutput::Checkpoint),
        upload().prop_map(JobOutput::Model),
        finished().prop_map(|finished| JobOutput::Finished(Box::new(finished))),
        ".{0,30}".prop_map(|message| JobOutput::Failed(EngineError::new(ErrorKind::OutOfMemory, message))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_payload::<Request>(&bytes);
        let _ = decode_payload::<Reply>(&bytes);
        let _ = decode_payload::<JobInput>(&bytes);
        let _ = decode_payload::<JobOutput>(&bytes);
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
    fn training_jobs_round_trip(input in job_input(), output in job_output()) {
        let mut decoder = FrameDecoder::default();
        decoder.push(&encode_frame(&input).unwrap());
        prop_assert_eq!(decoder.next_message::<JobInput>().unwrap(), Some(input));
        decoder.push(&encode_frame(&output).unwrap());
        prop_assert_eq!(decoder.next_message::<JobOutput>().unwrap(), Some(output));
    }

    #[test]
    fn a_damaged_job_is_a_message_or_an_error(input in job_input(), position in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut frame = encode_frame(&input).unwrap();
        let position = position.index(frame.len());
        frame[position] ^= flip;
        let mut decoder = FrameDecoder::default();
        decoder.push(&frame);
        let _ = decoder.next_message::<JobInput>();
    }

    #[test]
    fn replies_round_trip(reply in reply()) {
        let mut decoder = FrameDecoder::default();
        decoder.push(&encode_frame(&reply).unwrap());
        prop_assert_eq!(decoder.next_message::<Reply>().unwrap(), Some(reply));
    }
}

proptest! {
    #[test]
    fn parts_make_up_the_whole(input in input(), at in 0usize..10) {
        let at = at.min(input.len());
        let (first, second) = (input.part(0..at), input.part(at..input.len()));
        prop_assert_eq!(first.len() + second.len(), input.len());
        prop_assert_eq!(items(&first).into_iter().chain(items(&second)).collect::<Vec<_>>(), items(&input));
        // Nothing is sent along that no row has.
        if let Input::Rows(rows) = &first {
            for column in &rows.columns {
                if let Values::Text { dictionary, codes } = &column.values {
                    let used = |code: usize| codes.iter().flatten().any(|used| *used as usize == code);
                    prop_assert!((0..dictionary.len()).all(used));
                }
            }
        }
    }

    #[test]
    fn rows_are_sound_or_refused(rows in rows()) {
        let lengths = rows.columns.iter().all(|column| column.values.len() == rows.count as usize);
        let within = rows.columns.iter().all(|column| match &column.values {
            Values::Text { dictionary, codes } => codes.iter().flatten().all(|&code| dictionary.get(code as usize).is_some()),
            _ => true,
        });
        prop_assert_eq!(rows.check(), lengths && within);
    }

    #[test]
    fn a_signature_reads_back_from_json(info in info()) {
        let json = serde_json::to_string(&info.signature).unwrap();
        prop_assert_eq!(serde_json::from_str::<Signature>(&json).unwrap(), info.signature);
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

#[test]
fn a_secret_is_sent_but_not_shown() {
    let request = Request {
        id: RequestId(1),
        body: RequestBody::Fetch {
            repository: "owner/model".to_owned(),
            revision: None,
            endpoint: "https://hub".to_owned(),
            token: Some(Secret("hf_abc".to_owned())),
            directory: "x".to_owned(),
        },
    };
    assert!(!format!("{request:?} {request:#?}").contains("hf_abc"));
    let frame = encode_frame(&request).unwrap();
    assert!(frame.windows(6).any(|bytes| bytes == b"hf_abc"));
}

/// Each input on its own, in words.
fn items(input: &Input) -> Vec<String> {
    (0..input.len())
        .map(|item| match input {
            Input::Texts(texts) => texts[item].clone(),
            Input::Rows(rows) => {
                let values = rows.columns.iter().map(|column| match &column.values {
                    Values::Text { dictionary, codes } => {
                        let text =
                            codes.get(item).copied().flatten().and_then(|code| dictionary.get(code as usize));
                        format!("{} {text:?}", column.name)
                    }
                    Values::Number(values) => {
                        format!("{} {:?}", column.name, values.get(item).copied().flatten())
                    }
                    Values::Boolean(values) => {
                        format!("{} {:?}", column.name, values.get(item).copied().flatten())
                    }
                    Values::Timestamp(values) => {
                        format!("{} {:?}", column.name, values.get(item).copied().flatten())
                    }
                });
                values.collect::<Vec<_>>().join(", ")
            }
        })
        .collect()
}
