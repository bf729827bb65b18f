//! What the outputs of a head mean, judged by the names of its labels.
//!
//! It must not know models or windows. Invariant: labels that aren't recognised as a whole mean nothing at all;
//! a scale is never guessed from some of them.

use ecommerce_ml_protocol::text::look;
use ecommerce_ml_protocol::{Prediction, Sentiment};

/// The meaning of a set of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// One to five stars: the index of the label of each, in ascending order of stars.
    Stars([usize; 5]),
    /// Sentiments: the index of the label of each.
    Sentiments {
        /// Of negative.
        negative: usize,
        /// Of neutral, if the model knows it.
        neutral: Option<usize>,
        /// Of positive.
        positive: usize,
    },
    /// Very negative to very positive: the index of the label of each of the five, in this order.
    Degrees([usize; 5]),
    /// Classes of something else.
    Other,
}

impl Meaning {
    /// Recognises labels, in any order and case: five that name 1 to 5 stars, or two, three or five that name sentiments.
    pub fn of(labels: &[String]) -> Self {
        let names: Vec<String> = labels.iter().map(|label| look(label)).collect();
        stars(&names).or_else(|| sentiments(&names)).or_else(|| degrees(&names)).unwrap_or(Self::Other)
    }

    /// Whether there is a sentiment in it.
    pub fn has_sentiment(self) -> bool {
        self != Self::Other
    }

    /// Whether there are stars in it.
    pub fn has_rating(self) -> bool {
        matches!(self, Self::Stars(_))
    }

    /// All that these probabilities, one a label, say.
    pub fn interpret(self, probabilities: Vec<f32>) -> Prediction {
        let (sentiment, score, rating) = match self {
            Self::Stars(labels) => by_stars(labels.map(|label| probability(&probabilities, label))),
            Self::Sentiments { negative, neutral, positive } => by_sentiments(
                probability(&probabilities, negative),
                neutral.map(|label| probability(&probabilities, label)),
                probability(&probabilities, positive),
            ),
            Self::Degrees(labels) => by_degrees(labels.map(|label| probability(&probabilities, label))),
            Self::Other => (None, None, None),
        };
        Prediction { probabilities, value: None, sentiment, score, rating }
    }
}

/// The prediction of a regression: just the value.
pub fn regression(value: f64) -> Prediction {
    Prediction { probabilities: Vec::new(), value: Some(value), sentiment: None, score: None, rating: None }
}

type Scales = (Option<Sentiment>, Option<f32>, Option<f32>);

/// Scales of the probabilities of 1 to 5 stars: 1 and 2 are negative, 4 and 5 positive.
fn by_stars(stars: [f64; 5]) -> Scales {
    let [one, two, three, four, five] = stars;
    let rating = (one + 2.0 * two + 3.0 * three + 4.0 * four + 5.0 * five).clamp(1.0, 5.0);
    let sentiment = likeliest(one + two, Some(three), four + five);
    (Some(sentiment), Some(((rating - 3.0) / 2.0) as f32), Some(rating as f32))
}

fn by_sentiments(negative: f64, neutral: Option<f64>, positive: f64) -> Scales {
    let score = (positive - negative).clamp(-1.0, 1.0);
    (Some(likeliest(negative, neutral, positive)), Some(score as f32), None)
}

/// Scales of the probabilities of very negative to very positive. Degrees of a sentiment are no stars: nobody said that very
/// positive is five of them.
fn by_degrees(degrees: [f64; 5]) -> Scales {
    let [worst, bad, neutral, good, best] = degrees;
    let score = (best - worst + (good - bad) / 2.0).clamp(-1.0, 1.0);
    (Some(likeliest(worst + bad, Some(neutral), good + best)), Some(score as f32), None)
}

/// The first of the largest.
fn likeliest(negative: f64, neutral: Option<f64>, positive: f64) -> Sentiment {
    let mut best = (negative, Sentiment::Negative);
    for candidate in [(neutral.unwrap_or(0.0), Sentiment::Neutral), (positive, Sentiment::Positive)] {
        if candidate.0 > best.0 {
            best = candidate;
        }
    }
    best.1
}

fn probability(probabilities: &[f32], label: usize) -> f64 {
    probabilities.get(label).copied().map_or(0.0, f64::from)
}

fn stars(names: &[String]) -> Option<Meaning> {
    let names: &[String; 5] = names.try_into().ok()?;
    let mut labels = [None; 5];
    for (index, name) in names.iter().enumerate() {
        let count = star_count(name)?;
        *labels.get_mut(count.checked_sub(1)?)? = Some(index);
    }
    let [one, two, three, four, five] = labels;
    Some(Meaning::Stars([one?, two?, three?, four?, five?]))
}

/// The number in `3`, `3 stars`, `3-star` or `3★`.
fn star_count(name: &str) -> Option<usize> {
    let unit = ["stars", "star", "★"].iter().find_map(|unit| name.strip_suffix(unit));
    unit.unwrap_or(name).trim_end_matches([' ', '-', '_']).parse().ok()
}

fn sentiments(names: &[String]) -> Option<Meaning> {
    let find = |long: &str, short: &str| names.iter().position(|name| name == long || name == short);
    let (negative, positive) = (find("negative", "neg")?, find("positive", "pos")?);
    let neutral = find("neutral", "neu");
    let recognised = 2 + usize::from(neutral.is_some());
    (names.len() == recognised).then_some(Meaning::Sentiments { negative, neutral, positive })
}

/// `very negative`, `very_negative` and `Very-Negative` are the same.
fn degrees(names: &[String]) -> Option<Meaning> {
    let names: &[String; 5] = names.try_into().ok()?;
    let bare = |name: &String| name.replace([' ', '_', '-'], "");
    let find = |degree: &str, long: &str, short: &str| {
        names.iter().map(bare).position(|name| {
            name.strip_prefix(degree).is_some_and(|sentiment| sentiment == long || sentiment == short)
        })
    };
    Some(Meaning::Degrees([
        find("very", "negative", "neg")?,
        find("", "negative", "neg")?,
        find("", "neutral", "neu")?,
        find("", "positive", "pos")?,
        find("very", "positive", "pos")?,
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(labels: &[&str]) -> Meaning {
        Meaning::of(&labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn stars_are_recognised_in_any_order_and_spelling() {
        assert_eq!(
            meaning(&["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]),
            Meaning::Stars([0, 1, 2, 3, 4])
        );
        assert_eq!(meaning(&["5", "4", "3", "2", "1"]), Meaning::Stars([4, 3, 2, 1, 0]));
        assert_eq!(meaning(&[" 1★", "2 STARS", "3-star", "4_stars", "5 "]), Meaning::Stars([0, 1, 2, 3, 4]));
    }

    #[test]
    fn what_is_not_a_whole_scale_means_nothing() {
        assert_eq!(meaning(&["1", "2", "3", "4"]), Meaning::Other);
        assert_eq!(meaning(&["1", "2", "3", "4", "4"]), Meaning::Other);
        assert_eq!(meaning(&["0", "1", "2", "3", "4"]), Meaning::Other);
        assert_eq!(meaning(&["negative", "positive", "mixed"]), Meaning::Other);
        assert_eq!(meaning(&["negative", "negative", "positive"]), Meaning::Other);
        assert_eq!(meaning(&["LABEL_0", "LABEL_1"]), Meaning::Other);
        assert_eq!(meaning(&[]), Meaning::Other);
    }

    #[test]
    fn sentiments_are_recognised_in_any_order_and_case() {
        let two = Meaning::Sentiments { negative: 1, neutral: None, positive: 0 };
        assert_eq!(meaning(&["POSITIVE", "Negative"]), two);
        let three = Meaning::Sentiments { negative: 0, neutral: Some(2), positive: 1 };
        assert_eq!(meaning(&["neg", "pos", "neu"]), three);
    }

    #[test]
    fn degrees_of_sentiment_are_recognised_in_any_order_and_spelling() {
        let degrees = Meaning::Degrees([0, 1, 2, 3, 4]);
        assert_eq!(meaning(&["very negative", "negative", "neutral", "positive", "very positive"]), degrees);
        assert_eq!(meaning(&["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"]), degrees);
        assert_eq!(meaning(&["very_neg", "neg", "neu", "pos", "VERY-POS"]), degrees);
        let backwards = meaning(&["very positive", "positive", "neutral", "negative", "very negative"]);
        assert_eq!(backwards, Meaning::Degrees([4, 3, 2, 1, 0]));
        assert_eq!(
            meaning(&["very negative", "negative", "mixed", "positive", "very positive"]),
            Meaning::Other
        );
        assert_eq!(meaning(&["very negative", "negative", "positive", "very positive"]), Meaning::Other);
    }

    #[test]
    fn degrees_give_score_and_sentiment_but_no_rating() {
        let prediction = Meaning::Degrees([0, 1, 2, 3, 4]).interpret(vec![0.3, 0.1, 0.35, 0.05, 0.2]);
        assert!((prediction.score.unwrap() + 0.125).abs() < 1e-6);
        assert_eq!((prediction.sentiment, prediction.rating), (Some(Sentiment::Negative), None));
    }

    #[test]
    fn stars_give_rating_score_and_sentiment() {
        let prediction = Meaning::Stars([0, 1, 2, 3, 4]).interpret(vec![0.1, 0.1, 0.3, 0.25, 0.25]);
        assert!((prediction.rating.unwrap() - 3.45).abs() < 1e-6);
        assert!((prediction.score.unwrap() - 0.225).abs() < 1e-6);
        assert_eq!(prediction.sentiment, Some(Sentiment::Positive));
    }

    #[test]
    fn sentiments_give_a_score_but_no_rating() {
        let meaning = Meaning::Sentiments { negative: 0, neutral: Some(1), positive: 2 };
        let prediction = meaning.interpret(vec![0.2, 0.5, 0.3]);
        assert!((prediction.score.unwrap() - 0.1).abs() < 1e-6);
        assert_eq!((prediction.sentiment, prediction.rating), (Some(Sentiment::Neutral), None));
    }
}
