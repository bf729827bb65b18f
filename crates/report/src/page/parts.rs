//! The sections of the page.
//!
//! Invariant: a section without anything to say says so or is left out; none is empty.

use super::cells::{Direction, Unit};
use super::tables::{self, change_tile, product, tile};
use crate::markup::{escape, name};
use crate::numbers::{count, fixed, percent, signed};
use crate::picture;
use crate::report::{Example, PhraseRow, Report};

fn section(id: &str, title: &str, inside: &str) -> String {
    format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{inside}</section>\n")
}

/// The whole in short.
pub fn overview(report: &Report) -> String {
    let overview = &report.overview;
    if overview.current.is_none() {
        return section("overview", "At a glance", "<p>There are no reviews to report on.</p>\n");
    }
    let before = overview.reviews_before.map(|reviews| format!("before: {}", count(reviews)));
    let mut tiles =
        tile("Reviews", Some(count(overview.reviews_current)), &before.into_iter().collect::<Vec<_>>());
    if overview.product_column.is_some() {
        tiles.push_str(&tile("Products reviewed", Some(count(overview.products)), &[]));
    }
    let stars = match overview.stars_source {
        Some("given") => Some("Mean stars given"),
        Some(_) => Some("Mean stars, as read in texts"),
        None => None,
    };
    if let Some(title) = stars {
        tiles.push_str(&change_tile(title, &overview.stars, Unit::Stars, Direction::Good));
    }
    tiles.push_str(&change_tile("Negative reviews", &overview.negative, Unit::Share, Direction::Bad));
    section("overview", "At a glance", &format!("<dl class=\"tiles\">\n{tiles}</dl>\n"))
}

/// Words that are told of among what changed; the others are in a table of their own.
const WORDS: usize = 3;

/// What changed.
pub fn findings(report: &Report) -> String {
    let mut words = 0;
    let shown = report.findings.iter().filter(|finding| {
        words += usize::from(finding.kind == "word");
        finding.kind != "word" || words <= WORDS
    });
    let mut items: String = shown
        .map(|finding| {
            let (class, mark) = match (finding.direction, finding.is_bad) {
                ("none", _) => ("chance", "\u{25cf}"),
                ("up", true) => ("bad", "\u{25b2}"),
                ("up", false) => ("good", "\u{25b2}"),
                (_, true) => ("bad", "\u{25bc}"),
                (_, false) => ("good", "\u{25bc}"),
            };
            let class = if finding.kind == "word" && !finding.is_bad { "moved" } else { class };
            let class = if finding.kind == "topic_mentions" && !finding.is_bad { "moved" } else { class };
            format!(
                "<li><span class=\"mark {class}\" aria-hidden=\"true\">{mark}</span> <span dir=\"auto\">{}</span></li>\n",
                escape(&finding.sentence)
            )
        })
        .collect();
    if words > WORDS {
        items.push_str(&format!(
            "<li><span class=\"mark moved\" aria-hidden=\"true\">\u{2026}</span> And {} more words: <a href=\"#words\">all of them</a>.</li>\n",
            words - WORDS
        ));
    }
    section("findings", "What changed", &format!("<ul class=\"findings\">\n{items}</ul>\n"))
}

/// How it went over time.
pub fn periods(report: &Report) -> String {
    let Some(chart) = picture::periods::periods(&report.periods) else { return String::new() };
    let shaded = "The last period is shaded, and the one before that it is compared with. Stars given are those of customers; stars \
                  read are what the texts say to the model.";
    let inside = format!(
        "<figure>\n{chart}<figcaption>{shaded}</figcaption>\n</figure>\n<details>\n<summary>All numbers of the picture</summary>\n{}</details>\n",
        tables::periods(&report.periods)
    );
    section("periods", "Over time", &inside)
}

/// Products to look at first.
pub fn products(report: &Report) -> String {
    if report.products.is_empty() {
        return String::new();
    }
    let stars = if report.overview.stars_source == Some("given") { "given" } else { "read" };
    let rank = "Ranked by excess: negative reviews beyond what the average product would have got with as many reviews. Shares of few \
                reviews are drawn towards the average, so one bad review doesn't lead. Where chance explains a change, the table says so.";
    let inside = format!(
        "<p>{rank}</p>\n{}{}",
        tables::products(&report.products, stars),
        tables::product_topics(report)
    );
    section("products", "Products to look at first", &inside)
}

/// Topics.
pub fn topics(report: &Report) -> String {
    if report.topics.is_empty() {
        return String::new();
    }
    section("topics", "Topics", &tables::topics(&report.topics))
}

/// Words.
pub fn words(report: &Report) -> String {
    if report.overview.before.is_none() {
        return String::new();
    }
    let changed: Vec<_> = report.words.iter().filter(|row| row.reviews.significant).collect();
    let inside = match (changed.is_empty(), report.method.tested_words) {
        (false, _) => tables::words(&changed),
        (true, 0) => "<p>No word is in enough reviews to be tested.</p>\n".to_owned(),
        (true, tested) => format!(
            "<p>No word comes more or less often than chance explains ({} words tested: two-proportion z-test or Fisher's exact test, \
             with Benjamini and Hochberg's method).</p>\n",
            count(tested)
        ),
    };
    section("words", "Words that come more or less often", &inside)
}

/// Words and phrases of negative reviews, and of others.
pub fn phrases(report: &Report) -> String {
    if report.phrases.is_empty() && report.drivers.is_empty() {
        return String::new();
    }
    let mut inside = String::new();
    if !report.drivers.is_empty() {
        inside.push_str(&format!(
            "<p>Words of reviews that are negative more or less often than others, of both periods, with the number of reviews and the \
             part of them that is negative (two-proportion z-test or Fisher's exact test, q at most {} by Benjamini and Hochberg's \
             method; {} words and pairs of words tested).</p>\n<div class=\"columns\">\n{}{}</div>\n",
            crate::numbers::short(report.method.alpha),
            count(report.method.tested_drivers),
            drivers(report, "negative", "More often negative"),
            drivers(report, "positive", "Less often negative"),
        ));
    }
    if !report.phrases.is_empty() {
        let words =
            "What drives the stars that the model reads, with the number of texts that say it (not tested).";
        inside.push_str(&format!(
            "<p class=\"after\">{words}</p>\n<div class=\"columns\">\n{}</div>\n",
            scopes(&report.phrases)
        ));
    }
    section("phrases", "What reviews praise and complain of", &inside)
}

fn drivers(report: &Report, sentiment: &str, title: &str) -> String {
    let own = report.drivers.iter().filter(|row| row.sentiment == sentiment);
    let items: String = own
        .map(|row| {
            let share = row.negative_share.map(percent).unwrap_or_default();
            let class = if sentiment == "negative" { "bad" } else { "good" };
            format!(
                "<li class=\"{class}\">{} <span class=\"q\">{} \u{b7} {share}</span></li>\n",
                name(&row.term),
                count(row.reviews)
            )
        })
        .collect();
    let items =
        if items.is_empty() { "<li class=\"none\">none beyond chance</li>\n".to_owned() } else { items };
    format!("<div class=\"phrases\">\n<h3>{title}</h3>\n<ul class=\"chips\">\n{items}</ul>\n</div>\n")
}

/// Phrases by what they are of.
fn scopes(mut rows: &[PhraseRow]) -> String {
    let mut inside = String::new();
    while let Some(first) = rows.first() {
        let is_other = |row: &PhraseRow| (row.scope, &row.product) != (first.scope, &first.product);
        let (own, others) = rows.split_at(rows.iter().position(is_other).unwrap_or(rows.len()));
        let title =
            if first.scope == "all" { "All reviews".to_owned() } else { product(first.product.as_ref()) };
        inside.push_str(&format!(
            "<div class=\"phrases\">\n<h3>{title}</h3>\n{}{}</div>\n",
            list(own, "negative"),
            list(own, "positive")
        ));
        rows = others;
    }
    inside
}

fn list(rows: &[PhraseRow], sentiment: &str) -> String {
    let own = rows.iter().filter(|row| row.sentiment == sentiment);
    let items: String = own
        .map(|row| {
            format!(
                "<li class=\"{}\">{} <span class=\"q\">{}</span></li>\n",
                if sentiment == "negative" { "bad" } else { "good" },
                name(&row.phrase),
                count(row.reviews)
            )
        })
        .collect();
    if items.is_empty() {
        return String::new();
    }
    let title = if sentiment == "negative" { "Lowers" } else { "Raises" };
    format!("<p class=\"label\">{title}</p>\n<ul class=\"chips\">\n{items}</ul>\n")
}

/// Reviews that show it best.
pub fn examples(report: &Report) -> String {
    if report.examples.is_empty() {
        return String::new();
    }
    let mut inside = String::new();
    let mut shown = None;
    for example in &report.examples {
        let own = (example.shows, &example.subject);
        if shown != Some(own) {
            let what = match example.shows {
                "product" if report.overview.product_column.is_none() => "All reviews".to_owned(),
                "product" => product(example.subject.as_ref()),
                what => format!(
                    "{} {}",
                    if what == "topic" { "Topic" } else { "Word" },
                    product(example.subject.as_ref())
                ),
            };
            inside.push_str(&format!("<h3>{what}</h3>\n"));
            shown = Some(own);
        }
        inside.push_str(&quote(example, example.shows != "product"));
    }
    section("examples", "Reviews that show it best", &inside)
}

fn quote(example: &Example, with_product: bool) -> String {
    let mut facts = Vec::new();
    if with_product && example.product.is_some() {
        facts.push(product(example.product.as_ref()));
    }
    facts.extend(example.date.as_deref().map(escape));
    facts.extend(example.stars_given.map(|stars| format!("{} stars given", crate::numbers::short(stars))));
    facts.push(match example.stars_read {
        Some(stars) => format!("read as {} stars", fixed(stars, 1)),
        None => format!("read as {}, score {}", example.sentiment, signed(example.score, 2)),
    });
    format!(
        "<figure class=\"quote {}\">\n<blockquote dir=\"auto\">{}</blockquote>\n<figcaption>{}</figcaption>\n</figure>\n",
        example.sentiment,
        escape(&example.text),
        facts.join(" \u{b7} ")
    )
}

/// Stars given beside stars read.
pub fn disagreement(report: &Report) -> String {
    let Some(found) = &report.disagreement else { return String::new() };
    let correlation = found.correlation.map(|one| fixed(one, 2));
    let tiles = [
        tile("Reviews with both", Some(count(found.reviews)), &[]),
        tile(
            "Mean stars given",
            Some(fixed(found.mean_given, 2)),
            &[format!("read: {}", fixed(found.mean_read, 2))],
        ),
        tile(
            "Correlation",
            correlation,
            &[format!("mean distance: {} stars", fixed(found.mean_absolute, 2))],
        ),
        tile(
            "Two stars apart or more",
            Some(percent(found.far_apart_share)),
            &[format!("{} reviews", count(found.far_apart))],
        ),
    ];
    let quotes: String = report.disagreements.iter().map(|example| quote(example, true)).collect();
    let quotes =
        if quotes.is_empty() { String::new() } else { format!("<h3>Where they differ most</h3>\n{quotes}") };
    let words = "Where customers' stars and what their texts say differ, somebody may have pressed the wrong star, meant the shop and not \
                 the product, or written what the model doesn't understand.";
    section(
        "disagreement",
        "Stars given and texts read",
        &format!("<p>{words}</p>\n<dl class=\"tiles\">\n{}</dl>\n{quotes}", tiles.concat()),
    )
}

/// How the report was made.
pub fn method(report: &Report) -> String {
    let notes: String =
        report.method.notes.iter().map(|note| format!("<li dir=\"auto\">{}</li>\n", escape(note))).collect();
    section("method", "How this was made", &format!("<ul class=\"notes\">\n{notes}</ul>\n"))
}
