//! The install script and the library agree, and neither leaves anything behind.

use std::collections::BTreeSet;
use std::process::Command;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference};
use ecommerce_ml_server_tests::installation::{output, pg_config, repository};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

/// Functions of the extension.
const MEMBERS: &str = "FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass \
                       AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'ecommerce_ml'";

/// Those of them that read a row, too.
const ROW_FUNCTIONS: [&str; 5] =
    ["predict_rating", "predict_class", "predict_probabilities", "predict_value", "predict_confidence"];

/// Those that read a text, as SQL.md lists them.
const TEXT_FUNCTIONS: [&str; 11] = [
    "tokenize",
    "token_ids",
    "token_count",
    "predict_sentiment",
    "predict_sentiment_score",
    "predict_rating",
    "predict_class",
    "predict_probabilities",
    "predict_value",
    "predict_confidence",
    "embed",
];

fn names(session: &mut Client, query: &str) -> BTreeSet<String> {
    let rows = session.query(query, &[]).unwrap_or_else(|error| panic!("{query}\n{error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn created_and_dropped_twice_it_leaves_nothing() {
    let cluster = Cluster::without_extension(&[]);
    let mut session = cluster.session();
    let objects = "SELECT concat_ws(' ', (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_proc), \
                   (SELECT count(*) FROM pg_type), (SELECT count(*) FROM pg_namespace), \
                   (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger), \
                   (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM pg_cast), \
                   (SELECT count(*) FROM pg_description), (SELECT count(*) FROM pg_default_acl), \
                   (SELECT count(*) FROM pg_depend), (SELECT count(*) FROM pg_shdepend), \
                   (SELECT count(*) FROM pg_init_privs))";
    let before: String = ask(&mut session, objects);
    for _ in 0..2 {
        run(&mut session, "CREATE EXTENSION ecommerce_ml");
        assert_eq!(import_reference(&cluster, &mut session, "shop", CLASSIFIER), 1);
        let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_class('fine', 'shop')");
        let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('fine')");
        run(&mut session, "DROP EXTENSION ecommerce_ml");
        // The schema isn't the extension's own, since the control file names it, but it is empty.
        run(&mut session, "DROP SCHEMA ecommerce_ml");
        assert_eq!(ask::<String>(&mut session, objects), before);
    }
    run(
        &mut session,
        "CREATE EXTENSION ecommerce_ml; DROP EXTENSION ecommerce_ml; CREATE EXTENSION ecommerce_ml",
    );
    fails_with(&mut session, "CREATE EXTENSION ecommerce_ml", "42710");
    run(&mut session, "CREATE SCHEMA elsewhere");
    fails_with(&mut session, "ALTER EXTENSION ecommerce_ml SET SCHEMA elsewhere", "0A000");
}

#[test]
fn an_ordinary_role_cannot_create_it() {
    let cluster = Cluster::without_extension(&[]);
    run(&mut cluster.session(), "CREATE ROLE shop LOGIN; GRANT CREATE ON DATABASE postgres TO shop");
    fails_with(&mut cluster.session_as("shop", "postgres"), "CREATE EXTENSION ecommerce_ml", "42501");
}

#[test]
fn script_and_library_name_the_same_functions() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let declared = names(&mut session, &format!("SELECT p.prosrc {MEMBERS} WHERE p.probin IS NOT NULL"));
    let library = pg_config("--pkglibdir").join("ecommerce_ml.so");
    let symbols = output(Command::new("nm").args(["-D", "--defined-only"]).arg(library));
    let defined: BTreeSet<String> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last()?.strip_prefix("pg_finfo_").map(str::to_owned))
        .collect();
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(declared, defined, "left: sql/, right: the library");
    let homes =
        names(&mut session, &format!("SELECT DISTINCT p.probin {MEMBERS} WHERE p.probin IS NOT NULL"));
    assert_eq!(homes, BTreeSet::from(["$libdir/ecommerce_ml".to_owned()]));
}

#[test]
fn every_object_has_a_comment() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let functions =
        format!("SELECT p.oid::regprocedure::text {MEMBERS} WHERE obj_description(p.oid, 'pg_proc') IS NULL");
    assert_eq!(names(&mut session, &functions), BTreeSet::new());
    let relations = "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'ecommerce_ml'::regnamespace \
                     AND relkind IN ('r', 'v') AND obj_description(oid, 'pg_class') IS NULL";
    assert_eq!(names(&mut session, relations), BTreeSet::new());
    let types = "SELECT oid::regtype::text FROM pg_type WHERE typnamespace = 'ecommerce_ml'::regnamespace \
                 AND typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c') \
                 AND obj_description(oid, 'pg_type') IS NULL";
    assert_eq!(names(&mut session, types), BTreeSet::new());
    let schema = "SELECT obj_description('ecommerce_ml'::regnamespace, 'pg_namespace') IS NOT NULL";
    assert!(ask::<bool>(&mut session, schema));
}

#[test]
fn text_functions_promise_what_they_keep() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    for function in TEXT_FUNCTIONS {
        let signatures = names(
            &mut session,
            &format!("SELECT oidvectortypes(p.proargtypes) {MEMBERS} WHERE p.proname = '{function}'"),
        );
        let mut expected = BTreeSet::from(["text", "text, text", "text[]", "text[], text"]);
        if ROW_FUNCTIONS.contains(&function) {
            expected.extend(["record, text", "jsonb, text"]);
        }
        assert_eq!(signatures, expected.into_iter().map(str::to_owned).collect(), "{function}");
    }
    let list = TEXT_FUNCTIONS.map(|name| format!("'{name}'")).join(", ");
    let broken = format!(
        "SELECT p.oid::regprocedure::text {MEMBERS} WHERE p.proname IN ({list}) AND \
         (p.provolatile <> 's' OR p.proparallel <> 's' OR NOT p.proisstrict OR p.procost NOT BETWEEN 10 AND 99999)"
    );
    assert_eq!(names(&mut session, &broken), BTreeSet::new());
    let immutable =
        format!("SELECT DISTINCT p.proname::text {MEMBERS} WHERE p.provolatile = 'i' AND p.prokind = 'f'");
    let arithmetic = ["newsvendor_quantity", "optimal_price", "reorder_point", "safety_stock"];
    assert_eq!(
        names(&mut session, &immutable),
        BTreeSet::from(arithmetic.map(str::to_owned)),
        "a deploy changes answers"
    );
}

#[test]
fn aggregates_can_be_split_and_moved() {
    let cluster = Cluster::new();
    let whole = "SELECT aggfnoid::regprocedure::text FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid \
                 WHERE p.pronamespace = 'ecommerce_ml'::regnamespace AND p.proparallel = 's' AND aggcombinefn <> 0 \
                 AND aggserialfn <> 0 AND aggdeserialfn <> 0 AND aggmtransfn <> 0 AND aggminvtransfn <> 0";
    let expected = [
        "ecommerce_ml.rollup(ecommerce_ml.review_summary)",
        "ecommerce_ml.summarize_reviews(text)",
        "ecommerce_ml.summarize_reviews(text,text)",
    ];
    assert_eq!(names(&mut cluster.session(), whole), BTreeSet::from(expected.map(str::to_owned)));
}

#[test]
fn security_definer_functions_fix_their_search_path() {
    let cluster = Cluster::new();
    let open = format!(
        "SELECT p.oid::regprocedure::text {MEMBERS} WHERE p.prosecdef AND \
         NOT coalesce(array_to_string(p.proconfig, ',') LIKE '%search_path=%', false)"
    );
    assert_eq!(names(&mut cluster.session(), &open), BTreeSet::new());
}

#[test]
fn all_tables_are_dumped() {
    let cluster = Cluster::new();
    let forgotten = "SELECT c.oid::regclass::text FROM pg_class c, pg_extension e WHERE e.extname = 'ecommerce_ml' \
                     AND c.relnamespace = 'ecommerce_ml'::regnamespace AND c.relkind IN ('r', 'S') \
                     AND NOT coalesce(c.oid = ANY (e.extconfig), false)";
    assert_eq!(names(&mut cluster.session(), forgotten), BTreeSet::new());
}

#[test]
fn tables_are_made_by_roles_that_may_not_use_it() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE ROLE maker LOGIN; GRANT CREATE ON SCHEMA public TO maker;
         REVOKE ALL ON SCHEMA ecommerce_ml FROM PUBLIC; REVOKE ALL ON ecommerce_ml.asking_constraint FROM PUBLIC",
    );
    let mut maker = cluster.session_as("maker", "postgres");
    run(
        &mut maker,
        "CREATE TABLE made (id int CHECK (id > 0), twice int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE DOMAIN whole AS int CHECK (VALUE > 0); CREATE TEMP TABLE passing (id int CHECK (id > 0));
         ALTER TABLE made RENAME TO kept; DROP TABLE kept",
    );
}

/// What others may have installed is changed by upgrade scripts only.
#[test]
fn released_scripts_are_frozen() {
    let released = [("0.1.0", "63cecc6eeba27828abaacdb4468816d0546e13860be3616ed73d8eb42220d68f")];
    for (version, sha256) in released {
        let script = repository().join(format!("sql/ecommerce_ml--{version}.sql"));
        let printed = output(Command::new("sha256sum").arg(script));
        assert!(printed.starts_with(sha256), "{version}: {printed}");
    }
}
