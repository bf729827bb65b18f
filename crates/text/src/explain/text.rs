//! A text on its way to an explanation.
//!
//! First the model says what it makes of the text and of a text of padding that is as long, window by window; the former decides
//! what is explained. Then the difference is shared out among the tokens, in rounds where it is done by gradients.
//! It must not know other texts. Invariant: all that is asked is either waiting, being computed, or answered.

use std::collections::VecDeque;
use std::ops::Range;

use ecommerce_ml_checkpoint::tokenizer::{Span, SpannedText};
use ecommerce_ml_protocol::{Contributions, Explanation, SpanContribution};
use ecommerce_ml_text_train::attribution::path::GradientNode;
use ecommerce_ml_text_train::attribution::{Explained, PathIntegral, Wanted};

use super::model::{Change, ExplainModel, Variant};
use super::target;

/// Part of what is between the explained number and its baseline by which the contributions may miss it.
const TOLERANCE: f64 = 0.01;

/// As little as a ten-thousandth of the scale counts for nothing, although it may be much of a small difference.
const NEGLIGIBLE: f64 = 1e-4;

/// The same of a value whose scale isn't known, of the value.
const NEGLIGIBLE_OF_VALUE: f64 = 1e-6;

/// A text and what is known of it.
pub(super) struct TextInWork {
    windows: Vec<WindowInWork>,
    special: (usize, usize),
    spans: Vec<Span>,
    span_of: Vec<usize>,
    class: Option<u32>,
    /// `None` until the model has said what it makes of the text.
    explained: Option<Explained>,
    waiting: VecDeque<Question>,
    unanswered: usize,
}

struct WindowInWork {
    ids: Vec<u32>,
    /// Its content tokens among all of the text.
    tokens: Range<usize>,
    /// Part of the text's prediction that is its own.
    share: f64,
    /// What the model says at the baseline and of the window: `[labels]` or `[1]` each.
    ends: [Vec<f32>; 2],
    /// By gradients.
    integral: Option<PathIntegral>,
    /// By occlusion: the explained number with so many tokens occluded, from the front and from the back.
    occluded: [Vec<f64>; 2],
}

/// What is to be computed of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    window: usize,
    kind: QuestionKind,
}

#[derive(Debug, Clone, Copy)]
enum QuestionKind {
    /// What the model says at 0 or 1.
    End(usize),
    /// The explained number at a place.
    Value(f64),
    /// Its gradient at a place.
    Gradient(f64, GradientNode),
    /// The explained number with tokens occluded.
    Occluded { count: usize, from_front: bool },
}

impl Question {
    /// Whether a gradient answers it, rather than outputs.
    pub(super) fn is_for_gradient(&self) -> bool {
        matches!(self.kind, QuestionKind::Gradient(..))
    }
}

impl TextInWork {
    /// Begins; nothing is asked of a text without windows.
    pub(super) fn new(spanned: SpannedText, class: Option<u32>) -> Self {
        let SpannedText { windows, special, spans, span_of } = spanned;
        // As windows are weighed in predictions.
        let weight = |tokens: &Range<usize>| tokens.len().max(1) as f64;
        let total: f64 = windows.iter().map(|(_, tokens)| weight(tokens)).sum();
        let windows: Vec<WindowInWork> = windows
            .into_iter()
            .map(|(window, tokens)| WindowInWork {
                share: weight(&tokens) / total,
                ids: window.ids,
                tokens,
                ends: [Vec::new(), Vec::new()],
                integral: None,
                occluded: [Vec::new(), Vec::new()],
            })
            .collect();
        let mut text = Self {
            windows,
            special,
            spans,
            span_of,
            class,
            explained: None,
            waiting: VecDeque::new(),
            unanswered: 0,
        };
        let ends = |window| [0, 1].map(|end| Question { window, kind: QuestionKind::End(end) });
        text.ask((0..text.windows.len()).flat_map(ends).collect());
        text
    }

    /// Whether nothing is left to compute.
    pub(super) fn is_done(&self) -> bool {
        self.unanswered == 0
    }

    /// Tokens of the next question.
    pub(super) fn next_length(&self) -> Option<usize> {
        self.waiting.front().map(|question| self.windows[question.window].ids.len())
    }

    /// Tokens of all that waits.
    pub(super) fn waiting_tokens(&self) -> usize {
        self.waiting.iter().map(|question| self.windows[question.window].ids.len()).sum()
    }

    /// The next question.
    pub(super) fn take(&mut self) -> Option<Question> {
        self.waiting.pop_front()
    }

    /// What a question is about.
    pub(super) fn variant(&self, question: &Question) -> Variant<'_> {
        let change = match question.kind {
            QuestionKind::End(end) => Change::At(end as f64),
            QuestionKind::Value(at) | QuestionKind::Gradient(at, _) => Change::At(at),
            QuestionKind::Occluded { count, from_front } => Change::Occluded { count, from_front },
        };
        Variant { ids: &self.windows[question.window].ids, special: self.special, change }
    }

    /// What is explained; a value until that is known.
    pub(super) fn explained(&self) -> &Explained {
        self.explained.as_ref().unwrap_or(&Explained::Value)
    }

    /// Takes what the model says, `[labels]` or `[1]`.
    pub(super) fn put_outputs(&mut self, question: &Question, outputs: Vec<f32>, model: &ExplainModel) {
        let number = self.explained().of(&outputs);
        let window = &mut self.windows[question.window];
        match (question.kind, &mut window.integral) {
            (QuestionKind::End(end), _) => window.ends[end] = outputs,
            (QuestionKind::Value(at), Some(integral)) => integral.put_value(at, number),
            (QuestionKind::Occluded { count, from_front }, _) => {
                let row = &mut window.occluded[usize::from(!from_front)];
                if let Some(place) = row.get_mut(count) {
                    *place = number;
                }
            }
            (QuestionKind::Value(_) | QuestionKind::Gradient(..), _) => {}
        }
        self.answered(model);
    }

    /// Takes a gradient, `[tokens]`.
    pub(super) fn put_gradient(&mut self, question: &Question, gradient: &[f64], model: &ExplainModel) {
        let window = &mut self.windows[question.window];
        if let (QuestionKind::Gradient(_, node), Some(integral)) = (question.kind, &mut window.integral) {
            integral.put_gradient(node, gradient);
        }
        self.answered(model);
    }

    fn ask(&mut self, questions: Vec<Question>) {
        self.unanswered += questions.len();
        self.waiting.extend(questions);
    }

    fn answered(&mut self, model: &ExplainModel) {
        self.unanswered -= 1;
        if self.unanswered == 0 {
            self.go_on(model);
        }
    }

    /// Asks the next round.
    fn go_on(&mut self, model: &ExplainModel) {
        let Some(explained) = &self.explained else {
            let explained = target::of(model.labels(), self.class, &self.outputs());
            self.explained = Some(explained.clone());
            return if model.has_gradients() {
                self.begin_integrals(&explained);
            } else {
                self.begin_occlusion(&explained);
            };
        };
        let tolerance = self.tolerance(explained);
        let mut again = Vec::new();
        for (index, window) in self.windows.iter_mut().enumerate() {
            if let Some(integral) = &mut window.integral
                && integral.refine(tolerance)
            {
                again.extend(wanted(index, integral));
            }
        }
        self.ask(again);
    }

    fn begin_integrals(&mut self, explained: &Explained) {
        let mut questions = Vec::new();
        for (index, window) in self.windows.iter_mut().enumerate() {
            let ends = (explained.of(&window.ends[0]), explained.of(&window.ends[1]));
            let integral = PathIntegral::new(window.ids.len(), ends);
            questions.extend(wanted(index, &integral));
            window.integral = Some(integral);
        }
        self.ask(questions);
    }

    /// Asks for each token what its going changes, after all that stand before it are gone, and after all that stand behind it.
    fn begin_occlusion(&mut self, explained: &Explained) {
        let mut questions = Vec::new();
        for (index, window) in self.windows.iter_mut().enumerate() {
            let content = window.tokens.len();
            let ends = (explained.of(&window.ends[1]), explained.of(&window.ends[0]));
            let mut row = vec![ends.0; content + 1];
            row[content] = ends.1;
            window.occluded = [row.clone(), row];
            for from_front in [true, false] {
                let of =
                    |count| Question { window: index, kind: QuestionKind::Occluded { count, from_front } };
                questions.extend((1..content).map(of));
            }
        }
        self.ask(questions);
    }

    /// What the model says of the text, all windows together: `[labels]` or `[1]`.
    fn outputs(&self) -> Vec<f64> {
        let width = self.windows.first().map_or(0, |window| window.ends[1].len());
        let mut sums = vec![0.0; width];
        for window in &self.windows {
            let outputs = window.ends[1].iter().map(|&output| f64::from(output));
            sums.iter_mut().zip(outputs).for_each(|(sum, output)| *sum += window.share * output);
        }
        sums
    }

    /// The explained number at the baseline and of the text.
    fn ends(&self, explained: &Explained) -> [f64; 2] {
        [0, 1].map(|end| self.windows.iter().map(|own| own.share * explained.of(&own.ends[end])).sum())
    }

    /// By how much the contributions of a window may miss what they should add up to.
    fn tolerance(&self, explained: &Explained) -> f64 {
        let [from, to] = self.ends(explained);
        let negligible = match explained {
            Explained::Value => NEGLIGIBLE_OF_VALUE * from.abs().max(to.abs()),
            Explained::Weighted(_) => NEGLIGIBLE * explained.range(),
        };
        (TOLERANCE * (to - from).abs()).max(negligible)
    }

    /// The explanation; `None` of a text with nothing to read.
    pub(super) fn explanation(&self) -> Option<Explanation> {
        let explained = self.explained.as_ref()?;
        let mut sums = vec![0.0; self.spans.len()];
        for window in &self.windows {
            let contributions = window.contributions(self.special.0);
            for (token, contribution) in window.tokens.clone().zip(contributions) {
                let span = self.span_of.get(token).and_then(|&span| sums.get_mut(span));
                span.into_iter().for_each(|sum: &mut f64| *sum += window.share * contribution);
            }
        }
        // A text has less than four billion characters.
        let span = |(span, sum): (&Span, f64)| SpanContribution {
            start: span.start as u32,
            length: span.length as u32,
            contribution: sum as f32,
        };
        let spans = self.spans.iter().zip(sums).map(span).collect();
        let [baseline, _] = self.ends(explained);
        Some(Explanation { baseline, contributions: Contributions::Spans(spans) })
    }
}

impl WindowInWork {
    /// Of each content token, of which so many special ones stand before the first.
    fn contributions(&self, before: usize) -> Vec<f64> {
        if let Some(integral) = &self.integral {
            return integral.sums().into_iter().skip(before).take(self.tokens.len()).collect();
        }
        let [front, back] = &self.occluded;
        let last = self.tokens.len();
        let drop = |row: &[f64], count: usize| match row.get(count..count + 2) {
            Some([before, after]) => before - after,
            _ => 0.0,
        };
        (0..last).map(|token| (drop(front, token) + drop(back, last - 1 - token)) / 2.0).collect()
    }
}

fn wanted(window: usize, integral: &PathIntegral) -> Vec<Question> {
    let kind = |wanted| match wanted {
        Wanted::Value(at) => QuestionKind::Value(at),
        Wanted::Gradient { at, node } => QuestionKind::Gradient(at, node),
    };
    integral.wanted().into_iter().map(|wanted| Question { window, kind: kind(wanted) }).collect()
}
