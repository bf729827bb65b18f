//! A series and what it comes to, with an interval.
//!
//! Invariant: the picture stands alone: its colours are in it, for light and for dark.

use super::axis::{Axis, labelled};
use super::{at, path};
use crate::markup::escape;
use crate::numbers::short;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 908.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 352.0;

const STYLE: &str = include_str!("forecast.css");

/// A value of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// When, as people read it.
    pub time: String,
    /// The value, if there is one.
    pub value: Option<f64>,
}

/// A value of the time to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// When, as people read it.
    pub time: String,
    /// The value.
    pub value: f64,
    /// Where it lies with the level's probability.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plot {
    /// What the series is of.
    pub title: String,
    /// How it was forecast.
    pub method: String,
    /// Part of the values that intervals cover.
    pub level: f64,
    /// The past, in order.
    pub history: Vec<Observed>,
    /// What is to come, in order.
    pub forecast: Vec<Expected>,
}

/// The picture.
pub fn forecast(plot: &Plot) -> String {
    let of = plot.history.len() + plot.forecast.len();
    let step = (RIGHT - LEFT) / of.max(1) as f64;
    let x = |place: usize| LEFT + step * (place as f64 + 0.5);
    let values = plot.history.iter().filter_map(|one| one.value);
    let values = values.chain(plot.forecast.iter().flat_map(|one| [one.value, one.lower, one.upper]));
    let all: Vec<f64> = values.collect();
    let positive = all.iter().all(|value| *value >= 0.0);
    let zero = positive.then_some(0.0);
    let bounds = if positive { (0.0, f64::INFINITY) } else { (f64::NEG_INFINITY, f64::INFINITY) };
    let axis = Axis::around(all.into_iter().chain(zero), bounds, 0.0, (BOTTOM, TOP));
    let mut svg = head(plot);
    for tick in axis.ticks(6).0 {
        svg.push_str(&format!(
            "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{2:.1}\" y2=\"{2:.1}\"/>\n<text class=\"tick\" x=\"{3}\" y=\"{4}\" text-anchor=\"end\">{5}</text>\n",
            at(LEFT), at(RIGHT), axis.place(tick), at(LEFT - 8.0), at(axis.place(tick) + 4.0), escape(&short(tick))
        ));
    }
    let past = plot.history.len();
    let upper = plot.forecast.iter().enumerate().map(|(at, one)| Some((x(past + at), axis.place(one.upper))));
    let lower =
        plot.forecast.iter().enumerate().rev().map(|(at, one)| Some((x(past + at), axis.place(one.lower))));
    let around: Vec<_> = upper.chain(lower).collect();
    if plot.forecast.len() > 1 {
        svg.push_str(&format!("<path class=\"interval\" d=\"{} Z\"/>\n", path(&around)));
    } else if let Some(only) = plot.forecast.first() {
        let (x, y) = (x(past), axis.place(only.upper));
        let height = axis.place(only.lower) - y;
        svg.push_str(&format!(
            "<rect class=\"interval\" x=\"{}\" y=\"{}\" width=\"8\" height=\"{}\"/>\n",
            at(x - 4.0),
            at(y),
            at(height.max(1.0))
        ));
    }
    let history: Vec<_> = plot
        .history
        .iter()
        .enumerate()
        .map(|(at, one)| one.value.map(|value| (x(at), axis.place(value))))
        .collect();
    svg.push_str(&format!("<path class=\"line history\" d=\"{}\"/>\n", path(&history)));
    let expected: Vec<_> = plot
        .forecast
        .iter()
        .enumerate()
        .map(|(at, one)| Some((x(past + at), axis.place(one.value))))
        .collect();
    svg.push_str(&format!("<path class=\"line forecast\" d=\"{}\"/>\n", path(&expected)));
    for (x, y) in expected.iter().flatten() {
        svg.push_str(&format!("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"2.5\"/>\n", at(*x), at(*y)));
    }
    times(&mut svg, plot, x);
    svg.push_str("</svg>\n");
    svg
}

fn head(plot: &Plot) -> String {
    let level = format!("{} %", short(plot.level * 100.0));
    let description = match (plot.forecast.first(), plot.forecast.last()) {
        (Some(first), Some(last)) => format!(
            "Method {}. {}: {}, between {} and {}. {}: {}, between {} and {}. Each interval is to hold {level} of the values. {} values of the past are shown.",
            plot.method,
            first.time,
            short(first.value),
            short(first.lower),
            short(first.upper),
            last.time,
            short(last.value),
            short(last.lower),
            short(last.upper),
            plot.history.len()
        ),
        _ => "There is nothing to show.".to_owned(),
    };
    let legend = format!("forecast ({}) with {level} intervals", plot.method);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"forecast-title forecast-desc\">\n\
         <title id=\"forecast-title\">{title}</title>\n<desc id=\"forecast-desc\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n<text class=\"title\" x=\"{}\" y=\"24\">{title}</text>\n\
         <text class=\"legend\" x=\"{}\" y=\"42\">{}</text>\n",
        at(WIDTH),
        at(HEIGHT),
        escape(&description),
        at(LEFT),
        at(LEFT),
        escape(&legend),
        title = escape(&plot.title)
    )
}

fn times(svg: &mut String, plot: &Plot, x: impl Fn(usize) -> f64) {
    let times: Vec<&str> = plot
        .history
        .iter()
        .map(|one| one.time.as_str())
        .chain(plot.forecast.iter().map(|one| one.time.as_str()))
        .collect();
    let longest = times.iter().map(|time| time.chars().count()).max().unwrap_or(1);
    let is_shown = labelled(times.len(), longest, RIGHT - LEFT);
    for (place, time) in times.iter().enumerate().filter(|(place, _)| is_shown(*place)) {
        svg.push_str(&format!(
            "<text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
            at(x(place)),
            at(BOTTOM + 24.0),
            escape(time)
        ));
    }
}
