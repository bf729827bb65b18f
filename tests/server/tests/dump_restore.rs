//! pg_dump carries the models.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference, place_model};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

const ROLES: &str = "CREATE ROLE analyst LOGIN; CREATE ROLE owner LOGIN; GRANT pg_read_server_files TO owner";

fn answers(session: &mut Client) -> Vec<String> {
    ["shop", "shop@1", "shop@2", "reviews"]
        .map(|model| {
            let query =
                "SELECT ecommerce_ml.predict_probabilities(ARRAY['good', 'not what I expected'], '%')::text";
            ask(session, &query.replace('%', model))
        })
        .to_vec()
}

#[test]
fn a_restored_database_gives_the_same_answers() {
    let source = Cluster::new();
    run(&mut source.session(), ROLES);
    let mut owner = source.session_as("owner", "postgres");
    import_reference(&source, &mut owner, "shop", CLASSIFIER);
    let folder = place_model(&source, CLASSIFIER, "relabelled");
    let import = format!(
        "SELECT ecommerce_ml.import_model('shop', 'file://{}', '{{\"labels\": [\"x\", \"y\", \"z\"], \"deploy\": true}}')",
        folder.display()
    );
    assert_eq!(ask::<i32>(&mut owner, &import), 2);
    run(
        &mut owner,
        "SELECT ecommerce_ml.grant_model('shop', 'analyst'), ecommerce_ml.pin_model('shop', true)",
    );
    run(&mut source.session(), "CREATE TABLE reviews AS SELECT 'fine'::text AS body");
    let before = answers(&mut owner);

    let target = Cluster::without_extension(&[]);
    // Roles get other numbers here.
    run(&mut target.session(), "CREATE ROLE filler1; CREATE ROLE filler2; CREATE ROLE filler3");
    run(&mut target.session(), ROLES);
    for (format, suffix) in [("-Fc", "dump"), ("-Fp", "sql")] {
        let file = target.folder("transfer").join(format!("shop.{suffix}"));
        let file = file.to_string_lossy();
        source.output("pg_dump", &[format, "-f", &file]);
        let database = format!("restored_{suffix}");
        run(&mut target.session(), &format!("CREATE DATABASE {database}"));
        match format {
            "-Fc" => target.output("pg_restore", &["--exit-on-error", "-d", &database, &file]),
            _ => target.output("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &database, "-f", &file]),
        };
        let mut analyst = target.session_as("analyst", &database);
        assert_eq!(answers(&mut analyst), before, "the grant came along, and so did the content");
        fails_with(&mut analyst, "SELECT ecommerce_ml.drop_model('shop')", "42501");
        let mut owner = target.session_as("owner", &database);
        assert_eq!(ask::<i32>(&mut owner, "SELECT ecommerce_ml.rollback_model('shop')"), 1);
    }
}

#[test]
fn a_dump_of_the_plain_extension_restores_twice() {
    let source = Cluster::new();
    let target = Cluster::without_extension(&[]);
    let file = target.folder("transfer").join("plain.sql");
    let file = file.to_string_lossy();
    source.output("pg_dump", &["-f", &file]);
    for database in ["one", "two"] {
        run(&mut target.session(), &format!("CREATE DATABASE {database}"));
        target.output("psql", &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", &file]);
        let mut session = target.session_in(database);
        assert_eq!(ask::<i64>(&mut session, "SELECT count(*) FROM ecommerce_ml.models"), 3);
        let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('fine')");
    }
}
