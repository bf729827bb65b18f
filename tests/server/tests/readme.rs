//! The manual's SQL runs as it is printed.

use std::fs;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, place_model, reference_model};
use ecommerce_ml_server_tests::hub::Hub;
use ecommerce_ml_server_tests::installation::repository;
use ecommerce_ml_server_tests::readme::{Block, sql_blocks};
use ecommerce_ml_server_tests::statement::describe;
use ecommerce_ml_server_tests::{Cluster, fails_with};
use postgres::Client;

/// The folder that the manual's examples read models from and write them to.
const FOLDER: &str = "/srv/models";
/// The repository that they import.
const REPOSITORY: &str = "acme/review-bert";

#[test]
fn sql_blocks_of_the_manual_run_in_order() {
    let markdown = fs::read_to_string(repository().join("README.md")).expect("there is a manual");
    let blocks = sql_blocks(&markdown);
    assert!(blocks.len() > 5, "the manual has {} blocks of SQL", blocks.len());

    let hub = Hub::serve(&[REPOSITORY], &reference_model(CLASSIFIER));
    let cluster = Cluster::without_extension(&[&format!("ecommerce_ml.hub_endpoint = '{}'", hub.endpoint())]);
    place_model(&cluster, CLASSIFIER, "models/shop");
    let folder = cluster.folder("models").display().to_string();
    let mut session = cluster.session();
    for block in blocks {
        let sql = block.sql.replace(FOLDER, &folder);
        check(&mut session, &block, &sql);
    }
}

fn check(session: &mut Client, block: &Block, sql: &str) {
    println!("README.md:{}", block.line);
    match &block.error {
        Some(sqlstate) => {
            fails_with(session, sql, sqlstate);
        }
        None => session
            .batch_execute(sql)
            .unwrap_or_else(|error| panic!("README.md:{}: {sql}\n{}", block.line, describe(&error))),
    }
}
