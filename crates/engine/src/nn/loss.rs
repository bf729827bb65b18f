//! How wrong the outputs are, and the gradient of that.
//!
//! It must not know networks. Invariant: a loss is the mean over rows, so gradients don't grow with the batch.

/// Mean cross-entropy of logits, shape `[rows, classes]`, and its gradient with respect to them.
///
/// The target of a row is 1 for its label, of which `smoothing` is spread evenly over all classes (Szegedy et al. 2016).
/// With weights, rows count by the weights of the targets, as in PyTorch's `cross_entropy`.
///
/// # Panics
/// If a label is not a class.
pub fn cross_entropy(
    logits: &[f32],
    labels: &[usize],
    smoothing: f32,
    weights: Option<&[f32]>,
) -> (f32, Vec<f32>) {
    let classes = logits.len() / labels.len().max(1);
    let weight = |class: usize| weights.map_or(1.0, |weights| f64::from(weights[class]));
    let total: f64 = labels.iter().map(|&label| weight(label)).sum();
    let spread = f64::from(smoothing) / classes as f64;
    let (mut loss, mut gradient) = (0.0, Vec::with_capacity(logits.len()));
    for (row, &label) in logits.chunks_exact(classes).zip(labels) {
        assert!(label < classes, "label {label} of {classes} classes");
        let greatest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let powers: f64 = row.iter().map(|&logit| (f64::from(logit) - greatest).exp()).sum();
        let normalizer = greatest + powers.ln();
        let target =
            |class| weight(class) * (spread + if class == label { 1.0 - f64::from(smoothing) } else { 0.0 });
        let targets: f64 = (0..classes).map(target).sum();
        for (class, &logit) in row.iter().enumerate() {
            let log = f64::from(logit) - normalizer;
            loss -= target(class) * log / total;
            gradient.push(((targets * log.exp() - target(class)) / total) as f32);
        }
    }
    (loss as f32, gradient)
}

/// Mean squared error of values, and its gradient with respect to them.
pub fn squared_error(values: &[f32], targets: &[f32]) -> (f32, Vec<f32>) {
    let count = values.len() as f32;
    let differences = values.iter().zip(targets).map(|(value, target)| value - target);
    let loss = differences.clone().map(|difference| difference * difference).sum::<f32>() / count;
    (loss, differences.map(|difference| 2.0 * difference / count).collect())
}
