//! Forecasts of parts and of their sums, made to agree.
//!
//! Weighted least squares with the variance of each forecast (Hyndman, Lee and Wang, "Fast computation of reconciled forecasts for hierarchical and
//! grouped time series", 2016; the diagonal of MinT: Wickramasuriya, Athanasopoulos and Hyndman, 2019). In a tree it is exact in two passes: up, what
//! is known of each sum from its parts and its own forecast; down, what differs is shared out by variances. It must not know what
//! nodes are. Invariant: each sum is that of its parts.

/// Least variance, as a part of the largest one: of what is certain.
const CERTAIN: f64 = 1e-12;

/// Nodes of which each is a leaf or the sum of others.
#[derive(Debug, Clone, PartialEq)]
pub struct Hierarchy {
    /// `[node]`: of which it is a part; before it in the order.
    parents: Vec<Option<usize>>,
    /// `[node]`.
    is_sum: Vec<bool>,
}

/// What is known of a node: a mean and its variance.
#[derive(Debug, Clone, Copy, Default)]
struct Estimate {
    mean: f64,
    variance: f64,
}

impl Hierarchy {
    /// That of keys in ascending order, in which each node is the sum of all that begin as it does.
    pub fn of_keys(keys: &[Vec<String>]) -> Self {
        let mut parents: Vec<Option<usize>> = Vec::with_capacity(keys.len());
        let mut is_sum = vec![false; keys.len()];
        let mut open: Vec<usize> = Vec::new();
        for (node, key) in keys.iter().enumerate() {
            let holds = |place: &usize| keys.get(*place).is_some_and(|above| key.starts_with(above));
            while open.last().is_some_and(|last| !holds(last)) {
                open.pop();
            }
            if let Some(sum) = open.last().and_then(|parent| is_sum.get_mut(*parent)) {
                *sum = true;
            }
            parents.push(open.last().copied());
            open.push(node);
        }
        Self { parents, is_sum }
    }

    /// Whether a node is the sum of others.
    pub fn is_sum(&self, node: usize) -> bool {
        self.is_sum.get(node).copied().unwrap_or(false)
    }

    /// Forecasts that agree, `[node]`, from some that don't and their variances. Leaves are at least `least`.
    pub fn reconcile(&self, forecasts: &[f64], variances: &[f64], least: f64) -> Vec<f64> {
        let largest = variances.iter().copied().filter(|one| one.is_finite()).fold(0.0_f64, f64::max);
        let floor = (largest * CERTAIN).max(f64::MIN_POSITIVE / f64::EPSILON);
        let own = |(mean, variance): (&f64, &f64)| Estimate { mean: *mean, variance: variance.max(floor) };
        let own: Vec<Estimate> = forecasts.iter().zip(variances).map(own).collect();
        let (known, parts) = self.up(&own);
        let mut agreed = self.down(&known, &parts);
        self.add_up(&mut agreed, least);
        agreed
    }

    /// What is known of each node from below and from itself, and of the sum of its parts.
    fn up(&self, own: &[Estimate]) -> (Vec<Estimate>, Vec<Estimate>) {
        let (mut known, mut parts) = (own.to_vec(), vec![Estimate::default(); own.len()]);
        for node in (0..own.len()).rev() {
            if self.is_sum(node) {
                let (own, below) = (own[node], parts[node]);
                let variance = own.variance * below.variance / (own.variance + below.variance);
                let mean =
                    (own.mean * below.variance + below.mean * own.variance) / (own.variance + below.variance);
                known[node] = Estimate { mean, variance };
            }
            if let Some(sum) = self.parent(node).and_then(|parent| parts.get_mut(parent)) {
                sum.mean += known[node].mean;
                sum.variance += known[node].variance;
            }
        }
        (known, parts)
    }

    fn down(&self, known: &[Estimate], parts: &[Estimate]) -> Vec<f64> {
        let mut agreed: Vec<f64> = known.iter().map(|one| one.mean).collect();
        for node in 0..agreed.len() {
            if let Some(parent) = self.parent(node) {
                let differs = agreed[parent] - parts[parent].mean;
                agreed[node] += differs * known[node].variance / parts[parent].variance;
            }
        }
        agreed
    }

    /// Sums of leaves that are at least so much.
    fn add_up(&self, values: &mut [f64], least: f64) {
        for node in (0..values.len()).rev() {
            if !self.is_sum(node) {
                values[node] = values[node].max(least);
            }
        }
        for (value, is_sum) in values.iter_mut().zip(&self.is_sum) {
            *value = if *is_sum { 0.0 } else { *value };
        }
        for node in (0..values.len()).rev() {
            if let Some(parent) = self.parent(node) {
                values[parent] += values[node];
            }
        }
    }

    fn parent(&self, node: usize) -> Option<usize> {
        self.parents.get(node).copied().flatten().filter(|parent| *parent < node)
    }
}
