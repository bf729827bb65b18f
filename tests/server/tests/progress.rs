//! `progress`: a line that says where a job is, to those who may know.

use ecommerce_ml_server_tests::jobs::{long, prepare, reach, submit, succeed, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;
use serde_json::json;

fn progress(session: &mut Client, job: i64) -> String {
    let line: String = ask(session, &format!("SELECT ecommerce_ml.progress({job})"));
    assert!(line.chars().count() <= 80 && !line.contains('\n'), "{line}");
    assert!(line.starts_with('[') && line.chars().nth(21) == Some(']'), "{line}");
    line
}

#[test]
fn a_line_says_where_a_job_is_from_its_start_to_its_end() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.max_training_jobs = 1"]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 400);
    let job = submit(&mut session, "endless", long());
    let next = submit(&mut session, "waiting", json!({}));
    reach(&mut session, job, 20);
    eventually("it says how long it takes", || progress(&mut session, job).contains("  eta "));
    let line = progress(&mut session, job);
    for part in ["%  epoch ", "/1000  loss ", "/s  eta "] {
        assert!(line.contains(part), "{line}");
    }
    assert!(progress(&mut session, next).contains("  0%  queued"), "{}", progress(&mut session, next));
    // Where nothing may be written, too.
    run(&mut session, "BEGIN READ ONLY");
    assert!(progress(&mut session, job).contains("epoch"));
    run(&mut session, "COMMIT");
    assert!(ask::<bool>(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})")));
    assert_eq!(progress(&mut session, job), "[....................] cancelled  by postgres");
    succeed(&mut session, next);
    let line = progress(&mut session, next);
    assert!(line.starts_with("[####################] 100%  succeeded  waiting@1  "), "{line}");
}

#[test]
fn what_went_wrong_is_said_as_far_as_it_fits() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    run(
        &mut session,
        "CREATE FUNCTION complain() RETURNS bool LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION E'first line\\nsecond\\tline %', repeat('质量', 40); END $$",
    );
    let job = submit(&mut session, "failing", json!({"where": "complain()"}));
    assert_eq!(wait(&mut session, job), "failed");
    let line = progress(&mut session, job);
    assert!(line.starts_with("[....................] failed  first line second line 质量"), "{line}");
    assert!(line.ends_with("..."), "{line}");
    let columns: usize = line.chars().map(|letter| if letter.is_ascii() { 1 } else { 2 }).sum();
    assert!((79..=80).contains(&columns), "{columns} columns: {line}");
}

#[test]
fn a_job_without_a_worker_is_interrupted() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    let job = submit(&mut session, "endless", long());
    reach(&mut session, job, 5);
    cluster.restart();
    assert_eq!(progress(&mut cluster.session(), job), "[....................] interrupted");
}

#[test]
fn those_who_see_a_job_may_ask() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 100);
    run(
        &mut session,
        "CREATE ROLE guest LOGIN; CREATE ROLE monitor LOGIN; GRANT pg_read_all_stats TO monitor",
    );
    let job = submit(&mut session, "topics", json!({"num_train_epochs": 1}));
    succeed(&mut session, job);
    let ask_for = |job: i64| format!("SELECT ecommerce_ml.progress({job})");
    fails_with(&mut cluster.session_as("guest", "postgres"), &ask_for(job), "42501");
    assert!(progress(&mut cluster.session_as("monitor", "postgres"), job).contains("succeeded"));
    let said = fails_with(&mut session, &ask_for(-5), "42704");
    let other = fails_with(&mut session, "SELECT ecommerce_ml.cancel_job(-5)", "42704");
    assert_eq!((said.message(), said.hint()), (other.message(), other.hint()));
    assert!(ask::<bool>(&mut session, "SELECT ecommerce_ml.progress(NULL) IS NULL"));
}
