//! What classes mean, judged by their labels: one rule for all who train, serve, query and measure.
//!
//! It must not know models. Invariant: labels that aren't recognised as a whole mean nothing at all; a scale is never guessed
//! from some of them.

use crate::text::look;

/// Three-way sentiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentiment {
    /// The reviewer is displeased.
    Negative,
    /// Neither.
    Neutral,
    /// The reviewer is pleased.
    Positive,
}

impl Sentiment {
    /// The word that SQL shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Sentiment::Negative => "negative",
            Sentiment::Neutral => "neutral",
            Sentiment::Positive => "positive",
        }
    }
}

/// What the probabilities of classes say on scales that people know; `None` where the labels give it no meaning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// The likeliest sentiment.
    pub sentiment: Option<Sentiment>,
    /// Sentiment on a scale from -1 to 1.
    pub score: Option<f32>,
    /// Expected stars, from 1 to 5.
    pub rating: Option<f32>,
}

/// What a set of labels means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelScheme {
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

impl LabelScheme {
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

    /// What these probabilities, `[labels]`, say.
    pub fn read(self, probabilities: &[f32]) -> Reading {
        match self {
            Self::Stars(labels) => by_stars(labels.map(|label| probability(probabilities, label))),
            Self::Sentiments { negative, neutral, positive } => by_sentiments(
                probability(probabilities, negative),
                neutral.map(|label| probability(probabilities, label)),
                probability(probabilities, positive),
            ),
            Self::Degrees(labels) => by_degrees(labels.map(|label| probability(probabilities, label))),
            Self::Other => Reading::default(),
        }
    }

    /// Whether several labels are one sentiment, so that a sentiment may be sure where no label is.
    pub fn groups_labels(self) -> bool {
        matches!(self, Self::Stars(_) | Self::Degrees(_))
    }

    /// The sentiment that a label means by itself.
    pub fn sentiment_of(self, label: usize) -> Option<Sentiment> {
        let place = |labels: [usize; 5]| labels.iter().position(|&of| of == label);
        match self {
            Self::Stars(labels) | Self::Degrees(labels) => Some(match place(labels)? {
                0 | 1 => Sentiment::Negative,
                2 => Sentiment::Neutral,
                _ => Sentiment::Positive,
            }),
            Self::Sentiments { negative, .. } if label == negative => Some(Sentiment::Negative),
            Self::Sentiments { positive, .. } if label == positive => Some(Sentiment::Positive),
            Self::Sentiments { neutral: Some(neutral), .. } if label == neutral => Some(Sentiment::Neutral),
            Self::Sentiments { .. } | Self::Other => None,
        }
    }

    /// The probability of what these probabilities, `[labels]`, say: of the sentiment that [`read`](Self::read) reads in them,
    /// all of its labels together, or where labels mean no sentiment of the likeliest label. None of no labels.
    pub fn confidence(self, probabilities: &[f32]) -> Option<f32> {
        let Some(sentiment) = self.read(probabilities).sentiment else {
            return top_probability(probabilities);
        };
        let is_of_it = |label: &usize| self.sentiment_of(*label) == Some(sentiment);
        let sum: f64 =
            (0..probabilities.len()).filter(is_of_it).map(|label| probability(probabilities, label)).sum();
        Some(sum.clamp(0.0, 1.0) as f32)
    }

    /// How many stars each label stands for, if they are stars.
    pub fn stars(self) -> Option<[u8; 5]> {
        let Self::Stars(labels) = self else { return None };
        let mut stars = [0; 5];
        for (place, count) in labels.into_iter().zip(1..) {
            *stars.get_mut(place)? = count;
        }
        Some(stars)
    }

    /// Of two labels that are sentiments, the places of negative and positive.
    pub fn poles(self) -> Option<(usize, usize)> {
        match self {
            Self::Sentiments { negative, neutral: None, positive } => Some((negative, positive)),
            _ => None,
        }
    }
}

/// The probability of the likeliest of some classes, `[labels]`.
pub fn top_probability(probabilities: &[f32]) -> Option<f32> {
    probabilities.iter().copied().max_by(f32::total_cmp)
}

/// Scales of the probabilities of 1 to 5 stars: 1 and 2 are negative, 4 and 5 positive.
fn by_stars(stars: [f64; 5]) -> Reading {
    let [one, two, three, four, five] = stars;
    let rating = (one + 2.0 * two + 3.0 * three + 4.0 * four + 5.0 * five).clamp(1.0, 5.0);
    let sentiment = likeliest(one + two, Some(three), four + five);
    let score = Some(((rating - 3.0) / 2.0) as f32);
    Reading { sentiment: Some(sentiment), score, rating: Some(rating as f32) }
}

fn by_sentiments(negative: f64, neutral: Option<f64>, positive: f64) -> Reading {
    let score = (positive - negative).clamp(-1.0, 1.0);
    let sentiment = Some(likeliest(negative, neutral, positive));
    Reading { sentiment, score: Some(score as f32), rating: None }
}

/// Scales of the probabilities of very negative to very positive. Degrees of a sentiment are no stars: nobody said that very
/// positive is five of them.
fn by_degrees(degrees: [f64; 5]) -> Reading {
    let [worst, bad, neutral, good, best] = degrees;
    let score = (best - worst + (good - bad) / 2.0).clamp(-1.0, 1.0);
    let sentiment = Some(likeliest(worst + bad, Some(neutral), good + best));
    Reading { sentiment, score: Some(score as f32), rating: None }
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

fn stars(names: &[String]) -> Option<LabelScheme> {
    let names: &[String; 5] = names.try_into().ok()?;
    let mut labels = [None; 5];
    for (index, name) in names.iter().enumerate() {
        let count = star_count(name)?;
        *labels.get_mut(count.checked_sub(1)?)? = Some(index);
    }
    let [one, two, three, four, five] = labels;
    Some(LabelScheme::Stars([one?, two?, three?, four?, five?]))
}

/// The number in `3`, `3 stars`, `3-star` or `3★`.
fn star_count(name: &str) -> Option<usize> {
    let unit = ["stars", "star", "★"].iter().find_map(|unit| name.strip_suffix(unit));
    unit.unwrap_or(name).trim_end_matches([' ', '-', '_']).parse().ok()
}

fn sentiments(names: &[String]) -> Option<LabelScheme> {
    let find = |long: &str, short: &str| names.iter().position(|name| name == long || name == short);
    let (negative, positive) = (find("negative", "neg")?, find("positive", "pos")?);
    let neutral = find("neutral", "neu");
    let recognised = 2 + usize::from(neutral.is_some());
    (names.len() == recognised).then_some(LabelScheme::Sentiments { negative, neutral, positive })
}

/// `very negative`, `very_negative` and `Very-Negative` are the same.
fn degrees(names: &[String]) -> Option<LabelScheme> {
    let names: &[String; 5] = names.try_into().ok()?;
    let bare = |name: &String| name.replace([' ', '_', '-'], "");
    let find = |degree: &str, long: &str, short: &str| {
        names.iter().map(bare).position(|name| {
            name.strip_prefix(degree).is_some_and(|sentiment| sentiment == long || sentiment == short)
        })
    };
    Some(LabelScheme::Degrees([
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

    fn scheme(labels: &[&str]) -> LabelScheme {
        LabelScheme::of(&labels.iter().map(|&label| label.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn stars_are_recognised_in_any_order_and_spelling() {
        assert_eq!(
            scheme(&["1 star", "2 stars", "3 stars", "4 stars", "5 stars"]),
            LabelScheme::Stars([0, 1, 2, 3, 4])
        );
        assert_eq!(scheme(&["5", "4", "3", "2", "1"]), LabelScheme::Stars([4, 3, 2, 1, 0]));
        assert_eq!(
            scheme(&[" 1★", "2 STARS", "3-star", "4_stars", "5 "]),
            LabelScheme::Stars([0, 1, 2, 3, 4])
        );
    }

    #[test]
    fn what_is_not_a_whole_scale_means_nothing() {
        assert_eq!(scheme(&["1", "2", "3", "4"]), LabelScheme::Other);
        assert_eq!(scheme(&["1", "2", "3", "4", "4"]), LabelScheme::Other);
        assert_eq!(scheme(&["0", "1", "2", "3", "4"]), LabelScheme::Other);
        assert_eq!(scheme(&["negative", "positive", "mixed"]), LabelScheme::Other);
        assert_eq!(scheme(&["negative", "negative", "positive"]), LabelScheme::Other);
        assert_eq!(scheme(&["LABEL_0", "LABEL_1"]), LabelScheme::Other);
        assert_eq!(scheme(&[]), LabelScheme::Other);
    }

    #[test]
    fn sentiments_are_recognised_in_any_order_and_case() {
        let two = LabelScheme::Sentiments { negative: 1, neutral: None, positive: 0 };
        assert_eq!(scheme(&["POSITIVE", "Negative"]), two);
        let three = LabelScheme::Sentiments { negative: 0, neutral: Some(2), positive: 1 };
        assert_eq!(scheme(&["neg", "pos", "neu"]), three);
    }

    #[test]
    fn degrees_of_sentiment_are_recognised_in_any_order_and_spelling() {
        let degrees = LabelScheme::Degrees([0, 1, 2, 3, 4]);
        assert_eq!(scheme(&["very negative", "negative", "neutral", "positive", "very positive"]), degrees);
        assert_eq!(scheme(&["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"]), degrees);
        assert_eq!(scheme(&["very_neg", "neg", "neu", "pos", "VERY-POS"]), degrees);
        let backwards = scheme(&["very positive", "positive", "neutral", "negative", "very negative"]);
        assert_eq!(backwards, LabelScheme::Degrees([4, 3, 2, 1, 0]));
        assert_eq!(
            scheme(&["very negative", "negative", "mixed", "positive", "very positive"]),
            LabelScheme::Other
        );
        assert_eq!(scheme(&["very negative", "negative", "positive", "very positive"]), LabelScheme::Other);
    }

    #[test]
    fn degrees_give_score_and_sentiment_but_no_rating() {
        let reading = LabelScheme::Degrees([0, 1, 2, 3, 4]).read(&[0.3, 0.1, 0.35, 0.05, 0.2]);
        assert!((reading.score.unwrap() + 0.125).abs() < 1e-6);
        assert_eq!((reading.sentiment, reading.rating), (Some(Sentiment::Negative), None));
    }

    #[test]
    fn stars_are_told_by_place() {
        let scheme = scheme(&["5", "4", "3", "2", "1"]);
        assert_eq!((scheme.stars(), scheme.poles()), (Some([5, 4, 3, 2, 1]), None));
        assert_eq!(self::scheme(&["pos", "neg"]).poles(), Some((1, 0)));
        assert_eq!(self::scheme(&["pos", "neu", "neg"]).poles(), None);
    }

    #[test]
    fn stars_give_rating_score_and_sentiment() {
        let reading = LabelScheme::Stars([0, 1, 2, 3, 4]).read(&[0.1, 0.1, 0.3, 0.25, 0.25]);
        assert!((reading.rating.unwrap() - 3.45).abs() < 1e-6);
        assert!((reading.score.unwrap() - 0.225).abs() < 1e-6);
        assert_eq!(reading.sentiment, Some(Sentiment::Positive));
    }

    #[test]
    fn confidence_is_of_the_sentiment_or_else_of_the_class() {
        let close = |scheme: LabelScheme, probabilities: &[f32], wanted: f32| {
            assert!((scheme.confidence(probabilities).unwrap() - wanted).abs() < 1e-6, "{scheme:?}");
        };
        let backwards = scheme(&["5", "4", "3", "2", "1"]);
        close(backwards, &[0.3, 0.3, 0.2, 0.1, 0.1], 0.6);
        close(backwards, &[0.1, 0.1, 0.5, 0.2, 0.1], 0.5);
        close(scheme(&["very negative", "negative", "neutral", "positive", "very positive"]), &[0.2; 5], 0.4);
        close(scheme(&["pos", "neu", "neg"]), &[0.2, 0.3, 0.5], 0.5);
        close(scheme(&["neg", "pos"]), &[0.2, 0.8], 0.8);
        close(scheme(&["refund", "delivery", "praise"]), &[0.2, 0.45, 0.35], 0.45);
        close(backwards, &[0.5, 0.500_001, 0.0, 0.0, 0.0], 1.0);
        assert_eq!(LabelScheme::Other.confidence(&[]), None);
        assert!(backwards.groups_labels() && !scheme(&["neg", "pos"]).groups_labels());
        assert_eq!(
            (0..6).map(|label| backwards.sentiment_of(label)).collect::<Vec<_>>(),
            [
                Some(Sentiment::Positive),
                Some(Sentiment::Positive),
                Some(Sentiment::Neutral),
                Some(Sentiment::Negative),
                Some(Sentiment::Negative),
                None,
            ]
        );
    }

    #[test]
    fn sentiments_give_a_score_but_no_rating() {
        let scheme = LabelScheme::Sentiments { negative: 0, neutral: Some(1), positive: 2 };
        let reading = scheme.read(&[0.2, 0.5, 0.3]);
        assert!((reading.score.unwrap() - 0.1).abs() < 1e-6);
        assert_eq!((reading.sentiment, reading.rating), (Some(Sentiment::Neutral), None));
    }
}
