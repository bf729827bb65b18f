//! Short ways to ask one thing, and to say how a statement must fail.

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::Client;
use postgres::error::DbError;
use postgres::types::FromSqlOwned;

/// The one value that a query returns.
///
/// # Panics
/// If the query fails or returns anything but one row, naming the query.
pub fn ask<T: FromSqlOwned>(session: &mut Client, query: &str) -> T {
    let row = session.query_one(query, &[]).unwrap_or_else(|error| panic!("{query}\n{}", describe(&error)));
    row.get(0)
}

/// Runs statements that must succeed.
///
/// # Panics
/// If one fails, naming the statements.
pub fn run(session: &mut Client, statements: &str) {
    session.batch_execute(statements).unwrap_or_else(|error| panic!("{statements}\n{}", describe(&error)));
}

/// The major version of the server.
///
/// # Panics
/// If it doesn't say.
pub fn server_major(session: &mut Client) -> i32 {
    let row = session.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]);
    row.expect("the server has a version").get(0)
}

/// Runs statements that must fail with this SQLSTATE, and returns what the server said.
///
/// # Panics
/// If they succeed, or fail otherwise, or with a message that isn't in PostgreSQL's style.
pub fn fails_with(session: &mut Client, statements: &str, sqlstate: &str) -> DbError {
    let error = session.batch_execute(statements).err();
    let error = error.unwrap_or_else(|| panic!("should fail with {sqlstate}: {statements}"));
    let said = error.as_db_error().unwrap_or_else(|| panic!("{statements}\n{error:?}")).clone();
    assert_eq!(said.code().code(), sqlstate, "{statements}\n{}", describe(&error));
    let message = said.message();
    assert!(!message.ends_with('.') && !message.contains('\n'), "not PostgreSQL's style: {message}");
    said
}

/// An error with its SQLSTATE, detail and hint.
pub fn describe(error: &postgres::Error) -> String {
    let Some(said) = error.as_db_error() else { return format!("{error:?}") };
    let more = [said.detail(), said.hint()].into_iter().flatten().collect::<Vec<_>>().join("; ");
    format!("{}: {} ({more})", said.code().code(), said.message())
}

/// Asks the engine about a text that it hasn't seen: a session remembers its latest answer.
///
/// # Panics
/// If the answer is wrong, or there is none.
pub fn predict(session: &mut Client) {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let query = format!("SELECT ecommerce_ml.predict_sentiment('I love it, great! {number}')");
    assert_eq!(ask::<String>(session, &query), "positive");
}

/// An SQL expression of type `text[]`: this many distinct reviews, between 5 and 200 words long.
pub fn texts_of_any_length(count: usize) -> String {
    format!(
        "(SELECT array_agg(format('review %s: ', i) || repeat('the delivery was late but fine ', 1 + i % 33)) \
         FROM generate_series(1, {count}) AS i)"
    )
}
