//! Settings in sessions that have loaded the library, and in those that haven't: what the manual says of them.

use ecommerce_ml_server_tests::statement::{run, server_major};
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};

const SHOW: &str = "SHOW ecommerce_ml.default_model";
const SYSTEM: &str = "ALTER SYSTEM SET ecommerce_ml.result_cache_size = '64MB'";
const ROLE: &str = "ALTER ROLE analyst SET ecommerce_ml.default_model = 'reviews@1'";

#[test]
fn a_session_knows_the_settings_once_it_has_the_library() {
    let cluster = Cluster::new();
    run(&mut cluster.session(), "CREATE ROLE analyst LOGIN");
    // From PostgreSQL 17 on a superuser may ALTER SYSTEM what no library has defined yet.
    let lenient = server_major(&mut cluster.session()) >= 17;
    for statement in [SHOW, SYSTEM] {
        if lenient && statement == SYSTEM {
            run(&mut cluster.session(), statement);
        } else {
            fails_with(&mut cluster.session(), statement, "42704");
        }
        for loads in ["LOAD 'ecommerce_ml'", "SELECT ecommerce_ml.token_count('')"] {
            let mut session = cluster.session();
            run(&mut session, loads);
            run(&mut session, statement);
        }
    }
    // Ordinary roles may not LOAD, but call.
    let mut analyst = cluster.session_as("analyst", "postgres");
    fails_with(&mut analyst, "LOAD 'ecommerce_ml'", "42501");
    run(&mut analyst, "SELECT ecommerce_ml.token_count('')");
    run(&mut analyst, ROLE);
    assert_eq!(ask::<String>(&mut analyst, SHOW), "reviews");
    run(&mut cluster.session_as("analyst", "postgres"), "SELECT ecommerce_ml.token_count('')");
}

#[test]
fn a_preloaded_library_makes_them_known_to_all() {
    for setting in ["session_preload_libraries", "shared_preload_libraries"] {
        let cluster = Cluster::with_settings(&[&format!("{setting} = 'ecommerce_ml'")]);
        run(&mut cluster.session(), "CREATE ROLE analyst LOGIN");
        run(&mut cluster.session(), SYSTEM);
        run(&mut cluster.session_as("analyst", "postgres"), ROLE);
        let mut analyst = cluster.session_as("analyst", "postgres");
        assert_eq!(ask::<String>(&mut analyst, SHOW), "reviews@1");
    }
}
