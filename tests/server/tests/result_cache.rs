//! Texts that come again are answered from the engine's memory, and the views tell.

use ecommerce_ml_server_tests::{Cluster, ask, eventually};
use postgres::Client;

const SCORES: &str =
    "SELECT ecommerce_ml.predict_sentiment_score(ARRAY['The strap broke.', 'Lovely!', 'Lovely!', ' '])";
const EMBEDDING: &str = "SELECT ecommerce_ml.embed('Lovely!')";

/// Requests, texts, hits, and whether tokens went through the model, of the built-in model.
fn statistics(session: &mut Client) -> (i64, i64, i64, i64) {
    let query =
        "SELECT requests, texts, cache_hits, tokens FROM ecommerce_ml.stat_models WHERE name = 'reviews'";
    let row = session.query_one(query, &[]).expect("the model is loaded");
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

#[test]
fn a_text_that_comes_again_is_a_hit_in_every_session() {
    let cluster = Cluster::new();
    let (mut first, mut second) = (cluster.session(), cluster.session());
    let computed: Vec<Option<f32>> = ask(&mut first, SCORES);
    assert!(computed[1] > computed[0] && computed[1] == computed[2] && computed[3].is_none());
    let (requests, texts, hits, tokens) = statistics(&mut first);
    assert_eq!((requests, texts, hits), (1, 4, 0));
    assert!(tokens > 0);

    let kept: Vec<Option<f32>> = ask(&mut second, SCORES);
    assert_eq!(kept, computed, "to the last bit");
    assert_eq!(statistics(&mut second), (2, 8, 3, tokens));

    let embedded: Vec<f32> = ask(&mut first, EMBEDDING);
    let (_, _, hits, more) = statistics(&mut first);
    assert!(hits == 3 && more > tokens, "an embedding is another output");
    assert_eq!(ask::<Vec<f32>>(&mut second, EMBEDDING), embedded);
    assert_eq!(statistics(&mut second), (4, 10, 4, more));
}

#[test]
fn without_memory_every_text_is_computed() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let computed: Vec<Option<f32>> = ask(&mut session, SCORES);
    let size = "SELECT current_setting('ecommerce_ml.result_cache_size')";
    assert_eq!(ask::<String>(&mut session, size), "64MB");
    let with_cache = cluster.engine();

    cluster.configure(&["ecommerce_ml.result_cache_size = 0"]);
    cluster.reload();
    eventually("another engine runs", || matches!(cluster.engines()[..], [pid] if pid != with_cache));
    for _ in 0..2 {
        let again: Vec<Option<f32>> = ask(&mut session, SCORES);
        assert!(again.iter().zip(&computed).all(|(again, computed)| match (again, computed) {
            (Some(again), Some(computed)) => (again - computed).abs() < 1e-5,
            (again, computed) => again == computed,
        }));
    }
    let (requests, texts, hits, _) = statistics(&mut session);
    assert_eq!((requests, texts, hits), (2, 8, 0));
    assert_eq!(ask::<String>(&mut session, size), "0");
}
