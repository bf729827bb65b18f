//! A request on its way to explanations: some of its texts at a time, whose windows share passes.
//!
//! It must not know other requests. Invariant: texts in work have enough to compute for the next pass, as long as any are left.

use std::iter::Enumerate;
use std::sync::Arc;
use std::vec::IntoIter;

use ecommerce_ml_protocol::{EngineError, Explanation};

use super::model::{ExplainModel, MOST_TOKENS, Variant};
use super::text::{Question, TextInWork};
use crate::scheduler::promise::Promise;

/// What came of a request.
#[derive(Debug)]
pub struct Explanations {
    /// Of each text; none of a blank one.
    pub rows: Vec<Option<Explanation>>,
    /// Tokens that went through the model, forward or forward and backward.
    pub tokens: u64,
}

/// A request.
pub(super) struct ExplainJob {
    model: Arc<ExplainModel>,
    class: Option<u32>,
    unread: Enumerate<IntoIter<String>>,
    in_work: Vec<(usize, TextInWork)>,
    explanations: Explanations,
    promise: Promise<Explanations>,
}

/// A question of a text in work.
struct Asked {
    /// Which of the texts in work.
    text: usize,
    question: Question,
}

impl ExplainJob {
    pub(super) fn new(
        model: Arc<ExplainModel>,
        texts: Vec<String>,
        class: Option<u32>,
        promise: Promise<Explanations>,
    ) -> Self {
        let explanations = Explanations { rows: vec![None; texts.len()], tokens: 0 };
        let unread = texts.into_iter().enumerate();
        Self { model, class, unread, in_work: Vec::new(), explanations, promise }
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_over(&self) -> bool {
        self.promise.is_over()
    }

    /// Answers.
    pub(super) fn end(self, outcome: Result<(), EngineError>) {
        self.promise.keep(outcome.map(|()| self.explanations));
    }

    /// Reads as many texts as are needed for the next pass; whether there is anything to compute.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(super) fn prepare(&mut self) -> Result<bool, EngineError> {
        let mut tokens: usize = self.in_work.iter().map(|(_, text)| text.waiting_tokens()).sum();
        while tokens < MOST_TOKENS
            && let Some((place, text)) = self.unread.next()
        {
            let text = TextInWork::new(self.model.spanned(&text)?, self.class);
            if !text.is_done() {
                tokens += text.waiting_tokens();
                self.in_work.push((place, text));
            }
        }
        Ok(!self.in_work.is_empty())
    }

    /// Computes what there is to, in about so many tokens; how many it were.
    ///
    /// # Errors
    /// As of [`ExplainModel::outputs`].
    pub(super) fn compute(&mut self, budget: usize) -> Result<usize, EngineError> {
        let (asked, tokens) = self.take(budget.min(MOST_TOKENS));
        let (gradients, outputs): (Vec<Asked>, Vec<Asked>) =
            asked.into_iter().partition(|asked| asked.question.is_for_gradient());
        let rows = self.model.outputs(&self.variants(&outputs))?;
        for (asked, row) in outputs.iter().zip(rows) {
            self.in_work[asked.text].1.put_outputs(&asked.question, row, &self.model);
        }
        let explained: Vec<_> =
            gradients.iter().map(|asked| self.in_work[asked.text].1.explained()).collect();
        let rows = self.model.gradients(&self.variants(&gradients), &explained)?;
        for (asked, row) in gradients.iter().zip(rows) {
            self.in_work[asked.text].1.put_gradient(&asked.question, &row, &self.model);
        }
        for (place, text) in self.in_work.extract_if(.., |(_, text)| text.is_done()) {
            self.explanations.rows[place] = text.explanation();
        }
        self.explanations.tokens += tokens as u64;
        Ok(tokens)
    }

    /// The next questions, of no more tokens than that but for the first.
    fn take(&mut self, budget: usize) -> (Vec<Asked>, usize) {
        let (mut asked, mut tokens) = (Vec::new(), 0);
        for (index, (_, text)) in self.in_work.iter_mut().enumerate() {
            while let Some(length) = text.next_length() {
                if !asked.is_empty() && tokens + length > budget {
                    return (asked, tokens);
                }
                let Some(question) = text.take() else { break };
                tokens += length;
                asked.push(Asked { text: index, question });
            }
        }
        (asked, tokens)
    }

    fn variants(&self, asked: &[Asked]) -> Vec<Variant<'_>> {
        asked.iter().map(|asked| self.in_work[asked.text].1.variant(&asked.question)).collect()
    }
}
