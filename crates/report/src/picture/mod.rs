//! Pictures in SVG.
//!
//! # Layout
//! - [`axis`]: where numbers come to stand, and which are written beside.
//! - [`periods`]: reviews, stars and the share of negative ones, period by period.
//! - [`forecast`]: a series and what it comes to, with an interval.
//!
//! It must not know pages. Invariant: each picture has a role, a title and a description, so that it can be read aloud, and its colours
//! are classes, which a style sheet gives for light and for dark.

pub mod axis;
pub mod forecast;
pub mod periods;

/// A coordinate.
pub(crate) fn at(value: f64) -> String {
    let shown = format!("{value:.1}");
    shown.strip_suffix(".0").map(str::to_owned).unwrap_or(shown)
}

/// A path through points; where one is missing, it is interrupted.
pub(crate) fn path(points: &[Option<(f64, f64)>]) -> String {
    let mut path = String::new();
    let mut draws = false;
    for point in points {
        let Some((x, y)) = point else {
            draws = false;
            continue;
        };
        path.push_str(if draws { " L" } else { " M" });
        path.push_str(&format!("{} {}", at(*x), at(*y)));
        draws = true;
    }
    path.trim_start().to_owned()
}
