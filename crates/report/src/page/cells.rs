//! Numbers in tables, and whether chance explains them.
//!
//! Invariant: a cell without a number has a dash that is read aloud as what it is.

use crate::markup::escape;
use crate::numbers::{count, fixed, percent, probability, signed};
use crate::report::Change;

/// A number, or a dash for none.
pub fn number(value: Option<String>) -> String {
    value.map_or_else(
        || "<span class=\"none\" role=\"img\" aria-label=\"none\">\u{2013}</span>".to_owned(),
        |value| escape(&value),
    )
}

/// A cell of a number.
pub fn cell(value: Option<String>) -> String {
    format!("<td class=\"num\">{}</td>", number(value))
}

/// How a number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Stars.
    Stars,
    /// A share.
    Share,
}

impl Unit {
    /// A number of this unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Stars => fixed(value, 2),
            Self::Share => percent(value),
        }
    }

    /// A difference of two.
    pub fn difference(self, value: f64) -> String {
        match self {
            Self::Stars => signed(value, 2),
            Self::Share => format!("{} points", signed(value * 100.0, 1)),
        }
    }
}

/// Whether more of it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is.
    Good,
    /// It isn't.
    Bad,
    /// It is neither.
    Neither,
}

/// Three cells: now, before, and what is to be said of the difference.
pub fn change(change: &Change, unit: Unit, direction: Direction) -> String {
    let show = |value: Option<f64>| cell(value.map(|value| unit.show(value)));
    format!(
        "{}{}<td>{}</td>",
        show(change.current),
        show(change.before),
        verdict(change, unit, direction, "chance")
    )
}

/// The difference if it is more than chance; else that it isn't, in the words for that, or that nothing was tested.
pub fn verdict(change: &Change, unit: Unit, direction: Direction, chance: &str) -> String {
    let Some((q, difference)) = change.q_value.zip(change.difference) else {
        return "<span class=\"chance\">too few to test</span>".to_owned();
    };
    if !change.significant {
        return format!(
            "<span class=\"chance\">{chance} <span class=\"q\">q {}</span></span>",
            escape(&probability(q))
        );
    }
    let class = match direction {
        Direction::Neither => "moved",
        Direction::Good if difference > 0.0 => "good",
        Direction::Bad if difference < 0.0 => "good",
        _ => "bad",
    };
    let arrow = if difference > 0.0 { "\u{25b2}" } else { "\u{25bc}" };
    format!(
        "<span class=\"{class}\"><span aria-hidden=\"true\">{arrow}</span> {} <span class=\"q\">q {}</span></span>",
        unit.difference(difference),
        escape(&probability(q))
    )
}

/// How many reviews two numbers are of.
pub fn of(change: &Change) -> String {
    format!("n = {} and {}", count(change.n_current), count(change.n_before))
}
