//! The report as one HTML page, which needs nothing else: no script, nothing from elsewhere.
//!
//! # Layout
//! - [`parts`]: the sections of the page.
//! - [`tables`]: products, topics, words, periods.
//! - [`cells`]: numbers in tables, and whether chance explains them.
//!
//! It must not know how anything was computed. Invariant: every text of the report goes through [`crate::markup`], headings don't skip
//! a level, and what a colour says is said in words too.

pub mod cells;
pub mod parts;
pub mod tables;

use crate::markup::escape;
use crate::report::Report;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let overview = &report.overview;
    let against = match (&overview.current, &overview.before) {
        (Some(current), Some(before)) => format!("{}, compared with {}", current.label, before.label),
        (Some(current), None) => current.label.clone(),
        (None, _) => "no reviews".to_owned(),
    };
    let title = escape(&report.title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n<p class=\"against\">{}</p>\n</header>\n<main>\n",
        escape(&against)
    );
    page.push_str(&parts::overview(report));
    page.push_str(&parts::findings(report));
    page.push_str(&parts::periods(report));
    page.push_str(&parts::products(report));
    page.push_str(&parts::topics(report));
    page.push_str(&parts::words(report));
    page.push_str(&parts::phrases(report));
    page.push_str(&parts::examples(report));
    page.push_str(&parts::disagreement(report));
    page.push_str(&parts::method(report));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}
