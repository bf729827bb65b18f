//! Batches change no answer: each of hundreds of statements says with them what it says without them.
//!
//! `ECOMMERCE_ML_CORPUS_SEED=7 cargo test ... --test batch_corpus` asks other statements of the same kinds.

use std::collections::BTreeSet;

use ecommerce_ml_server_tests::Cluster;
use ecommerce_ml_server_tests::batches::{NODE, explain, set_batches};
use ecommerce_ml_server_tests::corpus::runner::{Tally, corpus_cluster, preloaded_corpus_cluster};
use ecommerce_ml_server_tests::corpus::{Case, mixtures, shapes, statements};
use ecommerce_ml_server_tests::statement::run;
use postgres::Client;

const MIXTURES: usize = 160;

/// Distinct SELECTs of the corpus that must be batched.
const LEAST_BATCHED: usize = 150;

/// Workers wherever the server can use some, on tables of any size.
const PARALLEL: &str = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; \
                        SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2";

/// A seed of its own for each set of statements; together they make a run that can be repeated.
fn seed(number: u64) -> u64 {
    let run: u64 = std::env::var("ECOMMERCE_ML_CORPUS_SEED").map_or(0, |run| run.parse().expect("a number"));
    run * 100 + number
}

fn prepared() -> (Cluster, Client) {
    let cluster = corpus_cluster();
    let session = cluster.session();
    (cluster, session)
}

/// Every `step`th case, beginning with `first`.
fn some(cases: &[Case], first: usize, step: usize) -> impl Iterator<Item = &Case> {
    cases.iter().skip(first % step).step_by(step)
}

fn after_a_write(mut case: Case) -> Case {
    case.statements.insert(0, "SELECT pg_current_xact_id() IS NULL".to_owned());
    case
}

#[test]
fn every_shape_of_a_query_is_answered_alike() {
    let (_cluster, mut session) = prepared();
    let mut tally = Tally::default();
    tally.compare(&mut session, "default settings", &shapes(seed(1)));
    tally.assert_alike();
}

#[test]
fn mixtures_are_answered_alike() {
    let (_cluster, mut session) = prepared();
    let mut tally = Tally::default();
    tally.compare(&mut session, "default settings", &mixtures(seed(2), MIXTURES));
    tally.assert_alike();
}

#[test]
fn statements_that_are_no_select_do_alike() {
    let (_cluster, mut session) = prepared();
    let mut tally = Tally::default();
    tally.compare(&mut session, "default settings", &statements(seed(3)));
    tally.assert_alike();
}

#[test]
fn other_plans_are_answered_alike() {
    let (_cluster, mut session) = prepared();
    let settings = [
        "enable_hashagg = off",
        "enable_sort = off",
        "enable_hashjoin = off",
        "enable_mergejoin = off",
        "enable_nestloop = off",
        "enable_material = off",
        "enable_memoize = off",
        "enable_seqscan = off",
        "enable_partitionwise_aggregate = on",
        "enable_partitionwise_join = on",
        "from_collapse_limit = 1",
        "jit_above_cost = 0; SET jit_inline_above_cost = 0; SET jit_optimize_above_cost = 0",
    ];
    let cases = [shapes(seed(4)), mixtures(seed(5), 60)].concat();
    let mut tally = Tally::default();
    for (position, setting) in settings.iter().enumerate() {
        run(&mut session, &format!("SET {setting}"));
        tally.compare(&mut session, setting, some(&cases, position, settings.len()));
        run(&mut session, "RESET ALL");
    }
    tally.assert_alike();
}

#[test]
fn parallel_plans_are_answered_alike() {
    let (_cluster, mut session) = prepared();
    run(&mut session, PARALLEL);
    let cases = [shapes(seed(6)), mixtures(seed(7), 60)].concat();
    let cases: Vec<Case> = cases.into_iter().filter(|case| !case.arbitrary).collect();
    let parallel = cases.iter().filter(|case| {
        explain(&mut session, &case.statements[0]).is_some_and(|plan| plan.contains("Workers Planned"))
    });
    let parallel: Vec<Case> = parallel.cloned().collect();
    println!("{} parallel plans", parallel.len());
    assert!(parallel.len() > 60, "few plans are parallel: {}", parallel.len());
    let mut tally = Tally::default();
    tally.compare(&mut session, "parallel", some(&parallel, 0, 2));
    run(&mut session, "SET parallel_leader_participation = off");
    tally.compare(&mut session, "parallel without the leader", some(&parallel, 1, 4));
    // What CREATE TABLE AS meets, and every statement of a transaction that has written: it has a number.
    let numbered: Vec<Case> = some(&parallel, 3, 4).cloned().map(after_a_write).collect();
    tally.compare(&mut session, "parallel after a write, without the leader", &numbered);
    run(&mut session, "SET parallel_leader_participation = on");
    let numbered: Vec<Case> = some(&parallel, 2, 8).cloned().map(after_a_write).collect();
    tally.compare(&mut session, "parallel after a write", &numbered);
    tally.assert_alike();
}

#[test]
fn small_windows_and_little_memory_are_answered_alike() {
    let (_cluster, mut session) = prepared();
    let cases = [shapes(seed(8)), statements(seed(8)), mixtures(seed(9), 40)].concat();
    let settings = [
        "ecommerce_ml.batch_size = 1",
        "ecommerce_ml.batch_size = 3",
        "work_mem = '64kB'",
        "work_mem = '64kB'; SET ecommerce_ml.batch_size = 65536",
    ];
    let mut tally = Tally::default();
    for (position, setting) in settings.iter().enumerate() {
        run(&mut session, &format!("SET {setting}"));
        tally.compare(&mut session, setting, some(&cases, position, 2 * settings.len()));
        run(&mut session, "RESET ALL");
    }
    tally.assert_alike();
}

#[test]
fn first_statements_of_sessions_are_answered_alike() {
    let cluster = corpus_cluster();
    let mut tally = Tally::default();
    tally.compare_in_new_sessions(&cluster, &statements(seed(10)));
    tally.compare_in_new_sessions(&cluster, some(&shapes(seed(10)), 0, 4));
    tally.assert_alike();
}

#[test]
fn a_preloaded_library_answers_alike() {
    let cluster = preloaded_corpus_cluster();
    let mut tally = Tally::default();
    tally.compare_in_new_sessions(&cluster, some(&statements(seed(11)), 1, 2));
    tally.compare(&mut cluster.session(), "preloaded", some(&shapes(seed(11)), 1, 8));
    tally.assert_alike();
}

#[test]
fn the_corpus_is_batched() {
    let (_cluster, mut session) = prepared();
    let cases = [shapes(seed(1)), mixtures(seed(2), MIXTURES)].concat();
    let queries: BTreeSet<&String> = cases.iter().map(|case| &case.statements[0]).collect();
    let mut batched = 0;
    for query in &queries {
        set_batches(&mut session, true);
        let with = explain(&mut session, query).unwrap_or_default();
        if with.contains(NODE) {
            batched += 1;
        } else {
            println!("not batched: {query}\n{with}");
        }
        set_batches(&mut session, false);
        let without = explain(&mut session, query).unwrap_or_default();
        assert!(!without.contains(NODE), "{query}\n{without}");
    }
    println!("{batched} of {} distinct queries are batched", queries.len());
    assert!(queries.len() >= 250, "{} queries", queries.len());
    assert!(batched >= LEAST_BATCHED && batched * 2 > queries.len(), "{batched} of {}", queries.len());
}
