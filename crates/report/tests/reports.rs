//! What changed is found and named, nothing is where nothing changed, and the page is what it was.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;

use common::{Dice, input, settings};
use ecommerce_ml_report::Analysis;
use ecommerce_ml_report::input::{Input, Product, Tone};
use ecommerce_ml_report::page::page;
use ecommerce_ml_report::picture::forecast::{Expected, Observed, Plot, forecast};
use ecommerce_ml_report::report::{PhraseRow, Report};
use ecommerce_ml_report::sections::sections;

fn report(input: Input) -> Report {
    Analysis::new(input, settings()).finish(Vec::new(), 0)
}

fn kinds(report: &Report) -> Vec<(&str, Option<&str>)> {
    report.findings.iter().map(|finding| (finding.kind, finding.subject.as_deref())).collect()
}

#[test]
fn a_planted_change_is_found_and_named() {
    let report = report(input(1, 14, 300, true));
    let kinds = kinds(&report);
    for expected in [
        ("stars", None),
        ("negative", None),
        ("product_stars", Some("Kettle")),
        ("product_negative", Some("Kettle")),
        ("word", Some("leaks")),
    ] {
        assert!(kinds.contains(&expected), "{expected:?}: {kinds:?}");
    }
    assert!(!kinds.iter().any(|(_, subject)| *subject == Some("Tent")), "{kinds:?}");
    let first = &report.products[0];
    assert_eq!((first.rank, first.product.as_deref()), (1, Some("Kettle")));
    assert!(first.stars.is_down() && first.contribution.unwrap() < 0.0);
    let sum: f64 = report.products.iter().map(|row| row.contribution.unwrap()).sum();
    assert!(
        (sum - report.overview.stars.difference.unwrap()).abs() < 1e-9,
        "contributions add up to the change"
    );
    assert!(report.examples[0].text.contains("eaks"), "{:?}", report.examples[0]);
    for finding in &report.findings {
        assert!(finding.sentence.contains("n = ") && finding.sentence.contains("q "), "{}", finding.sentence);
        assert!(finding.sentence.contains(finding.test.unwrap()), "{}", finding.sentence);
    }
}

#[test]
fn of_reports_without_a_change_at_most_alpha_say_that_there_is_one() {
    let trials = 200;
    let wrong =
        (0..trials).filter(|seed| kinds(&report(input(1000 + seed, 14, 60, false)))[0].0 != "none").count();
    // 5 % of 200 are 10; more than 17 of them are rarer than one in a hundred.
    assert!(wrong <= 17, "{wrong} of {trials}");
    let first = report(input(1000, 14, 60, false));
    assert!(first.findings[0].sentence.starts_with("No change beyond chance between January 2025 and February 2025 (of all reviews: Welch's t-test, n = "), "{}", first.findings[0].sentence);
}

#[test]
fn one_bad_review_does_not_lead() {
    let mut planted = input(3, 2, 200, true);
    let spans = planted.spans.unwrap();
    planted.products.push(Product { name: Some("One".to_owned()), ..Product::default() });
    let day = planted.days.last().unwrap().day;
    common::add(
        &mut planted,
        &spans,
        (5, day, 1.0),
        "The worst thing I ever bought in my life.",
        Tone::Negative,
    );
    let report = report(planted);
    let rank = report.products.iter().position(|row| row.product.as_deref() == Some("One")).unwrap();
    assert_eq!(report.products[0].product.as_deref(), Some("Kettle"));
    assert!(rank > 0 && report.products[rank].negative_shrunk.unwrap() < 0.6);
}

#[test]
fn nothing_and_little() {
    let none = report(Input::default());
    assert_eq!(kinds(&none), [("none", None)]);
    check_markup(&page(&none));
    let mut one = input(1, 1, 1, false);
    one.source.rating_column = None;
    let one = report(one);
    assert_eq!(kinds(&one), [("none", None)]);
    assert!(
        one.findings[0].sentence.starts_with("There is no period before"),
        "{}",
        one.findings[0].sentence
    );
    check_markup(&page(&one));
    let mut unread = input(1, 3, 20, false);
    unread.texts.iter_mut().for_each(|text| text.reading = None);
    unread.source.rating_column = None;
    let unread = report(unread);
    assert_eq!((unread.overview.counts.unread, unread.overview.stars_source), (60, None));
    check_markup(&page(&unread));
    for row in sections(&unread) {
        assert!(row.body.is_object(), "{row:?}");
    }
}

#[test]
fn ten_thousand_products() {
    let mut many = input(5, 3, 100, true);
    many.products
        .extend((0..10_000).map(|at| Product { name: Some(format!("product {at}")), ..Product::default() }));
    let spans = many.spans.unwrap();
    let (day, mut dice) = (many.days.last().unwrap().day, Dice(9));
    for product in 5..10_005 {
        many.products[product].current.rows = 1;
        if dice.chance() < 0.1 {
            common::add(
                &mut many,
                &spans,
                (product, day, 5.0),
                "I love it, works perfectly and looks great in our kitchen.",
                Tone::Positive,
            );
        }
    }
    let report = report(many);
    assert_eq!(report.products.iter().filter(|row| row.rank <= 20).count(), 20);
    assert_eq!(report.products[0].product.as_deref(), Some("Kettle"));
}

#[test]
fn order_of_rows_changes_nothing() {
    let straight = input(1, 6, 80, true);
    let mut turned = straight.clone();
    turned.reviews.reverse();
    assert_eq!(page(&report(straight)), page(&report(turned)));
}

fn golden_phrases() -> Vec<PhraseRow> {
    let row = |scope, product: Option<&str>, phrase: &str, sentiment, reviews, contribution| PhraseRow {
        scope,
        product: product.map(str::to_owned),
        phrase: phrase.to_owned(),
        sentiment,
        reviews,
        contribution,
        example: phrase.to_owned(),
    };
    vec![
        row("all", None, "leaks all over", "negative", 21, -1.2),
        row("all", None, "not worth", "negative", 9, -0.8),
        row("all", None, "works perfectly", "positive", 31, 0.7),
        row("product", Some("Kettle"), "leaks & <i>leaks</i>", "negative", 18, -1.4),
    ]
}

#[test]
fn the_page_is_what_it_was() {
    let analysis = Analysis::new(input(1, 14, 300, true), settings());
    let explained = analysis.to_explain();
    assert!(explained.len() > 10 && explained.iter().any(|(product, _)| *product == Some(0)));
    let page = page(&analysis.finish(golden_phrases(), 50));
    check_markup(&page);
    for hostile in
        ["<script", "<b>", "<i>", "]]>", "http://", "https://", "<link", "<img", "url(", "@import", "onload"]
    {
        let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!page.contains(hostile), "{hostile}");
    }
    golden("report.html", &page);
}

#[test]
fn the_picture_of_a_forecast_is_what_it_was() {
    let history = (0..36).map(|at| Observed {
        time: format!("{}-{:02}", 2022 + at / 12, at % 12 + 1),
        value: (at != 7).then(|| 100.0 + 2.0 * f64::from(at) + 20.0 * (f64::from(at) / 1.9).sin()),
    });
    let expected = (0..6).map(|at| Expected {
        time: format!("2025-{:02}", at + 1),
        value: 170.0 + 3.0 * f64::from(at),
        lower: 150.0 + f64::from(at),
        upper: 190.0 + 6.0 * f64::from(at),
    });
    let plot = Plot {
        title: "Sales of <Lamp> & co".to_owned(),
        method: "theta".to_owned(),
        level: 0.8,
        history: history.collect(),
        forecast: expected.collect(),
    };
    let svg = forecast(&plot);
    check_markup(&svg);
    golden("forecast.svg", &svg);
    for plot in [
        Plot::default(),
        Plot { history: Vec::new(), ..plot.clone() },
        Plot { forecast: plot.forecast[..1].to_vec(), ..plot },
    ] {
        let svg = forecast(&plot);
        check_markup(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

/// With UPDATE_EXPECTED=1 the files are written anew: look at them then.
fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == found, "{} differs: write it with UPDATE_EXPECTED=1 and look at it", path.display());
}

/// Every element is closed by its own end, attributes are quoted, headings don't skip a level, ids are there once.
fn check_markup(markup: &str) {
    const VOID: [&str; 2] = ["meta", "br"];
    let (mut open, mut ids, mut level): (Vec<String>, Vec<String>, u32) = (Vec::new(), Vec::new(), 0);
    let mut rest = markup;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        let text = &rest[..start];
        let in_style = open.last().is_some_and(|name| name == "style");
        assert!(in_style || !text.contains('>'), "{text}");
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{tag}");
            continue;
        }
        if tag.starts_with('!') {
            continue;
        }
        let name: String = tag.chars().take_while(|one| one.is_alphanumeric()).collect();
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(id) = tag.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            assert!(!ids.contains(&id.to_owned()), "{id} twice");
            ids.push(id.to_owned());
        }
        if let Some(own) = name.strip_prefix('h').and_then(|level| level.parse::<u32>().ok()) {
            assert!(own <= level + 1, "h{own} after h{level}");
            level = own;
        }
        if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
    let labels = markup.matches("aria-labelledby=\"").count();
    assert!(labels == 0 || !ids.is_empty());
}
