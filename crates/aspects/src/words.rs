//! The words of a text, and where they stand.
//!
//! A word is a run of letters and digits; signs that are written without spaces between words are words of their own. Web addresses,
//! e-mail addresses and tags of HTML have none. Invariant: words stand in the text's order and don't overlap.

use std::borrow::Cow;
use std::ops::Range;

/// A word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// Where it stands in the text.
    pub bytes: Range<usize>,
    /// In lower case, with plain apostrophes.
    pub folded: Cow<'a, str>,
}

/// The words of a text.
pub fn words(text: &str) -> Vec<Word<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    for run in text.split_inclusive(char::is_whitespace) {
        let mut rest = run;
        while let Some((before, behind)) = around_address(rest) {
            add(before, at, &mut found);
            at += rest.len() - behind.len();
            rest = behind;
        }
        add(rest, at, &mut found);
        at += rest.len();
    }
    found
}

/// What stands before and behind the first address of a run without spaces, if there is one.
fn around_address(run: &str) -> Option<(&str, &str)> {
    let part_of_name = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '-' | '+');
    let name_before =
        |place: usize| run.get(..place).map_or("", |before| before.trim_end_matches(part_of_name)).len();
    let mail = || {
        let place = run.find('@')?;
        let domain = run.get(place + 1..)?.split(|one: char| !part_of_name(one)).next()?;
        (name_before(place) < place && domain.trim_end_matches('.').contains('.')).then(|| name_before(place))
    };
    let start = run.find("://").map(name_before).or_else(|| run.find("www.")).or_else(mail)?;
    let behind = run.get(start..)?.trim_start_matches(|one: char| one.is_ascii_graphic());
    Some((run.get(..start)?, behind))
}

fn add<'a>(run: &'a str, at: usize, found: &mut Vec<Word<'a>>) {
    let mut start = None;
    let mut previous = None;
    for (place, character) in run.char_indices() {
        let next = run.get(place + character.len_utf8()..).and_then(|rest| rest.chars().next());
        let inside = character.is_alphanumeric() && !stands_alone(character);
        let joins = is_apostrophe(character)
            && previous.is_some_and(char::is_alphanumeric)
            && next.is_some_and(char::is_alphabetic);
        match (inside || joins, start) {
            (true, None) => start = Some(place),
            (false, Some(first)) => {
                push(run, at, first..place, found);
                start = None;
            }
            _ => {}
        }
        if stands_alone(character) {
            push(run, at, place..place + character.len_utf8(), found);
        }
        previous = Some(character);
    }
    if let Some(first) = start {
        push(run, at, first..run.len(), found);
    }
}

fn push<'a>(run: &'a str, at: usize, place: Range<usize>, found: &mut Vec<Word<'a>>) {
    let Some((before, word)) = run.get(..place.start).zip(run.get(place.clone())) else { return };
    if before.ends_with('<') || before.ends_with("</") {
        return;
    }
    let plain = word.chars().all(|one| !one.is_uppercase() && one != '’');
    let folded = match plain {
        true => Cow::Borrowed(word),
        false => Cow::Owned(word.to_lowercase().replace('’', "'")),
    };
    found.push(Word { bytes: at + place.start..at + place.end, folded });
}

fn is_apostrophe(character: char) -> bool {
    matches!(character, '\'' | '’')
}

/// Signs of scripts that part words by no spaces.
pub fn stands_alone(character: char) -> bool {
    matches!(u32::from(character), 0x2E80..=0x2FDF | 0x3040..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.folded.into_owned()).collect()
    }

    #[test]
    fn words_are_runs_of_letters() {
        assert_eq!(folded("Well-made, DON’T buy: 2 years"), ["well", "made", "don't", "buy", "2", "years"]);
        assert_eq!(folded("'quoted' rock'n'roll it's"), ["quoted", "rock'n'roll", "it's"]);
        assert_eq!(folded("质量好abc"), ["质", "量", "好", "abc"]);
        assert_eq!(folded(" 👍 !? "), [""; 0]);
        assert_eq!(folded("soft<br /><BR>and <b>warm</b>"), ["soft", "and", "warm"]);
    }

    #[test]
    fn addresses_have_no_words() {
        assert_eq!(
            folded("see https://shop.example/quality?size=3 or www.price.com or me@price.com"),
            ["see", "or", "or"]
        );
        assert_eq!(folded("@friend price"), ["friend", "price"]);
        assert_eq!(folded("价格https://shop.example/size贵me@price.com！x@y"), ["价", "格", "贵", "x", "y"]);
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "Été 😍 GRÖSSE，大小";
        for word in words(text) {
            assert_eq!(text[word.bytes.clone()].to_lowercase(), word.folded);
        }
        assert_eq!(words(text).len(), 4);
    }
}
