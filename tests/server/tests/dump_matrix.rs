//! However a database is dumped and restored, its models, trainings, schedules and grants are there, or what is missing is
//! what was left out.

use ecommerce_ml_server_tests::jobs::{long, prepare, said, submit, succeed, wait};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use postgres::Client;
use serde_json::json;

const ROLES: &str = "CREATE ROLE owner LOGIN; CREATE ROLE analyst LOGIN";

/// All that is kept, and what models answer.
const STATE: &str = "SELECT concat_ws('; ',
    (SELECT string_agg(concat_ws(' ', name, live_version, owner_name, owner), ', ' ORDER BY name) FROM ecommerce_ml.models),
    (SELECT string_agg(concat_ws(' ', name, grantee), ', ' ORDER BY name, grantee::text) FROM ecommerce_ml.stored_grant),
    (SELECT string_agg(concat_ws(' ', name, version), ', ' ORDER BY name) FROM ecommerce_ml.stored_pin),
    (SELECT string_agg(concat_ws(' ', job, name, state, relation, owner_name), ', ' ORDER BY job) FROM ecommerce_ml.jobs),
    (SELECT count(*) FROM ecommerce_ml.job_metrics),
    (SELECT md5(string_agg(concat_ws(' ', encode(content, 'hex'), file, part, encode(chunk, 'hex')), ','
                           ORDER BY content, file, part)) FROM ecommerce_ml.stored_part),
    (SELECT concat_ws(' ', count(*), bool_and(sha256 = sha256(data))) FROM ecommerce_ml.stored_chunk),
    (SELECT string_agg(md5(data), ' ' ORDER BY chunk) FROM ecommerce_ml.stored_checkpoint),
    (SELECT string_agg(md5(data), ' ' ORDER BY chunk) FROM ecommerce_ml.stored_job_seen),
    (SELECT string_agg(concat_ws(' ', name, version, md5(data)), ' ' ORDER BY name, chunk) FROM ecommerce_ml.stored_seen),
    (SELECT string_agg(concat_ws(' ', name, relation_name, owner_name), ', ') FROM ecommerce_ml.training_schedules),
    (SELECT nextval('ecommerce_ml.stored_job_number') > max(job) FROM ecommerce_ml.jobs),
    (SELECT string_agg(ecommerce_ml.predict_probabilities('not what I expected', model)::text, ' ')
     FROM unnest('{tiny,tiny@1,trained,reviews}'::text[]) AS model))";

/// A cluster with two models of role `owner`, one of them trained, a grant, a pin, a schedule, and a job that was cancelled after a checkpoint.
fn source() -> (Cluster, String) {
    let cluster = Cluster::with_settings(&[
        "ecommerce_ml.precision = 'f32'",
        "ecommerce_ml.training_checkpoint_interval = 1",
    ]);
    let mut session = cluster.session();
    run(&mut session, ROLES);
    run(&mut session, "GRANT pg_read_server_files TO owner; GRANT CREATE ON SCHEMA public TO owner");
    let mut owner = cluster.session_as("owner", "postgres");
    prepare(&cluster, &mut owner, 200);
    run(
        &mut owner,
        "SELECT ecommerce_ml.grant_model('tiny', 'analyst'), ecommerce_ml.pin_model('tiny', true);
         SELECT ecommerce_ml.schedule_training('shop', NULL, 'labelled', 'body', 'label', base => 'tiny')",
    );
    run(&mut session, "SELECT ecommerce_ml.pin_model('reviews', true)");
    let job = submit(&mut owner, "trained", json!({"num_train_epochs": 3}));
    succeed(&mut owner, job);
    let job = submit(&mut owner, "shop", long());
    let kept = "SELECT count(*) > 0 FROM ecommerce_ml.stored_checkpoint";
    eventually("there is a checkpoint", || ask(&mut session, kept));
    run(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job})"));
    assert_eq!(wait(&mut owner, job), "cancelled");
    eventually("the training has ended", || {
        cluster.trainers().is_empty() && cluster.job_workers().is_empty()
    });
    let state = ask(&mut session, STATE);
    (cluster, state)
}

fn dump(cluster: &Cluster, name: &str, options: &[&str]) -> String {
    let file = cluster.folder("transfer").join(name).display().to_string();
    cluster.output("pg_dump", &[options, &["-f", &file]].concat());
    file
}

fn fresh(cluster: &Cluster, session: &mut Client, with_extension: bool) -> String {
    let database: String = ask(session, "SELECT 'd' || replace(gen_random_uuid()::text, '-', '')");
    run(session, &format!("CREATE DATABASE {database}"));
    if with_extension {
        run(&mut cluster.session_in(&database), "CREATE EXTENSION ecommerce_ml");
    }
    database
}

fn restore(cluster: &Cluster, database: &str, file: &str, options: &[&str]) {
    cluster.output("pg_restore", &[&["--exit-on-error", "-d", database], options, &[file]].concat());
}

#[test]
fn every_way_restores_everything() {
    let (cluster, state) = source();
    let mut session = cluster.session();
    for format in ["-Fc", "-Fd"] {
        let file = dump(&cluster, format, &[format]);
        let models = dump(&cluster, &format!("models{format}"), &[format, "-n", "ecommerce_ml"]);
        let data = dump(&cluster, &format!("data{format}"), &[format, "-a", "-n", "ecommerce_ml"]);
        for jobs in [&["-j", "4"][..], &[]] {
            let restored = |database: &str, how: &str| {
                let mut there = cluster.session_in(database);
                assert_eq!(ask::<String>(&mut there, STATE), state, "{format} {jobs:?} {how}");
            };
            let database = fresh(&cluster, &mut session, false);
            restore(&cluster, &database, &file, jobs);
            restored(&database, "plain");
            fails_with(&mut cluster.session_in(&database), "DROP ROLE owner", "2BP01");
            restore(&cluster, &database, &file, &[jobs, &["--clean", "--if-exists"]].concat());
            restored(&database, "--clean");
            run(&mut session, &format!("DROP DATABASE {database} (FORCE)"));

            let database = fresh(&cluster, &mut session, false);
            restore(&cluster, &database, &file, &[jobs, &["--no-owner", "--no-privileges"]].concat());
            restored(&database, "--no-owner");
            run(&mut session, &format!("DROP DATABASE {database} (FORCE)"));

            for archive in [&models, &data] {
                let database = fresh(&cluster, &mut session, true);
                restore(&cluster, &database, archive, &[jobs, &["-a"]].concat());
                restored(&database, "-a");
                run(&mut session, &format!("DROP DATABASE {database} (FORCE)"));
            }
        }
        let database = fresh(&cluster, &mut session, false);
        restore(&cluster, &database, &file, &["-1"]);
        assert_eq!(ask::<String>(&mut cluster.session_in(&database), STATE), state, "{format} -1");
        run(&mut session, &format!("DROP DATABASE {database} (FORCE)"));
    }
    // What is in no schema of the extension comes without it.
    let file = dump(&cluster, "public", &["-Fc", "-n", "public"]);
    let database = fresh(&cluster, &mut session, true);
    restore(&cluster, &database, &file, &["--clean", "--if-exists"]);
    let mut there = cluster.session_in(&database);
    assert_eq!(ask::<i64>(&mut there, "SELECT count(*) FROM labelled"), 200);
    assert_eq!(ask::<i64>(&mut there, "SELECT count(*) FROM ecommerce_ml.models"), 3);
}

#[test]
fn a_job_that_was_restored_goes_on_when_it_is_resumed() {
    let (cluster, _) = source();
    let file = dump(&cluster, "all", &["-Fc"]);
    let mut session = cluster.session();
    let database = fresh(&cluster, &mut session, false);
    restore(&cluster, &database, &file, &["-j", "4"]);
    let mut owner = cluster.session_as("owner", &database);
    run(&mut owner, "SELECT ecommerce_ml.resume_job(2)");
    eventually("the job runs", || {
        ask(&mut owner, "SELECT count(*) > 0 FROM ecommerce_ml.stat_progress_training WHERE step > 0")
    });
    run(&mut owner, "SELECT ecommerce_ml.cancel_job(2), ecommerce_ml.run_scheduled_training('shop')");
    assert!(ask::<i64>(&mut owner, "SELECT max(job) FROM ecommerce_ml.jobs") > 2, "numbers go on");
}

#[test]
fn what_is_missing_costs_what_named_it() {
    let (cluster, state) = source();
    let file = dump(&cluster, "all", &["-Fd", "-T", "labelled"]);
    let target = Cluster::without_extension(&["ecommerce_ml.precision = 'f32'"]);
    let mut session = target.session();
    // Other roles have the numbers of those that are missing.
    run(&mut session, "CREATE ROLE one LOGIN; CREATE ROLE two LOGIN; CREATE ROLE three LOGIN");
    let database = fresh(&target, &mut session, false);
    restore(&target, &database, &file, &["-j", "4", "--no-owner", "--no-privileges"]);
    let mut there = target.session_in(&database);
    let missing = state.replace(" 1 owner owner", " 1 owner");
    assert_eq!(ask::<String>(&mut there, STATE), missing);
    let asked = "SELECT ecommerce_ml.predict_class('fine', 'tiny')";
    for role in ["one", "two", "three"] {
        fails_with(&mut target.session_as(role, &database), asked, "42501");
    }
    let refused = fails_with(&mut there, "SELECT ecommerce_ml.run_scheduled_training('shop')", "42704");
    assert_eq!(refused.message(), "role \"owner\" does not exist");
    run(&mut there, "SELECT ecommerce_ml.resume_job(2)");
    assert_eq!(wait(&mut there, 2), "failed");
    let failed = said(&mut there, 2);
    assert!(failed.starts_with("failed; 42704; role \"owner\" does not exist"), "{failed}");
    // Once there are roles of these names, they are meant.
    run(&mut session, ROLES);
    let _: String = ask(&mut target.session_as("analyst", &database), asked);
    let mut owner = target.session_as("owner", &database);
    fails_with(&mut owner, "SELECT ecommerce_ml.run_scheduled_training('shop')", "42P01");
    run(&mut owner, "SELECT ecommerce_ml.unschedule_training('shop'), ecommerce_ml.drop_model('tiny')");
    run(&mut owner, "SELECT ecommerce_ml.drop_job(1), ecommerce_ml.drop_job(2)");
}

#[test]
fn the_owner_of_a_database_dumps_it() {
    let cluster = Cluster::without_extension(&[]);
    let mut session = cluster.session();
    run(&mut session, "CREATE ROLE keeper LOGIN; CREATE ROLE stranger LOGIN");
    run(&mut session, "CREATE DATABASE kept OWNER keeper");
    let mut there = cluster.session_in("kept");
    run(&mut there, "CREATE EXTENSION ecommerce_ml");
    prepare(&cluster, &mut there, 10);
    run(&mut there, "ALTER TABLE labelled OWNER TO keeper");
    let file = dump(&cluster, "kept", &["-Fc", "-U", "keeper", "-d", "kept"]);
    let database = fresh(&cluster, &mut session, false);
    restore(&cluster, &database, &file, &["-j", "4"]);
    let asked = "SELECT ecommerce_ml.predict_probabilities('fine', 'tiny')::text";
    let before: String = ask(&mut there, asked);
    assert_eq!(ask::<String>(&mut cluster.session_in(&database), asked), before);
    // It reads, and does nothing else.
    let mut keeper = cluster.session_as("keeper", "kept");
    for statement in [
        "DELETE FROM ecommerce_ml.stored_model",
        "INSERT INTO ecommerce_ml.stored_grant VALUES ('tiny', 1, 'keeper')",
        "UPDATE ecommerce_ml.stored_version SET name = 'mine'",
        "SELECT nextval('ecommerce_ml.stored_job_number')",
    ] {
        fails_with(&mut keeper, statement, "42501");
    }
    fails_with(
        &mut cluster.session_as("stranger", "kept"),
        "SELECT * FROM ecommerce_ml.stored_model",
        "42501",
    );
}
