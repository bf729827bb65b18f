//! Puts calls and texts where a template asks for them: `@label(@text(r))` becomes
//! `predict_sentiment(upper(r.body), 'shop')`.
//!
//! Invariant: a call is one the model can answer, so that a template fails only where it says so.

use super::generator::Generator;

/// Texts of a row of reviews. There are few of them, so that the engine's memory answers most calls.
const TEXTS: [&str; 8] = [
    "$.body",
    "$.body",
    "$.body",
    "upper($.body)",
    "substr($.body, 1, 12)",
    "$.body || ' ' || $.lang",
    "coalesce($.body, 'nothing')",
    "concat($.lang, ': ', left($.body, 40))",
];

const LABELS: [&str; 5] = [
    "predict_sentiment($)",
    "predict_class($)",
    "predict_sentiment($, 'shop')",
    "predict_class($, 'shop@1')",
    "ecommerce_ml.predict_sentiment($, 'reviews')",
];

const NUMBERS: [&str; 7] = [
    "predict_sentiment_score($)",
    "predict_rating($)",
    "predict_confidence($)",
    "token_count($)",
    "predict_value($, 'points')",
    "predict_sentiment_score($, 'shop')",
    "token_count($, 'shop')",
];

const ARRAYS: [&str; 3] = ["tokenize($)", "token_ids($)", "tokenize($, 'shop')"];

const OBJECTS: [&str; 2] = ["predict_probabilities($)", "predict_probabilities($, 'shop')"];

const EMBEDDINGS: [&str; 1] = ["embed($, 'shop')"];

/// Replaces every `@kind(argument)` of a template.
///
/// # Panics
/// If a parenthesis of the template isn't closed.
pub fn expand(template: &str, generator: &mut Generator) -> String {
    let Some(start) = template.find('@') else { return template.to_owned() };
    let (before, rest) = template.split_at(start);
    let name: String = rest[1..].chars().take_while(char::is_ascii_alphabetic).collect();
    let Some(after_name) = rest[1 + name.len()..].strip_prefix('(') else {
        return format!("{before}@{}", expand(&rest[1..], generator));
    };
    let end = closing(after_name).unwrap_or_else(|| panic!("not closed: {template}"));
    let argument = expand(&after_name[..end], generator);
    let call = one(&name, generator).unwrap_or_else(|| panic!("@{name}: {template}")).replace('$', &argument);
    format!("{before}{call}{}", expand(&after_name[end + 1..], generator))
}

/// A call or text of a kind, with `$` for its argument.
pub fn one(kind: &str, generator: &mut Generator) -> Option<&'static str> {
    let kinds: &[&[&'static str]] = match kind {
        "text" => &[&TEXTS],
        "label" => &[&LABELS],
        "number" => &[&NUMBERS],
        "array" => &[&ARRAYS],
        "json" => &[&OBJECTS],
        "any" => &[&LABELS, &NUMBERS, &LABELS, &NUMBERS, &ARRAYS, &OBJECTS, &EMBEDDINGS],
        _ => return None,
    };
    let kind = generator.one_of(kinds);
    Some(generator.one_of(kind))
}

/// Where the parenthesis before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    text.char_indices().find_map(|(position, character)| {
        open += i32::from(character == '(') - i32::from(character == ')');
        (open == 0).then_some(position)
    })
}
