//! What is left out at random while training (Srivastava et al. 2014).
//!
//! It must not know layers. Invariant: what is left out depends on seed, site and row alone: the backward pass leaves out
//! the same, and so does any number of threads.

/// Dropout rates: the part of the numbers that is left out, 0 to 1; and the seed that says which numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Of hidden states: after embeddings, attention and feed-forward (`hidden_dropout_prob`, DistilBERT's `dropout`).
    pub hidden: f32,
    /// Of the probabilities of attention (`attention_probs_dropout_prob`, `attention_dropout`).
    pub attention: f32,
    /// Before the head's layers (`classifier_dropout`, `seq_classif_dropout`).
    pub classifier: f32,
    /// Has to differ from step to step.
    pub seed: u64,
}

/// Where in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropoutSite {
    Embeddings,
    Probabilities(usize),
    Attention(usize),
    Output(usize),
    HeadInput,
    HeadHidden,
}

impl DropoutSite {
    fn number(self) -> u64 {
        match self {
            DropoutSite::Embeddings => 1,
            DropoutSite::HeadInput => 2,
            DropoutSite::HeadHidden => 3,
            DropoutSite::Probabilities(layer) => 4 + 4 * layer as u64,
            DropoutSite::Attention(layer) => 5 + 4 * layer as u64,
            DropoutSite::Output(layer) => 6 + 4 * layer as u64,
        }
    }
}

/// What is left out at a site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask {
    pub(crate) key: u64,
    /// Of 65536.
    pub(crate) threshold: u64,
    pub(crate) scale: f32,
}

impl Dropout {
    /// The mask of a site; `None` if nothing is left out there.
    pub(crate) fn mask(&self, site: DropoutSite) -> Option<Mask> {
        let rate = match site {
            DropoutSite::Probabilities(_) => self.attention,
            DropoutSite::HeadInput | DropoutSite::HeadHidden => self.classifier,
            DropoutSite::Embeddings | DropoutSite::Attention(_) | DropoutSite::Output(_) => self.hidden,
        };
        let threshold = (rate.clamp(0.0, 0.999) * 65_536.0).round() as u64;
        let scale = 65_536.0 / (65_536 - threshold) as f32;
        (threshold > 0).then(|| Mask { key: mix(self.seed ^ mix(site.number())), threshold, scale })
    }
}

impl Mask {
    /// Leaves numbers of a row out, and scales the others so that the expectation stays.
    /// `numbers`: `[width]`.
    pub(super) fn apply(&self, row: usize, numbers: &mut [f32]) {
        let mut state = mix(self.key ^ (row as u64).wrapping_mul(STEP));
        for four in numbers.chunks_mut(4) {
            state = state.wrapping_add(STEP);
            let mut bits = mix(state);
            for number in four {
                *number = if bits & 0xFFFF < self.threshold { 0.0 } else { *number * self.scale };
                bits >>= 16;
            }
        }
    }
}

/// 2⁶⁴ by the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The output function of SplitMix64 (Steele, Lea and Flood 2014).
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expectation_stays() {
        for rate in [0.1_f32, 0.5] {
            let dropout = Dropout { hidden: rate, attention: 0.0, classifier: 0.0, seed: 7 };
            assert!(dropout.mask(DropoutSite::Probabilities(0)).is_none());
            let mask = dropout.mask(DropoutSite::Output(3)).unwrap();
            let mut rows = vec![1.0_f32; 200_000];
            rows.chunks_mut(50).enumerate().for_each(|(row, numbers)| mask.apply(row, numbers));
            let mean = rows.iter().map(|&number| f64::from(number)).sum::<f64>() / rows.len() as f64;
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
            let gone = rows.iter().filter(|&&number| number == 0.0).count() as f32 / rows.len() as f32;
            assert!((gone - rate).abs() < 0.005, "{gone}");
        }
    }

    #[test]
    fn seeds_places_and_rows_differ() {
        let row = |seed, site, row| {
            let mut numbers = vec![1.0_f32; 64];
            let dropout = Dropout { hidden: 0.5, attention: 0.5, classifier: 0.5, seed };
            dropout.mask(site).unwrap().apply(row, &mut numbers);
            numbers
        };
        let one = row(1, DropoutSite::Output(0), 0);
        assert_eq!(one, row(1, DropoutSite::Output(0), 0));
        for other in [
            row(2, DropoutSite::Output(0), 0),
            row(1, DropoutSite::Output(1), 0),
            row(1, DropoutSite::Output(0), 1),
        ] {
            assert_ne!(one, other);
        }
    }
}
