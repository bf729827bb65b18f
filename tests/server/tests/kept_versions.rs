//! Versions of one encoder store it once.

use ecommerce_ml_server_tests::jobs::succeed;
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask};
use postgres::Client;

const BYTES: &str = "SELECT coalesce(sum(octet_length(data)), 0)::bigint FROM ecommerce_ml.stored_chunk";

/// What all content would take by itself.
const UNSHARED: &str = "SELECT sum(size)::bigint FROM ecommerce_ml.stored_content";

/// Trains a head on a base, and returns how many bytes that added.
fn tune(session: &mut Client, base: &str, seed: u32) -> i64 {
    let before: i64 = ask(session, BYTES);
    let call = format!(
        "SELECT ecommerce_ml.train_model('mine', 'labelled', 'body', 'label', base => '{base}',
             options => '{{\"tuning\": \"head\", \"num_train_epochs\": 1, \"deploy\": \"always\", \"seed\": {seed}}}')"
    );
    let job = ask(session, &call);
    succeed(session, job);
    ask::<i64>(session, BYTES) - before
}

#[test]
fn versions_of_one_encoder_store_it_once() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE labelled AS
         SELECT CASE WHEN i % 2 = 0 THEN 'great ' ELSE 'awful ' END || i AS body,
                CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END AS label
         FROM generate_series(1, 40) AS i",
    );
    let first = tune(&mut session, "reviews", 1);
    assert!(
        first > 20 << 20,
        "the built-in model's own files lie beside the library, not in tables: {first}"
    );
    for (base, seed) in [("reviews", 2), ("mine", 3)] {
        let more = tune(&mut session, base, seed);
        assert!((1..400_000).contains(&more), "{base}: {more}");
    }
    // The same encoder as it is imported, in a file that was written by others.
    let folder = cluster.folder("export").display().to_string();
    run(&mut session, &format!("SELECT ecommerce_ml.export_model('reviews', '{folder}')"));
    let before: i64 = ask(&mut session, BYTES);
    run(&mut session, &format!("SELECT ecommerce_ml.import_model('shop', 'file://{folder}')"));
    let imported = ask::<i64>(&mut session, BYTES) - before;
    assert!(imported < 400_000, "{imported}");
    let more = tune(&mut session, "shop", 4);
    assert!((1..400_000).contains(&more), "{more}");
    assert!(ask::<i64>(&mut session, UNSHARED) > 4 * ask::<i64>(&mut session, BYTES));
    let told: i64 = ask(&mut session, "SELECT size FROM ecommerce_ml.model_versions WHERE name = 'shop'");
    assert!(told > 20 << 20, "the view says how large the files are");
    // What is read is what was stored.
    cluster.restart();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('great', 'mine@2')");
    run(&mut session, "SELECT ecommerce_ml.drop_model('mine')");
    let answers = "SELECT ecommerce_ml.predict_probabilities('great', model)::text
                   FROM unnest('{reviews,shop}'::text[]) AS model";
    let said = session.query(answers, &[]).expect("both answer");
    assert_eq!(said[0].get::<_, String>(0), said[1].get::<_, String>(0));
    run(&mut session, "SELECT ecommerce_ml.drop_model('shop')");
    assert_eq!(ask::<i64>(&mut session, BYTES), 0);
}
