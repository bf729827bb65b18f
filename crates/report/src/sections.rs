//! The report as rows of JSON: a section, a title, and a body whose fields docs/reports.md describes.
//!
//! Invariant: names of sections and fields are stable; new ones may be added.

use serde::Serialize;
use serde_json::Value;

use crate::report::Report;
use crate::sentences::NO_PRODUCT;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Which section.
    pub section: &'static str,
    /// What the row is of.
    pub title: String,
    /// Its fields.
    pub body: Value,
}

/// All rows, section by section.
pub fn sections(report: &Report) -> Vec<Section> {
    let product = |name: &Option<String>| name.clone().unwrap_or_else(|| NO_PRODUCT.to_owned());
    let mut rows = vec![row("overview", &report.title, &report.overview)];
    rows.extend(report.findings.iter().map(|one| row("findings", &one.sentence, one)));
    rows.extend(report.periods.iter().map(|one| row("periods", &one.label, one)));
    rows.extend(report.products.iter().map(|one| row("products", &product(&one.product), one)));
    rows.extend(report.topics.iter().map(|one| row("topics", &one.topic, one)));
    rows.extend(
        report
            .product_topics
            .iter()
            .map(|one| row("product_topics", &format!("{}: {}", product(&one.product), one.topic), one)),
    );
    rows.extend(report.words.iter().map(|one| row("words", &one.word, one)));
    rows.extend(report.drivers.iter().map(|one| row("drivers", &one.term, one)));
    rows.extend(report.phrases.iter().map(|one| row("phrases", &one.phrase, one)));
    rows.extend(report.examples.iter().map(|one| {
        let subject = one.subject.clone().unwrap_or_else(|| NO_PRODUCT.to_owned());
        row("examples", &subject, one)
    }));
    rows.extend(report.disagreement.iter().map(|one| row("disagreement", "stars given and stars read", one)));
    rows.extend(report.disagreements.iter().map(|one| row("disagreements", &product(&one.product), one)));
    rows.push(row("method", "how this was made", &report.method));
    rows
}

fn row(section: &'static str, title: &str, body: &impl Serialize) -> Section {
    // Structs of numbers and texts always have a JSON form.
    Section { section, title: title.to_owned(), body: serde_json::to_value(body).unwrap_or(Value::Null) }
}
