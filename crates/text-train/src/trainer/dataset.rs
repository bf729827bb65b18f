//! Rows in an order of their own, and what each of them is known by.
//!
//! It must not know what labels mean. Invariant: the same rows give the same data set, in whatever order they came.

use std::collections::BTreeSet;

use ecommerce_ml_protocol::text::look_of_text;
use ecommerce_ml_protocol::training::{Findings, Label, TrainingRow};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Sha256};
use rayon::prelude::*;
use sha2::Digest;

use crate::train::split::{self, Split};

/// What a row is known by: the first half of the SHA-256 of its label and text. Paraphrases may be other ones each time.
pub(super) type RowHash = [u8; 16];

/// Rows, sorted by their hashes. Exact duplicates are kept.
#[derive(Debug, Default)]
pub(super) struct Dataset {
    pub(super) hashes: Vec<RowHash>,
    pub(super) rows: Vec<TrainingRow>,
    /// Stands for what each row's text looks like.
    looks: Vec<u128>,
}

impl Dataset {
    /// Brings rows into order.
    pub(super) fn new(rows: Vec<TrainingRow>) -> Self {
        let mut hashed: Vec<(RowHash, TrainingRow)> = rows.into_iter().map(|row| (hash(&row), row)).collect();
        hashed.sort_unstable_by(|(one, left), (other, right)| {
            one.cmp(other).then_with(|| left.paraphrases.cmp(&right.paraphrases))
        });
        let (hashes, rows): (_, Vec<TrainingRow>) = hashed.into_iter().unzip();
        let looks = rows.par_iter().map(|row| look(&row.text)).collect();
        Self { hashes, rows, looks }
    }

    /// Keeps the rows of these hashes, which are sorted; how many were left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if some of them aren't there.
    pub(super) fn keep(&mut self, wanted: &[RowHash]) -> Result<u64, EngineError> {
        let mut rest = wanted.iter().peekable();
        let keeps: Vec<bool> = self
            .hashes
            .iter()
            .map(|hash| {
                while rest.next_if(|wanted| *wanted < hash).is_some() {}
                rest.next_if_eq(&hash).is_some()
            })
            .collect();
        let found = keeps.iter().filter(|keep| **keep).count();
        if found < wanted.len() {
            return Err(rows_are_gone(wanted.len() - found, wanted.len()));
        }
        let ignored = self.rows.len() - found;
        let mut keep = keeps.iter();
        self.rows.retain(|_| keep.next() == Some(&true));
        let mut keep = keeps.iter();
        self.looks.retain(|_| keep.next() == Some(&true));
        self.hashes = wanted.to_vec();
        Ok(ignored as u64)
    }

    /// Stands for all rows.
    pub(super) fn sha256(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        self.hashes.iter().for_each(|hash| hasher.update(hash));
        Sha256(hasher.finalize().into())
    }

    /// Holds out rows of each class; `classes` are those of the rows.
    ///
    /// Rows of the same text, whatever their labels, its case and white space, lie on the same side, so that no text is
    /// evaluated that was learned; shares are those of distinct texts, each counted with the class of its first row. A class
    /// that would be left without a row to learn from isn't held out.
    pub(super) fn split(&self, classes: &[u32], fraction: f64, seed: u64) -> Split {
        let order = self.by_look();
        let groups: Vec<&[usize]> = self.groups(&order).collect();
        let text = |&place: &usize| self.rows[place].text.as_bytes();
        let keys: Vec<split::Row<'_>> = groups
            .iter()
            .map(|places| {
                let key = places.iter().map(text).min().unwrap_or_default();
                split::Row { key, class: classes[places[0]] }
            })
            .collect();
        let sides = split::split(&keys, fraction, seed);
        let places = |texts: &[usize]| {
            let mut places: Vec<usize> = texts.iter().flat_map(|&text| groups[text]).copied().collect();
            places.sort_unstable();
            places
        };
        let mut split = Split { training: places(&sides.training), held_out: places(&sides.held_out) };
        let mut learned: Vec<u32> = split.training.iter().map(|&place| classes[place]).collect();
        learned.sort_unstable();
        learned.dedup();
        let lost: Vec<usize> = sides
            .held_out
            .iter()
            .filter(|&&text| {
                groups[text].iter().any(|&place| learned.binary_search(&classes[place]).is_err())
            })
            .flat_map(|&text| groups[text])
            .copied()
            .collect();
        split.held_out.retain(|place| !lost.contains(place));
        split.training.extend(lost);
        split.training.sort_unstable();
        split
    }

    /// Looks for rows that say the same or contradict each other, and leaves out of those held out what others of them say:
    /// copies are no evidence of their own.
    pub(super) fn inspect(&self, split: &mut Split) -> Findings {
        let mut findings = Findings::default();
        let mut repeated = vec![false; self.rows.len()];
        let order = self.by_look();
        for places in self.groups(&order).filter(|places| places.len() > 1) {
            let (mut texts, mut labels) = (BTreeSet::new(), BTreeSet::new());
            for &place in places {
                let row = &self.rows[place];
                texts.insert(row.text.as_str());
                repeated[place] = !labels.insert(label_key(&row.label));
            }
            if texts.len() > 1 {
                findings.similar_texts += texts.len() as u64;
            }
            if labels.len() > 1 {
                findings.contradicting_texts += 1;
                findings.contradicting_rows += places.len() as u64;
            }
        }
        findings.repeated_rows = repeated.iter().filter(|repeated| **repeated).count() as u64;
        let before = split.held_out.len();
        split.held_out.retain(|&place| !repeated[place]);
        findings.repeated_held_out_rows = (before - split.held_out.len()) as u64;
        findings
    }

    /// Places of rows, those next to each other whose texts look the same.
    fn by_look(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        order.sort_unstable_by_key(|&place| (self.looks[place], place));
        order
    }

    fn groups<'a>(&'a self, order: &'a [usize]) -> impl Iterator<Item = &'a [usize]> {
        order.chunk_by(|&one, &other| self.looks[one] == self.looks[other])
    }
}

/// Stands for what a text looks like; two of a billion different ones stand for the same with a probability of 1e-21.
fn look(text: &str) -> u128 {
    let whole = *blake3::hash(look_of_text(text).as_bytes()).as_bytes();
    u128::from_be_bytes(std::array::from_fn(|at| whole[at]))
}

/// Labels by what they are; both zeros are the same number.
fn label_key(label: &Label) -> (&str, u64) {
    match label {
        Label::Class(class) => (class, 0),
        Label::Number(number) => ("", (number + 0.0).to_bits()),
    }
}

fn hash(row: &TrainingRow) -> RowHash {
    let mut hasher = sha2::Sha256::new();
    let mut add = |kind: u8, bytes: &[u8]| {
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match &row.label {
        Label::Class(class) => add(0, class.as_bytes()),
        Label::Number(number) => add(1, &number.to_le_bytes()),
    }
    add(2, row.text.as_bytes());
    let whole = hasher.finalize();
    std::array::from_fn(|at| whole[at])
}

fn rows_are_gone(gone: usize, all: usize) -> EngineError {
    let message = "training can't go on from its checkpoint because rows are gone";
    EngineError::new(ErrorKind::InvalidRequest, message)
        .with_detail(format!("{gone} of its {all} rows were deleted or changed."))
        .with_hint("Train the model anew.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, label: &str) -> TrainingRow {
        let (text, label) = (text.to_owned(), Label::Class(label.to_owned()));
        TrainingRow { text, label, paraphrases: Vec::new() }
    }

    #[test]
    fn order_makes_no_difference_and_duplicates_count() {
        let rows = || vec![row("a", "x"), row("b", "y"), row("a", "x"), row("a", "y")];
        let one = Dataset::new(rows());
        let other = Dataset::new(rows().into_iter().rev().collect());
        assert_eq!((&one.rows, one.sha256()), (&other.rows, other.sha256()));
        assert_ne!(one.sha256(), Dataset::new(rows().split_off(1)).sha256());
    }

    #[test]
    fn new_rows_are_left_out_and_missing_ones_refused() {
        let before = Dataset::new(vec![row("a", "x"), row("b", "y"), row("b", "y")]);
        let all = vec![row("b", "y"), row("c", "x"), row("a", "x"), row("b", "y"), row("b", "y")];
        let mut now = Dataset::new(all);
        assert_eq!(now.keep(&before.hashes).unwrap(), 2);
        assert_eq!((&now.rows, now.sha256()), (&before.rows, before.sha256()));
        let error = Dataset::new(vec![row("a", "x"), row("b", "y")]).keep(&before.hashes).unwrap_err();
        assert_eq!(error.detail.as_deref(), Some("1 of its 3 rows were deleted or changed."));
    }

    #[test]
    fn a_text_lies_on_one_side() {
        let rows: Vec<TrainingRow> =
            (0..400).map(|number| row(&format!("text {}", number % 97), ["x", "y"][number % 2])).collect();
        let dataset = Dataset::new(rows);
        let class = |row: &TrainingRow| u32::from(row.label == Label::Class("y".to_owned()));
        let classes: Vec<u32> = dataset.rows.iter().map(class).collect();
        let split = dataset.split(&classes, 0.2, 1);
        let texts =
            |places: &[usize]| places.iter().map(|&at| dataset.rows[at].text.clone()).collect::<Vec<_>>();
        let (learned, held_out) = (texts(&split.training), texts(&split.held_out));
        assert_eq!(learned.len() + held_out.len(), 400);
        assert!(held_out.len() > 40 && held_out.iter().all(|text| !learned.contains(text)));
    }

    #[test]
    fn a_text_that_looks_like_another_lies_beside_it() {
        let spellings = ["Text  {}", "text {}", " TEXT {}\n"];
        let rows = (0..300).map(|number| {
            row(&spellings[number % 3].replace("{}", &(number / 3).to_string()), ["x", "y"][number / 3 % 2])
        });
        let dataset = Dataset::new(rows.collect());
        let class = |row: &TrainingRow| u32::from(row.label == Label::Class("y".to_owned()));
        let classes: Vec<u32> = dataset.rows.iter().map(class).collect();
        let mut split = dataset.split(&classes, 0.2, 1);
        let looks = |places: &[usize]| {
            places.iter().map(|&at| look_of_text(&dataset.rows[at].text)).collect::<Vec<_>>()
        };
        let (learned, held_out) = (looks(&split.training), looks(&split.held_out));
        assert_eq!((learned.len(), held_out.len()), (240, 60));
        assert!(held_out.iter().all(|text| !learned.contains(text)));
        let findings = dataset.inspect(&mut split);
        assert_eq!((split.training.len(), split.held_out.len()), (240, 20));
        let expected = Findings {
            repeated_rows: 200,
            repeated_held_out_rows: 40,
            similar_texts: 300,
            ..Findings::default()
        };
        assert_eq!(findings, expected);
    }

    #[test]
    fn copies_and_contradictions_are_counted() {
        let rows =
            [("a", "x"), ("a", "x"), ("A", "y"), ("b", "x"), ("b ", "x"), ("c", "x"), ("c", "y"), ("d", "y")];
        let dataset = Dataset::new(rows.map(|(text, label)| row(text, label)).to_vec());
        let everything = Split { training: Vec::new(), held_out: (0..8).collect() };
        let mut split = everything.clone();
        let expected = Findings {
            repeated_rows: 2,
            repeated_held_out_rows: 2,
            similar_texts: 4,
            contradicting_texts: 2,
            contradicting_rows: 5,
        };
        assert_eq!(dataset.inspect(&mut split), expected);
        assert_eq!(split.held_out.len(), 6);
        let numbers =
            [0.0, -0.0, 1.0].map(|label| TrainingRow { label: Label::Number(label), ..row("e", "") });
        let findings = Dataset::new(numbers.to_vec()).inspect(&mut Split::default());
        assert_eq!((findings.repeated_rows, findings.contradicting_rows), (1, 3));
    }

    #[test]
    fn every_class_keeps_a_row_to_learn_from() {
        let mut rows: Vec<TrainingRow> = (0..20).map(|number| row(&format!("text {number}"), "x")).collect();
        rows.extend((0..20).map(|number| row(&format!("text {number}"), &format!("only {number}"))));
        let dataset = Dataset::new(rows);
        let mut names: Vec<Label> = dataset.rows.iter().map(|row| row.label.clone()).collect();
        names.dedup();
        let class = |label: &Label| match label {
            Label::Class(name) => {
                name.strip_prefix("only ").map_or(0, |number| number.parse().unwrap_or(0) + 1)
            }
            Label::Number(_) => 0,
        };
        let classes: Vec<u32> = dataset.rows.iter().map(|row| class(&row.label)).collect();
        let split = dataset.split(&classes, 0.5, 1);
        let learned: Vec<u32> = split.training.iter().map(|&place| classes[place]).collect();
        assert!((0..=20).all(|class| learned.contains(&class)));
    }
}
