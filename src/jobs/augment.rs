//! What the option `augment` takes from the database: synonyms from a table, other words for a text from a function.
//!
//! It must not know what becomes of them: that is the engine's. Invariant: table and function are found, read and called
//! as the current role; and which texts the function is called for depends on the text, the seed and the probability
//! alone, so that a job that goes on calls it for the same ones.

use std::ffi::{CStr, CString};

use ecommerce_ml_protocol::training::DEFAULT_SEED;
use ecommerce_ml_protocol::{MAX_TEXT_BYTES, is_blank};
use pgrx::spi::{self, SpiHeapTupleData, quote_qualified_identifier};
use pgrx::{IntoDatum, direct_function_call, pg_sys};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::rows::{require_lasting, shortened};
use crate::error::Error;
use crate::relation::Relation;
use crate::rows;

/// What a job takes.
#[derive(Default)]
pub struct Augment {
    /// Reads pairs of a word and a synonym.
    synonyms: Option<String>,
    paraphrases: Option<Paraphrases>,
}

struct Paraphrases {
    /// Calls the function with a text.
    query: String,
    /// Of a text that the function is called for it.
    probability: f64,
    seed: u64,
}

impl Augment {
    /// What options ask for, which the engine has found nothing wrong with.
    ///
    /// # Errors
    /// Those of [`Relation`], [`Error::NotAParaphraser`], [`Error::TemporaryFunction`]; the server's own, for names that stand for nothing.
    pub fn of(options: &Value) -> Result<Self, Error> {
        let augment = options.get("augment");
        let text = |name| augment.and_then(|augment| augment.get(name)?.as_str());
        let paraphrases = |function: &str| {
            Ok::<_, Error>(Paraphrases {
                query: format!("SELECT {}($1)", paraphraser(function)?),
                probability: augment
                    .and_then(|augment| augment.get("back_translation")?.as_f64())
                    .unwrap_or(0.0),
                seed: options.get("seed").and_then(Value::as_u64).unwrap_or(DEFAULT_SEED),
            })
        };
        Ok(Self {
            synonyms: text("synonym_table").map(pairs).transpose()?,
            paraphrases: text("back_translation_function").map(paraphrases).transpose()?,
        })
    }

    /// Lets the server say what keeps the current role from reading the table or calling the function, and refuses what
    /// only this session has.
    ///
    /// # Errors
    /// [`Error::TemporaryRelation`], those of opening a cursor; the server's own errors end the statement.
    pub fn require_usable(&self) -> Result<(), Error> {
        self.synonyms.as_ref().map_or(Ok(()), |query| require_lasting(query, &[]))?;
        self.paraphrases.as_ref().map_or(Ok(()), |of| require_lasting(&of.query, &[""]))
    }

    /// Hands out words, each with one that may stand for it.
    ///
    /// # Errors
    /// Those of `take`; the server's own errors end the statement.
    pub fn for_each_synonym(
        &self,
        mut take: impl FnMut((String, String)) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(query) = &self.synonyms else { return Ok(()) };
        let read = |row: &SpiHeapTupleData<'_>| -> spi::Result<Option<(String, String)>> {
            Ok(row.get(1)?.zip(row.get(2)?))
        };
        // What is longer than a text stands in none.
        let fits = |(word, synonym): &(String, String)| word.len().max(synonym.len()) <= MAX_TEXT_BYTES;
        rows::for_each(query, &[], read, |pair| pair.filter(fits).map_or(Ok(()), &mut take))
    }

    /// Other words for a text: none if it is not one of those that the function is called for, or the function has none.
    ///
    /// # Errors
    /// The server's own errors, and so those of the function, end the statement.
    pub fn paraphrases(&self, text: &str) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        if let Some(of) = self.paraphrases.as_ref().filter(|of| of.is_for(text)) {
            let read = |row: &SpiHeapTupleData<'_>| row.get::<String>(1);
            rows::for_each(&of.query, &[text], read, |paraphrase| {
                found.extend(paraphrase.filter(|text| !is_blank(text)).map(shortened));
                Ok(())
            })?;
        }
        Ok(found)
    }
}

impl Paraphrases {
    fn is_for(&self, text: &str) -> bool {
        let hash = Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(text).finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash);
        f64::from(u32::from_be_bytes([a, b, c, d])) < self.probability * (u64::from(u32::MAX) + 1) as f64
    }
}

/// A query for the pairs of the table that a name stands for.
fn pairs(name: &str) -> Result<String, Error> {
    let relation = Relation::open(find(name, pg_sys::regclassin)?)?;
    let column = |name: &CStr| relation.column(name)?.as_review();
    Ok(format!("SELECT {}, {} FROM {} AS t", column(c"word")?, column(c"synonym")?, relation.from()))
}

/// The function of a text that a name stands for, as a statement calls it.
fn paraphraser(name: &str) -> Result<String, Error> {
    let function = find(&format!("{name}(pg_catalog.text)"), pg_sys::regprocedurein)?;
    // SAFETY: looks into catalogs only, for a function that has just been found there.
    let (is_one, is_temporary, schema, bare) = unsafe {
        let is_one = pg_sys::get_func_rettype(function) == pg_sys::TEXTOID
            && !pg_sys::get_func_retset(function)
            && pg_sys::get_func_prokind(function).cast_unsigned() == pg_sys::PROKIND_FUNCTION;
        let schema = pg_sys::get_func_namespace(function);
        let is_temporary = pg_sys::isAnyTempNamespace(schema);
        (
            is_one,
            is_temporary,
            owned(pg_sys::get_namespace_name(schema)),
            owned(pg_sys::get_func_name(function)),
        )
    };
    match (is_one, schema, bare) {
        _ if is_temporary => Err(Error::TemporaryFunction(name.to_owned())),
        (true, Some(schema), Some(bare)) => Ok(quote_qualified_identifier(&schema, &bare)),
        _ => Err(Error::NotAParaphraser(name.to_owned())),
    }
}

/// What a name stands for, by an input function of the server's, which raises an error if it stands for nothing.
fn find(
    name: &str,
    input: unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
) -> Result<pg_sys::Oid, Error> {
    let name = CString::new(name).map_err(|_| Error::Unexpected("a name with a NUL"))?;
    // SAFETY: an input function takes a terminated string, and this one returns an id.
    let found = unsafe { direct_function_call::<pg_sys::Oid>(input, &[name.as_c_str().into_datum()]) };
    found.ok_or(Error::Unexpected("no id of what has a name"))
}

/// A name that the server returned, or null.
///
/// # Safety
/// The pointer is null or that of a terminated string.
unsafe fn owned(name: *const std::ffi::c_char) -> Option<String> {
    // SAFETY: as demanded above.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned())
}
