//! Words of a text.
//!
//! Invariant: the same text has the same words, whatever its case.

/// The words of a text in lower case: letters and digits, apostrophes between them.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|one: char| !(one.is_alphanumeric() || matches!(one, '\'' | '’')))
        .map(|word| word.trim_matches(['\'', '’']))
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('’', "'").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apostrophes_belong_to_words() {
        let found: Vec<String> = words("DIDN’T 'fit' -- 2 lamps. 灯").collect();
        assert_eq!(found, ["didn't", "fit", "2", "lamps", "灯"]);
    }
}
