//! Which changes there are, and what their numbers mean: the option `augment`.
//!
//! It must not know how changes are made. Invariant: 0 stands for a change that isn't made.

/// How much of each change is made. All numbers are from 0 to 1, and 0 by default.
///
/// Changes of words follow "EDA: easy data augmentation techniques for boosting performance on text classification
/// tasks" (Wei and Zou, 2019), whose alpha is the part of the words that a change meets: there as a count, here as a
/// probability that each word has by itself. Unlike there, no changed copies are added to the rows; every epoch sees
/// each row with changes of its own. The paper recommends 0.1 for up to 5,000 rows and 0.05 for fewer than 500.
///
/// A change may turn what a text says into the opposite ("not" may be left out), so more is
/// not always better: held-out rows, which are never changed, tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// `duplicate`: scarce classes are repeated until each has at least this part of the rows of the largest. Rows to
    /// be repeated are chosen by chance, none a second time before all others of its class. With 1 all classes are
    /// equally large. Each copy gets changes of its own. Not for regressions.
    pub duplicate: f64,
    /// `synonym`: probability of each word that a synonym takes its place, if one is known. It takes over the case of
    /// the first letter, or of all of them.
    pub synonym: f64,
    /// `synonym_table`: whether synonyms come from a table; otherwise they are the nearest neighbours of a word among
    /// the embeddings of words, which are related ("awful" for "terrible", but also "loves" for "love") and in some
    /// models opposites.
    pub synonym_table: bool,
    /// `word_drop`: probability of each word that it is left out. The last word of a text stays.
    pub word_drop: f64,
    /// `word_swap`: probability of each word that it trades places with another one, anywhere in the text. So up to
    /// twice this part of the words move.
    pub word_swap: f64,
    /// `noise`: probability of each letter that it is mistyped: a wrong letter, a missing one, one too many, or two in
    /// the wrong order, in equal parts (the four errors of Damerau, "A technique for computer detection and correction
    /// of spelling errors", 1964). Wrong letters are other letters of the text, so they are of its script.
    pub noise: f64,
    /// `back_translation`: part of the texts that come with paraphrases. Each pass over such a text is one over the text itself or
    /// over one of them, all with the same chance.
    pub back_translation: f64,
}

impl Changes {
    /// Whether single words are changed.
    pub fn of_words(&self) -> bool {
        [self.synonym, self.word_drop, self.word_swap, self.noise]
            .iter()
            .any(|&probability| probability > 0.0)
    }

    /// Whether synonyms have to be found among embeddings.
    pub fn wants_neighbours(&self) -> bool {
        self.synonym > 0.0 && !self.synonym_table
    }
}
