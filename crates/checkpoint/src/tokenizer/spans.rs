//! Where in a text its tokens stand.
//!
//! It must not know tokenizers. Invariant: spans are in the order of the text, don't overlap and lie within it, and every token is
//! of one of them.

/// A part of a text, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Characters before it.
    pub start: usize,
    /// Characters of it.
    pub length: usize,
}

impl Span {
    fn end(self) -> usize {
        self.start + self.length
    }
}

/// The spans of a text's tokens, which stand from one place to another in characters each; and for each token, which of them it is
/// of. Several tokens share a span where they stand for the same characters, as bytes of one do, or words that one was replaced by.
/// White space at both ends is none of a span; marks that belong to the character before them are.
pub(super) fn of_tokens(text: &str, places: &[(usize, usize)]) -> (Vec<Span>, Vec<usize>) {
    let characters: Vec<char> = text.chars().collect();
    let (mut spans, mut of_token): (Vec<Span>, Vec<usize>) = (Vec::new(), Vec::with_capacity(places.len()));
    for &(start, end) in places {
        let own = trimmed(&characters, start, end);
        match spans.last_mut() {
            // Nothing of its own: what a tokenizer made up is of what it stands behind.
            Some(_) if own.length == 0 => {}
            Some(last) if own.start < last.end() => last.length = own.end().max(last.end()) - last.start,
            _ => spans.push(own),
        }
        of_token.push(spans.len() - 1);
    }
    let starts: Vec<usize> = spans.iter().skip(1).map(|span| span.start).collect();
    let limits = starts.into_iter().chain([characters.len()]);
    for (span, limit) in spans.iter_mut().zip(limits) {
        while span.end() < limit && characters.get(span.end()).is_some_and(|one| is_mark(*one)) {
            span.length += 1;
        }
    }
    (spans, of_token)
}

/// Without white space at its ends, unless that is all there is.
fn trimmed(characters: &[char], start: usize, end: usize) -> Span {
    let end = end.min(characters.len());
    let start = start.min(end);
    let own = characters.get(start..end).unwrap_or_default();
    let before = own.iter().take_while(|one| one.is_whitespace()).count();
    if before == own.len() {
        return Span { start, length: own.len() };
    }
    let after = own.iter().rev().take_while(|one| one.is_whitespace()).count();
    Span { start: start + before, length: own.len() - before - after }
}

/// Whether a character is a part of the one before it: combining marks, variation selectors, skin colours, joiners.
fn is_mark(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fe20}'..='\u{fe2f}'
            | '\u{200d}'
            | '\u{1f3fb}'..='\u{1f3ff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, places: &[(usize, usize)]) -> Vec<String> {
        let (spans, of_token) = of_tokens(text, places);
        assert_eq!(of_token.len(), places.len());
        let part = |span: &Span| text.chars().skip(span.start).take(span.length).collect();
        spans.iter().map(part).collect()
    }

    #[test]
    fn white_space_is_none_of_a_span() {
        assert_eq!(shown("so  good\r\n", &[(0, 2), (2, 8), (8, 10)]), ["so", "good", "\r\n"]);
    }

    #[test]
    fn tokens_of_one_character_share_its_span() {
        assert_eq!(shown("a 😍!", &[(0, 1), (2, 3), (2, 3), (2, 3), (3, 4)]), ["a", "😍", "!"]);
        // A long one and what was made of a part of it.
        assert_eq!(of_tokens("a &amp; b", &[(0, 1), (2, 7), (4, 5), (8, 9)]).1, [0, 1, 1, 2]);
    }

    #[test]
    fn marks_belong_to_the_character_before_them() {
        assert_eq!(shown("cafe\u{301} noir", &[(0, 4), (6, 10)]), ["cafe\u{301}", "noir"]);
        assert_eq!(shown("👍\u{1f3fd}👎", &[(0, 1), (2, 3)]), ["👍\u{1f3fd}", "👎"]);
    }

    #[test]
    fn what_stands_nowhere_is_of_what_it_stands_behind() {
        assert_eq!(of_tokens("ab", &[(0, 0), (0, 2), (2, 2)]).1.len(), 3);
        assert_eq!(shown("ab c", &[(0, 2), (2, 2), (3, 4)]), ["ab", "c"]);
        assert_eq!(shown("ab. ", &[(0, 2), (2, 3), (4, 4)]), ["ab", "."]);
        assert_eq!(shown("ab", &[(5, 9)]), [""]);
    }
}
