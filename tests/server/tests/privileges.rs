//! Who may do what.

use ecommerce_ml_server_tests::fixtures::{
    CLASSIFIER, import, import_reference, import_statement, place_model,
};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

const USE: &str = "SELECT ecommerce_ml.predict_class('good', 'shop')";

/// A cluster with roles `analyst` and `owner`, where `owner` owns model `shop`.
fn with_roles() -> (Cluster, Client, Client) {
    let cluster = Cluster::new();
    let mut superuser = cluster.session();
    run(
        &mut superuser,
        "CREATE ROLE analyst LOGIN; CREATE ROLE owner LOGIN; GRANT pg_read_server_files TO owner",
    );
    let mut owner = cluster.session_as("owner", "postgres");
    import_reference(&cluster, &mut owner, "shop", CLASSIFIER);
    let analyst = cluster.session_as("analyst", "postgres");
    (cluster, owner, analyst)
}

#[test]
fn everyone_may_use_the_built_in_model() {
    let (_cluster, _owner, mut analyst) = with_roles();
    assert_eq!(
        ask::<String>(&mut analyst, "SELECT ecommerce_ml.predict_sentiment('I love it, great!')"),
        "positive"
    );
    assert_eq!(ask::<i32>(&mut analyst, "SELECT ecommerce_ml.token_count('one two')"), 4);
    let models: i64 = ask(&mut analyst, "SELECT count(*) FROM ecommerce_ml.models WHERE name = 'reviews'");
    assert_eq!(models, 1);
    let _: i64 = ask(&mut analyst, "SELECT count(*) FROM ecommerce_ml.stat_engine");
}

#[test]
fn a_model_is_used_by_its_owner_and_by_whom_it_is_granted_to() {
    let (cluster, mut owner, mut analyst) = with_roles();
    let _: String = ask(&mut owner, USE);
    let error = fails_with(&mut analyst, USE, "42501");
    assert!(error.hint().is_some_and(|hint| hint.contains("grant_model")), "{error:?}");
    for function in ["tokenize", "token_ids", "token_count", "predict_probabilities", "embed"] {
        fails_with(&mut analyst, &format!("SELECT ecommerce_ml.{function}('good', 'shop@1')"), "42501");
    }
    run(&mut owner, "SELECT ecommerce_ml.grant_model('shop', 'analyst')");
    let _: String = ask(&mut analyst, USE);
    run(&mut owner, "SELECT ecommerce_ml.revoke_model('shop', 'analyst')");
    fails_with(&mut analyst, USE, "42501");
    run(&mut owner, "SELECT ecommerce_ml.grant_model('shop', 'public')");
    let _: String = ask(&mut analyst, USE);
    run(&mut owner, "SELECT ecommerce_ml.revoke_model('shop', 'public')");
    fails_with(&mut analyst, USE, "42501");
    // A superuser and members of the owning role need no grant.
    let _: String = ask(&mut cluster.session(), USE);
    run(&mut cluster.session(), "GRANT owner TO analyst");
    let _: String = ask(&mut analyst, USE);
}

#[test]
fn a_grant_reaches_members_of_a_group() {
    let (cluster, mut owner, mut analyst) = with_roles();
    run(&mut cluster.session(), "CREATE ROLE analysts; GRANT analysts TO analyst");
    run(&mut owner, "SELECT ecommerce_ml.grant_model('shop', 'analysts')");
    let _: String = ask(&mut analyst, USE);
}

#[test]
fn a_grant_does_not_allow_to_change_the_model() {
    let (cluster, mut owner, mut analyst) = with_roles();
    run(&mut owner, "SELECT ecommerce_ml.grant_model('shop', 'analyst')");
    for call in [
        "deploy_model('shop', 1)",
        "rollback_model('shop')",
        "drop_model('shop')",
        "drop_model('shop', 1)",
        "pin_model('shop', true)",
        "grant_model('shop', 'public')",
        "revoke_model('shop', 'analyst')",
    ] {
        fails_with(&mut analyst, &format!("SELECT ecommerce_ml.{call}"), "42501");
    }
    run(&mut cluster.session(), "GRANT pg_read_server_files TO analyst");
    let folder = place_model(&cluster, CLASSIFIER, "model");
    fails_with(&mut analyst, &import_statement("shop", &folder), "42710");
    assert_eq!(import(&mut analyst, "own", &folder), 1);
}

#[test]
fn server_files_are_for_members_of_the_predefined_roles() {
    let (cluster, mut owner, mut analyst) = with_roles();
    let folder = place_model(&cluster, CLASSIFIER, "model");
    let error = fails_with(&mut analyst, &import_statement("mine", &folder), "42501");
    assert!(error.detail().is_some_and(|detail| detail.contains("pg_read_server_files")), "{error:?}");
    // What isn't there is not told either.
    fails_with(&mut analyst, &import_statement("mine", std::path::Path::new("/nowhere")), "42501");
    let export =
        format!("SELECT ecommerce_ml.export_model('shop', '{}')", cluster.folder("export").display());
    let error = fails_with(&mut owner, &export, "42501");
    assert!(error.detail().is_some_and(|detail| detail.contains("pg_write_server_files")), "{error:?}");
    run(&mut cluster.session(), "GRANT pg_write_server_files TO owner");
    run(&mut owner, &export);
}

#[test]
fn tables_of_the_extension_are_closed() {
    let (_cluster, mut owner, mut analyst) = with_roles();
    let tables: Vec<String> = ask(
        &mut owner,
        "SELECT array_agg(oid::regclass::text) FROM pg_class \
         WHERE relnamespace = 'ecommerce_ml'::regnamespace AND relkind = 'r'",
    );
    assert!(!tables.is_empty());
    for table in tables {
        for session in [&mut owner, &mut analyst] {
            let data: bool = ask(
                session,
                &format!(
                    "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attname = 'data')"
                ),
            );
            if data {
                fails_with(session, &format!("SELECT * FROM {table}"), "42501");
            }
            fails_with(session, &format!("DELETE FROM {table}"), "42501");
            fails_with(session, &format!("INSERT INTO {table} DEFAULT VALUES"), "42501");
        }
    }
}

#[test]
fn objects_of_a_user_are_not_mistaken_for_the_extensions() {
    let (cluster, mut owner, mut analyst) = with_roles();
    run(&mut cluster.session(), "CREATE SCHEMA AUTHORIZATION analyst");
    run(
        &mut analyst,
        "CREATE FUNCTION analyst.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
         CREATE OPERATOR analyst.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = analyst.trap);
         CREATE FUNCTION analyst.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
         CREATE OPERATOR analyst.= (LEFTARG = text, RIGHTARG = text, FUNCTION = analyst.trap);
         CREATE FUNCTION analyst.trap(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
         CREATE OPERATOR analyst.= (LEFTARG = name, RIGHTARG = name, FUNCTION = analyst.trap);
         CREATE FUNCTION analyst.trap(bytea, bytea) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
         CREATE OPERATOR analyst.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = analyst.trap);
         GRANT USAGE ON SCHEMA analyst TO public",
    );
    run(&mut owner, "SET search_path = analyst, pg_catalog");
    let _: String = ask(&mut owner, USE);
    run(&mut owner, "SELECT ecommerce_ml.grant_model('shop', 'analyst')");
    run(&mut owner, "SELECT ecommerce_ml.pin_model('shop', true)");
    let _: i64 = ask(&mut owner, "SELECT count(*) FROM ecommerce_ml.models");
    run(&mut owner, "SELECT ecommerce_ml.drop_model('shop')");
}
