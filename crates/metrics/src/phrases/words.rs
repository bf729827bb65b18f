//! Pieces of a text to words.
//!
//! It must not know phrases. Invariant: words are in the order of the text, and each piece with letters or digits is of one.

/// A piece of a text and what it contributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece {
    /// Characters before it.
    pub start: usize,
    /// Characters of it.
    pub length: usize,
    /// In the unit of what is explained.
    pub contribution: f64,
}

/// A word, or a sign by itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) contribution: f64,
    /// In lower case; of a sign nothing.
    pub(super) folded: String,
    /// Whether a letter, digit or picture is in it.
    pub(super) has_letters: bool,
}

/// The words of a text, of which these are the characters.
pub(super) fn words(characters: &[char], pieces: &[Piece]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for piece in pieces {
        let end = (piece.start + piece.length).min(characters.len());
        let own = characters.get(piece.start..end).unwrap_or_default();
        match words.last_mut() {
            Some(last) if last.end == piece.start && continues(characters, last.end) => {
                last.end = end;
                last.contribution += piece.contribution;
            }
            _ => words.push(Word {
                start: piece.start,
                end,
                contribution: piece.contribution,
                folded: String::new(),
                has_letters: own.iter().any(|one| is_letter(*one)),
            }),
        }
    }
    for word in words.iter_mut().filter(|word| word.has_letters) {
        let own = characters.get(word.start..word.end).unwrap_or_default();
        let plain = own.iter().map(|one| if *one == '’' { '\'' } else { *one });
        word.folded = plain.flat_map(char::to_lowercase).collect();
    }
    words
}

/// Whether the character at a place goes on with the word that ends before it: letters do that, and an apostrophe or a hyphen between
/// letters. Scripts that are written without spaces have a word each character.
fn continues(characters: &[char], at: usize) -> bool {
    let letter = |place: Option<usize>| {
        place.and_then(|place| characters.get(place)).is_some_and(|one| is_letter(*one) && !is_alone(*one))
    };
    let joint = |place: Option<usize>| {
        place.and_then(|place| characters.get(place)).is_some_and(|one| matches!(one, '\'' | '’' | '-'))
    };
    let (before, here, after) = (at.checked_sub(1), Some(at), at.checked_add(1));
    (letter(before) && letter(here))
        || (letter(before) && joint(here) && letter(after))
        || (joint(before) && letter(here) && letter(at.checked_sub(2)))
}

/// Letters, digits and pictures.
fn is_letter(character: char) -> bool {
    character.is_alphanumeric() || is_picture(character)
}

/// Emoji and signs like them.
fn is_picture(character: char) -> bool {
    matches!(character, '\u{2600}'..='\u{27bf}' | '\u{2b50}' | '\u{1f300}'..='\u{1faff}')
}

/// Characters that are words by themselves: Chinese and Japanese ones, and pictures.
fn is_alone(character: char) -> bool {
    is_picture(character)
        || matches!(
            character,
            '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}'
        )
}
