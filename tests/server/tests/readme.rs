//! The manual's SQL runs as it is printed, and its links lead somewhere.

use std::fs;
use std::path::Path;

use ecommerce_ml_server_tests::fixtures::{CLASSIFIER, place_model, reference_model};
use ecommerce_ml_server_tests::hub::Hub;
use ecommerce_ml_server_tests::installation::{give_to_server, repository};
use ecommerce_ml_server_tests::links::{faults, headings, prose, ragged_rows};
use ecommerce_ml_server_tests::readme::{Block, Document, manual, markdown_files, sql_blocks};
use ecommerce_ml_server_tests::statement::describe;
use ecommerce_ml_server_tests::{Cluster, fails_with};
use postgres::Client;

/// The folder that the manual's examples read models from and write them to.
const FOLDER: &str = "/srv/models";
/// The folder that they read rows from.
const DATA: &str = "/srv/data";
/// The repository that they import.
const REPOSITORY: &str = "acme/review-bert";
/// How many blocks the manual had when it was one page, each of which is still somewhere.
const BLOCKS_OF_ONE_PAGE: usize = 36;

#[test]
fn sql_blocks_of_the_manual_run_in_order() {
    let documents: Vec<_> = manual().into_iter().map(|one| (sql_blocks(&one.text), one.path)).collect();
    let count: usize = documents.iter().map(|(blocks, _)| blocks.len()).sum();
    assert!(count >= BLOCKS_OF_ONE_PAGE, "the manual has {count} blocks of SQL");

    let hub = Hub::serve(&[REPOSITORY], &reference_model(CLASSIFIER));
    for (blocks, path) in documents.iter().filter(|(blocks, _)| !blocks.is_empty()) {
        run(blocks, path, &hub);
    }
}

/// Each document has a cluster of its own, since a reader may begin with any of them; so roles and settings don't carry over.
fn run(blocks: &[Block], path: &Path, hub: &Hub) {
    let cluster = Cluster::without_extension(&[&format!("ecommerce_ml.hub_endpoint = '{}'", hub.endpoint())]);
    place_model(&cluster, CLASSIFIER, "models/shop");
    let folder = cluster.folder("models").display().to_string();
    let data = place_rows(&cluster);
    let mut session = cluster.session();
    for block in blocks {
        let sql = block.sql.replace(FOLDER, &folder).replace(DATA, &data);
        check(&mut session, path, block, &sql);
    }
}

/// A folder of the server's with the rows of the demonstration.
fn place_rows(cluster: &Cluster) -> String {
    let folder = cluster.folder("data");
    for name in ["clothing.csv", "registrations.csv"] {
        let rows = fs::read(repository().join("demo").join(name)).expect("it is there");
        let file = folder.join(name);
        fs::write(&file, rows).expect("a file can be written");
        give_to_server(&file);
    }
    folder.display().to_string()
}

fn check(session: &mut Client, path: &Path, block: &Block, sql: &str) {
    let place = format!("{}:{}", path.display(), block.line);
    println!("{place}");
    match &block.error {
        Some(sqlstate) => {
            fails_with(session, sql, sqlstate);
        }
        None => {
            session.batch_execute(sql).unwrap_or_else(|error| panic!("{place}: {sql}\n{}", describe(&error)))
        }
    }
}

#[test]
fn every_link_leads_to_a_file_or_heading() {
    assert_eq!(faults(&markdown_files(), &repository()), Vec::<String>::new());
}

#[test]
fn readme_and_documents_link_both_ways() {
    let documents = manual();
    let (readme, others) = documents.split_first().expect("there is a README");
    assert!(others.len() >= 5, "docs/ has {} documents", others.len());
    for Document { path, text } in others {
        let listed = format!("]({})", path.display());
        assert!(readme.text.contains(&listed), "README.md doesn't list {}", path.display());
        let top: String = text.lines().take(5).collect();
        assert!(top.contains("](../README.md)"), "{} doesn't begin with a link back", path.display());
    }
}

#[test]
fn readme_is_read_in_ten_minutes() {
    let lines = manual()[0].text.lines().count();
    assert!(lines <= 250, "README.md has {lines} lines: what is for reference belongs in docs/");
}

#[test]
fn headings_and_tables_are_whole() {
    for Document { path, text } in manual() {
        let path = path.display();
        assert_eq!(
            ragged_rows(&text),
            Vec::<usize>::new(),
            "{path} has rows with more or fewer cells than their heads"
        );
        let mut before = 0;
        for (line, level, heading) in headings(&text) {
            assert!(level <= before + 1, "{path}:{line}: {heading}: a level is left out");
            assert!(level > 1 || before == 0, "{path}:{line}: {heading}: a second title");
            before = level;
        }
    }
}

/// The first cells of the tables under "Map of the code" name files and folders; those that are gone mislead.
#[test]
fn maps_of_the_code_show_what_is_there() {
    for Document { path, text } in manual() {
        let section = section(&text, "Map of the code");
        for row in section.iter().filter(|line| line.starts_with("| `")) {
            let cell = row.split(" | ").next().unwrap_or_default();
            for place in cell.split('`').skip(1).step_by(2) {
                assert!(repository().join(place).exists(), "{}: there is no {place}", path.display());
            }
        }
    }
}

/// README.md repeats some figures, which `--write` of the benchmarks doesn't reach.
#[test]
fn figures_of_the_readme_are_in_the_document_on_performance() {
    let documents = manual();
    let all = documents.iter().find(|one| one.path == Path::new("docs/performance.md")).expect("it is there");
    let words: Vec<&str> = all.text.split_whitespace().collect();
    let table: Vec<_> = section(&documents[0].text, "Performance")
        .into_iter()
        .filter(|line| line.starts_with("| "))
        .collect();
    let figures: Vec<_> =
        table.iter().flat_map(|row| row.split_whitespace()).filter(|word| word.contains('.')).collect();
    assert!(figures.len() > 5, "README.md shows {figures:?}");
    for figure in figures {
        assert!(words.contains(&figure), "README.md says {figure}, docs/performance.md doesn't");
    }
}

/// The lines under a heading, to the next of its level or a higher one.
fn section<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let all = headings(text);
    let Some(&(first, level, _)) = all.iter().find(|(_, _, heading)| *heading == title) else {
        return Vec::new();
    };
    let end = all
        .iter()
        .find(|(line, other, _)| *line > first && *other <= level)
        .map_or(usize::MAX, |&(line, ..)| line);
    prose(text).filter(|(line, _)| (first..end).contains(line)).map(|(_, line)| line).collect()
}
