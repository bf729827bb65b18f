//! What a text is made of, to be compared: lexemes as the server's text search makes them, and pairs of neighbouring characters
//! where a script puts no spaces between words, which the server takes for one word.
//!
//! It must not know a language. Invariant: a text is read the same way as a question and as a row.

use std::collections::HashMap;

/// Characters of a text that are read: what comes after them changes little, and the server's text search has a limit.
pub const MAX_CHARS: usize = 100_000;

/// The different terms of a question, by their number.
#[derive(Debug, Default)]
pub struct Terms {
    numbers: HashMap<String, u32>,
}

/// What a row has of a question's terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TermCounts {
    /// Terms of the row, those that the question doesn't have too.
    pub length: u32,
    /// Number and frequency of each term that the question has too, by number.
    pub found: Vec<(u32, u32)>,
}

impl Terms {
    /// Those of a question, given as its `tsvector` in text form and as it is.
    #[must_use]
    pub fn of(lexemes: &str, text: &str) -> Self {
        let mut numbers = HashMap::new();
        for_each_term(lexemes, text, |term, _| {
            let number = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            numbers.entry(term.to_owned()).or_insert(number);
        });
        Self { numbers }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none, as of a question of stop words only.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// What a row has of them, given as the question was.
    #[must_use]
    pub fn count(&self, lexemes: &str, text: &str) -> TermCounts {
        let mut counts = TermCounts::default();
        for_each_term(lexemes, text, |term, frequency| {
            counts.length = counts.length.saturating_add(frequency);
            counts.found.extend(self.numbers.get(term).map(|number| (*number, frequency)));
        });
        counts.found.sort_unstable();
        counts.found.dedup_by(|again, first| {
            let same = again.0 == first.0;
            first.1 = first.1.saturating_add(if same { again.1 } else { 0 });
            same
        });
        counts
    }
}

/// Each term of a text and how often it comes; pairs of characters come one by one.
fn for_each_term(lexemes: &str, text: &str, mut take: impl FnMut(&str, u32)) {
    for_each_lexeme(lexemes, |lexeme, frequency| {
        if !lexeme.contains(has_no_spaces) {
            take(lexeme, frequency);
        }
    });
    for_each_pair(text, |pair| take(pair, 1));
}

/// The lexemes of a `tsvector` in text form, such as `'it''s':1,4B 'lamp':2`, and the number of their positions.
fn for_each_lexeme(lexemes: &str, mut take: impl FnMut(&str, u32)) {
    let mut rest = lexemes.chars().peekable();
    let mut lexeme = String::new();
    while rest.by_ref().any(|c| c == '\'') {
        lexeme.clear();
        while let Some(c) = rest.next() {
            match c {
                // A quote that is doubled belongs to the lexeme, one alone ends it.
                '\'' if rest.next_if_eq(&'\'').is_none() => break,
                // So does a backslash, which is always doubled.
                '\\' => lexeme.extend(rest.next()),
                c => lexeme.push(c),
            }
        }
        let mut positions = 0;
        while let Some(c) = rest.next_if(|c| *c != ' ') {
            positions += u32::from(matches!(c, ':' | ','));
        }
        take(&lexeme, positions.max(1));
    }
}

/// Pairs of neighbouring characters of runs without spaces; of a run of one, that.
fn for_each_pair(text: &str, mut take: impl FnMut(&str)) {
    let mut term = String::new();
    let mut flush = |run: &mut Vec<char>| {
        let mut give = |chars: &[char]| {
            term.clear();
            term.extend(chars);
            take(&term);
        };
        match run.len() {
            0 => {}
            1 => give(run),
            _ => run.windows(2).for_each(&mut give),
        }
        run.clear();
    };
    let mut run = Vec::new();
    for c in text.chars().take(MAX_CHARS) {
        if has_no_spaces(c) { run.push(c) } else { flush(&mut run) }
    }
    flush(&mut run);
}

/// Whether a character is of a script that puts no spaces between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer.
fn has_no_spaces(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3005..=0x3007 | 0x3040..=0x30FF | 0x31F0..=0x31FF
            | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexemes(text: &str) -> Vec<(String, u32)> {
        let mut found = Vec::new();
        for_each_lexeme(text, |lexeme, positions| found.push((lexeme.to_owned(), positions)));
        found
    }

    fn pairs(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for_each_pair(text, |pair| found.push(pair.to_owned()));
        found
    }

    #[test]
    fn lexemes_are_read_as_the_server_writes_them() {
        let one = |lexeme: &str, positions| (lexeme.to_owned(), positions);
        assert_eq!(lexemes("'lamp':2 'return':1,4B,7A"), [one("lamp", 1), one("return", 3)]);
        // SELECT to_tsvector('simple', $$http://a.b/c'd\e f:g$$), and one without positions.
        assert_eq!(
            lexemes(r"'/c''d\\e':3 'a b':1 'x:y,z'"),
            [one(r"/c'd\e", 1), one("a b", 1), one("x:y,z", 1)]
        );
        assert_eq!(lexemes("'''':1 '\\\\':2"), [one("'", 1), one("\\", 1)]);
        for broken in ["", "'", "'a", "a':1", "'a\\"] {
            let _ = lexemes(broken);
        }
    }

    #[test]
    fn characters_without_spaces_come_in_pairs() {
        assert_eq!(pairs("我的订单 abc 退"), ["我的", "的订", "订单", "退"]);
        assert_eq!(pairs("iPhone手机，好！"), ["手机", "好"]);
        assert!(pairs("lamp's 1 é").is_empty());
        assert_eq!(pairs(&"好".repeat(MAX_CHARS + 7)).len(), MAX_CHARS - 1);
    }

    #[test]
    fn a_row_is_counted_by_the_terms_of_the_question() {
        let terms = Terms::of("'lamp':2 'return':1 '退货':3", "return lamp 退货");
        assert_eq!(terms.len(), 3);
        let counts = terms.count("'chair':4 'return':1,3 '要退货':2", "return 要退货 return chair");
        assert_eq!(counts.length, 5);
        let mut frequencies: Vec<u32> = counts.found.iter().map(|(_, frequency)| *frequency).collect();
        frequencies.sort_unstable();
        assert_eq!(frequencies, [1, 2]);
        assert!(Terms::of("", "").is_empty());
        assert_eq!(Terms::of("", "").count("'a':1", "a").found, []);
    }
}
