//! How often shuffled rows are taken for drift, and whether planted drift is found.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]

use ecommerce_ml_drift::{Measure, Reference, Sample, compare};
use ecommerce_ml_protocol::{Column, Prediction, Rows, Values};

const TRIALS: usize = 200;
/// As SQL has it unless told otherwise.
const ALPHA: f64 = 0.001;
const WIDTH: usize = 16;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() * limit as f64) as usize
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.next()).sum::<f64>() - 6.0
    }
}

/// A row of a shop, and what a model says of it.
#[derive(Clone)]
struct Row {
    price: Option<f64>,
    visits: f64,
    country: String,
    customer: String,
    constant: f64,
    premium: bool,
    probabilities: Vec<f32>,
    right: bool,
    pieces: (usize, usize),
    embedding: Vec<f32>,
}

fn row(random: &mut Random) -> Row {
    let country = (random.next() * random.next() * 40.0) as usize;
    let mut probabilities: Vec<f32> = (0..3).map(|_| random.next().powi(3) as f32 + 0.01).collect();
    let sum: f32 = probabilities.iter().sum();
    probabilities.iter_mut().for_each(|one| *one /= sum);
    let mut embedding: Vec<f32> = (0..WIDTH).map(|_| random.normal() as f32).collect();
    let length = embedding.iter().map(|one| one * one).sum::<f32>().sqrt();
    embedding.iter_mut().for_each(|one| *one /= length);
    Row {
        price: (random.next() > 0.002).then(|| random.normal().exp()),
        visits: random.below(6) as f64,
        country: country.to_string(),
        customer: random.below(100_000).to_string(),
        constant: 1.0,
        premium: random.next() < 0.01,
        probabilities,
        right: random.next() < 0.9,
        pieces: (usize::from(random.next() < 0.05), 20),
        embedding,
    }
}

fn sample(rows: &[Row]) -> Sample {
    let labels = ["a", "b", "c"].map(str::to_owned);
    let mut sample = Sample::new(false);
    for (at, row) in rows.iter().enumerate() {
        sample.add_prediction(Some(Prediction::Class { labels: &labels, probabilities: &row.probabilities }));
        sample.add_answer(row.right);
        sample.add_error(row.visits - 2.0);
        sample.add_pieces(row.pieces.0, row.pieces.1);
        // Fewer than are kept, so that it takes seconds.
        if at < 100 {
            sample.add_embedding(&row.embedding);
        }
    }
    let texts = |of: fn(&Row) -> &String| Values::Text {
        dictionary: rows.iter().map(|row| of(row).clone()).collect(),
        codes: (0..rows.len()).map(|at| u32::try_from(at).ok()).collect(),
    };
    let column = |name: &str, values| Column { name: name.to_owned(), values };
    sample.add_columns(&Rows {
        count: rows.len() as u32,
        columns: vec![
            column("price", Values::Number(rows.iter().map(|row| row.price).collect())),
            column("visits", Values::Number(rows.iter().map(|row| Some(row.visits)).collect())),
            column("country", texts(|row| &row.country)),
            column("customer", texts(|row| &row.customer)),
            column("constant", Values::Number(rows.iter().map(|row| Some(row.constant)).collect())),
            column("premium", Values::Boolean(rows.iter().map(|row| Some(row.premium)).collect())),
            column("created", Values::Timestamp((0..rows.len() as i64).map(Some).collect())),
        ],
    });
    sample
}

fn drifted(measures: &[Measure]) -> Vec<(&'static str, Option<&str>)> {
    let drifted = measures.iter().filter(|one| one.drifted == Some(true));
    drifted.map(|one| (one.name, one.feature.as_deref())).collect()
}

/// How many of the trials say that something has drifted, where nothing has.
fn false_alarms(baseline: usize, current: usize, trials: usize, seed: u64) -> usize {
    let mut random = Random(seed);
    (0..trials)
        .filter(|_| {
            let rows: Vec<Row> = (0..baseline + current).map(|_| row(&mut random)).collect();
            let reference = sample(&rows[..baseline]).summarise();
            !drifted(&compare(&reference, &sample(&rows[baseline..]), ALPHA)).is_empty()
        })
        .count()
}

#[test]
fn shuffled_rows_cross_in_at_most_one_of_a_hundred() {
    // Few and many rows, alike and unlike; embeddings are compared in the smaller ones, where there are fewer of them.
    for (baseline, current) in [(100, 100), (40, 35), (400, 60), (60, 400)] {
        let alarms = false_alarms(baseline, current, TRIALS, 1);
        assert!(alarms * 100 <= TRIALS, "{alarms} of {TRIALS} at {baseline} and {current} rows");
    }
}

#[test]
fn many_rows_cross_no_threshold_either() {
    assert_eq!(false_alarms(3000, 3000, 10, 2), 0);
}

type Change = fn(&mut Row, &mut Random);

/// What is planted, and the measure that must find it.
const PLANTED: [(&str, Option<&str>, Change); 11] = [
    ("population_stability", None, |row, _| row.probabilities[0] += 0.8),
    ("confidence", None, |row, _| row.probabilities = vec![0.4, 0.3, 0.3]),
    ("unknown_pieces", None, |row, random| row.pieces.0 += random.below(4)),
    ("accuracy", None, |row, random| row.right &= random.next() < 0.7),
    ("mae", None, |row, _| row.visits += 2.0),
    ("population_stability", Some("price"), |row, _| row.price = row.price.map(|price| price * 2.5)),
    ("jensen_shannon", Some("visits"), |row, random| row.visits = f64::from(u8::from(random.next() < 0.5))),
    ("null_share", Some("price"), |row, random| row.price = row.price.filter(|_| random.next() < 0.85)),
    ("unseen_categories", Some("country"), |row, random| {
        if random.next() < 0.3 {
            row.country = "new".to_owned();
        }
    }),
    ("population_stability", Some("constant"), |row, _| row.constant = 0.0),
    ("embedding_distance", None, |row, _| row.embedding[0] += 0.4),
];

#[test]
fn planted_drift_is_always_found() {
    let mut random = Random(3);
    for (measure, feature, change) in PLANTED {
        for trial in 0..10 {
            let rows: Vec<Row> = (0..600).map(|_| row(&mut random)).collect();
            let reference = sample(&rows[..300]).summarise();
            let mut current = rows[300..].to_vec();
            current.iter_mut().for_each(|row| change(row, &mut random));
            let found = compare(&reference, &sample(&current), ALPHA);
            assert!(
                drifted(&found).contains(&(measure, feature)),
                "{measure} {feature:?} {trial}: {found:#?}"
            );
        }
    }
}

#[test]
fn a_difference_that_does_not_matter_crosses_no_threshold() {
    let mut random = Random(4);
    let rows: Vec<Row> = (0..20_000).map(|_| row(&mut random)).collect();
    let mut current = rows[10_000..].to_vec();
    current.iter_mut().for_each(|row| row.price = row.price.map(|price| price * 1.1));
    let found = compare(&sample(&rows[..10_000]).summarise(), &sample(&current), ALPHA);
    let price = found
        .iter()
        .find(|one| one.name == "population_stability" && one.feature.as_deref() == Some("price"));
    let price = price.unwrap();
    assert_eq!((price.drifted, price.threshold), (Some(false), Some(0.1)), "{price:?}");
    assert!(price.p_value.unwrap() < 1e-4, "{price:?}");
}

#[test]
fn too_few_rows_say_nothing() {
    let mut random = Random(5);
    let rows: Vec<Row> = (0..129).map(|_| row(&mut random)).collect();
    let reference = sample(&rows[..100]).summarise();
    let found = compare(&reference, &sample(&rows[100..]), ALPHA);
    assert!(!found.is_empty() && found.iter().all(|one| one.drifted.is_none() && one.threshold.is_none()));
    let nothing = compare(&reference, &sample(&[]), ALPHA);
    assert!(nothing.iter().all(|one| one.drifted.is_none() && one.value.is_none()), "{nothing:#?}");
    let unanswered = nothing.iter().find(|one| one.name == "unanswered").unwrap();
    assert_eq!(unanswered.rows, [100, 0]);
}

#[test]
fn what_is_kept_says_the_same_after_it_was_stored() {
    let mut random = Random(6);
    let rows: Vec<Row> = (0..400).map(|_| row(&mut random)).collect();
    let reference = sample(&rows[..200]).summarise();
    let stored: Reference = serde_json::from_str(&serde_json::to_string(&reference).unwrap()).unwrap();
    let current = sample(&rows[200..]);
    for (one, other) in compare(&reference, &current, ALPHA).iter().zip(compare(&stored, &current, ALPHA)) {
        assert_eq!(
            (one.name, &one.feature, one.drifted, one.rows),
            (other.name, &other.feature, other.drifted, other.rows)
        );
        let (one, other) = (one.value.unwrap_or_default(), other.value.unwrap_or_default());
        assert!((one - other).abs() < 1e-12, "{one} {other}");
    }
    // Values at an edge stay there.
    assert_eq!(reference.features, stored.features);
}

#[test]
fn no_predictions_at_all_are_told() {
    let mut random = Random(7);
    let rows: Vec<Row> = (0..200).map(|_| row(&mut random)).collect();
    let mut silent = Sample::new(false);
    (0..100).for_each(|_| silent.add_prediction(None));
    let found = compare(&sample(&rows[..100]).summarise(), &silent, ALPHA);
    assert_eq!(drifted(&found), [("unanswered", None)]);
}
