//! Rows to learn from to an encoding of their texts, and to rows of numbers.
//!
//! Principal components are learned from the texts of the rows to learn from alone.
//! It must not know labels. Invariant: the same rows and the same text model give the same numbers, in whatever order rows came.

use std::collections::HashMap;
use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Load, Predictor, Sink};
use ecommerce_ml_protocol::training::{JobOutput, TrainingCall};
use ecommerce_ml_protocol::{EngineError, ErrorKind, Field, Rows};

use super::choice::Choice;
use super::components::components;
use super::encoding::{COMPONENTS, Head, TextColumn, TextEncoding};
use super::files;
use super::reading::{Asked, Distinct, TextAnswer, embedding_width};
use crate::columns::{Cells, find};

/// Most texts of a column that its principal components are learned from.
const SAMPLE: usize = 20_000;

/// Texts that are asked for together: two such parts are under way at a time.
const PART: usize = 2048;

/// What a training is going to read by a text model.
pub(crate) struct Plan {
    base: Arc<dyn Predictor>,
    base_files: ModelFiles,
    fields: Vec<Field>,
    /// Which fields are read.
    places: Vec<usize>,
}

/// What was learned of texts.
pub(crate) struct Learned {
    /// All rows with numbers in the place of texts.
    pub(crate) rows: Rows,
    /// Their columns.
    pub(crate) fields: Vec<Field>,
    encoding: TextEncoding,
    base_files: ModelFiles,
    /// Kept, so that whoever loads the same files meanwhile shares it.
    _base: Arc<dyn Predictor>,
}

impl Plan {
    /// What there is to read, if anything; the text model is loaded then.
    ///
    /// # Errors
    /// Those of [`find`] and of loading; [`ErrorKind::InvalidRequest`] if the base is no text model.
    pub(crate) fn of(
        call: &TrainingCall,
        (rows, learned): (&Rows, &[usize]),
        base: Option<ModelFiles>,
        models: Option<&dyn Load>,
    ) -> Result<Option<Self>, EngineError> {
        let fields = call.input.fields();
        let places = Choice::of(call)?.places(fields, &find(rows, fields)?, learned);
        if places.is_empty() {
            return Ok(None);
        }
        let (Some(base_files), Some(models)) = (base, models) else { return Err(no_text_model()) };
        let base = models.load(None, &base_files)?;
        embedding_width(base.info())?;
        Ok(Some(Self { base, base_files, fields: fields.to_vec(), places }))
    }

    /// Bytes that it takes: the text model and its files, what it says of a sample, and the numbers of each row.
    pub(crate) fn bytes(&self, rows: usize) -> usize {
        let files: usize = self.base_files.iter().map(|(_, bytes)| bytes.len()).sum();
        let width = self.base.info().signature.embedding_width().unwrap_or_default() as usize;
        let sample = rows.min(SAMPLE) * self.places.len() * width * (4 + 8);
        let numbers = rows * self.places.len() * (Head::of(self.base.info()).count() + COMPONENTS) * 24;
        2 * files + self.base.info().bytes as usize + sample + numbers
    }

    /// How many columns of numbers there will be at most in the place of those of text.
    pub(crate) fn numbers(&self) -> usize {
        self.places.len() * (Head::of(self.base.info()).count() + COMPONENTS)
    }

    /// The places of the fields that the text model reads.
    pub(crate) fn places(&self) -> &[usize] {
        &self.places
    }

    /// The fields that no text model reads.
    pub(crate) fn others(&self) -> Vec<Field> {
        let others = self.fields.iter().enumerate().filter(|(place, _)| !self.places.contains(place));
        others.map(|(_, field)| field.clone()).collect()
    }

    /// Reads all texts, and tells how far it has come.
    ///
    /// # Errors
    /// Those of the text model, and if nobody listens.
    pub(crate) fn learn(
        self,
        rows: &Rows,
        learned: &[usize],
        sink: &mut dyn Sink,
    ) -> Result<Learned, EngineError> {
        let Self { base, base_files, fields, places } = self;
        let width = embedding_width(base.info())?;
        let cells = find(rows, &fields)?;
        let cells: Vec<Cells<'_>> = places.iter().filter_map(|&place| cells.get(place).copied()).collect();
        let distinct = Distinct::of(&cells);
        let samples: Vec<Vec<u32>> = cells
            .iter()
            .zip(&distinct.places)
            .map(|(cells, places)| sample(cells, places, learned))
            .collect();
        let mut all: Vec<u32> = samples.concat();
        all.sort_unstable();
        all.dedup();
        let mut reading = Reading { sink, done: 0, of: distinct.texts.len() as u64 };
        let known = ask(&*base, &distinct.texts, &all, &mut reading)?;
        let column = |(&place, sample): (&usize, &Vec<u32>)| {
            let embedding = |text: &u32| Some(known.get(text)?.as_ref()?.embedding.as_slice());
            let rows: Vec<&[f32]> = sample.iter().filter_map(embedding).collect();
            let found = components(&rows, width, COMPONENTS);
            let single = |numbers: &Vec<f64>| numbers.iter().map(|&one| one as f32).collect();
            let name = fields.get(place).map(|field| field.name.clone()).unwrap_or_default();
            let components = found.directions.iter().map(single).collect();
            TextColumn { column: name, mean: single(&found.mean), components }
        };
        let columns = places.iter().zip(&samples).map(column).collect();
        let encoding = TextEncoding { fields, columns, head: Head::of(base.info()) };
        let numbers = numbers(&*base, &encoding, &distinct, known, &mut reading)?;
        let rows = encoding.expand(rows, &numbers);
        let fields = encoding.inner_fields().into_iter().map(|(_, field)| field).collect();
        Ok(Learned { rows, fields, encoding, base_files, _base: base })
    }
}

impl Learned {
    /// The same, when the numbers are no longer needed.
    pub(crate) fn without_rows(mut self) -> Self {
        self.rows = Rows::default();
        self
    }

    /// The files of a model of the numbers, with those of the text model beside them.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn files(&self, inner: &ModelFiles) -> Result<ModelFiles, EngineError> {
        files::write(&self.encoding, inner, &self.base_files)
    }

    /// Names of columns, of those of numbers that of the text that they come from, each once.
    pub(crate) fn outer_names(&self, names: Vec<String>) -> Vec<String> {
        let inner = self.encoding.inner_fields();
        let mut outer: Vec<String> = Vec::new();
        for name in names {
            let place = inner.iter().find(|(_, field)| field.name == name).map(|(place, _)| *place);
            let field = place.and_then(|place| self.encoding.fields.get(place));
            let name = field.map_or(name, |field| field.name.clone());
            if !outer.contains(&name) {
                outer.push(name);
            }
        }
        outer
    }
}

/// Texts of the rows to learn from, each once, in the order of the dictionary, which is that of the texts; of many some, evenly.
fn sample(cells: &Cells<'_>, places: &[Option<u32>], learned: &[usize]) -> Vec<u32> {
    let Cells::Texts { codes, .. } = cells else { return Vec::new() };
    let mut used = vec![false; places.len()];
    for code in learned.iter().filter_map(|&row| codes.get(row).copied().flatten()) {
        if let Some(used) = used.get_mut(code as usize) {
            *used = true;
        }
    }
    let texts: Vec<u32> =
        places.iter().zip(used).filter(|(_, used)| *used).filter_map(|(at, _)| *at).collect();
    let step = texts.len().div_ceil(SAMPLE).max(1);
    texts.into_iter().step_by(step).collect()
}

/// How many texts were read.
struct Reading<'a> {
    sink: &'a mut dyn Sink,
    done: u64,
    of: u64,
}

impl Reading<'_> {
    fn add(&mut self, texts: usize) -> Result<(), EngineError> {
        self.done += texts as u64;
        self.sink.send(JobOutput::Reading { done: self.done, of: self.of })
    }
}

/// What a text model says of the texts at these places.
fn ask(
    base: &dyn Predictor,
    texts: &[String],
    places: &[u32],
    reading: &mut Reading<'_>,
) -> Result<HashMap<u32, Option<TextAnswer>>, EngineError> {
    let mut known = HashMap::with_capacity(places.len());
    let take = |place, answer| {
        known.insert(place, answer);
    };
    each(base, texts, places, take, reading)?;
    Ok(known)
}

/// Hands out what a text model says of the texts at these places. One part is computed while the next is tokenized.
fn each(
    base: &dyn Predictor,
    texts: &[String],
    places: &[u32],
    mut take: impl FnMut(u32, Option<TextAnswer>),
    reading: &mut Reading<'_>,
) -> Result<(), EngineError> {
    let mut receive = |(places, asked): (&[u32], Asked)| -> Result<(), EngineError> {
        let answers = asked.wait()?.answers;
        places.iter().zip(answers).for_each(|(&place, answer)| take(place, answer));
        reading.add(places.len())
    };
    let mut under_way: Option<(&[u32], Asked)> = None;
    for part in places.chunks(PART) {
        let some: Vec<String> = part.iter().filter_map(|&place| texts.get(place as usize).cloned()).collect();
        let next = (part, Asked::of(base, &some));
        if let Some(before) = under_way.replace(next) {
            receive(before)?;
        }
    }
    under_way.map_or(Ok(()), receive)
}

/// The numbers of the texts of each column, by their codes; what isn't known yet is asked.
fn numbers(
    base: &dyn Predictor,
    encoding: &TextEncoding,
    distinct: &Distinct,
    known: HashMap<u32, Option<TextAnswer>>,
    reading: &mut Reading<'_>,
) -> Result<Vec<Vec<Option<Vec<f64>>>>, EngineError> {
    let mut numbers: Vec<Vec<Option<Vec<f64>>>> =
        distinct.places.iter().map(|places| vec![None; places.len()]).collect();
    // A text may stand in several columns, and twice in a dictionary.
    let mut uses: HashMap<u32, Vec<(usize, usize)>> = HashMap::new();
    for (column, places) in distinct.places.iter().enumerate() {
        for (code, place) in places.iter().enumerate() {
            if let Some(place) = place {
                uses.entry(*place).or_default().push((column, code));
            }
        }
    }
    let mut put = |place: u32, answer: Option<TextAnswer>| {
        let Some(answer) = answer else { return };
        for &(column, code) in uses.get(&place).into_iter().flatten() {
            if let (Some(texts), Some(of)) = (numbers.get_mut(column), encoding.columns.get(column))
                && let Some(slot) = texts.get_mut(code)
            {
                *slot = Some(encoding.numbers(of, &answer));
            }
        }
    };
    let rest: Vec<u32> =
        (0..distinct.texts.len() as u32).filter(|place| !known.contains_key(place)).collect();
    known.into_iter().for_each(|(place, answer)| put(place, answer));
    each(base, &distinct.texts, &rest, put, reading)?;
    Ok(numbers)
}

fn no_text_model() -> EngineError {
    EngineError::new(ErrorKind::Internal, "columns of text are to be read, but no text model came")
}
