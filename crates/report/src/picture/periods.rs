//! Reviews, stars and the share of negative ones, period by period.
//!
//! Invariant: a period without a number has a gap, not a zero.

use super::axis::{Axis, labelled};
use super::{at, path};
use crate::markup::escape;
use crate::numbers::{count, fixed, percent};
use crate::report::PeriodRow;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 824.0;
/// Top and bottom of each part.
const STARS: (f64, f64) = (34.0, 170.0);
const NEGATIVE: (f64, f64) = (222.0, 322.0);
const REVIEWS: (f64, f64) = (374.0, 444.0);
const HEIGHT: f64 = 484.0;

/// A line of a part.
struct Line<'a> {
    class: &'static str,
    name: &'a str,
    values: Vec<Option<f64>>,
}

/// The picture; nothing of fewer than two periods.
pub fn periods(rows: &[PeriodRow]) -> Option<String> {
    let (first, last) = (rows.first()?, rows.last()?);
    if rows.len() < 2 {
        return None;
    }
    let given =
        Line { class: "given", name: "given", values: rows.iter().map(|row| row.stars_given).collect() };
    let read = Line { class: "read", name: "read", values: rows.iter().map(|row| row.stars_read).collect() };
    let negative =
        Line { class: "bad", name: "negative", values: rows.iter().map(|row| row.negative_share).collect() };
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"chart-title chart-desc\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <title id=\"chart-title\">Stars, negative reviews and number of reviews from {} to {}</title>\n<desc id=\"chart-desc\">{}</desc>\n",
        at(WIDTH),
        at(HEIGHT),
        escape(&first.label),
        escape(&last.label),
        escape(&description(first, last))
    );
    svg.push_str(&highlights(rows.len()));
    let lines: Vec<Line<'_>> = [given, read].into_iter().filter(has_values).collect();
    let all = lines.iter().flat_map(|line| line.values.iter().flatten().copied());
    let axis = Axis::around(all, (1.0, 5.0), 0.6, (STARS.1, STARS.0));
    if lines.is_empty() {
        svg.push_str(&text((LEFT, STARS.0 + 20.0), "note", "no stars, given or read"));
    }
    part(&mut svg, "Mean stars", STARS, &axis, &lines, fixed);
    let axis = Axis::around(
        negative.values.iter().flatten().copied().chain([0.0]),
        (0.0, 1.0),
        0.1,
        (NEGATIVE.1, NEGATIVE.0),
    );
    part(
        &mut svg,
        "Share of negative reviews, as read in the texts",
        NEGATIVE,
        &axis,
        &[negative],
        |value, _| percent(value).replace(".0 %", " %"),
    );
    bars(&mut svg, rows);
    labels(&mut svg, rows);
    svg.push_str("</svg>\n");
    Some(svg)
}

fn has_values(line: &Line<'_>) -> bool {
    line.values.iter().any(Option::is_some)
}

fn description(first: &PeriodRow, last: &PeriodRow) -> String {
    let of = |row: &PeriodRow| {
        let stars =
            row.stars_given.or(row.stars_read).map(|stars| format!(", mean stars {}", fixed(stars, 2)));
        let negative = row.negative_share.map(|share| format!(", {} negative", percent(share)));
        format!(
            "{}: {} reviews{}{}",
            row.label,
            count(row.reviews),
            stars.unwrap_or_default(),
            negative.unwrap_or_default()
        )
    };
    format!("{}. {}. The table below has all periods.", of(first), of(last))
}

fn x(of: usize, place: usize) -> f64 {
    let step = (RIGHT - LEFT) / of as f64;
    LEFT + step * (place as f64 + 0.5)
}

/// The last period and the one before, behind all parts.
fn highlights(of: usize) -> String {
    let step = (RIGHT - LEFT) / of as f64;
    let band = |place: usize, class: &str| {
        let left = x(of, place) - step / 2.0;
        let (top, height) = (STARS.0 - 8.0, REVIEWS.1 - STARS.0 + 8.0);
        format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
            at(left),
            at(top),
            at(step),
            at(height)
        )
    };
    band(of - 2, "band-before") + &band(of - 1, "band")
}

fn part(
    svg: &mut String,
    title: &str,
    (top, bottom): (f64, f64),
    axis: &Axis,
    lines: &[Line<'_>],
    show: impl Fn(f64, usize) -> String,
) {
    svg.push_str(&text((LEFT, top - 16.0), "part", title));
    let (ticks, decimals) = axis.ticks(if bottom - top > 110.0 { 5 } else { 4 });
    for tick in ticks {
        grid(svg, axis.place(tick), &show(tick, decimals));
    }
    let mut ends = Vec::new();
    for line in lines {
        let of = line.values.len();
        let points: Vec<Option<(f64, f64)>> = line
            .values
            .iter()
            .enumerate()
            .map(|(place, value)| value.map(|value| (x(of, place), axis.place(value))))
            .collect();
        svg.push_str(&format!("<path class=\"line {}\" d=\"{}\"/>\n", line.class, path(&points)));
        let radius = if of > 40 { 1.5 } else { 3.0 };
        for (px, py) in points.iter().flatten() {
            svg.push_str(&format!(
                "<circle class=\"dot {}\" cx=\"{}\" cy=\"{}\" r=\"{radius}\"/>\n",
                line.class,
                at(*px),
                at(*py)
            ));
        }
        if let Some((value, (_, y))) =
            line.values.iter().flatten().next_back().zip(points.iter().flatten().next_back())
        {
            ends.push((*y, format!("{} {}", show(*value, 2), line.name), line.class));
        }
    }
    apart(&mut ends);
    for (y, label, class) in ends {
        svg.push_str(&text((RIGHT + 10.0, y + 4.0), &format!("end {class}"), &label));
    }
}

/// Moves labels at the ends of lines so that they don't touch.
fn apart(ends: &mut [(f64, String, &'static str)]) {
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    if let [first, second] = ends {
        let short = 16.0 - (second.0 - first.0);
        if short > 0.0 {
            first.0 -= short / 2.0;
            second.0 += short / 2.0;
        }
    }
}

fn grid(svg: &mut String, y: f64, label: &str) {
    svg.push_str(&format!(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n",
        at(LEFT),
        at(RIGHT)
    ));
    svg.push_str(&format!(
        "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
        at(LEFT - 8.0),
        at(y + 4.0),
        escape(label)
    ));
}

fn bars(svg: &mut String, rows: &[PeriodRow]) {
    let (top, bottom) = REVIEWS;
    let most = rows.iter().map(|row| row.reviews as f64).fold(1.0, f64::max);
    let axis = Axis::around([0.0, most].into_iter(), (0.0, f64::INFINITY), 1.0, (bottom, top));
    svg.push_str(&text((LEFT, top - 16.0), "part", "Reviews"));
    for tick in axis.ticks(3).0.into_iter().filter(|tick| tick.fract() == 0.0) {
        grid(svg, axis.place(tick), &crate::numbers::short(tick));
    }
    let width = ((RIGHT - LEFT) / rows.len() as f64 * 0.62).clamp(1.0, 44.0);
    for (place, row) in rows.iter().enumerate() {
        let y = axis.place(row.reviews as f64);
        svg.push_str(&format!(
            "<rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
            at(x(rows.len(), place) - width / 2.0),
            at(y),
            at(width),
            at((bottom - y).max(0.0))
        ));
    }
    if let Some(last) = rows.last() {
        let y = axis.place(last.reviews as f64);
        svg.push_str(&text((RIGHT + 10.0, y + 4.0), "end", &format!("{} reviews", count(last.reviews))));
    }
}

fn labels(svg: &mut String, rows: &[PeriodRow]) {
    let longest = rows.iter().map(|row| short(&row.label).chars().count()).max().unwrap_or(1);
    let is_shown = labelled(rows.len(), longest, RIGHT - LEFT);
    for (place, row) in rows.iter().enumerate().filter(|(place, _)| is_shown(*place)) {
        svg.push_str(&format!(
            "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            at(x(rows.len(), place)),
            at(REVIEWS.1 + 22.0),
            escape(&short(&row.label))
        ));
    }
}

/// A label with the month's name cut short.
fn short(label: &str) -> String {
    let label = label.strip_prefix("week of ").unwrap_or(label);
    let cut = |word: &str| {
        let is_month = word.chars().count() > 3 && word.chars().all(char::is_alphabetic);
        if is_month { word.chars().take(3).collect() } else { word.to_owned() }
    };
    label.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

fn text((x, y): (f64, f64), class: &str, label: &str) -> String {
    format!("<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>\n", at(x), at(y), escape(label))
}
