//! A streaming standby predicts, with models that were imported on its primary.

use std::fs;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, eventually, fails_with};

const QUERY: &str = "SELECT ecommerce_ml.predict_probabilities('not what I expected', 'shop')::text";

#[test]
fn a_standby_predicts_with_its_own_engine() {
    let primary = Cluster::new();
    let mut session = primary.session();
    let built_in = "SELECT ecommerce_ml.predict_probabilities('not what I expected')::text";
    let expected: String = ask(&mut session, built_in);
    // The primary's engine runs while the backup is taken.
    let standby = Cluster::standby_of(&primary);
    let copied =
        fs::read_dir(standby.data().join("pgsql_tmp_ecommerce_ml")).map(Iterator::count).unwrap_or(0);
    assert_eq!(copied, 0, "runtime files are not part of a backup");
    let mut replica = standby.session();
    assert!(ask::<bool>(&mut replica, "SELECT pg_is_in_recovery()"));
    assert_eq!(ask::<String>(&mut replica, built_in), expected);
    assert_ne!(standby.engine(), primary.engine());

    import_reference(&primary, &mut session, "shop", CLASSIFIER);
    let expected: String = ask(&mut session, QUERY);
    eventually("the model has arrived", || replica.query_one(QUERY, &[]).is_ok());
    assert_eq!(ask::<String>(&mut replica, QUERY), expected);
    fails_with(&mut replica, "SELECT ecommerce_ml.drop_model('shop')", "25006");
    run(&mut session, "SELECT ecommerce_ml.drop_model('shop')");
    eventually("the drop has arrived", || replica.query_one(QUERY, &[]).is_err());
}

#[test]
fn a_promoted_standby_goes_on() {
    let primary = Cluster::with_settings(&["shared_preload_libraries = 'ecommerce_ml'"]);
    import_reference(&primary, &mut primary.session(), "shop", CLASSIFIER);
    let expected: String = ask(&mut primary.session(), QUERY);
    let standby = Cluster::standby_of(&primary);
    let mut replica = standby.session();
    assert_eq!(ask::<String>(&mut replica, QUERY), expected);
    let engine = standby.engine();
    assert!(ask::<bool>(&mut replica, "SELECT pg_promote()"));
    assert_eq!(ask::<String>(&mut replica, QUERY), expected);
    assert_eq!(standby.engine(), engine);
    import_reference(&standby, &mut replica, "second", CLASSIFIER);
}
