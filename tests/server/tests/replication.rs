//! Logical replication: the extension's tables hinder no publication, and with the extension on both sides models arrive.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference, place_model};
use ecommerce_ml_server_tests::jobs::{prepare, submit, succeed};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};
use serde_json::json;

// Other tests keep the processors busy, and a worker of kept columns would give way.
const SETTINGS: [&str; 3] =
    ["wal_level = logical", "ecommerce_ml.precision = 'f32'", "ecommerce_ml.refresh_min_share = 100"];
const ASKED: &str = "SELECT ecommerce_ml.predict_probabilities('not what I expected', 'shop')::text";

/// Lets a cluster follow what another publishes.
fn subscribe(subscriber: &Cluster, publisher: &Cluster) {
    let folder = publisher.data().parent().expect("a data directory lies in a folder").display().to_string();
    let statement = format!(
        "CREATE SUBSCRIPTION everything CONNECTION 'host={folder} user=postgres dbname=postgres' PUBLICATION everything"
    );
    run(&mut subscriber.session(), &statement);
}

#[test]
fn a_publication_of_all_tables_hinders_nothing() {
    let cluster = Cluster::with_settings(&SETTINGS);
    let mut session = cluster.session();
    prepare(&cluster, &mut session, 60);
    run(&mut session, "CREATE PUBLICATION everything FOR ALL TABLES");
    let without = "SELECT string_agg(c.oid::regclass::text, ', ') FROM pg_class c
                   WHERE relnamespace = 'ecommerce_ml'::regnamespace AND relkind = 'r'
                     AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)";
    assert_eq!(ask::<Option<String>>(&mut session, without), None);
    let schedule =
        "SELECT ecommerce_ml.schedule_training('shop', NULL, 'labelled', 'body', 'label', base => 'tiny')";
    run(&mut session, schedule);
    for _ in 0..2 {
        let job = submit(&mut session, "shop", json!({"num_train_epochs": 1, "deploy": "always"}));
        succeed(&mut session, job);
    }
    run(
        &mut session,
        "SELECT ecommerce_ml.run_scheduled_training('shop');
         SELECT ecommerce_ml.rollback_model('shop'), ecommerce_ml.drop_model('shop', 2), ecommerce_ml.pin_model('shop', true),
                ecommerce_ml.pin_model('shop', false), ecommerce_ml.grant_model('shop', 'public'),
                ecommerce_ml.revoke_model('shop', 'public'), ecommerce_ml.unschedule_training('shop');
         SELECT ecommerce_ml.drop_model('shop'), ecommerce_ml.drop_job(1)",
    );
}

#[test]
fn models_arrive_where_the_extension_is_too() {
    let publisher = Cluster::with_settings(&SETTINGS);
    let mut session = publisher.session();
    run(&mut session, "CREATE ROLE analyst LOGIN; CREATE ROLE unknown");
    import_reference(&publisher, &mut session, "shop", CLASSIFIER);
    run(
        &mut session,
        "CREATE TABLE reviews (body text PRIMARY KEY); CREATE PUBLICATION everything FOR ALL TABLES",
    );
    run(&mut session, "SELECT ecommerce_ml.pin_model('reviews', true)");
    let subscriber = Cluster::with_settings(&SETTINGS);
    let mut there = subscriber.session();
    run(
        &mut there,
        "CREATE ROLE filler; CREATE ROLE analyst LOGIN; CREATE TABLE reviews (body text PRIMARY KEY)",
    );
    subscribe(&subscriber, &publisher);
    eventually("all tables have been copied", || {
        ask(&mut there, "SELECT count(*) > 10 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel")
    });
    assert_eq!(ask::<String>(&mut there, ASKED), ask::<String>(&mut session, ASKED));
    assert_eq!(ask::<i64>(&mut there, "SELECT count(*) FROM ecommerce_ml.stored_pin"), 1);

    // A session that has asked hears of what comes later.
    let mut analyst = subscriber.session_as("analyst", "postgres");
    fails_with(&mut analyst, ASKED, "42501");
    run(
        &mut session,
        "SELECT ecommerce_ml.grant_model('shop', 'unknown'), ecommerce_ml.grant_model('shop', 'analyst')",
    );
    eventually("the grant has arrived", || analyst.query_one(ASKED, &[]).is_ok());
    fails_with(&mut there, "DROP ROLE analyst", "2BP01");
    let folder = place_model(&publisher, CLASSIFIER, "relabelled");
    let import = format!(
        "SELECT ecommerce_ml.import_model('shop', 'file://{}', '{{\"labels\": [\"x\", \"y\", \"z\"], \"deploy\": true}}')",
        folder.display()
    );
    assert_eq!(ask::<i32>(&mut session, &import), 2);
    let expected: String = ask(&mut session, ASKED);
    eventually("the deployment has arrived", || ask::<String>(&mut analyst, ASKED) == expected);

    // Jobs are the publisher's.
    prepare(&publisher, &mut session, 60);
    run(
        &mut there,
        "CREATE TABLE labelled (id int PRIMARY KEY, body text, label text, liked boolean, stars numeric, price float8)",
    );
    let job = submit(&mut session, "trained", json!({"num_train_epochs": 1, "deploy": "always"}));
    succeed(&mut session, job);
    let arrived = "SELECT count(*) = 1 FROM ecommerce_ml.jobs WHERE state = 'succeeded'";
    eventually("the training has arrived", || ask(&mut there, arrived));
    assert!(subscriber.job_workers().is_empty());
    let _: String = ask(&mut there, "SELECT ecommerce_ml.predict_class('fine', 'trained')");
    run(&mut session, "SELECT ecommerce_ml.drop_job(1), ecommerce_ml.drop_model('shop')");
    eventually("the drop has arrived", || there.query_one(ASKED, &[]).is_err());
    let parts = "SELECT (SELECT count(*) FROM ecommerce_ml.stored_part) * 1000
                 + (SELECT count(*) FROM ecommerce_ml.stored_chunk)";
    let kept: i64 = ask(&mut session, parts);
    eventually("chunks that nothing has any more go there too", || ask::<i64>(&mut there, parts) == kept);
    eventually("all of it", || ask(&mut there, "SELECT count(*) = 0 FROM ecommerce_ml.stored_epoch"));
}

#[test]
fn what_a_subscription_applies_is_scored() {
    let publisher = Cluster::without_extension(&SETTINGS);
    let mut session = publisher.session();
    run(&mut session, "CREATE TABLE review (id int PRIMARY KEY, body text, mood text)");
    run(&mut session, "CREATE PUBLICATION everything FOR TABLE review");
    let subscriber = Cluster::with_settings(&SETTINGS);
    let mut there = subscriber.session();
    run(
        &mut there,
        "CREATE TABLE review (id int PRIMARY KEY, body text, mood text);
         CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             NEW.mood := ecommerce_ml.predict_sentiment(CASE WHEN octet_length(NEW.body) <= 4194304 THEN NEW.body END);
             RETURN NEW;
         END $$;
         CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON review FOR EACH ROW EXECUTE FUNCTION judge();
         ALTER TABLE review ENABLE ALWAYS TRIGGER judge;
         SELECT ecommerce_ml.keep_column('review', 'stars', 'ecommerce_ml.predict_rating(left(body, 1000))')",
    );
    subscribe(&subscriber, &publisher);
    run(
        &mut session,
        "INSERT INTO review VALUES (1, 'I love it, great!'), (2, repeat('lovely ', 700000)), (3, 'Awful, broken, terrible.')",
    );
    let moods = "SELECT coalesce(string_agg(coalesce(mood, '-'), ' ' ORDER BY id), '') FROM review";
    eventually("all rows have arrived", || ask::<String>(&mut there, moods) == "positive - negative");
    // A column that the subscriber keeps is scored there, for what is applied first and what follows.
    let stale = "SELECT count(*) FROM review
                 WHERE stars IS DISTINCT FROM ecommerce_ml.predict_rating(left(body, 1000)) OR stars_model IS DISTINCT FROM 'reviews@1'";
    eventually("rows that came are fresh", || ask::<i64>(&mut there, stale) == 0);
    run(
        &mut session,
        "BEGIN; INSERT INTO review SELECT i, 'Works as it should, order ' || i FROM generate_series(10, 200) AS i;
         UPDATE review SET body = 'I changed my mind: it is fine.' WHERE id = 3; DELETE FROM review WHERE id = 11; COMMIT",
    );
    eventually("what was changed has arrived", || {
        ask::<i64>(&mut there, "SELECT count(*) FROM review") == 193
    });
    eventually("changes are scored again", || ask::<i64>(&mut there, stale) == 0);
    let fresh: String =
        ask(&mut there, "SELECT concat_ws(' ', rows, fresh, last_error) FROM ecommerce_ml.kept_columns");
    assert_eq!(fresh, "193 193");
}
