//! A database with version 0.1.0 becomes one with this version, and is then like one that began with it.

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, import_reference, place_model};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, ask, fails_with};
use postgres::Client;

const ANSWERS: &str = "SELECT string_agg(ecommerce_ml.predict_probabilities('good', model)::text, ' ')
                       FROM unnest('{shop,shop@1,shop@2,reviews}'::text[]) AS model";

const SIGNATURES: &str =
    "SELECT string_agg(concat_ws(' ', name, version, kind, signature), ', ' ORDER BY name, version)
                          FROM ecommerce_ml.model_versions";

/// All that the catalogs know of the extension, but for numbers, and for the names that PostgreSQL 18 makes up for NOT NULL.
const CATALOG: [&str; 9] = [
    "SELECT concat_ws(' ', c.relname, a.attname, format_type(atttypid, atttypmod), attnotnull, attstorage, attcollation::regcollation,
                      attidentity, pg_get_expr(adbin, adrelid))
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
     LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
     WHERE relnamespace = 'ecommerce_ml'::regnamespace AND relkind IN ('r', 'v', 'S', 'c')",
    "SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
     WHERE connamespace = 'ecommerce_ml'::regnamespace AND contype <> 'n'",
    "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid
     WHERE relnamespace = 'ecommerce_ml'::regnamespace",
    "SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '') FROM pg_proc
     WHERE pronamespace = 'ecommerce_ml'::regnamespace AND prokind = 'f'",
    "SELECT concat_ws(' ', relname, relkind, relacl, pg_get_viewdef(CASE WHEN relkind = 'v' THEN oid END)) FROM pg_class
     WHERE relnamespace = 'ecommerce_ml'::regnamespace",
    "SELECT pg_get_triggerdef(t.oid) || tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
     WHERE relnamespace = 'ecommerce_ml'::regnamespace",
    "SELECT concat_ws(' ', evtname, evtevent, evtfoid::regproc, evtenabled, evttags) FROM pg_event_trigger",
    "SELECT pg_describe_object(classoid, objoid, objsubid) || description FROM pg_description
     WHERE objoid >= 16384",
    "SELECT concat_ws(' ', pg_describe_object(classid, objid, objsubid), deptype, extversion, extnamespace::regnamespace)
     FROM pg_depend JOIN pg_extension e ON refobjid = e.oid AND refclassid = 'pg_extension'::regclass
     WHERE extname = 'ecommerce_ml'
     UNION ALL
     SELECT t::regclass || extcondition[n] FROM pg_extension, unnest(extconfig) WITH ORDINALITY AS c (t, n)",
];

fn catalog(session: &mut Client) -> Vec<String> {
    let mut lines = Vec::new();
    for query in CATALOG {
        lines.extend(session.query(query, &[]).expect(query).iter().map(|row| row.get::<_, String>(0)));
    }
    lines.sort();
    lines
}

/// A cluster whose database `postgres` has a model of role `owner`, and whose database `old` has the same in version 0.1.0, with
/// a schedule, a job with a checkpoint, and a grant.
fn old_and_new() -> (Cluster, Client, Client) {
    let cluster = Cluster::new();
    let mut new = cluster.session();
    run(
        &mut new,
        "CREATE ROLE owner LOGIN; CREATE ROLE analyst LOGIN; CREATE ROLE clerk; GRANT pg_read_server_files TO owner",
    );
    run(&mut new, "CREATE DATABASE old");
    let mut owner = cluster.session_as("owner", "postgres");
    import_reference(&cluster, &mut owner, "shop", CLASSIFIER);
    // Of two versions that have files in common that version stores these twice.
    let relabelled = format!(
        "SELECT ecommerce_ml.import_model('shop', 'file://{}', '{{\"labels\": [\"x\", \"y\", \"z\"]}}')",
        place_model(&cluster, CLASSIFIER, "relabelled").display()
    );
    run(&mut owner, &relabelled);
    let mut old = cluster.session_in("old");
    run(&mut old, "CREATE EXTENSION ecommerce_ml VERSION '0.1.0'");
    run(&mut old, "INSERT INTO ecommerce_ml.stored_model (name, owner) VALUES ('shop', 'owner')");
    let folder = cluster.folder("transfer");
    let chunks = folder.join("chunks").display().to_string();
    let parts = "SELECT p.content, p.file, p.part, c.data
                 FROM ecommerce_ml.stored_part p JOIN ecommerce_ml.stored_chunk c ON c.sha256 = p.chunk";
    for (table, columns) in [
        ("stored_content", "sha256, size, files"),
        ("stored_version", "name, version, content, info, base, metrics, training, source, role"),
        ("stored_deployment", "name, deployment, version, role, deployed"),
    ] {
        let file = folder.join(table).display().to_string();
        run(&mut new, &format!("COPY ecommerce_ml.{table} ({columns}) TO '{file}'"));
        run(&mut old, &format!("COPY ecommerce_ml.{table} ({columns}) FROM '{file}'"));
    }
    run(&mut new, &format!("COPY ({parts}) TO '{chunks}'"));
    run(&mut old, &format!("COPY ecommerce_ml.stored_chunk (sha256, file, chunk, data) FROM '{chunks}'"));
    run(
        &mut old,
        "CREATE TABLE \"Rows\" (body text, label text);
         CREATE VIEW mine AS SELECT name, owner FROM ecommerce_ml.models;
         CREATE TABLE asking (body text CHECK (ecommerce_ml.predict_sentiment(body) <> ''));
         UPDATE ecommerce_ml.stored_version SET pinned = true WHERE name = 'reviews';
         INSERT INTO ecommerce_ml.stored_grant VALUES ('shop', 'analyst'), ('shop', 0);
         INSERT INTO ecommerce_ml.stored_job (name, relation, relation_name, text_column, label_column, task, base, options,
                                              owner, login, search_path, cluster, state)
         VALUES ('shop', '\"Rows\"', 'public.\"Rows\"', 'body', 'label', 'classification', 'shop@1', '{}', 'owner', 'analyst',
                 'public', 1, 'failed');
         INSERT INTO ecommerce_ml.stored_checkpoint VALUES (1, 1, 0, 'x');
         INSERT INTO ecommerce_ml.stored_seen (job, chunk, data) VALUES (1, 0, 'y');
         INSERT INTO ecommerce_ml.stored_seen (name, version, chunk, data) VALUES ('shop', 1, 0, 'z');
         INSERT INTO ecommerce_ml.stored_schedule (name, relation, text_column, label_column, task, options, min_new_rows, owner,
                                                   search_path)
         VALUES ('shop', '\"Rows\"', 'body', 'label', 'classification', '{}', 1, 'owner', 'public');
         REVOKE EXECUTE ON FUNCTION ecommerce_ml.train_model FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION ecommerce_ml.train_model TO clerk WITH GRANT OPTION",
    );
    (cluster, old, new)
}

const KEPT: &str = "SELECT concat_ws('; ',
    (SELECT string_agg(concat_ws(' ', name, owner, owner_name, live_version), ', ' ORDER BY name) FROM ecommerce_ml.models),
    (SELECT string_agg(concat_ws(' ', job, state, relation, text_column, label_column, task, base, options, owner), ', ')
     FROM ecommerce_ml.jobs),
    (SELECT string_agg(concat_ws(' ', name, relation, relation_name, text_column, label_column, task, coalesce(base, 'NULL'),
                                 options, owner), ', ')
     FROM ecommerce_ml.training_schedules),
    (SELECT string_agg(concat_ws(' ', name, grantee), ', ' ORDER BY grantee::text) FROM ecommerce_ml.stored_grant),
    (SELECT string_agg(concat_ws(' ', name, version), ', ') FROM ecommerce_ml.stored_pin),
    (SELECT string_agg(concat_ws(' ', job, data), ', ') FROM ecommerce_ml.stored_checkpoint),
    (SELECT string_agg(concat_ws(' ', job, data), ', ') FROM ecommerce_ml.stored_job_seen),
    (SELECT string_agg(concat_ws(' ', name, version, data), ', ') FROM ecommerce_ml.stored_seen))";

const EXPECTED: &str = "reviews postgres postgres 1, reviews_multilingual postgres postgres 1, reviews_small postgres postgres 1, shop owner owner 1; \
    1 failed public.\"Rows\" body label classification shop@1 {} owner; \
    shop \"Rows\" public.\"Rows\" body label classification NULL {} owner; shop analyst, shop public; reviews 1; 1 \\x78; 1 \\x79; shop 1 \\x7a";

#[test]
fn an_updated_database_is_like_a_new_one() {
    let (cluster, mut old, mut new) = old_and_new();
    let refused = fails_with(&mut old, "SELECT ecommerce_ml.predict_sentiment('good')", "55000");
    assert!(refused.hint().is_some_and(|hint| hint.contains("ALTER EXTENSION ecommerce_ml UPDATE")));
    run(&mut old, "ALTER EXTENSION ecommerce_ml UPDATE");
    assert_eq!(ask::<String>(&mut old, KEPT), EXPECTED);
    assert_eq!(ask::<String>(&mut old, ANSWERS), ask::<String>(&mut new, ANSWERS));
    assert_eq!(ask::<String>(&mut old, SIGNATURES), ask::<String>(&mut new, SIGNATURES));
    let may_train = "SELECT array_agg(has_function_privilege(role, 'ecommerce_ml.train_model(text, regclass, name, name, text, \
                     text, jsonb, name[], name[], name)', 'EXECUTE WITH GRANT OPTION') ORDER BY role)
                     FROM unnest('{clerk,owner}'::name[]) AS role";
    assert_eq!(ask::<Vec<bool>>(&mut old, may_train), [true, false], "privileges of functions stay");
    let chunks =
        "SELECT string_agg(concat_ws(' ', encode(content, 'hex'), file, part, encode(chunk, 'hex')), ', '
                                    ORDER BY content, file, part)
                         || (SELECT count(*) FROM ecommerce_ml.stored_chunk) FROM ecommerce_ml.stored_part";
    assert_eq!(ask::<String>(&mut old, chunks), ask::<String>(&mut new, chunks), "each chunk is there once");
    assert_eq!(
        ask::<i64>(&mut old, "SELECT count(*) FROM mine"),
        4,
        "views of others keep what they depend on"
    );
    let said = cluster.psql(
        "old",
        &["-c", "SELECT place FROM ecommerce_ml.asking_constraint"],
        std::process::Stdio::null(),
    );
    assert!(said.contains("constraint \"asking_body_check\" of table \"asking\""), "{said}");
    let refused = fails_with(&mut new, "DROP ROLE analyst", "2BP01");
    assert_eq!(refused.detail(), Some("1 object in database old"), "the server knows of roles");

    run(
        &mut old,
        "DROP TABLE asking; DROP VIEW mine; DROP SCHEMA public CASCADE;
         REVOKE ALL ON FUNCTION ecommerce_ml.train_model FROM clerk;
         UPDATE pg_proc SET proacl = NULL WHERE proname = 'train_model'",
    );
    assert_eq!(
        ask::<String>(&mut old, ANSWERS),
        ask::<String>(&mut new, ANSWERS),
        "it isn't in public any more"
    );
    let (updated, fresh) = (catalog(&mut old), catalog(&mut new));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    assert_eq!(only(&updated, &fresh), Vec::<String>::new(), "only in the updated one");
    assert_eq!(only(&fresh, &updated), Vec::<String>::new(), "only in the new one");
    let number = ask::<i64>(&mut old, "SELECT nextval('ecommerce_ml.stored_job_number')");
    assert_eq!(number, 2, "jobs are numbered on");
    run(&mut old, "DROP EXTENSION ecommerce_ml; DROP SCHEMA ecommerce_ml");
}

#[test]
fn a_dump_of_the_old_version_is_restored_in_that_version() {
    let (cluster, mut old, _new) = old_and_new();
    run(&mut old, "DROP TABLE asking");
    run(
        &mut old,
        "INSERT INTO ecommerce_ml.stored_model (name, owner) VALUES ('reviews_multilingual', 'owner')",
    );
    fails_with(&mut old, "ALTER EXTENSION ecommerce_ml UPDATE", "42710");
    run(&mut old, "DELETE FROM ecommerce_ml.stored_model WHERE name = 'reviews_multilingual'");
    let file = cluster.folder("transfer").join("old.dump").display().to_string();
    cluster.output("pg_dump", &["-Fc", "-d", "old", "-f", &file]);
    run(&mut old, "CREATE DATABASE restored");
    let mut restored = cluster.session_in("restored");
    run(&mut restored, "CREATE EXTENSION ecommerce_ml VERSION '0.1.0'");
    cluster.output("pg_restore", &["--exit-on-error", "-d", "restored", &file]);
    run(&mut restored, "ALTER EXTENSION ecommerce_ml UPDATE");
    // That version dumped nothing of the built-in model, not even that it was pinned.
    assert_eq!(ask::<String>(&mut restored, KEPT), EXPECTED.replace("reviews 1; 1 ", "1 "));
}

#[test]
fn its_schema_is_where_it_is() {
    let cluster = Cluster::without_extension(&[]);
    let mut session = cluster.session();
    run(&mut session, "CREATE SCHEMA elsewhere");
    let refused = fails_with(&mut session, "CREATE EXTENSION ecommerce_ml SCHEMA elsewhere", "0A000");
    assert!(refused.message().contains("must be installed in schema \"ecommerce_ml\""), "{refused}");
    run(&mut session, "CREATE ROLE shop; CREATE SCHEMA ecommerce_ml AUTHORIZATION shop");
    fails_with(&mut session, "CREATE EXTENSION ecommerce_ml", "42501");
    run(&mut session, "ALTER SCHEMA ecommerce_ml OWNER TO postgres; CREATE EXTENSION ecommerce_ml");
    fails_with(&mut session, "ALTER SCHEMA ecommerce_ml RENAME TO models", "2BP01");
    run(&mut session, "ALTER SCHEMA elsewhere RENAME TO anywhere; DROP SCHEMA public CASCADE");
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('good')");
    run(&mut session, "DROP EXTENSION ecommerce_ml; ALTER SCHEMA ecommerce_ml RENAME TO models");
}
