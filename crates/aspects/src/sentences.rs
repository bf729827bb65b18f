//! Where a sentence ends.
//!
//! Invariant: the sentences of a text, one after the other, are the text.

/// Bytes after which a sentence ends at the next space, if none of its signs has ended it: so much is looked at together.
const MAX_BYTES: usize = 4096;

/// The sentences of a text, each with the signs and spaces that end it.
pub fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (sentence, behind) = rest.split_at(end(rest));
        rest = behind;
        Some(sentence)
    })
}

/// Where the first sentence ends, spaces behind it included.
fn end(text: &str) -> usize {
    let mut previous = None;
    let mut characters = text.char_indices().peekable();
    let (mut ended, mut spaced, mut address) = (false, false, false);
    while let Some((place, character)) = characters.next() {
        // What follows an end belongs to it as long as it can't begin a sentence.
        let belongs = ends_alone(character) || character == '.' || (is_closing(character) && !spaced);
        if ended && !character.is_whitespace() && !belongs {
            return place;
        }
        if place > 0 && character == '<' && text.get(place..).is_some_and(begins_line) {
            return place;
        }
        spaced = character.is_whitespace();
        let next = characters.peek().map(|(_, next)| *next);
        address = character.is_ascii_graphic() && (address || text.get(place..).is_some_and(begins_address));
        let inside = address && next.is_some_and(|next| next.is_ascii_graphic());
        ended |= !inside
            && (ends_alone(character)
                || (character == '.' && full_stop(previous, next))
                || character == '\n');
        if place >= MAX_BYTES && (character.is_whitespace() || place >= 2 * MAX_BYTES) {
            return place + character.len_utf8();
        }
        previous = Some(character);
    }
    text.len()
}

/// Whether an address of the web goes on here, in which signs end nothing.
fn begins_address(text: &str) -> bool {
    text.starts_with("://") || text.starts_with("www.")
}

/// Whether a text begins with a tag of HTML that begins a line, as many reviews have them.
fn begins_line(text: &str) -> bool {
    ["<br", "<p>", "</p>", "<li>"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(tag)))
}

/// Signs that end a sentence wherever they stand.
fn ends_alone(character: char) -> bool {
    matches!(character, '!' | '?' | '…' | '。' | '！' | '？' | ';' | '；' | '｡')
}

fn is_closing(character: char) -> bool {
    matches!(character, '"' | '\'' | ')' | ']' | '”' | '’' | '」' | '）')
}

/// Whether a full stop between two characters ends a sentence: not in numbers and names of files, and not behind a letter that
/// stands for a word, as in "e.g.".
fn full_stop(previous: Option<char>, next: Option<char>) -> bool {
    let Some(previous) = previous else { return false };
    match next {
        None => true,
        Some(next) if next.is_whitespace() || is_closing(next) || next == '.' => true,
        Some(next) => previous.is_lowercase() && next.is_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_their_signs() {
        let found: Vec<&str> =
            sentences("Good.Bad! Really?! Yes... \"No.\" It cost 4.50 at shop.com; ok\nnext 很好。不错！")
                .collect();
        assert_eq!(
            found,
            [
                "Good.",
                "Bad! ",
                "Really?! ",
                "Yes... ",
                "\"No.\" ",
                "It cost 4.50 at shop.com; ",
                "ok\n",
                "next 很好。",
                "不错！"
            ]
        );
        assert_eq!(sentences("").count(), 0);
    }

    #[test]
    fn addresses_have_no_sentences() {
        let found: Vec<&str> =
            sentences("See https://shop.example/a?size=3;b!c. Good?Bad 看www.shop.example/?q=1！好")
                .collect();
        assert_eq!(
            found,
            ["See https://shop.example/a?size=3;b!c. ", "Good?", "Bad 看www.shop.example/?q=1！", "好"]
        );
    }

    #[test]
    fn tags_of_lines_begin_a_sentence() {
        let found: Vec<&str> = sentences("one<br /><BR>two <b>and</b> 1 < 2<p>three</p>").collect();
        assert_eq!(found, ["one", "<br />", "<BR>two <b>and</b> 1 < 2", "<p>three", "</p>"]);
    }

    #[test]
    fn a_text_without_signs_ends_now_and_then() {
        let text = "so much to say ".repeat(7000);
        let found: Vec<&str> = sentences(&text).collect();
        assert_eq!(found.concat(), text);
        assert!(found.iter().all(|one| one.len() <= MAX_BYTES + 16));
        let text = "很".repeat(50_000);
        assert_eq!(sentences(&text).collect::<String>(), text);
        assert!(sentences(&text).all(|one| one.len() <= 2 * MAX_BYTES + 4));
    }
}
