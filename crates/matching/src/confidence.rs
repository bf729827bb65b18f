//! How often an answer like the first one is right.
//!
//! A logistic regression, learned from questions of CLINC150 with and without an answer, among 5 to 150 answers of 1 to 10 questions
//! each; `benches/answers/clinc150.py --fit` is how, and shows how it does on other questions. Invariant: more of any evidence is no less
//! confidence.

/// What speaks for the first answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Cosine of the embeddings, from -1 to 1; 0 if there is none.
    pub semantic: f64,
    /// Which part of the question the row's terms cover.
    pub lexical: f64,
    /// How much more its score is than that of the next answer, or than 0 where there is none.
    pub margin: f64,
}

const INTERCEPT: f64 = -3.933;
const SEMANTIC: f64 = 3.158;
const LEXICAL: f64 = 2.971;
const MARGIN: f64 = 14.187;

/// The probability that the first answer is right.
#[must_use]
pub fn confidence(evidence: Evidence) -> f64 {
    let Evidence { semantic, lexical, margin } = evidence;
    let sum =
        INTERCEPT + SEMANTIC * semantic + LEXICAL * lexical.clamp(0.0, 1.0) + MARGIN * margin.clamp(0.0, 1.0);
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(semantic: f64, lexical: f64, margin: f64) -> f64 {
        confidence(Evidence { semantic, lexical, margin })
    }

    #[test]
    fn the_same_question_is_sure_and_another_is_not() {
        assert!(of(1.0, 1.0, 0.4) > 0.99, "the same question");
        assert!(of(0.4, 0.1, 0.02) < 0.2, "one of something else");
        assert!((of(0.6, 0.5, 0.0) - 1.0 / (1.0 + 0.5527_f64.exp())).abs() < 1e-9);
    }

    #[test]
    fn more_evidence_is_more_confidence() {
        let first = of(0.5, 0.5, 0.05);
        assert!(of(0.6, 0.5, 0.05) > first && of(0.5, 0.6, 0.05) > first && of(0.5, 0.5, 0.06) > first);
        assert!(
            (of(0.5, 7.0, 9.0) - of(0.5, 1.0, 1.0)).abs() < 1e-12,
            "what is beyond the scale counts no more"
        );
        assert!(of(-1.0, 0.0, -1.0) > 0.0);
    }
}
