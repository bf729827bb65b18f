//! Rows to learn from, and trainings small enough to wait for.

use postgres::Client;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::fixtures::{CLASSIFIER, import_reference};
use crate::statement::{ask, run};

/// Imports the tiny model that trainings begin with, as `tiny`, and makes table `labelled`, whose texts tell their labels.
pub fn prepare(cluster: &Cluster, session: &mut Client, rows: u32) {
    import_reference(cluster, session, "tiny", CLASSIFIER);
    run(session, &format!("{LABELLED}; SELECT fill(1, {rows})"));
}

const LABELLED: &str = "
    CREATE TABLE labelled (id int PRIMARY KEY, body text, label text, liked boolean, stars numeric, price float8);
    CREATE FUNCTION fill(first int, last int) RETURNS void LANGUAGE sql AS $$
        INSERT INTO labelled
        SELECT i, concat_ws(' ', (ARRAY['the', 'a', 'this', 'my'])[1 + i % 4],
                            CASE WHEN i % 2 = 0 THEN (ARRAY['great', 'lovely', 'perfect'])[1 + i % 3]
                                 ELSE (ARRAY['awful', 'broken', 'terrible'])[1 + i % 3] END,
                            (ARRAY['thing', 'phone', 'book', 'bag', 'lamp'])[1 + i % 5], i),
               CASE WHEN i % 2 = 0 THEN 'good' ELSE 'bad' END, i % 2 = 0, CASE WHEN i % 2 = 0 THEN 5 ELSE 1 END,
               CASE WHEN i % 2 = 0 THEN 120 ELSE 80 END
        FROM generate_series(first, last) AS i
    $$";

/// Options that let a tiny model learn, with these changes.
pub fn options(changes: Value) -> Value {
    let mut options = json!({
        "learning_rate": 5e-3, "num_train_epochs": 3, "per_device_train_batch_size": 16, "eval_fraction": 0.2,
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        options[name] = value.clone();
    }
    options
}

/// The call that trains a model from `labelled`.
pub fn train(name: &str, label: &str, task: &str, changes: Value) -> String {
    let options = options(changes).to_string().replace('\'', "''");
    format!(
        "SELECT ecommerce_ml.train_model('{name}', 'labelled', 'body', '{label}', '{task}', 'tiny', '{options}')"
    )
}

/// Submits a classification and returns the number of the job.
pub fn submit(session: &mut Client, name: &str, changes: Value) -> i64 {
    ask(session, &train(name, "label", "classification", changes))
}

/// Waits for a job and returns its state.
pub fn wait(session: &mut Client, job: i64) -> String {
    ask(session, &format!("SELECT ecommerce_ml.wait_for_job({job}, '2 minutes')"))
}

/// Waits for a job that must succeed.
///
/// # Panics
/// If it doesn't, saying what the job says.
pub fn succeed(session: &mut Client, job: i64) {
    let state = wait(session, job);
    assert_eq!(state, "succeeded", "{}", said(session, job));
}

/// What a job says of its end: message, detail, hint.
pub fn said(session: &mut Client, job: i64) -> String {
    let query = format!(
        "SELECT concat_ws('; ', state, sqlstate, error, detail, hint, outcome) FROM ecommerce_ml.jobs WHERE job = {job}"
    );
    ask(session, &query)
}

/// Losses of a job's epochs, to the last bit.
pub fn losses(session: &mut Client, job: i64) -> Vec<String> {
    let query = format!(
        "SELECT coalesce(array_agg(concat_ws(' ', step, training_loss, loss, accuracy, best) ORDER BY epoch), '{{}}')
         FROM ecommerce_ml.job_metrics WHERE job = {job}"
    );
    ask(session, &query)
}

/// Waits until a running job has made this many steps.
pub fn reach(session: &mut Client, job: i64, step: i64) {
    let query = format!(
        "SELECT coalesce((SELECT step FROM ecommerce_ml.stat_progress_training WHERE job = {job}), 0) >= {step}"
    );
    crate::wait::eventually("the training gets on", || ask(session, &query));
}

/// A training that no test waits for: on a quick machine it takes minutes, and somebody has to stop it.
pub fn long() -> Value {
    json!({"num_train_epochs": 1000, "per_device_train_batch_size": 2})
}
