//! What batching is called, how a plan shows it, and what the engine was asked.

use std::ops::Sub;

use postgres::{Client, SimpleQueryMessage};

use crate::cluster::Cluster;
use crate::statement::run;

/// The setting that decides whether plans are rewritten.
pub const SETTING: &str = "ecommerce_ml.batch_execution";

/// What a node is called where EXPLAIN names the provider of a custom scan.
pub const PROVIDER: &str = "ecommerce_ml batch";

/// How EXPLAIN shows a node that batches.
pub const NODE: &str = "Custom Scan (ecommerce_ml batch)";

/// What EXPLAIN tells of a node.
pub const PLAN_KEYS: [&str; 2] = ["Calls", "Model"];

/// What EXPLAIN ANALYZE tells beside that.
pub const RUN_KEYS: [&str; 7] =
    ["Windows", "Texts", "Distinct Texts", "Cache Hits", "Tokens", "Engine Time", "Waiting Time"];

/// Switches batches on or off for a session.
pub fn set_batches(session: &mut Client, on: bool) {
    run(session, &format!("SET {SETTING} = {on}"));
}

/// The plan of a statement, if it has one, without figures that change.
pub fn explain(session: &mut Client, statement: &str) -> Option<String> {
    explain_with(session, "COSTS OFF, VERBOSE", statement)
}

/// What EXPLAIN with these options says of a statement.
pub fn explain_with(session: &mut Client, options: &str, statement: &str) -> Option<String> {
    let rows = session.simple_query(&format!("EXPLAIN ({options}) {statement}")).ok()?;
    let lines = rows.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Some(lines.collect::<Vec<_>>().join("\n"))
}

/// Demands that a statement is batched.
///
/// # Panics
/// If it isn't, with its plan.
pub fn assert_batched(session: &mut Client, statement: &str) {
    let plan = explain(session, statement).unwrap_or_else(|| panic!("no plan: {statement}"));
    assert!(plan.contains(NODE), "{statement}\n{plan}");
}

/// What the built-in model was asked since the engine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Requests to the engine.
    pub requests: i64,
    /// Texts in them.
    pub texts: i64,
    /// Tokens that went through the model.
    pub tokens: i64,
}

impl Asked {
    /// Until now.
    pub fn until_now(session: &mut Client) -> Self {
        let query = "SELECT coalesce(sum(requests), 0)::bigint, coalesce(sum(texts), 0)::bigint, \
                     coalesce(sum(tokens), 0)::bigint FROM ecommerce_ml.stat_models WHERE name = 'reviews'";
        let row = session.query_one(query, &[]).expect("the engine tells its statistics");
        Self { requests: row.get(0), texts: row.get(1), tokens: row.get(2) }
    }

    /// While `work` is done in the session, seen from that session.
    pub fn by(session: &mut Client, work: impl FnOnce(&mut Client)) -> Self {
        let before = Self::until_now(session);
        work(session);
        Self::until_now(session) - before
    }
}

impl Sub for Asked {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            requests: self.requests - earlier.requests,
            texts: self.texts - earlier.texts,
            tokens: self.tokens - earlier.tokens,
        }
    }
}

/// English reviews of [`cluster_with_reviews`].
pub const ENGLISH: i64 = 102;

/// A cluster with 300 reviews of distinct texts: [`ENGLISH`] ones, the others in German and French; a third each bad,
/// neither and good, in turn.
pub fn cluster_with_reviews() -> (Cluster, Client) {
    let cluster = Cluster::with_settings(&["ecommerce_ml.precision = 'f32'", "autovacuum = off"]);
    let mut session = cluster.session();
    run(
        &mut session,
        "CREATE TABLE reviews (id int PRIMARY KEY, lang text, body text, model text, sentiment text); \
         INSERT INTO reviews SELECT i, (ARRAY['en', 'de', 'fr'])[1 + (i - 1) / 3 % 3], \
         (ARRAY['Perfect, I love it, number ', 'Terrible, it broke at once, number ', 'It is a box, number '])[1 + i % 3] || i, \
         'reviews' FROM generate_series(1, 300) AS i; ANALYZE reviews",
    );
    (cluster, session)
}
