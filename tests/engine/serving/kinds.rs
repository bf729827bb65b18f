//! Kinds of models: who loads which files, and what a request may give a model of which kind.

use std::sync::Arc;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_engine::registry::Registry;
use ecommerce_ml_predictor::{
    Answered, Evaluate, Load, ModelKind, ModelPrecision, Pending, Predictor, Sink, Trainer, Workload,
};
use ecommerce_ml_protocol::training::{Objective, TrainingCall, TrainingChecked, TrainingInput};
use ecommerce_ml_protocol::{
    Answer, Answers, Column, EngineError, ErrorKind, Field, Input, ModelInfo, ModelSource, Output, Reads,
    ReplyBody, RequestBody, Rows, Signature, Table, ValueType, Values,
};

use crate::client::{error, values};
use crate::kit::{Content, Kit, ask_for, builtin, predict};

/// A kind whose models double their column `x`. Its files have a name of their own.
struct Doubling;

struct Doubled {
    info: ModelInfo,
    precision: ModelPrecision,
}

impl ModelKind for Doubling {
    fn name(&self) -> &'static str {
        "doubling"
    }

    fn recognises(&self, files: &ModelFiles) -> bool {
        files.get("doubling").is_some()
    }

    fn load(&self, _: Option<&ModelSource>, _: &ModelFiles) -> Result<Arc<dyn Predictor>, EngineError> {
        let field = Field { name: "x".to_owned(), value_type: ValueType::Number };
        let signature = Signature {
            reads: Reads::Columns(vec![field]),
            answers: vec![Answer::Number],
            labels: Vec::new(),
        };
        let (kind, details) = ("doubling".to_owned(), "{}".to_owned());
        let info = ModelInfo { kind, signature, parameters: 1, bytes: 1, details };
        Ok(Arc::new(Doubled { info, precision: ModelPrecision { name: "f64", note: String::new() } }))
    }

    fn trainer(&self) -> Option<&dyn Trainer> {
        Some(self)
    }

    fn workload(&self) -> Workload {
        Workload { queued: 2, utilisation: 0.5 }
    }
}

impl Trainer for Doubling {
    fn accepts(&self, call: &TrainingCall) -> bool {
        call.objective == Objective::Regression && matches!(call.input, TrainingInput::Columns { .. })
    }

    fn check(&self, _: &TrainingCall) -> Result<TrainingChecked, EngineError> {
        Ok(TrainingChecked { kind: "doubling".to_owned(), default_base: None })
    }

    fn train(
        &self,
        _: ecommerce_ml_predictor::Job,
        _: &dyn Evaluate,
        _: &mut dyn Sink,
    ) -> Result<(), EngineError> {
        Ok(())
    }
}

impl Predictor for Doubled {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn precision(&self) -> &ModelPrecision {
        &self.precision
    }

    fn submit(&self, input: Input, output: Output) -> Pending {
        let Input::Rows(rows) = input else {
            return Pending::ready(Err(EngineError::new(ErrorKind::InvalidRequest, "columns wanted")));
        };
        let Some(Values::Number(numbers)) = rows.column("x") else { panic!("there is a column x") };
        let doubled = |number: &Option<f64>| number.map(|number| 2.0 * number);
        let answers = match output {
            Output::Prediction => Answers::Numbers(numbers.iter().map(doubled).collect()),
            // As many rows as the number says.
            Output::Table(_) => {
                let table = |number: &Option<f64>| {
                    self::numbers("y", &vec![doubled(number); number.unwrap_or_default() as usize])
                };
                Answers::Tables(numbers.iter().map(table).collect())
            }
            other => panic!("{other:?} is asked of nobody"),
        };
        Pending::ready(Ok(Answered::computed(answers)))
    }
}

fn files(names: &[&str]) -> ModelFiles {
    ModelFiles::from_parts(names.iter().map(|&name| (name.to_owned(), b"1".to_vec())).collect())
}

fn kit() -> Kit {
    Kit::with_kinds(1000, 0, vec![Box::new(Doubling)])
}

fn numbers(name: &str, numbers: &[Option<f64>]) -> Rows {
    let column = Column { name: name.to_owned(), values: Values::Number(numbers.to_vec()) };
    Rows { count: numbers.len() as u32, columns: vec![column] }
}

fn ask(content: &Content, rows: Rows) -> RequestBody {
    RequestBody::Predict { model: content.model(), input: Input::Rows(rows), output: Output::Prediction }
}

#[test]
fn models_of_two_kinds_answer_the_same_client() {
    let (kit, content) = (kit(), Content::named("doubling", "1".to_owned()));
    let mut client = kit.client();
    let id = client.send(ask(&content, numbers("x", &[Some(1.5), None])));
    client.is_asked_for(&content);
    client.upload(id, &content);
    assert_eq!(values(client.receive().body), [Some(3.0), None]);
    assert_eq!(values(client.call(predict(&builtin(), &["text"]))), [Some(4.0)]);
    let stats = kit.stats();
    let model = stats.models.iter().find(|model| model.source == ModelSource::Content(content.sha)).unwrap();
    assert_eq!((model.texts, model.tokens, model.precision.as_str()), (2, 0, "f64"));
    // Of one kind what it said, of the other nothing.
    assert_eq!((stats.queued_texts, stats.utilisation >= 0.5), (2, true));
}

#[test]
fn a_model_answers_each_row_of_arguments_with_a_table() {
    let (kit, content) = (kit(), Content::named("doubling", "1".to_owned()));
    let mut client = kit.client();
    let rows = numbers("x", &[Some(2.0), None, Some(1.0)]);
    let (model, output) = (content.model(), Output::Table(Table::SimilarItems));
    let id = client.send(RequestBody::Predict { model, input: Input::Rows(rows), output });
    client.is_asked_for(&content);
    client.upload(id, &content);
    let ReplyBody::Answered { answers: Answers::Tables(tables), .. } = client.receive().body else {
        panic!("tables were asked for");
    };
    assert_eq!(tables, [numbers("y", &[Some(4.0); 2]), numbers("y", &[]), numbers("y", &[Some(2.0)])]);
}

#[test]
fn files_that_no_kind_knows_are_refused_with_their_names() {
    let error = Registry::of(vec![Box::new(Doubling)]).load(None, &files(&["a.txt", "b"])).err().unwrap();
    assert_eq!(error.kind, ErrorKind::UnsupportedModel);
    assert_eq!(error.message, "files are no model of a kind that this build knows");
    assert_eq!(error.detail.unwrap(), "Its files are: a.txt, b.");
    assert_eq!(error.hint.unwrap(), "Kinds of models are: doubling.");
}

#[test]
fn a_text_model_refuses_columns_and_malformed_columns_reach_no_model() {
    let kit = kit();
    let mut client = kit.client();
    let input = Input::Rows(numbers("x", &[Some(1.0)]));
    let refused = client.call(RequestBody::Predict { model: builtin(), input, output: Output::Prediction });
    assert_eq!(error(refused).message, "the model reads texts, not columns");
    let content = Content::named("doubling", "1".to_owned());
    let mut short = numbers("x", &[Some(1.0)]);
    short.count = 2;
    let values = Values::Text { dictionary: vec!["a".to_owned()], codes: vec![Some(1)] };
    let beyond = Rows { count: 1, columns: vec![Column { name: "x".to_owned(), values }] };
    for rows in [short, beyond] {
        assert_eq!(error(client.call(ask(&content, rows))).kind, ErrorKind::InvalidRequest);
    }
    assert_eq!(kit.stats().models.len(), 1);
}

#[test]
fn a_training_is_checked_by_the_kind_that_accepts_it() {
    let kit = kit();
    let mut client = kit.client();
    let columns = TrainingInput::Columns { fields: Vec::new(), text: None };
    let call = |objective, input: &TrainingInput| {
        let (input, options) = (input.clone(), "{}".to_owned());
        RequestBody::CheckTraining(TrainingCall { objective, input, has_time: false, options })
    };
    let checked = client.call(call(Objective::Regression, &columns));
    let expected = TrainingChecked { kind: "doubling".to_owned(), default_base: None };
    assert_eq!(checked, ReplyBody::TrainingChecked(expected));
    let refused = error(client.call(call(Objective::Rating, &TrainingInput::Text)));
    assert_eq!(refused.kind, ErrorKind::InvalidRequest);
    assert_eq!(refused.message, "no kind of model can be trained for rating on a text");
    let events = TrainingInput::Events { keys: Vec::new(), fields: Vec::new() };
    let refused = error(client.call(call(Objective::Lifetime, &events)));
    assert_eq!(refused.message, "no kind of model can be trained for lifetimes on events");
}

#[test]
fn a_training_hears_of_any_kind_what_its_model_says() {
    let registry = Registry::of(vec![Box::new(Doubling)]);
    let rows = Input::Rows(numbers("x", &[Some(1.0), None]));
    let (info, answers) = registry.predict(&files(&["doubling"]), &rows).unwrap();
    assert_eq!((info.kind.as_str(), answers), ("doubling", Some(Answers::Numbers(vec![Some(2.0), None]))));
    for other in [Input::Texts(vec!["a".to_owned()]), Input::Rows(numbers("y", &[Some(1.0)]))] {
        assert_eq!(registry.predict(&files(&["doubling"]), &other).unwrap().1, None);
    }
}

#[test]
fn tokens_are_no_use_of_a_model() {
    let kit = kit();
    let mut client = kit.client();
    client.call(ask_for(Output::TokenCounts, &["one two"]));
    assert_eq!((kit.stats().models[0].requests, kit.stats().models[0].texts), (1, 0));
}
