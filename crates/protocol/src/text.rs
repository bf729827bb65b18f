//! Which texts have nothing to read, and which labels look the same: one rule for both ends of the wire.
//!
//! It must not know models or tables. Invariant: a blank text is blank for every reader of it, be it a query, an aggregate, a
//! training, an evaluation or a count of new rows.

use std::collections::BTreeMap;

/// Whether there is nothing to read in a text: all of it is white space, control characters or others that show nothing, such
/// as a zero-width space or a byte order mark.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(shows_nothing)
}

/// What a label looks like: without case, and without what shows nothing around it.
pub fn look(label: &str) -> String {
    label.trim_matches(shows_nothing).to_lowercase()
}

/// What a text looks like: as a label does, and with a single space wherever there is white space.
pub fn look_of_text(text: &str) -> String {
    let mut words = text.trim_matches(shows_nothing).split_whitespace();
    let mut look = words.next().unwrap_or_default().to_lowercase();
    for word in words {
        look.push(' ');
        look.push_str(&word.to_lowercase());
    }
    look
}

/// Labels that look the same but aren't, in groups, each sorted; none of them twice.
pub fn lookalikes<'a>(labels: impl IntoIterator<Item = &'a str>) -> Vec<Vec<&'a str>> {
    let mut looks = BTreeMap::<String, Vec<&str>>::new();
    labels.into_iter().for_each(|label| looks.entry(look(label)).or_default().push(label));
    let mut groups: Vec<Vec<&str>> = looks.into_values().collect();
    for group in &mut groups {
        group.sort_unstable();
        group.dedup();
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Unicode's white space, controls, formats (Cf) and Default_Ignorable_Code_Points (version 16), and its noncharacters.
fn shows_nothing(character: char) -> bool {
    let format_or_ignorable = matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    let is_no_character =
        matches!(character, '\u{fdd0}'..='\u{fdef}') || u32::from(character) & 0xFFFE == 0xFFFE;
    character.is_whitespace() || character.is_control() || format_or_ignorable || is_no_character
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank() {
        assert!(is_blank("") && is_blank(" \t\n\u{a0}\u{3000}\u{2003}\u{85}"));
        let invisible =
            ["\u{200b}", "\u{feff}", "\u{2060}", "\u{ad}", "\u{1}", "\u{7f}", "\u{200d}\u{fe0f}", "\u{ffff}"];
        assert!(invisible.iter().all(|text| is_blank(text)));
        assert!(is_blank(&invisible.join(" ")));
    }

    #[test]
    fn what_shows_something_is_not() {
        assert!(
            [".", "a\u{200b}", "\u{feff}好", "👩\u{200d}💻", "❤\u{fe0f}", "\u{e000}"]
                .iter()
                .all(|text| !is_blank(text))
        );
    }

    #[test]
    fn texts_look_alike_whatever_their_case_and_white_space() {
        for text in ["Works well.", " works  WELL.\n", "works\u{a0}well.\u{200b}"] {
            assert_eq!(look_of_text(text), "works well.");
        }
        assert_ne!(look_of_text("works well"), look_of_text("works well."));
        assert_eq!(look_of_text(" \n"), "");
    }

    #[test]
    fn labels_look_alike_whatever_their_case_and_what_is_around_them() {
        let labels = ["neg", "pos", "NEG", "neg ", "neu", "pos\u{200b}", "neg"];
        assert_eq!(lookalikes(labels), [vec!["NEG", "neg", "neg "], vec!["pos", "pos\u{200b}"]]);
        assert!(lookalikes(["1 star", "2 stars", "1  star"]).is_empty());
    }
}
