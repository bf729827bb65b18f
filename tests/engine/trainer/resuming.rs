//! Trainings that go on from a checkpoint.

use std::sync::OnceLock;

use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::Objective;
use ecommerce_ml_predictor::Job;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::kit::{Row, Said, job, refused, row, run, run_with, stars, two_classes};

/// A job with a checkpoint after each update.
fn often(objective: Objective, options: Value, rows: Vec<Row>) -> Job {
    let mut job = job("bert-classification-3", objective, options, rows);
    job.plan.checkpoint_interval = 0;
    job
}

fn resumed(mut job: Job, checkpoint: &[u8]) -> Said {
    job.checkpoint = checkpoint.to_vec();
    run(job)
}

#[test]
fn from_every_checkpoint_the_same_model() {
    for (tuning, objective, rows) in [
        (json!({}), Objective::Classification, two_classes(60)),
        (json!({ "tuning": "lora" }), Objective::Rating, stars(60)),
        (json!({ "tuning": "head" }), Objective::Regression, stars(60)),
        (json!({ "adversarial_epsilon": 0.5 }), Objective::Rating, stars(60)),
        (json!({ "augment": { "word_swap": 0.2, "noise": 0.1 } }), Objective::Regression, stars(60)),
        (
            json!({ "tuning": "head", "augment": { "synonym": 0.3, "duplicate": 1.0 } }),
            Objective::Classification,
            two_classes(61).split_off(1),
        ),
    ] {
        let mut options = json!({
            "num_train_epochs": 3, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 2,
            "learning_rate": 1e-3, "early_stopping_patience": 1,
        });
        options.as_object_mut().unwrap().extend(tuning.as_object().unwrap().clone());
        let whole = run(often(objective, options.clone(), rows.clone()));
        assert!(whole.checkpoints.len() > 4);
        for (step, checkpoint) in &whole.checkpoints {
            let rest = resumed(often(objective, options.clone(), rows.clone()), checkpoint);
            assert_eq!(rest.prepared.as_ref().unwrap().resumed_at, *step);
            assert_eq!(rest.model(), whole.model(), "{tuning} from {step}");
            let missing = whole.epochs.len() - rest.epochs.len();
            assert_eq!(rest.losses(), whole.losses()[missing..], "{tuning} from {step}");
            assert_eq!(rest.finished().metrics, whole.finished().metrics);
            assert_eq!(rest.finished().epoch, whole.finished().epoch);
            assert_eq!(rest.finished().stopped_early, whole.finished().stopped_early);
        }
    }
}

#[test]
fn ends_of_epochs_keep_to_the_interval() {
    let options = json!({ "num_train_epochs": 6, "per_device_train_batch_size": 8, "tuning": "head" });
    let few = run(job("bert-classification-3", Objective::Classification, options.clone(), two_classes(40)));
    assert_eq!((few.epochs.len(), few.checkpoints.len()), (6, 0));
    // What was best is best, whether or not it was ever kept anywhere.
    let many = run(often(Objective::Classification, options, two_classes(40)));
    assert!(many.checkpoints.len() > 6);
    assert_eq!(few.model(), many.model());
    assert_eq!(few.finished().epoch, many.finished().epoch);
}

/// A checkpoint of a short training.
fn checkpoint() -> &'static [u8] {
    static CHECKPOINT: OnceLock<Vec<u8>> = OnceLock::new();
    CHECKPOINT.get_or_init(|| {
        let said = run(often(Objective::Classification, options(), two_classes(20)));
        said.checkpoints[0].1.clone()
    })
}

fn options() -> Value {
    json!({ "num_train_epochs": 1, "tuning": "head" })
}

fn with(checkpoint: Vec<u8>, rows: Vec<Row>, options: Value) -> Job {
    Job { checkpoint, ..often(Objective::Classification, options, rows) }
}

#[test]
fn new_rows_are_left_out_and_lost_ones_refused() {
    let mut rows = two_classes(20);
    rows.push(row("new", "new"));
    let said = run(with(checkpoint().to_vec(), rows, options()));
    let prepared = said.prepared.unwrap();
    assert_eq!((prepared.ignored_rows, prepared.training_rows + prepared.held_out_rows), (1, 20));
    let error = refused(with(checkpoint().to_vec(), two_classes(18), options()));
    assert_eq!(
        (error.kind, error.detail.as_deref()),
        (ErrorKind::InvalidRequest, Some("2 of its 20 rows were deleted or changed."))
    );
    assert_eq!(error.hint.as_deref(), Some("Train the model anew."));
}

#[test]
fn checkpoints_of_other_trainings_are_refused() {
    let other = json!({ "num_train_epochs": 2, "tuning": "head" });
    let error = refused(with(checkpoint().to_vec(), two_classes(20), other));
    assert_eq!(error.kind, ErrorKind::InvalidRequest);
    let mut job = job("bert-embedding", Objective::Classification, options(), two_classes(20));
    job.checkpoint = checkpoint().to_vec();
    assert_eq!(refused(job).kind, ErrorKind::InvalidRequest);
    // What SQL obeys makes no difference.
    let same = json!({ "num_train_epochs": 1, "tuning": "head", "deploy": "never", "seed": null });
    assert!(run_with(with(checkpoint().to_vec(), two_classes(20), same), 1).is_ok());
}

#[test]
fn with_a_checkpoint_of_an_earlier_version_it_begins_anew() {
    let mut bytes = checkpoint().to_vec();
    bytes[7] = 1;
    let end = bytes.len() - blake3::OUT_LEN;
    let hash = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(hash.as_bytes());
    let anew = run(with(bytes.clone(), two_classes(20), options()));
    assert_eq!(anew.prepared.as_ref().unwrap().resumed_at, 0);
    assert_eq!(anew.model(), run(with(Vec::new(), two_classes(20), options())).model());
    bytes[7] = 9;
    let hash = blake3::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(hash.as_bytes());
    let error = refused(with(bytes, two_classes(20), options()));
    assert_eq!(error.message, "checkpoint is of another version of this engine");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 1..400)) {
        let error = refused(with(bytes, two_classes(20), options()));
        prop_assert_eq!(error.kind, ErrorKind::DamagedModel);
    }

    #[test]
    fn damage_is_refused(place in any::<prop::sample::Index>(), flip in 1_u8.., cut in any::<prop::sample::Index>()) {
        let mut bytes = checkpoint().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert_eq!(refused(with(bytes, two_classes(20), options())).kind, ErrorKind::DamagedModel);
        let bytes = checkpoint()[..cut.index(checkpoint().len()).max(1)].to_vec();
        prop_assert_eq!(refused(with(bytes, two_classes(20), options())).kind, ErrorKind::DamagedModel);
    }
}
