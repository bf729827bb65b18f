//! What changed, in words.
//!
//! It must not know how a report is shown. Invariant: a sentence that says that something changed names the test, how many reviews
//! it is of, and the q value.

use crate::numbers::{self, fixed, percent, probability};
use crate::report::{Change, Finding, Overview, ProductRow, Report, TopicRow, TrendRow, WordRow};

/// What changed: all reviews, the trend, products, topics, words; or that nothing did.
pub fn findings(report: &Report) -> Vec<Finding> {
    let overview = &report.overview;
    let Some(current) = &overview.current else {
        return vec![nothing("There are no reviews to report on.".to_owned())];
    };
    if overview.before.is_none() {
        let sentence =
            format!("There is no period before {} to compare with, so nothing was tested.", current.label);
        return vec![nothing(sentence)];
    }
    let words = Words { overview };
    let mut found = Vec::new();
    found.extend(words.stars("stars", None, &overview.stars));
    found.extend(words.negative("negative", None, &overview.negative));
    found.extend(overview.trend.as_ref().and_then(|trend| words.trend(trend)));
    found.extend(report.products.iter().flat_map(|row| words.product(row)));
    found.extend(report.topics.iter().flat_map(|row| words.topic(row)));
    found.extend(report.words.iter().filter_map(|row| words.word(row)));
    if found.is_empty() {
        found.push(nothing(no_change(report)));
    }
    found
}

fn nothing(sentence: String) -> Finding {
    Finding {
        kind: "none",
        subject: None,
        direction: "none",
        is_bad: false,
        sentence,
        test: None,
        n_current: 0,
        n_before: 0,
        p_value: None,
        q_value: None,
    }
}

fn no_change(report: &Report) -> String {
    let Overview { stars, negative, current, before, .. } = &report.overview;
    let label =
        |span: &Option<crate::spans::Span>| span.as_ref().map(|span| span.label.clone()).unwrap_or_default();
    let method = &report.method;
    let tests = method.tested_products + method.tested_topics + method.tested_words;
    let whole = [stars, negative].into_iter().filter_map(|change| {
        let (test, q) = (change.test?, change.q_value?);
        let n = format!("n = {} and {}", numbers::count(change.n_current), numbers::count(change.n_before));
        Some(format!("{test}, {n}, q {}", probability(q)))
    });
    let whole = whole.collect::<Vec<_>>().join("; ");
    if whole.is_empty() && tests == 0 {
        return format!("Too few reviews of {} and {} for any test.", label(before), label(current));
    }
    let of_all = if whole.is_empty() {
        "too few reviews for a test of all of them".to_owned()
    } else {
        format!("of all reviews: {whole}")
    };
    let of_parts = match tests {
        0 => "nothing else could be tested".to_owned(),
        1 => "one test of a product, topic or word says no more".to_owned(),
        _ => format!("{} tests of products, topics and words say no more", numbers::count(tests)),
    };
    format!(
        "No change beyond chance between {} and {} ({of_all}; {of_parts}).",
        label(before),
        label(current)
    )
}

struct Words<'a> {
    overview: &'a Overview,
}

impl Words<'_> {
    fn label(&self) -> (&str, &str) {
        let current = self.overview.current.as_ref().map_or("", |span| span.label.as_str());
        (current, self.overview.before.as_ref().map_or("", |span| span.label.as_str()))
    }

    fn stars(&self, kind: &'static str, subject: Option<String>, change: &Change) -> Option<Finding> {
        let (now, then, difference) = numbers_of(change)?;
        let (current, before) = self.label();
        let of = subject.as_ref().map(|subject| format!(" of {}", quoted(subject))).unwrap_or_default();
        let source = match self.overview.stars_source {
            Some("given") => "Mean stars given",
            _ => "Mean stars, as read in the texts,",
        };
        let interval = change.lower.zip(change.upper).map(|(lower, upper)| {
            format!("95 % interval {} to {}; ", numbers::signed(lower, 2), numbers::signed(upper, 2))
        });
        let sentence = format!(
            "{source}{of} {} from {} in {before} to {} in {current} ({}{}).",
            verb(difference),
            fixed(then, 2),
            fixed(now, 2),
            interval.unwrap_or_default(),
            tested(change)
        );
        Some(finding(kind, subject, change, difference < 0.0, sentence))
    }

    fn negative(&self, kind: &'static str, subject: Option<String>, change: &Change) -> Option<Finding> {
        let (now, then, difference) = numbers_of(change)?;
        let (current, before) = self.label();
        let of = subject.as_ref().map(|subject| format!(" of {}", quoted(subject))).unwrap_or_default();
        let sentence = format!(
            "The share of negative reviews{of} {} from {} in {before} to {} in {current} ({}).",
            verb(difference),
            percent(then),
            percent(now),
            tested(change)
        );
        Some(finding(kind, subject, change, difference > 0.0, sentence))
    }

    fn product(&self, row: &ProductRow) -> Vec<Finding> {
        let name = Some(row.product.clone().unwrap_or_else(|| NO_PRODUCT.to_owned()));
        let stars = self.stars("product_stars", name.clone(), &row.stars);
        stars.into_iter().chain(self.negative("product_negative", name, &row.negative)).collect()
    }

    fn topic(&self, row: &TopicRow) -> Vec<Finding> {
        let (current, before) = self.label();
        let mut found = Vec::new();
        if let Some((now, then, difference)) = numbers_of(&row.mentions) {
            let sentence = format!(
                "{} is mentioned in {} of the reviews of {current}, {} of those of {before} ({}).",
                quoted(&row.topic),
                percent(now),
                percent(then),
                tested(&row.mentions)
            );
            let subject = Some(row.topic.clone());
            let is_bad = difference > 0.0
                && row
                    .negative
                    .current
                    .zip(self.overview.negative.current)
                    .is_some_and(|(own, all)| own > all);
            found.push(finding("topic_mentions", subject, &row.mentions, is_bad, sentence));
        }
        if let Some((now, then, difference)) = numbers_of(&row.negative) {
            let sentence = format!(
                "Of the reviews that mention {}, {} speak of it negatively in {current}, {} in {before} ({}).",
                quoted(&row.topic),
                percent(now),
                percent(then),
                tested(&row.negative)
            );
            found.push(finding(
                "topic_negative",
                Some(row.topic.clone()),
                &row.negative,
                difference > 0.0,
                sentence,
            ));
        }
        found
    }

    fn word(&self, row: &WordRow) -> Option<Finding> {
        let (now, then, difference) = numbers_of(&row.reviews)?;
        let (current, before) = self.label();
        let sentence = format!(
            "The word {} comes in {} of the reviews of {current}, in {} of those of {before} ({}).",
            quoted(&row.word),
            percent(now),
            percent(then),
            tested(&row.reviews)
        );
        let is_bad = difference > 0.0 && row.score.is_some_and(|score| score < 0.0);
        Some(finding("word", Some(row.word.clone()), &row.reviews, is_bad, sentence))
    }

    fn trend(&self, trend: &TrendRow) -> Option<Finding> {
        if !trend.significant {
            return None;
        }
        let unit = self.overview.period_unit.unwrap_or("period");
        let is_share = trend.measure.starts_with("share");
        let slope = |value: f64| match is_share {
            true => format!("{} points", numbers::signed(value * 100.0, 1)),
            false => numbers::signed(value, 3),
        };
        let measure = if is_share { "The share of negative reviews" } else { "Mean stars" };
        let sentence = format!(
            "{measure} {} over the {} {unit}s that have enough reviews: by {} a {unit} (95 % interval {} to {}; {}, n = {} {unit}s, q {}).",
            verb(trend.slope),
            trend.periods,
            slope(trend.slope),
            slope(trend.lower),
            slope(trend.upper),
            trend.test,
            trend.periods,
            probability(trend.q_value)
        );
        Some(Finding {
            kind: "trend",
            subject: None,
            direction: direction(trend.slope),
            is_bad: (trend.slope > 0.0) == is_share,
            sentence,
            test: Some(trend.test),
            n_current: trend.periods,
            n_before: 0,
            p_value: Some(trend.p_value),
            q_value: Some(trend.q_value),
        })
    }
}

/// What rows without a product are called.
pub const NO_PRODUCT: &str = "(no product)";

/// Now, before and their difference, of a change that is more than chance.
fn numbers_of(change: &Change) -> Option<(f64, f64, f64)> {
    let (now, then) = change.current.zip(change.before)?;
    change.significant.then_some((now, then, change.difference?))
}

fn finding(
    kind: &'static str,
    subject: Option<String>,
    change: &Change,
    is_bad: bool,
    sentence: String,
) -> Finding {
    Finding {
        kind,
        subject,
        direction: direction(change.difference.unwrap_or_default()),
        is_bad,
        sentence,
        test: change.test,
        n_current: change.n_current,
        n_before: change.n_before,
        p_value: change.p_value,
        q_value: change.q_value,
    }
}

fn tested(change: &Change) -> String {
    format!(
        "{}, n = {} and {}, q {}",
        change.test.unwrap_or_default(),
        numbers::count(change.n_current),
        numbers::count(change.n_before),
        probability(change.q_value.unwrap_or(1.0))
    )
}

fn direction(difference: f64) -> &'static str {
    match difference {
        _ if difference > 0.0 => "up",
        _ if difference < 0.0 => "down",
        _ => "none",
    }
}

fn verb(difference: f64) -> &'static str {
    if difference > 0.0 { "rose" } else { "fell" }
}

fn quoted(name: &str) -> String {
    format!("\u{201c}{name}\u{201d}")
}

/// How the report was made, and what was left out.
pub fn notes(report: &Report) -> Vec<String> {
    let (overview, method) = (&report.overview, &report.method);
    let counts = &overview.counts;
    let mut notes = vec![format!(
        "{} rows of relation {}; {} have a text.",
        numbers::count(counts.rows),
        overview.relation,
        numbers::count(counts.with_text)
    )];
    notes.push(match method.all_texts_read {
        true => format!("All texts of these periods were read, by model {}.", overview.model),
        false => format!(
            "Of the texts, {} reviews were read by model {}: a third each of the period reported on, the one before and all earlier \
             ones, as far as there are so many, chosen by a hash of the text. Counts of reviews and stars given are of all rows; what \
             was read in texts is of these.",
            numbers::count(counts.sampled),
            overview.model
        ),
    });
    let left_out = [
        (counts.unread, "are texts that the model can't read, and count as unread"),
        (counts.without_time, "have no time, and are left out"),
        (counts.future, "are of days to come, and are left out"),
        (counts.outside, "are of a period at an end that is not whole, and are left out"),
        (counts.without_product, "have no product, and count as one"),
        (counts.stars_unusable, "have stars that are no number from 1 to 5; the stars don't count"),
    ];
    let told = left_out.into_iter().filter(|(rows, _)| *rows > 0);
    notes.extend(told.map(|(rows, what)| format!("{} {what}.", numbers::count(rows))));
    notes.push(format!(
        "Mean stars are compared by Welch's t-test, shares by the two-proportion z-test, or by Fisher's exact test where fewer than \
         five are expected, the trend by the Mann-Kendall test. In each of {} families (all reviews, products, topics, words) the rate \
         of false discoveries is held by Benjamini and Hochberg's method, and q values are multiplied by {0}: of reports on reviews \
         where nothing changed, at most {} say that anything did. n is the number of reviews of this period and of the one before.",
        method.families,
        percent(method.alpha)
    ));
    if let Some((share, prior)) =
        method.negative_share.zip(method.prior_reviews).filter(|_| !report.products.is_empty())
    {
        notes.push(format!(
            "Products are ranked by excess: the negative reviews of this period beyond what the average product, of which {} are \
             negative, would have got. Each product's share is drawn towards that, as if it had {} more reviews of the average kind, \
             so that one bad review doesn't lead.",
            percent(share),
            fixed(prior, 0)
        ));
    }
    if !report.topics.is_empty() {
        notes.push(
            "A topic is what a clause speaks of, by its words. Whether negatively is what the model says of the clause and of its \
             sentence; of several clauses of a review that speak of it, the one with the strongest score counts."
                .to_owned(),
        );
    }
    if method.explained > 0 {
        notes.push(format!(
            "Phrases are those that drive what the model says of {} texts (integrated gradients); they are not tested.",
            numbers::count(method.explained)
        ));
    }
    notes
}
