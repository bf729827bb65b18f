//! Trainings that were interrupted.

use ecommerce_ml_predictor::Job;
use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_protocol::training::{Label, Objective};

use crate::kit::{numbers, rows};
use crate::learning::{noise, orders, orders_job};
use crate::trained::{Trained, copy, job, train};

fn interrupted(mut job: Job) -> (Job, Trained) {
    job.plan.checkpoint_interval = 0;
    let whole = train(copy(&job)).unwrap();
    assert!(whole.checkpoints.len() > 3, "{}", whole.checkpoints.len());
    (job, whole)
}

fn resumed(job: &Job, whole: &Trained) {
    for (step, bytes) in &whole.checkpoints {
        let mut job = copy(job);
        job.checkpoint.clone_from(bytes);
        let rest = train(job).unwrap();
        assert_eq!(rest.prepared().resumed_at, *step);
        assert_eq!(rest.files, whole.files, "after {step} iterations");
        assert_eq!(rest.finished(), whole.finished());
        let (last, expected) = (rest.epochs.last().unwrap(), whole.epochs.last().unwrap());
        assert_eq!(
            (last.epoch, last.step, last.training_loss),
            (expected.epoch, expected.step, expected.training_loss)
        );
        assert_eq!(last.evaluation, expected.evaluation);
        // The checkpoints that follow are the same, too, but for the time that they took.
        assert_eq!(rest.checkpoints.len() as u64, whole.checkpoints.len() as u64 - step);
    }
}

#[test]
fn an_interrupted_training_comes_to_the_same_bits() {
    let (job, whole) = interrupted(orders_job("{}"));
    resumed(&job, &whole);
}

#[test]
fn so_does_one_of_numbers_beyond_an_epoch() {
    let count = 400;
    let columns = (0..12).map(|column| {
        // Columns that resemble each other take many iterations.
        let value = |row: usize| Some(noise(row) + 0.01 * noise(row * 31 + column * 7 + 1));
        numbers(&format!("column {column}"), &(0..count).map(value).collect::<Vec<_>>())
    });
    let labels = (0..count).map(|row| Label::Number(noise(row) + noise(row + 5000))).collect();
    let job = job(Objective::Regression, rows(columns.collect()), labels, r#"{"alpha": 1e-4}"#);
    let (job, whole) = interrupted(job);
    assert!(whole.epochs.len() > 1, "{:?}", whole.epochs.len());
    resumed(&job, &whole);
}

#[test]
fn new_rows_are_left_out_and_missing_ones_refused() {
    let (job, whole) = interrupted(orders_job("{}"));
    let (_, bytes) = &whole.checkpoints[1];
    let (rows, labels) = orders(700);
    let mut more = copy(&job);
    more.checkpoint.clone_from(bytes);
    more.rows = crate::trained::job(Objective::Classification, rows, labels, "{}").rows;
    let trained = train(more).unwrap();
    assert_eq!((trained.prepared().ignored_rows, &trained.files), (100, &whole.files));
    let (rows, labels) = orders(599);
    let mut fewer = copy(&job);
    fewer.checkpoint.clone_from(bytes);
    fewer.rows = crate::trained::job(Objective::Classification, rows, labels, "{}").rows;
    assert!(train(fewer).map(|_| ()).unwrap_err().message.contains("rows are gone"));
}

#[test]
fn checkpoints_of_others_and_damaged_ones_are_refused() {
    let (job, whole) = interrupted(orders_job("{}"));
    let (_, bytes) = &whole.checkpoints[1];
    let mut other = orders_job(r#"{"C": 2}"#);
    other.checkpoint.clone_from(bytes);
    let error = train(other).map(|_| ()).unwrap_err();
    assert_eq!(error.message, "checkpoint is of a training with other options or columns");
    for at in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut damaged = copy(&job);
        damaged.checkpoint.clone_from(bytes);
        damaged.checkpoint[at] ^= 1;
        assert_eq!(train(damaged).map(|_| ()).unwrap_err().kind, ErrorKind::DamagedModel);
        let mut short = copy(&job);
        short.checkpoint = bytes[..at.max(1)].to_vec();
        assert_eq!(train(short).map(|_| ()).unwrap_err().kind, ErrorKind::DamagedModel);
    }
}
