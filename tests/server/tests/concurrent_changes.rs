//! Changes of models and trainings at the same time: none leaves half of something, and a snapshot that is too old fails with
//! SQLSTATE 40001.

use std::thread;
use std::time::Duration;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import, import_statement, place_model};
use ecommerce_ml_server_tests::jobs::{long, prepare, submit};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class";

/// Rows that belong to nothing.
const ORPHANS: &str = "SELECT concat_ws(' ',
    (SELECT count(*) FROM ecommerce_ml.stored_version v WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_model m WHERE m.name = v.name)),
    (SELECT count(*) FROM ecommerce_ml.stored_version v WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_content c WHERE c.sha256 = v.content)),
    (SELECT count(*) FROM ecommerce_ml.stored_part p WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_content c WHERE c.sha256 = p.content)),
    (SELECT count(*) FROM ecommerce_ml.stored_part p WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_chunk h WHERE h.sha256 = p.chunk)),
    (SELECT count(*) FROM ecommerce_ml.stored_chunk h WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_part p WHERE p.chunk = h.sha256)),
    (SELECT count(*) FROM ecommerce_ml.stored_deployment d WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_version v WHERE v.name = d.name AND v.version = d.version)),
    (SELECT count(*) FROM ecommerce_ml.stored_checkpoint c WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_job j WHERE j.job = c.job)),
    (SELECT count(*) FROM ecommerce_ml.stored_epoch e WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_job j WHERE j.job = e.job)),
    (SELECT count(*) FROM ecommerce_ml.stored_job_seen s WHERE NOT EXISTS (SELECT FROM ecommerce_ml.stored_job j WHERE j.job = s.job)))";
const NONE: &str = "0 0 0 0 0 0 0 0 0";

fn is_waiting(session: &mut Client) -> bool {
    ask(session, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
}

/// Runs a statement in another session, which has to wait, and returns what became of it once `then` has been run here.
fn while_waiting(
    cluster: &Cluster,
    session: &mut Client,
    statement: &str,
    then: &str,
) -> Result<(), postgres::Error> {
    let mut other = cluster.session();
    let statement = statement.to_owned();
    let other = thread::spawn(move || other.batch_execute(&statement));
    let mut watch = cluster.session();
    eventually("the other session waits", || is_waiting(&mut watch));
    run(session, then);
    other.join().expect("the other session doesn't panic")
}

#[test]
fn content_that_another_model_has_stays() {
    let cluster = Cluster::new();
    let folder = place_model(&cluster, CLASSIFIER, "shop");
    let (mut one, mut other) = (cluster.session(), cluster.session());
    import(&mut one, "a", &folder);
    // An import that isn't committed has the content of a model that is dropped.
    run(&mut one, &format!("BEGIN; {}", import_statement("b", &folder)));
    run(&mut other, "SELECT ecommerce_ml.drop_model('a')");
    run(&mut one, "COMMIT");
    let _: String = ask(&mut other, "SELECT ecommerce_ml.predict_class('good', 'b')");
    assert_eq!(ask::<String>(&mut one, ORPHANS), NONE);
    // The other way round.
    run(&mut one, "BEGIN; SELECT ecommerce_ml.drop_model('b')");
    while_waiting(&cluster, &mut one, &import_statement("c", &folder), "COMMIT").expect("the import goes on");
    assert_eq!(ask::<String>(&mut one, ORPHANS), NONE);
    let export = format!("SELECT ecommerce_ml.export_model('c', '{}')", cluster.folder("export").display());
    run(&mut one, &export);
    // A snapshot that doesn't have the version yet.
    run(&mut one, SNAPSHOT);
    run(&mut other, &import_statement("d", &folder));
    run(&mut one, "SELECT ecommerce_ml.drop_model('c'); COMMIT");
    assert_eq!(ask::<String>(&mut one, ORPHANS), NONE);
    let _: String = ask(&mut one, "SELECT ecommerce_ml.predict_class('good', 'd')");
    run(&mut one, "SELECT ecommerce_ml.drop_model('d')");
    assert_eq!(ask::<i64>(&mut one, "SELECT count(*) FROM ecommerce_ml.stored_chunk"), 0);
}

/// Imports the model with other labels: other content, most of whose chunks are the same.
fn import_relabelled(name: &str, folder: &std::path::Path) -> String {
    let options = r#"{"labels": ["x", "y", "z"]}"#;
    format!("SELECT ecommerce_ml.import_model('{name}', 'file://{}', '{options}')", folder.display())
}

#[test]
fn chunks_that_other_content_has_stay() {
    let cluster = Cluster::new();
    let folder = place_model(&cluster, CLASSIFIER, "shop");
    let (mut one, mut other) = (cluster.session(), cluster.session());
    let shared = "SELECT count(*) > 1 FROM ecommerce_ml.stored_part p JOIN ecommerce_ml.stored_part o
                  ON o.chunk = p.chunk AND o.content < p.content";
    let answers = |session: &mut Client, model: &str| {
        let _: String = ask(session, &format!("SELECT ecommerce_ml.predict_class('good', '{model}')"));
        let export = cluster.folder(&format!("export-{model}"));
        run(session, &format!("SELECT ecommerce_ml.export_model('{model}', '{}')", export.display()));
        std::fs::remove_dir_all(export).expect("the test may remove what it made");
        assert_eq!(ask::<String>(session, ORPHANS), NONE, "{model}");
    };
    import(&mut one, "a", &folder);
    // An import that isn't committed has chunks of a model that is dropped.
    run(&mut one, &format!("BEGIN; {}", import_relabelled("b", &folder)));
    assert!(ask::<bool>(&mut one, shared));
    run(&mut other, "SELECT ecommerce_ml.drop_model('a')");
    run(&mut one, "COMMIT");
    answers(&mut other, "b");
    // The other way round.
    run(&mut one, "BEGIN; SELECT ecommerce_ml.drop_model('b')");
    while_waiting(&cluster, &mut one, &import_statement("c", &folder), "COMMIT").expect("the import goes on");
    answers(&mut other, "c");
    // A drop that doesn't happen.
    run(&mut one, "BEGIN; SELECT ecommerce_ml.drop_model('c')");
    while_waiting(&cluster, &mut one, &import_relabelled("d", &folder), "ROLLBACK")
        .expect("the import goes on");
    answers(&mut other, "d");
    run(&mut one, "SELECT ecommerce_ml.drop_model('c')");
    answers(&mut other, "d");
    // An import that doesn't happen leaves chunks that it has kept from a drop to the next one.
    run(&mut one, &format!("BEGIN; {}", import_statement("e", &folder)));
    run(&mut other, "SELECT ecommerce_ml.drop_model('d')");
    run(&mut one, "ROLLBACK");
    import(&mut one, "f", &folder);
    // A snapshot that doesn't have the other content yet.
    run(&mut one, SNAPSHOT);
    run(&mut other, &import_relabelled("g", &folder));
    run(&mut one, "SELECT ecommerce_ml.drop_model('f'); COMMIT");
    answers(&mut other, "g");
    // Two that store the same at the same time.
    run(&mut one, &format!("BEGIN; SELECT ecommerce_ml.drop_model('g'); {}", import_statement("h", &folder)));
    while_waiting(&cluster, &mut one, &import_relabelled("i", &folder), "COMMIT")
        .expect("the import goes on");
    answers(&mut other, "h");
    answers(&mut other, "i");
    run(&mut one, "SELECT ecommerce_ml.drop_model('h'), ecommerce_ml.drop_model('i')");
    assert_eq!(ask::<i64>(&mut one, "SELECT count(*) FROM ecommerce_ml.stored_chunk"), 0);
    assert_eq!(ask::<i64>(&mut one, "SELECT count(*) FROM ecommerce_ml.stored_part"), 0);
}

#[test]
fn a_version_of_a_model_that_is_dropped_is_the_first_of_a_new_one() {
    let cluster = Cluster::new();
    let folder = place_model(&cluster, CLASSIFIER, "shop");
    let mut session = cluster.session();
    import(&mut session, "shop", &folder);
    run(&mut session, "BEGIN; SELECT ecommerce_ml.drop_model('shop')");
    while_waiting(&cluster, &mut session, &import_statement("shop", &folder), "COMMIT")
        .expect("the import goes on");
    assert_eq!(ask::<String>(&mut session, ORPHANS), NONE);
    let versions =
        "SELECT string_agg(version::text, ' ') FROM ecommerce_ml.model_versions WHERE name = 'shop'";
    assert_eq!(ask::<String>(&mut session, versions), "1");
}

#[test]
fn an_old_snapshot_is_a_serialization_failure() {
    let cluster = Cluster::new();
    let folder = place_model(&cluster, CLASSIFIER, "shop");
    let (mut one, mut other) = (cluster.session(), cluster.session());
    run(&mut one, "CREATE ROLE analyst; CREATE ROLE reader");
    let again = import_statement("shop", &folder);
    import(&mut one, "shop", &folder);
    import(&mut one, "shop", &folder);
    for (first, second) in [
        (&*again, &*again),
        (&*import_statement("fresh", &folder), &*import_statement("fresh", &folder)),
        ("SELECT ecommerce_ml.deploy_model('shop', 2)", "SELECT ecommerce_ml.deploy_model('shop', 3)"),
        (
            "SELECT ecommerce_ml.grant_model('shop', 'analyst')",
            "SELECT ecommerce_ml.grant_model('shop', 'reader')",
        ),
        ("SELECT ecommerce_ml.pin_model('shop', true)", "SELECT ecommerce_ml.pin_model('shop', true)"),
        ("SELECT ecommerce_ml.pin_model('reviews', true)", "SELECT ecommerce_ml.pin_model('reviews', true)"),
        ("SELECT ecommerce_ml.rollback_model('shop')", "SELECT ecommerce_ml.rollback_model('shop')"),
        (&*again, "SELECT ecommerce_ml.drop_model('shop')"),
        ("SELECT ecommerce_ml.drop_model('shop')", &*again),
        ("SELECT ecommerce_ml.drop_model('fresh')", "SELECT ecommerce_ml.drop_model('fresh')"),
    ] {
        run(&mut one, SNAPSHOT);
        run(&mut other, first);
        fails_with(&mut one, second, "40001");
        run(&mut one, "ROLLBACK");
        assert_eq!(ask::<String>(&mut one, ORPHANS), NONE, "{first}; {second}");
    }
}

#[test]
fn a_job_that_is_dropped_while_it_keeps_a_checkpoint_leaves_nothing() {
    let cluster = Cluster::with_settings(&[
        "ecommerce_ml.precision = 'f32'",
        "ecommerce_ml.training_checkpoint_interval = 1",
    ]);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 200);
    let job = submit(&mut session, "shop", long());
    eventually("there is a checkpoint", || {
        ask(&mut session, "SELECT count(*) > 0 FROM ecommerce_ml.stored_checkpoint")
    });
    // The worker has locked the job, and comes no further.
    let mut holder = cluster.session();
    run(&mut holder, "BEGIN; LOCK TABLE ecommerce_ml.stored_checkpoint IN SHARE MODE");
    eventually("the worker waits", || is_waiting(&mut session));
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    let mut dropper = cluster.session();
    let drop_job =
        thread::spawn(move || dropper.batch_execute(&format!("SELECT ecommerce_ml.drop_job({job})")));
    thread::sleep(Duration::from_millis(300));
    run(&mut holder, "COMMIT");
    drop_job.join().expect("the session doesn't panic").expect("the job is dropped");
    eventually("the worker has ended", || cluster.job_workers().is_empty());
    assert_eq!(ask::<String>(&mut session, ORPHANS), NONE);
    assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.jobs"), 0);
}
