//! Where a job is, in a line for people.
//!
//! It must not know how that is found out. Invariant: a line is no wider than 80 columns, and has no control characters.

use ecommerce_ml_protocol::is_blank;

use super::progress::Progress;

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Of them, those of the bar.
const BAR: usize = 20;

/// What there is to say of a job.
pub struct JobStatus {
    pub state: String,
    /// The model and its new version.
    pub version: Option<String>,
    /// What became of it: of a version, whether it is deployed; of a job that failed, why.
    pub outcome: Option<String>,
    /// What its worker last reported, while it has one.
    pub progress: Option<Progress>,
}

/// The line of a job.
pub fn line(status: &JobStatus) -> String {
    let line = match (&*status.state, &status.progress) {
        ("running", Some(progress)) => running(progress),
        ("running", None) => format!("{} interrupted", bar(None)),
        ("queued", _) => format!("{}   0%  queued", bar(Some(0.0))),
        ("succeeded", _) => {
            with_reason(format!("{} 100%  succeeded", bar(Some(1.0))), &[&status.version, &status.outcome])
        }
        (state, _) => with_reason(format!("{} {state}", bar(None)), &[&status.outcome]),
    };
    fitting(&line)
}

fn running(progress: &Progress) -> String {
    let Some(done) = share_done(progress) else {
        let phase = if is_blank(&progress.phase) { "starting" } else { &progress.phase };
        let rows = match progress.rows_read {
            0 => String::new(),
            rows => format!("  {rows} rows"),
        };
        return format!("{}   0%  {phase}{rows}", bar(Some(0.0)));
    };
    let mut line = format!("{} {:3.0}%", bar(Some(done)), (done * 100.0).floor());
    // What comes after the last step has neither loss nor pace.
    if done >= 1.0 {
        return format!("{line}  {}", progress.phase);
    }
    if let Some((epoch, epochs)) = progress.epoch.zip(progress.epochs) {
        line += &format!("  epoch {epoch}/{epochs}");
    } else {
        line += &format!("  {}", progress.phase);
    }
    if let Some(loss) = progress.loss {
        line += &format!("  loss {}", short(loss));
    }
    if let Some(pace) = progress.examples_per_second {
        line += &format!("  {}/s", short(pace));
    }
    if let Some(seconds) = progress.seconds_left.filter(|seconds| seconds.is_finite()) {
        line += &format!("  eta {}", clock(seconds));
    }
    line
}

/// Part of the steps that are done, from 0 to 1; none before the first step.
fn share_done(progress: &Progress) -> Option<f64> {
    let (step, steps) = progress.step.zip(progress.steps)?;
    (steps > 0).then(|| (step as f64 / steps as f64).clamp(0.0, 1.0))
}

/// Without a share there is nothing to show but an empty bar.
fn bar(share: Option<f64>) -> String {
    let full = (share.unwrap_or(0.0) * BAR as f64).floor() as usize;
    let full = full.min(BAR);
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

/// A number in at most eight characters.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 || !size.is_finite() => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// Seconds as `1:02:03`, or in days where there are many.
fn clock(seconds: f64) -> String {
    // Rust's casts saturate.
    let seconds = seconds.max(0.0).round() as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        1..=99 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{} days", hours / 24),
    }
}

fn with_reason(line: String, reasons: &[&Option<String>]) -> String {
    let said = reasons.iter().filter_map(|reason| reason.as_deref()).filter(|reason| !is_blank(reason));
    said.fold(line, |line, reason| format!("{line}  {reason}"))
}

/// What fits into the width, with dots for what is left out. A character that may be wide counts as two columns.
fn fitting(line: &str) -> String {
    let clean = line.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let width = |letter: char| if (letter as u32) < 0x1100 { 1 } else { 2 };
    if clean.clone().map(width).sum::<usize>() <= WIDTH {
        return clean.collect();
    }
    let mut used = 3;
    let fits = clean.take_while(|letter| {
        used += width(*letter);
        used <= WIDTH
    });
    fits.chain("...".chars()).collect()
}
