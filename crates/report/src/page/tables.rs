//! Products, topics, words, periods as tables.
//!
//! Invariant: each table has a caption, and each row a header.

use super::cells::{Direction, Unit, cell, change, number, verdict};
use crate::markup::name;
use crate::numbers::{count, fixed, percent, signed};
use crate::report::{PeriodRow, ProductRow, ProductTopicRow, Report, TopicRow, WordRow};
use crate::sentences::NO_PRODUCT;

/// The name of a product.
pub fn product(product: Option<&String>) -> String {
    product.map_or_else(|| NO_PRODUCT.to_owned(), |product| name(product))
}

fn table((caption, class): (&str, &str), head: &str, rows: impl Iterator<Item = String>) -> String {
    let rows: String = rows.collect();
    format!(
        "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\">\n<table>\n<caption><span class=\"{class}\">{caption}</span></caption>\n<thead>\n{head}\n</thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

/// A bar as long as a part of the longest.
fn bar(value: f64, most: f64) -> String {
    let width = if most > 0.0 { (value / most).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    format!(
        "<svg class=\"inline\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"100\" height=\"8\"/>\
         <rect class=\"badbar\" width=\"{width:.1}\" height=\"8\"/></svg>"
    )
}

/// Products in the order in which to look at them.
pub fn products(rows: &[ProductRow], stars: &str) -> String {
    let most = rows.iter().map(|row| row.excess_negative).fold(0.0, f64::max);
    let head = format!(
        "<tr><th scope=\"col\" rowspan=\"2\">Product</th><th scope=\"col\" rowspan=\"2\">Excess</th>\
         <th scope=\"colgroup\" colspan=\"2\">Reviews</th><th scope=\"colgroup\" colspan=\"3\">Mean stars {stars}</th>\
         <th scope=\"colgroup\" colspan=\"3\">Negative</th></tr>\n<tr>{0}{1}{1}</tr>",
        "<th scope=\"col\" class=\"num\">now</th><th scope=\"col\" class=\"num\">before</th>",
        "<th scope=\"col\" class=\"num\">now</th><th scope=\"col\" class=\"num\">before</th><th scope=\"col\">change</th>"
    );
    let row = |row: &ProductRow| {
        format!(
            "<tr><th scope=\"row\"><span class=\"rank\">{}</span> {}</th><td class=\"num\">{} {}</td>{}{}{}{}</tr>\n",
            row.rank,
            product(row.product.as_ref()),
            signed(row.excess_negative, 1),
            bar(row.excess_negative, most),
            cell(Some(count(row.reviews_current))),
            cell(Some(count(row.reviews_before))),
            change(&row.stars, Unit::Stars, Direction::Good),
            change(&row.negative, Unit::Share, Direction::Bad),
        )
    };
    table(("Products, those to look at first", "hidden"), &head, rows.iter().map(row))
}

/// Topics, the most frequent ones first.
pub fn topics(rows: &[TopicRow]) -> String {
    let head = format!(
        "<tr><th scope=\"col\" rowspan=\"2\">Topic</th><th scope=\"colgroup\" colspan=\"3\">Reviews that mention it</th>\
         <th scope=\"colgroup\" colspan=\"3\">Negative of it, among these</th></tr>\n<tr>{0}{0}</tr>",
        "<th scope=\"col\" class=\"num\">now</th><th scope=\"col\" class=\"num\">before</th><th scope=\"col\">change</th>"
    );
    let row = |row: &TopicRow| {
        format!(
            "<tr><th scope=\"row\">{}</th>{}{}</tr>\n",
            name(&row.topic),
            change(&row.mentions, Unit::Share, Direction::Neither),
            change(&row.negative, Unit::Share, Direction::Bad),
        )
    };
    table(("What reviews are about", "hidden"), &head, rows.iter().map(row))
}

/// Products whose topics are shown, and topics of each.
const PRODUCTS_WITH_TOPICS: usize = 5;
const TOPICS: usize = 3;

/// Topics of the first products.
pub fn product_topics(report: &Report) -> String {
    let head = "<tr><th scope=\"col\">Product</th><th scope=\"col\">Topic</th><th scope=\"col\" class=\"num\">Reviews now</th>\
                <th scope=\"col\" class=\"num\">negative</th><th scope=\"col\" class=\"num\">Reviews before</th>\
                <th scope=\"col\" class=\"num\">negative</th></tr>";
    let shown = report.products.iter().take(PRODUCTS_WITH_TOPICS).flat_map(|product| {
        let own = move |row: &&ProductTopicRow| row.product == product.product && row.negative_current > 0;
        report.product_topics.iter().filter(own).take(TOPICS)
    });
    let rows: Vec<String> = shown
        .map(|row| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td>{}{}{}{}</tr>\n",
                product(row.product.as_ref()),
                name(&row.topic),
                cell(Some(count(row.reviews_current))),
                cell(Some(count(row.negative_current))),
                cell(Some(count(row.reviews_before))),
                cell(Some(count(row.negative_before))),
            )
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    table(("What reviews of the first products speak of negatively", "caption"), head, rows.into_iter())
}

/// Words whose frequency changed.
pub fn words(rows: &[&WordRow]) -> String {
    let head = "<tr><th scope=\"col\">Word</th><th scope=\"col\" class=\"num\">now</th><th scope=\"col\" class=\"num\">before</th><th scope=\"col\">change</th>\
                <th scope=\"col\">mean score of reviews with it</th></tr>";
    let row = |row: &&WordRow| {
        format!(
            "<tr><th scope=\"row\">{}</th>{}{}</tr>\n",
            name(&row.word),
            change(&row.reviews, Unit::Share, Direction::Neither),
            cell(row.score.map(|score| signed(score, 2))),
        )
    };
    table(("Share of reviews with a word", "hidden"), head, rows.iter().map(row))
}

/// Every period.
pub fn periods(rows: &[PeriodRow]) -> String {
    let given = rows.iter().any(|row| row.stars_given.is_some());
    let read = rows.iter().any(|row| row.stars_read.is_some());
    let column = |shown: bool, name: &str| {
        if shown { format!("<th scope=\"col\">{name}</th>") } else { String::new() }
    };
    let head = format!(
        "<tr><th scope=\"col\">Period</th><th scope=\"col\">Reviews</th>{}{}<th scope=\"col\">Texts read</th><th scope=\"col\">Negative</th></tr>",
        column(given, "Mean stars given"),
        column(read, "Mean stars read")
    );
    let optional = |shown: bool, value: Option<f64>| {
        if shown { cell(value.map(|value| fixed(value, 2))) } else { String::new() }
    };
    let row = |row: &PeriodRow| {
        format!(
            "<tr><th scope=\"row\">{}</th>{}{}{}{}{}</tr>\n",
            name(&row.label),
            cell(Some(count(row.reviews))),
            optional(given, row.stars_given),
            optional(read, row.stars_read),
            cell(Some(count(row.read))),
            cell(row.negative_share.map(percent)),
        )
    };
    table(("All periods", "hidden"), &head, rows.iter().map(row))
}

/// A number in a tile with what is to be said of its change.
pub fn tile(title: &str, shown: Option<String>, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("<dd class=\"small\">{line}</dd>")).collect();
    format!("<div class=\"tile\"><dt>{title}</dt><dd class=\"big\">{}</dd>{lines}</div>\n", number(shown))
}

/// The same of a change.
pub fn change_tile(title: &str, own: &crate::report::Change, unit: Unit, direction: Direction) -> String {
    let before = own.before.map(|value| format!("before: {}; {}", unit.show(value), super::cells::of(own)));
    let mut lines: Vec<String> = before.into_iter().collect();
    if own.before.is_some() {
        lines.push(verdict(own, unit, direction, "no change beyond chance"));
    }
    tile(title, own.current.map(|value| unit.show(value)), &lines)
}
