//! Which products to look at first: those with the most negative reviews beyond what the average product would have got.
//!
//! Shares of few reviews are drawn towards that of all: a product counts as if it had so many more reviews of the average kind as the
//! products differ little (the beta-binomial model, its prior from the products by moments). So one bad review of a product with one
//! review weighs little, and a product is first because much of much is bad. Invariant: the order doesn't depend on that of the input.

use ecommerce_ml_metrics::drivers::{Aggregate, Pair, Sums, driver};

use super::{Negatives, When, change, read, reviews};
use crate::input::{Input, Product};
use crate::report::ProductRow;

/// Reviews of the average kind that each product is given, at least and at most.
const LEAST_PRIOR: f64 = 5.0;
const MOST_PRIOR: f64 = 1000.0;

/// Products that changed and don't come first, at most.
const MOST_OTHERS: usize = 100;

/// Products in order, and what it is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranking {
    /// Places among the input's products.
    pub order: Vec<usize>,
    /// Of all products in the period that is reported on.
    pub negative_share: Option<f64>,
    /// Reviews of the average kind that each is given.
    pub prior_reviews: Option<f64>,
    /// By place among the input's products.
    pub(crate) standing: Vec<Standing>,
}

/// What was read of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Standing {
    current: Negatives,
    before: Negatives,
    stars_current: Sums,
    stars_before: Sums,
    shrunk: Option<f64>,
    excess: f64,
}

/// Ranks the products.
#[allow(clippy::cast_precision_loss)]
pub fn rank(input: &Input) -> Ranking {
    let mut standing = vec![Standing::default(); input.products.len()];
    for when in [When::Current, When::Before] {
        for (review, _, reading) in read(input, reviews(input, when)) {
            let Some(own) = review.product.and_then(|product| standing.get_mut(product)) else { continue };
            let (negatives, stars) = match when {
                When::Current => (&mut own.current, &mut own.stars_current),
                When::Before => (&mut own.before, &mut own.stars_before),
            };
            negatives.add(reading.tone);
            if let Some(read) = reading.stars {
                change::add(stars, read);
            }
        }
    }
    let counts: Vec<Negatives> = standing.iter().map(|own| own.current).collect();
    let negative_share = share(&counts);
    let prior_reviews = negative_share.map(|share| prior(&counts, share));
    if let Some((share, prior)) = negative_share.zip(prior_reviews) {
        for (own, product) in standing.iter_mut().zip(&input.products) {
            let (negative, read) = (own.current.negative as f64, own.current.read as f64);
            let shrunk = (negative + prior * share) / (read + prior);
            own.shrunk = (read > 0.0).then_some(shrunk);
            own.excess = if read > 0.0 { product.current.rows as f64 * (shrunk - share) } else { 0.0 };
        }
    }
    let mut order: Vec<usize> = (0..input.products.len()).collect();
    order.sort_by(|one, other| {
        let key = |at: &usize| standing.get(*at).map_or(0.0, |own| own.excess);
        let product = |at: &usize| input.products.get(*at);
        let rows = |at: &usize| product(at).map_or(0, |product| product.current.rows + product.before.rows);
        let name = |at: &usize| product(at).and_then(|product| product.name.as_deref());
        key(other)
            .total_cmp(&key(one))
            .then_with(|| rows(other).cmp(&rows(one)))
            .then_with(|| name(one).cmp(&name(other)))
    });
    Ranking { order, negative_share, prior_reviews, standing }
}

#[allow(clippy::cast_precision_loss)]
fn share(counts: &[Negatives]) -> Option<f64> {
    let (negative, read) =
        counts.iter().fold((0, 0), |(negative, read), one| (negative + one.negative, read + one.read));
    (read > 0).then(|| negative as f64 / read as f64)
}

/// How alike the products are: the number of reviews that the share of all is worth, from how much more shares vary than the chance
/// of so few reviews makes them.
#[allow(clippy::cast_precision_loss)]
fn prior(counts: &[Negatives], share: f64) -> f64 {
    let known: Vec<(f64, f64)> =
        counts.iter().filter(|one| one.read > 0).map(|one| (one.negative as f64, one.read as f64)).collect();
    let all: f64 = known.iter().map(|(_, read)| read).sum();
    let spread: f64 = known.iter().map(|(negative, read)| read * (negative / read - share).powi(2)).sum();
    let by_chance = share * (1.0 - share);
    let degrees = known.len() as f64 - 1.0;
    let size = all - known.iter().map(|(_, read)| read * read).sum::<f64>() / all;
    let variance = (spread - by_chance * degrees) / size;
    let prior = by_chance / variance - 1.0;
    if variance > 0.0 && prior.is_finite() { prior.clamp(LEAST_PRIOR, MOST_PRIOR) } else { MOST_PRIOR }
}

/// All products in order, and how many tests were made of them.
pub fn rows(input: &Input, ranking: &Ranking, alpha: f64) -> (Vec<ProductRow>, u64) {
    if input.source.product_column.is_none() {
        return (Vec::new(), 0);
    }
    let given = input.source.rating_column.is_some();
    let pair = |product: &Product, own: &Standing| match given {
        true => Pair { test: product.current.stars, control: product.before.stars },
        false => Pair { test: own.stars_current, control: own.stars_before },
    };
    let all = input.products.iter().zip(&ranking.standing).map(|(product, own)| pair(product, own));
    let sum = |one: Pair, other: Pair| Pair {
        test: super::whole::plus(one.test, other.test),
        control: super::whole::plus(one.control, other.control),
    };
    let whole = all.fold(Pair::default(), sum);
    let row = |(rank, at): (u64, &usize)| {
        let (product, own) = (input.products.get(*at)?, ranking.standing.get(*at)?);
        let pair = pair(product, own);
        let both = whole.test.rows > 0 && whole.control.rows > 0;
        Some(ProductRow {
            rank,
            product: product.name.clone(),
            reviews_current: product.current.rows,
            reviews_before: product.before.rows,
            excess_negative: own.excess,
            negative_shrunk: own.shrunk,
            stars: change::of_means(pair.test, pair.control),
            negative: change::of_shares(own.current.counts(), own.before.counts()),
            contribution: both.then(|| driver(Aggregate::Mean, whole, pair, &[]).contribution),
        })
    };
    let mut rows: Vec<ProductRow> = (1..).zip(&ranking.order).filter_map(row).collect();
    let family = rows.iter_mut().flat_map(|row| [&mut row.stars, &mut row.negative]).collect();
    let tested = change::adjust(family, alpha);
    (rows, tested)
}

/// Keeps the first rows, and of the others those that changed.
pub fn keep(rows: &mut Vec<ProductRow>, shown: usize) {
    let mut others = 0;
    rows.retain(|row| {
        let changed = row.stars.significant || row.negative.significant;
        let first = row.rank <= shown as u64;
        others += usize::from(changed && !first);
        first || (changed && others <= MOST_OTHERS)
    });
}
