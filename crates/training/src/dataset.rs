//! Rows in an order of their own, and which of them look alike.
//!
//! It must not know what labels mean. Invariant: the same rows give the same data set, in whatever order they came.

use std::collections::{BTreeSet, HashSet};

use ecommerce_ml_protocol::row_hash::RowBytes;
use ecommerce_ml_protocol::training::{Findings, Label, TrainingCall, TrainingInput, TrainingRows};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Field, Input, Sha256};
use rayon::prelude::*;
use sha2::Digest;

use crate::columns;
use crate::split::{self, Split};

/// Fewer looks than these are a few categories, which many rows have in common.
const LEAST_LOOKS: usize = 50;

/// What a row is known by: the first half of its [hash](RowBytes::hash). Paraphrases may be other ones each time.
pub type RowId = [u8; 16];

/// Rows, sorted by what they are known by. Exact duplicates are kept.
#[derive(Debug)]
pub struct Dataset {
    /// What each row is known by.
    pub ids: Vec<RowId>,
    /// What is read of each: texts, or the columns of the training in their order.
    pub input: Input,
    /// What each is labelled with.
    pub labels: Vec<Label>,
    /// When each was, in microseconds since 1970; empty unless the training looks at it.
    pub times: Vec<i64>,
    /// Other words for the text of each; empty of rows of columns.
    pub paraphrases: Vec<Vec<String>>,
    fields: Vec<Field>,
    /// Stands for what each row looks like.
    looks: Vec<u128>,
}

impl Dataset {
    /// Brings rows into order.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if rows are not of what the training reads.
    pub fn new(call: &TrainingCall, parts: Vec<TrainingRows>) -> Result<Self, EngineError> {
        let fields = call.input.fields();
        let (mut ids, mut looks) = (Vec::new(), Vec::new());
        for part in &parts {
            if matches!(part.input, Input::Texts(_)) != matches!(call.input, TrainingInput::Text) {
                return Err(refused("rows to learn from are not of what the training reads"));
            }
            if call.has_time != (part.times.len() == part.labels.len()) && !part.labels.is_empty() {
                return Err(refused("rows to learn from have no times, or some that nobody wants"));
            }
            let bytes = RowBytes::new(&part.input, fields);
            let id = |row: usize| id(&bytes, row, &part.labels[row], part.times.get(row).copied());
            ids.par_extend((0..part.labels.len()).into_par_iter().map(id));
            looks.par_extend((0..part.labels.len()).into_par_iter().map(|row| content_hash(&bytes, row)));
        }
        let (mut labels, mut times, mut paraphrases) = (Vec::new(), Vec::new(), Vec::new());
        let (mut texts, mut rows) = (Vec::new(), Vec::new());
        for part in parts {
            match part.input {
                Input::Texts(some) => {
                    paraphrases.extend(part.paraphrases);
                    texts.extend(some);
                    paraphrases.resize_with(texts.len(), Vec::new);
                }
                Input::Rows(some) => rows.push(some),
            }
            labels.extend(part.labels);
            times.extend(part.times);
        }
        let input = match &call.input {
            TrainingInput::Text => Input::Texts(texts),
            TrainingInput::Columns { fields, .. } | TrainingInput::Events { fields, .. } => {
                Input::Rows(columns::concatenated(rows, fields)?)
            }
        };
        let mut order: Vec<usize> = (0..labels.len()).collect();
        order.sort_unstable_by(|&one, &other| {
            (&ids[one], paraphrases.get(one)).cmp(&(&ids[other], paraphrases.get(other)))
        });
        let mut dataset = Self { ids, input, labels, times, paraphrases, fields: fields.to_vec(), looks };
        dataset.pick(&order);
        Ok(dataset)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The texts; none of rows of columns.
    pub fn texts(&self) -> &[String] {
        match &self.input {
            Input::Texts(texts) => texts,
            Input::Rows(_) => &[],
        }
    }

    /// What is read of the rows at these places, in this order.
    pub fn input_of(&self, places: &[usize]) -> Input {
        self.input.picked(places)
    }

    /// Keeps the rows that are known by these, which are sorted; how many were left out.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if some of them aren't there.
    pub fn keep(&mut self, wanted: &[RowId]) -> Result<u64, EngineError> {
        let mut rest = wanted.iter().peekable();
        let mut keeps = |place: &usize| {
            let id = &self.ids[*place];
            while rest.next_if(|wanted| *wanted < id).is_some() {}
            rest.next_if_eq(&id).is_some()
        };
        let found: Vec<usize> = (0..self.ids.len()).filter(|place| keeps(place)).collect();
        if found.len() < wanted.len() {
            return Err(rows_are_gone(wanted.len() - found.len(), wanted.len()));
        }
        let ignored = self.ids.len() - found.len();
        self.pick(&found);
        Ok(ignored as u64)
    }

    /// Stands for all rows.
    pub fn sha256(&self) -> Sha256 {
        let mut hasher = sha2::Sha256::new();
        self.ids.iter().for_each(|id| hasher.update(id));
        Sha256(hasher.finalize().into())
    }

    /// Holds out rows of each class; `classes` are those of the rows.
    ///
    /// Rows that look the same, whatever their labels, lie on the same side, so that nothing is evaluated that was learned;
    /// shares are those of distinct looks, each counted with the class of its first row. A class that would be left without a
    /// row to learn from isn't held out. Where [rows are no copies](Self::finds_copies) each is on its own.
    pub fn split(&self, classes: &[u32], fraction: f64, seed: u64) -> Split {
        if !self.finds_copies() {
            let keys = self.keys();
            let rows = keys.iter().zip(classes);
            let rows: Vec<split::Row<'_>> = rows.map(|(key, &class)| split::Row { key, class }).collect();
            return split::split(&rows, fraction, seed);
        }
        let order = self.by_content();
        let groups: Vec<&[usize]> = self.groups(&order).collect();
        let looks: Vec<[u8; 16]> = groups.iter().map(|places| self.looks[places[0]].to_be_bytes()).collect();
        let keys: Vec<split::Row<'_>> = groups
            .iter()
            .zip(&looks)
            .map(|(places, look)| {
                let texts = places.iter().filter_map(|&place| self.texts().get(place));
                let key = texts.map(|text| text.as_bytes()).min().unwrap_or(look);
                split::Row { key, class: classes[places[0]] }
            })
            .collect();
        let sides = split::split(&keys, fraction, seed);
        let places = |looks: &[usize]| {
            let mut places: Vec<usize> = looks.iter().flat_map(|&look| groups[look]).copied().collect();
            places.sort_unstable();
            places
        };
        let mut split = Split { training: places(&sides.training), held_out: places(&sides.held_out) };
        let mut learned: Vec<u32> = split.training.iter().map(|&place| classes[place]).collect();
        learned.sort_unstable();
        learned.dedup();
        let lost: BTreeSet<usize> = sides
            .held_out
            .iter()
            .filter(|&&look| {
                groups[look].iter().any(|&place| learned.binary_search(&classes[place]).is_err())
            })
            .flat_map(|&look| groups[look])
            .copied()
            .collect();
        split.held_out.retain(|place| !lost.contains(place));
        split.training.extend(lost);
        split.training.sort_unstable();
        split
    }

    /// Holds out the latest rows, whatever they look like; `None` if all are of one moment.
    pub fn split_by_time(&self, fraction: f64) -> Option<Split> {
        split::by_time(&self.times, fraction)
    }

    /// Looks for rows that say the same or contradict each other, and leaves out of those held out what others of them, or of
    /// those learned from, say: copies are no evidence of their own. Where [rows are no copies](Self::finds_copies) there is
    /// nothing to find.
    pub fn inspect(&self, split: &mut Split) -> Findings {
        let mut findings = Findings::default();
        let mut is_held_out = vec![false; self.len()];
        split.held_out.iter().for_each(|&place| is_held_out[place] = true);
        if !self.finds_copies() {
            findings.equal_held_out_rows = self.equal_held_out_rows(&is_held_out);
            return findings;
        }
        let mut repeated = vec![false; self.len()];
        let order = self.by_content();
        let bytes = RowBytes::new(&self.input, &self.fields);
        for places in self.groups(&order).filter(|places| places.len() > 1) {
            let (mut inputs, mut labels) = (BTreeSet::new(), BTreeSet::new());
            // The first is no copy: one that is learned from, if there is one.
            let mut places: Vec<usize> = places.to_vec();
            places.sort_by_key(|&place| is_held_out[place]);
            for &place in &places {
                let mut input = Vec::new();
                bytes.write(place, |part| input.extend_from_slice(part));
                inputs.insert(input);
                repeated[place] = !labels.insert(label_key(&self.labels[place]));
            }
            if inputs.len() > 1 {
                findings.similar_texts += inputs.len() as u64;
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

    /// How many of the rows held out look like rows learned from, where that may be no chance: looks are many, and next to all have one
    /// label each. 0 where it may.
    fn equal_held_out_rows(&self, is_held_out: &[bool]) -> u64 {
        let order = self.by_content();
        let (mut looks, mut contradicting, mut equal) = (0, 0, 0);
        for places in self.groups(&order) {
            looks += 1;
            let first = label_key(&self.labels[places[0]]);
            contradicting += usize::from(places.iter().any(|&place| label_key(&self.labels[place]) != first));
            let held_out = places.iter().filter(|&&place| is_held_out[place]).count();
            equal += if held_out < places.len() { held_out as u64 } else { 0 };
        }
        if looks >= LEAST_LOOKS && contradicting * 20 <= looks { equal } else { 0 }
    }

    /// Whether rows that look the same are copies. Texts are; rows of columns unless most look like another: a colour and a size
    /// are the same in many rows, each of which says something of its own.
    pub fn finds_copies(&self) -> bool {
        match &self.input {
            Input::Texts(_) => true,
            Input::Rows(_) => 2 * self.looks.iter().collect::<HashSet<_>>().len() >= self.len(),
        }
    }

    /// What tells each row from all others: what it is known by, and how many equal ones come before it. Without that number,
    /// chance would hold out all equal rows or none.
    pub fn keys(&self) -> Vec<[u8; 24]> {
        let mut keys = Vec::with_capacity(self.ids.len());
        let mut before = 0_u64;
        for (place, id) in self.ids.iter().enumerate() {
            before = if place > 0 && self.ids[place - 1] == *id { before + 1 } else { 0 };
            let mut key = [0; 24];
            key[..16].copy_from_slice(id);
            key[16..].copy_from_slice(&before.to_be_bytes());
            keys.push(key);
        }
        keys
    }

    /// What tells each row from all that aren't copies of it, for splits of one's own: its look where equal looks are
    /// [copies](Self::finds_copies), else its [key](Self::keys).
    pub fn fold_keys(&self) -> Vec<[u8; 24]> {
        if !self.finds_copies() {
            return self.keys();
        }
        let key = |look: &u128| {
            let mut key = [0; 24];
            key[..16].copy_from_slice(&look.to_be_bytes());
            key
        };
        self.looks.iter().map(key).collect()
    }

    /// Keeps the rows at these places, in this order, each at most once.
    fn pick(&mut self, places: &[usize]) {
        self.ids = picked(std::mem::take(&mut self.ids), places);
        self.looks = picked(std::mem::take(&mut self.looks), places);
        self.labels = picked(std::mem::take(&mut self.labels), places);
        self.times = picked(std::mem::take(&mut self.times), places);
        self.paraphrases = picked(std::mem::take(&mut self.paraphrases), places);
        match &mut self.input {
            Input::Texts(texts) => *texts = picked(std::mem::take(texts), places),
            Input::Rows(rows) => *rows = rows.picked(places),
        }
    }

    /// Places of rows, those next to each other that look the same.
    fn by_content(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_unstable_by_key(|&place| (self.looks[place], place));
        order
    }

    fn groups<'a>(&'a self, order: &'a [usize]) -> impl Iterator<Item = &'a [usize]> {
        order.chunk_by(|&one, &other| self.looks[one] == self.looks[other])
    }
}

/// Values at places, each of which occurs at most once; what isn't there for any row stays so.
fn picked<T>(values: Vec<T>, places: &[usize]) -> Vec<T> {
    let mut values: Vec<Option<T>> = values.into_iter().map(Some).collect();
    places.iter().filter_map(|&place| values.get_mut(place)?.take()).collect()
}

fn id(bytes: &RowBytes<'_>, row: usize, label: &Label, time: Option<i64>) -> RowId {
    let whole = bytes.hash(row, label, time);
    std::array::from_fn(|at| whole[at])
}

/// Stands for what a row looks like; two of a billion different ones stand for the same with a probability of 1e-21.
fn content_hash(bytes: &RowBytes<'_>, row: usize) -> u128 {
    let mut hasher = blake3::Hasher::new();
    bytes.write_look(row, |part| {
        hasher.update(part);
    });
    let whole = *hasher.finalize().as_bytes();
    u128::from_be_bytes(std::array::from_fn(|at| whole[at]))
}

/// Labels by what they are; both zeros are the same number.
fn label_key(label: &Label) -> (&str, [u64; 2]) {
    let bits = |number: f64| (number + 0.0).to_bits();
    match label {
        Label::Class(class) => (class, [0, 0]),
        Label::Number(number) => ("", [bits(*number); 2]),
        Label::Range(lowest, highest) => ("", [bits(*lowest), bits(*highest)]),
    }
}

fn refused(message: &str) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message)
}

fn rows_are_gone(gone: usize, all: usize) -> EngineError {
    refused("training can't go on from its checkpoint because rows are gone")
        .with_detail(format!("{gone} of its {all} rows were deleted or changed."))
        .with_hint("Train the model anew.")
}

#[cfg(test)]
mod tests;
