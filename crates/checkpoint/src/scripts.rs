//! Which scripts a model reads, and whether it can read a text.
//!
//! A model gives an answer to every text, be it in letters that it has never learned anything about. What it has learned of is
//! told by scripts: `config.json` names them under `ecommerce_ml`, where a training wrote them; else they are those that the
//! vocabulary has words of. A script's few letters don't count: the vocabulary of an English BERT has 244 Chinese characters and 39
//! Cyrillic letters, one by one, and eight pieces of two Cyrillic letters or more, beside 26,534 of Latin ones.
//!
//! Of languages in one script nothing is told: French is as readable as English here, and so is a made-up word. It must not know
//! tokenizers. Invariant: what has no letters, and nothing unknown, is readable.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Least part of the vocabulary's words that a script has, if the vocabulary is one of it.
const LEAST_SHARE: f64 = 0.01;
/// So many words are enough, whatever part of the vocabulary they are.
const ENOUGH_WORDS: usize = 200;
/// Or so many different letters, of scripts whose vocabularies are of single letters.
const ENOUGH_LETTERS: usize = 1000;
/// Least part of the texts that a training learns from, for their script to be learned.
const LEAST_LEARNED: f64 = 0.05;

/// A script, by its name in Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Script(&'static str);

/// First and last letter of ranges that are of one script, ascending. Blocks, which is enough for letters: Unicode 16, Blocks.txt.
const RANGES: [(char, char, &str); 75] = [
    ('A', 'Z', "Latin"),
    ('a', 'z', "Latin"),
    ('\u{c0}', '\u{2af}', "Latin"),
    ('\u{370}', '\u{3ff}', "Greek"),
    ('\u{400}', '\u{52f}', "Cyrillic"),
    ('\u{530}', '\u{58f}', "Armenian"),
    ('\u{590}', '\u{5ff}', "Hebrew"),
    ('\u{600}', '\u{6ff}', "Arabic"),
    ('\u{700}', '\u{74f}', "Syriac"),
    ('\u{750}', '\u{77f}', "Arabic"),
    ('\u{780}', '\u{7bf}', "Thaana"),
    ('\u{7c0}', '\u{7ff}', "Nko"),
    ('\u{860}', '\u{86f}', "Syriac"),
    ('\u{870}', '\u{8ff}', "Arabic"),
    ('\u{900}', '\u{97f}', "Devanagari"),
    ('\u{980}', '\u{9ff}', "Bengali"),
    ('\u{a00}', '\u{a7f}', "Gurmukhi"),
    ('\u{a80}', '\u{aff}', "Gujarati"),
    ('\u{b00}', '\u{b7f}', "Oriya"),
    ('\u{b80}', '\u{bff}', "Tamil"),
    ('\u{c00}', '\u{c7f}', "Telugu"),
    ('\u{c80}', '\u{cff}', "Kannada"),
    ('\u{d00}', '\u{d7f}', "Malayalam"),
    ('\u{d80}', '\u{dff}', "Sinhala"),
    ('\u{e00}', '\u{e7f}', "Thai"),
    ('\u{e80}', '\u{eff}', "Lao"),
    ('\u{f00}', '\u{fff}', "Tibetan"),
    ('\u{1000}', '\u{109f}', "Myanmar"),
    ('\u{10a0}', '\u{10ff}', "Georgian"),
    ('\u{1100}', '\u{11ff}', "Hangul"),
    ('\u{1200}', '\u{139f}', "Ethiopic"),
    ('\u{13a0}', '\u{13ff}', "Cherokee"),
    ('\u{1400}', '\u{167f}', "Canadian_Aboriginal"),
    ('\u{1780}', '\u{17ff}', "Khmer"),
    ('\u{1800}', '\u{18af}', "Mongolian"),
    ('\u{1c80}', '\u{1c8f}', "Cyrillic"),
    ('\u{1c90}', '\u{1cbf}', "Georgian"),
    ('\u{1d00}', '\u{1dbf}', "Latin"),
    ('\u{1e00}', '\u{1eff}', "Latin"),
    ('\u{1f00}', '\u{1fff}', "Greek"),
    ('\u{2c60}', '\u{2c7f}', "Latin"),
    ('\u{2d00}', '\u{2d2f}', "Georgian"),
    ('\u{2d80}', '\u{2ddf}', "Ethiopic"),
    ('\u{2de0}', '\u{2dff}', "Cyrillic"),
    ('\u{2e80}', '\u{2fdf}', "Han"),
    ('\u{3005}', '\u{3029}', "Han"),
    ('\u{3040}', '\u{309f}', "Hiragana"),
    ('\u{30a0}', '\u{30ff}', "Katakana"),
    ('\u{3100}', '\u{312f}', "Bopomofo"),
    ('\u{3130}', '\u{318f}', "Hangul"),
    ('\u{31a0}', '\u{31bf}', "Bopomofo"),
    ('\u{31f0}', '\u{31ff}', "Katakana"),
    ('\u{3400}', '\u{4dbf}', "Han"),
    ('\u{4e00}', '\u{9fff}', "Han"),
    ('\u{a640}', '\u{a69f}', "Cyrillic"),
    ('\u{a720}', '\u{a7ff}', "Latin"),
    ('\u{a8e0}', '\u{a8ff}', "Devanagari"),
    ('\u{a960}', '\u{a97f}', "Hangul"),
    ('\u{a9e0}', '\u{a9ff}', "Myanmar"),
    ('\u{aa60}', '\u{aa7f}', "Myanmar"),
    ('\u{ab00}', '\u{ab2f}', "Ethiopic"),
    ('\u{ab30}', '\u{ab6f}', "Latin"),
    ('\u{ab70}', '\u{abbf}', "Cherokee"),
    ('\u{ac00}', '\u{d7ff}', "Hangul"),
    ('\u{f900}', '\u{faff}', "Han"),
    ('\u{fb00}', '\u{fb06}', "Latin"),
    ('\u{fb13}', '\u{fb17}', "Armenian"),
    ('\u{fb1d}', '\u{fb4f}', "Hebrew"),
    ('\u{fb50}', '\u{fdff}', "Arabic"),
    ('\u{fe70}', '\u{fefe}', "Arabic"),
    ('\u{ff21}', '\u{ff3a}', "Latin"),
    ('\u{ff41}', '\u{ff5a}', "Latin"),
    ('\u{ff66}', '\u{ff9f}', "Katakana"),
    ('\u{ffa0}', '\u{ffdc}', "Hangul"),
    ('\u{20000}', '\u{3ffff}', "Han"),
];

/// Letters that are of no script: modifiers, letterlike symbols, and letters in styles for formulas.
const COMMON: [(char, char); 5] = [
    ('\u{aa}', '\u{ba}'),
    ('\u{2b0}', '\u{36f}'),
    ('\u{2070}', '\u{24ff}'),
    ('\u{1d400}', '\u{1d7ff}'),
    ('\u{1f100}', '\u{1f1ff}'),
];

impl Script {
    /// That of a letter; `None` of what is no letter, or of no script.
    pub fn of(letter: char) -> Option<Self> {
        if letter.is_ascii() {
            return letter.is_ascii_alphabetic().then_some(Self("Latin"));
        }
        if !letter.is_alphabetic() || COMMON.iter().any(|(first, last)| (*first..=*last).contains(&letter)) {
            return None;
        }
        let place = RANGES.partition_point(|(first, _, _)| *first <= letter);
        let found =
            place.checked_sub(1).and_then(|place| RANGES.get(place)).filter(|(_, last, _)| letter <= *last);
        Some(Self(found.map_or("Unknown", |(_, _, name)| name)))
    }

    /// The script of a name.
    pub fn named(name: &str) -> Option<Self> {
        RANGES.iter().find(|(_, _, known)| *known == name).map(|(_, _, known)| Self(known))
    }

    /// Its name in Unicode.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// How much a letter says, in letters of an alphabet: a Chinese character is half a word, so that three brand names among ten
    /// of them don't make a text English.
    fn weight(self) -> usize {
        match self.0 {
            "Han" => 3,
            "Hangul" | "Hiragana" | "Katakana" | "Bopomofo" => 2,
            _ => 1,
        }
    }
}

/// The scripts that a model reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownScripts {
    /// `None` where nothing is known of it: then all.
    scripts: Option<BTreeSet<Script>>,
}

/// What this engine alone notes in `config.json`.
#[derive(Deserialize)]
struct Config {
    ecommerce_ml: Option<OwnSection>,
}

#[derive(Deserialize)]
struct OwnSection {
    scripts: Option<Vec<String>>,
}

impl KnownScripts {
    /// Those that a `config.json` names; `None` if it names none that there are.
    pub fn of_config(json: &[u8]) -> Option<Self> {
        let names = serde_json::from_slice::<Config>(json).ok()?.ecommerce_ml?.scripts?;
        let scripts: BTreeSet<Script> = names.iter().filter_map(|name| Script::named(name)).collect();
        (!scripts.is_empty()).then_some(Self { scripts: Some(scripts) })
    }

    /// Those that a vocabulary has words of.
    pub fn of_vocabulary<'a>(pieces: impl Iterator<Item = &'a str>) -> Self {
        let mut words = BTreeMap::<Script, usize>::new();
        let mut letters = BTreeMap::<Script, BTreeSet<char>>::new();
        for piece in pieces {
            let own: Vec<(Script, char)> = piece.chars().filter_map(|c| Some((Script::of(c)?, c))).collect();
            own.iter().for_each(|&(script, letter)| {
                letters.entry(script).or_default().insert(letter);
            });
            if let [(first, _), rest @ ..] = own.as_slice()
                && !rest.is_empty()
                && rest.iter().all(|(script, _)| script == first)
            {
                *words.entry(*first).or_default() += 1;
            }
        }
        let all: usize = words.values().sum();
        let has_words = |script: &Script| {
            let own = words.get(script).copied().unwrap_or_default();
            own >= ENOUGH_WORDS || own as f64 >= LEAST_SHARE * all.max(1) as f64
        };
        let has_letters = |script: &Script| letters.get(script).map_or(0, BTreeSet::len) >= ENOUGH_LETTERS;
        let known: BTreeSet<Script> =
            letters.keys().copied().filter(|script| has_words(script) || has_letters(script)).collect();
        Self { scripts: (!known.is_empty()).then_some(known) }
    }

    /// These, and those that texts are in which a model learns from.
    pub fn learning_from<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Self {
        let Some(known) = &self.scripts else { return self.clone() };
        let (mut texts_in, mut all) = (BTreeMap::<Script, usize>::new(), 0);
        for text in texts {
            all += 1;
            if let Some(script) = main_script(text) {
                *texts_in.entry(script).or_default() += 1;
            }
        }
        let least = (LEAST_LEARNED * f64::from(all)).max(1.0);
        let learned = texts_in.into_iter().filter(|(_, own)| *own as f64 >= least).map(|(script, _)| script);
        Self { scripts: Some(known.iter().copied().chain(learned).collect()) }
    }

    /// Their names, sorted; `None` where nothing is known.
    pub fn names(&self) -> Option<Vec<&'static str>> {
        self.scripts.as_ref().map(|scripts| scripts.iter().map(|script| script.name()).collect())
    }

    /// Whether a text is readable: at least half of its letters are of a known script and in no unknown piece. Of a text without
    /// letters it is digits, emoji and other signs that count, if half of them are in no unknown piece. `unknown` are the bytes of
    /// pieces that the vocabulary doesn't have, ascending.
    pub fn can_read(&self, text: &str, unknown: &[Range<usize>]) -> bool {
        if unknown.is_empty() && (self.scripts.is_none() || (text.is_ascii() && self.knows(Script("Latin"))))
        {
            return true;
        }
        let (mut read, mut letters, mut read_signs, mut signs) = (0, 0, 0, 0);
        let mut unknown = unknown.iter().peekable();
        for (place, character) in text.char_indices() {
            while unknown.next_if(|range| range.end <= place).is_some() {}
            let is_known = unknown.peek().is_none_or(|range| place < range.start);
            if let Some(script) = Script::of(character) {
                letters += script.weight();
                read += if is_known && self.knows(script) { script.weight() } else { 0 };
            } else if is_sign(character) {
                signs += 1;
                read_signs += usize::from(is_known);
            }
        }
        if letters > 0 { 2 * read >= letters } else { 2 * read_signs >= signs }
    }

    fn knows(&self, script: Script) -> bool {
        self.scripts.as_ref().is_none_or(|scripts| scripts.contains(&script))
    }
}

/// The script that most of a text is in; the first by name of equals.
fn main_script(text: &str) -> Option<Script> {
    let mut weights = BTreeMap::<Script, usize>::new();
    text.chars()
        .filter_map(Script::of)
        .for_each(|script| *weights.entry(script).or_default() += script.weight());
    weights.into_iter().rev().max_by_key(|(_, weight)| *weight).map(|(script, _)| script)
}

/// Whether a character that is no letter says something by itself: no white space, and no punctuation.
fn is_sign(character: char) -> bool {
    let is_punctuation = character.is_ascii_punctuation()
        || matches!(character, '\u{a1}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}'
            | '\u{fe00}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}'
            | '\u{ff5b}'..='\u{ff65}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}');
    !(character.is_whitespace() || character.is_control() || is_punctuation)
}

#[cfg(test)]
mod tests;
