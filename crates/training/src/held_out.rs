//! The rows held out of a training, and what models are worth on them, to the end of the training.
//!
//! It must not know what models read. Invariant: baseline, incumbent and new model are measured on the same rows.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_predictor::{Evaluate, Sink};
use ecommerce_ml_protocol::training::{Baseline, Findings, Finished, JobOutput, Phase, Prepared};
use ecommerce_ml_protocol::{Answers, EngineError, ErrorKind, Input, ModelInfo};

use crate::baseline::measure;
use crate::comparison::{compare, compare_with_baseline, compare_with_model};
use crate::dataset::Dataset;
use crate::evaluation::metrics;
use crate::reference;
use crate::split::Split;
use crate::targets::Targets;
use crate::temperature::{self, Temperature};

/// What is learned from, what is held out, and what is known of it before anything is learned.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// Places of rows.
    pub split: Split,
    /// What to know of the rows.
    pub findings: Findings,
    /// What the labels alone are worth on the rows held out, if there are any.
    pub baseline: Option<Baseline>,
    /// What the baseline says of each of them, where that is another model's word and not always the same.
    pub baseline_answers: Option<Answers>,
}

/// How a training went, apart from what its model is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The epoch whose model it is, counted from 1.
    pub epoch: u32,
    /// Whether it ended before its last epoch because no later one got better.
    pub stopped_early: bool,
    /// Of the training.
    pub seed: u64,
    /// Whether anything of the base is in the model.
    pub uses_base: bool,
}

impl HeldOut {
    /// Holds out a fraction of the rows: the latest, where rows have times, else some of each class. Of them, rows whose label is a
    /// range are learned from all the same.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if all rows are of one moment, or those that would be learned from have one label.
    pub fn choose(
        dataset: &Dataset,
        targets: &Targets,
        fraction: f64,
        seed: u64,
    ) -> Result<Self, EngineError> {
        let mut split = if dataset.times.is_empty() {
            let classes: Vec<u32> = (0..dataset.len()).map(|row| targets.class(row)).collect();
            dataset.split(&classes, fraction, seed)
        } else {
            let split = dataset.split_by_time(fraction).ok_or_else(one_moment)?;
            targets.refuse_one_of_a_kind(&split.training)?;
            split
        };
        let findings = dataset.inspect(&mut split);
        // What may be several things can be learned from, but says of no answer whether it is right.
        let (exact, others) = split.held_out.into_iter().partition(|&row| targets.is_exact(row));
        split.held_out = exact;
        split.training.extend::<Vec<usize>>(others);
        split.training.sort_unstable();
        let baseline = measure(targets, &split.training, &split.held_out);
        Ok(Self { split, findings, baseline, baseline_answers: None })
    }

    /// What the training is going to do, as far as the rows decide it. What the kind decides is as of a model that is made in one
    /// step, and for the kind to replace: epochs, steps, memory, options.
    pub fn prepared(&self, dataset: &Dataset, targets: &Targets) -> Prepared {
        let counts = targets.counts(0..dataset.len()).into_iter().map(|count| count as u64);
        Prepared {
            training_rows: self.split.training.len() as u64,
            held_out_rows: self.split.held_out.len() as u64,
            labels: targets.labels().into_iter().zip(counts).collect(),
            rows_sha256: dataset.sha256(),
            ignored_rows: 0,
            epochs: 1,
            steps: 1,
            resumed_at: 0,
            memory: 0,
            options: "{}".to_owned(),
            baseline: self.baseline.clone(),
            findings: self.findings.clone(),
        }
    }

    /// What the incumbent says of the rows held out; `input` is theirs. None if there is no incumbent or no row, or it reads
    /// something else.
    ///
    /// # Errors
    /// If it can't be loaded or fails.
    pub fn ask_incumbent(
        &self,
        incumbent: Option<&ModelFiles>,
        input: &Input,
        models: &dyn Evaluate,
        sink: &mut dyn Sink,
    ) -> Result<Option<Answers>, EngineError> {
        let Some(files) = incumbent.filter(|_| !self.split.held_out.is_empty()) else { return Ok(None) };
        sink.send(JobOutput::Phase(Phase::EvaluatingIncumbent))?;
        models.predict(files, input).map(|(_, answers)| answers)
    }

    /// The temperature that the new model, asked as queries will, should have. None if it isn't a classification, or no row is held
    /// out.
    ///
    /// # Errors
    /// If the new model can't be loaded or fails.
    pub fn temperature(
        &self,
        targets: &Targets,
        (files, input): (&ModelFiles, &Input),
        (models, sink): (&dyn Evaluate, &mut dyn Sink),
    ) -> Result<Option<Temperature>, EngineError> {
        if self.split.held_out.is_empty() || targets.labels().is_empty() {
            return Ok(None);
        }
        sink.send(JobOutput::Phase(Phase::Evaluating))?;
        let (_, answers) = models.predict(files, input)?;
        Ok(answers.and_then(|answers| temperature::fit(targets, &self.split.held_out, &answers)))
    }

    /// How the training ended: what the new model, asked as queries will, is worth on the rows held out, by itself and beside the
    /// incumbent and the baseline.
    ///
    /// # Errors
    /// If the new model can't be loaded or fails.
    pub fn finish(
        &self,
        targets: &Targets,
        (files, input): (&ModelFiles, &Input),
        incumbent: Option<&Answers>,
        ending: Ending,
        (models, sink): (&dyn Evaluate, &mut dyn Sink),
    ) -> Result<Finished, EngineError> {
        sink.send(JobOutput::Phase(Phase::Evaluating))?;
        let (info, answers) = models.predict(files, input)?;
        let mut finished = self.finished(targets, (info, answers.as_ref()), incumbent, ending);
        if let Some(answers) = answers.filter(|_| !self.split.held_out.is_empty()) {
            let sample =
                reference::sample(targets, &self.split.held_out, (input, &answers), (models, files))?;
            finished.reference = serde_json::to_string(&sample.summarise()).ok();
        }
        Ok(finished)
    }

    fn finished(
        &self,
        targets: &Targets,
        (info, new): (ModelInfo, Option<&Answers>),
        incumbent: Option<&Answers>,
        Ending { epoch, stopped_early, seed, uses_base }: Ending,
    ) -> Finished {
        let rows = &self.split.held_out;
        let compare = |new, incumbent| compare(targets, rows, new, incumbent, seed);
        let with_baseline = |new, baseline| match &self.baseline_answers {
            Some(answers) => compare_with_model(targets, rows, new, answers, seed),
            None => compare_with_baseline(targets, rows, new, baseline, seed),
        };
        Finished {
            info,
            metrics: new.map_or_else(Vec::new, |answers| metrics(targets, rows, answers)),
            epoch,
            stopped_early,
            uses_base,
            comparison: new.zip(incumbent).and_then(|(new, incumbent)| compare(new, incumbent)),
            against_baseline: new
                .zip(self.baseline.as_ref())
                .and_then(|(new, baseline)| with_baseline(new, baseline)),
            reference: None,
        }
    }
}

fn one_moment() -> EngineError {
    let message = "no rows can be held out by time, because all are of the same moment";
    EngineError::new(ErrorKind::InvalidRequest, message)
        .with_hint("Train without a column of times, or set \"eval_fraction\" to 0.")
}

#[cfg(test)]
mod tests {
    use ecommerce_ml_protocol::training::{Label, Objective, TrainingCall, TrainingInput, TrainingRows};
    use ecommerce_ml_protocol::{Answer, Output, Reads, Signature};

    use super::*;

    /// Models that say of every text that it is the class that it ends in, or nothing if they read something else.
    struct Models {
        reads: bool,
    }

    impl Evaluate for Models {
        fn predict(
            &self,
            _: &ModelFiles,
            input: &Input,
        ) -> Result<(ModelInfo, Option<Answers>), EngineError> {
            let labels = ["a", "b"].map(str::to_owned).to_vec();
            let signature =
                Signature { reads: Reads::Text, answers: vec![Answer::Classes], labels: labels.clone() };
            let info = ModelInfo {
                kind: "fake".to_owned(),
                signature,
                parameters: 0,
                bytes: 0,
                details: "{}".to_owned(),
            };
            let Input::Texts(texts) = input else { return Ok((info, None)) };
            let row = |text: &String| Some(if text.ends_with('a') { vec![0.9, 0.1] } else { vec![0.1, 0.9] });
            let probabilities = texts.iter().map(row).collect();
            Ok((info, self.reads.then_some(Answers::Classes { labels, probabilities })))
        }

        fn describe(
            &self,
            _: &ModelFiles,
            texts: &[String],
            outputs: &[Output],
        ) -> Result<Vec<Answers>, EngineError> {
            let pieces = |text: &String| vec![text.clone(), "[UNK]".to_owned()];
            let answer = |output: &Output| match output {
                Output::Embedding => Answers::Vectors(texts.iter().map(|_| Some(vec![1.0, 0.0])).collect()),
                _ => Answers::TokenPieces(texts.iter().map(pieces).collect()),
            };
            Ok(outputs.iter().map(answer).collect())
        }
    }

    fn data(rows: usize) -> (Dataset, Targets) {
        let class = |at: usize| ["a", "b"][at % 2];
        let part = TrainingRows {
            input: Input::Texts((0..rows).map(|at| format!("{at} {}", class(at))).collect()),
            labels: (0..rows).map(|at| Label::Class(class(at).to_owned())).collect(),
            times: Vec::new(),
            paraphrases: Vec::new(),
        };
        let (objective, input) = (Objective::Classification, TrainingInput::Text);
        let call = TrainingCall { objective, input, has_time: false, options: "{}".to_owned() };
        let dataset = Dataset::new(&call, vec![part]).unwrap();
        let targets = Targets::read(objective, &dataset.labels, None).unwrap();
        (dataset, targets)
    }

    fn trained(incumbent_reads: bool, fraction: f64) -> (Finished, Vec<JobOutput>) {
        let (dataset, targets) = data(100);
        let held_out = HeldOut::choose(&dataset, &targets, fraction, 1).unwrap();
        let (input, files) = (dataset.input_of(&held_out.split.held_out), ModelFiles::default());
        let mut said = Vec::new();
        let mut sink = |output| {
            said.push(output);
            Ok(())
        };
        let incumbent = Models { reads: incumbent_reads };
        let incumbent = held_out.ask_incumbent(Some(&files), &input, &incumbent, &mut sink).unwrap();
        let ending = Ending { epoch: 1, stopped_early: false, seed: 1, uses_base: false };
        let new = Models { reads: true };
        let new = (&new as &dyn Evaluate, &mut sink as &mut dyn Sink);
        let finished = held_out.finish(&targets, (&files, &input), incumbent.as_ref(), ending, new);
        (finished.unwrap(), said)
    }

    #[test]
    fn all_are_measured_on_the_rows_held_out() {
        let (finished, said) = trained(true, 0.2);
        let comparison = finished.comparison.unwrap();
        assert_eq!((comparison.rows, comparison.new, comparison.incumbent), (20, 1.0, 1.0));
        assert!(finished.against_baseline.unwrap().beaten && !finished.metrics.is_empty());
        assert_eq!(said, [Phase::EvaluatingIncumbent, Phase::Evaluating].map(JobOutput::Phase));
    }

    #[test]
    fn what_later_rows_are_compared_with_is_of_the_rows_held_out() {
        let (finished, _) = trained(true, 0.2);
        let reference: serde_json::Value = serde_json::from_str(&finished.reference.unwrap()).unwrap();
        assert_eq!(reference["unanswered"], serde_json::json!({"part": 0, "rows": 20}));
        assert_eq!(reference["accuracy"]["mean"], 1.0);
        assert_eq!(reference["unknown_pieces"]["mean"], 0.5);
        assert_eq!(reference["embeddings"]["data"].as_str().unwrap().len(), 20 * 2 * 2);
        assert_eq!(trained(true, 0.0).0.reference, None);
    }

    #[test]
    fn an_incumbent_that_reads_something_else_is_not_compared() {
        let (finished, _) = trained(false, 0.2);
        assert_eq!(finished.comparison, None);
        assert!(finished.against_baseline.is_some());
    }

    #[test]
    fn without_rows_held_out_nothing_is_measured() {
        let (finished, said) = trained(true, 0.0);
        assert_eq!(
            (finished.comparison, finished.against_baseline, finished.metrics),
            (None, None, Vec::new())
        );
        assert_eq!(said, [JobOutput::Phase(Phase::Evaluating)]);
    }
}
