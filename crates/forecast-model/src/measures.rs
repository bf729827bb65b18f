//! What forecasts are worth, under the names that all kinds have.
//!
//! It must not know what was measured. Invariant: a measure without a value is left out.

use ecommerce_ml_forecast::accuracy::Accuracy;
use ecommerce_ml_forecast::held_out::Evaluation;
use ecommerce_ml_protocol::training::{Baseline, Metric};

/// All of them; those of intervals only where there are some.
pub fn metrics(found: &Accuracy, with_intervals: bool) -> Vec<Metric> {
    let of_values =
        [("mase", found.mase()), ("rmsse", found.rmsse()), ("wape", found.wape()), ("smape", found.smape())];
    let of_intervals = [
        ("coverage", found.coverage()),
        ("interval_width", found.width()),
        ("pinball_loss", found.pinball()),
    ];
    let all = of_values.into_iter().chain(of_intervals.into_iter().filter(|_| with_intervals));
    all.filter_map(|(name, value)| Some(Metric { name: name.to_owned(), class: None, value: value? }))
        .collect()
}

/// Those of the seasonal naive.
pub fn baseline(found: &Evaluation) -> Baseline {
    Baseline {
        method: Some("forecasting what was a season ago".to_owned()),
        label: None,
        mean: None,
        median: None,
        metrics: metrics(&found.naive, false),
    }
}
