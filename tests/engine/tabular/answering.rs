//! What a loaded model answers, and what it refuses.

use ecommerce_ml_predictor::ModelKind;
use ecommerce_ml_protocol::{Column, ErrorKind, Input, Output, Rows, Values};
use ecommerce_ml_tabular::Linear;
use ecommerce_ml_tabular::linear::files;

use crate::kit::{load, model, numbers, predict, probabilities, rows, texts};

fn some_rows(count: usize) -> Rows {
    let price = |row: usize| (!row.is_multiple_of(7)).then_some(row as f64 / 100.0);
    let country = |row: usize| [Some("DE"), Some("FR"), None, Some("AT")][row % 4];
    rows(vec![
        texts("country", &(0..count).map(country).collect::<Vec<_>>()),
        numbers("price", &(0..count).map(price).collect::<Vec<_>>()),
        numbers("other", &vec![Some(f64::INFINITY); count]),
    ])
}

#[test]
fn sums_are_those_of_features() {
    let model = load(&files::write(&model()).unwrap()).unwrap();
    let input = rows(vec![
        texts("country", &[Some("AT"), Some("DE"), None, Some("FR"), Some("AT")]),
        numbers("price", &[Some(10.0), Some(14.0), Some(8.0), None, Some(f64::NAN)]),
    ]);
    let sums = [0.25 + 0.1, 0.25 - 3.0 + 1.0 / 3.0, 0.25 + 1.5, 0.25 + 0.5, 0.25 + 0.5 + 0.1];
    let found = probabilities(predict(&*model, &input).unwrap());
    for (sum, found) in sums.into_iter().zip(found) {
        let stays: f64 = 1.0 / (1.0 + f64::exp(-sum));
        assert_eq!(found, [(1.0 - stays) as f32, stays as f32]);
    }
}

#[test]
fn many_rows_are_answered_as_one_is() {
    let model = load(&files::write(&model()).unwrap()).unwrap();
    let many = some_rows(100_000);
    let all = probabilities(predict(&*model, &many).unwrap());
    assert_eq!(all.len(), 100_000);
    let few = probabilities(predict(&*model, &some_rows(700)).unwrap());
    assert_eq!(all[..700], few);
    assert_eq!(probabilities(predict(&*model, &some_rows(0)).unwrap()).len(), 0);
}

#[test]
fn what_does_not_fit_is_refused_with_names() {
    let model = load(&files::write(&model()).unwrap()).unwrap();
    let refused = |rows: Rows| {
        let error = predict(&*model, &rows).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        (error.message, error.detail)
    };
    let reads = Some("The model reads columns \"price\" (number), \"country\" (text).".to_owned());
    let missing = refused(rows(vec![numbers("price", &[None])]));
    assert_eq!(missing, ("column \"country\" is missing".to_owned(), reads.clone()));
    let wrong = refused(rows(vec![texts("price", &[None]), texts("country", &[None])]));
    assert_eq!(wrong, ("column \"price\" is of type text, not number".to_owned(), reads));
    let infinite = [Some(1.0), Some(f64::NEG_INFINITY)];
    let infinite = refused(rows(vec![numbers("price", &infinite), texts("country", &[None, None])]));
    assert_eq!(infinite.0, "column \"price\" has an infinite value");
    let codes = Values::Text { dictionary: Vec::new(), codes: vec![Some(0)] };
    let country = Column { name: "country".to_owned(), values: codes };
    assert!(refused(rows(vec![numbers("price", &[None]), country])).0.starts_with("malformed rows"));
    let uneven = Rows { count: 2, ..some_rows(3) };
    assert!(refused(uneven).0.starts_with("malformed rows"));
}

#[test]
fn what_sums_overflow_with_is_refused() {
    let mut steep = model();
    steep.coefficients[0] = 15.0;
    let model = load(&files::write(&steep).unwrap()).unwrap();
    let huge = rows(vec![numbers("price", &[Some(-1.7e308)]), texts("country", &[None])]);
    let error = predict(&*model, &huge).unwrap_err();
    assert_eq!(error.message, "values of a row are too large to compute with");
    let large = rows(vec![numbers("price", &[Some(-1e300)]), texts("country", &[None])]);
    assert_eq!(probabilities(predict(&*model, &large).unwrap()), [[1.0, 0.0]]);
}

#[test]
fn texts_and_embeddings_are_refused() {
    let model = load(&files::write(&model()).unwrap()).unwrap();
    let refused = |input: Input, output: Output| {
        let error = model.submit(input, output).wait().unwrap_err();
        assert!(
            error.kind == ErrorKind::InvalidRequest && error.detail.unwrap().contains("\"price\" (number)")
        );
        error.message
    };
    let text = Input::Texts(vec!["text".to_owned()]);
    assert_eq!(refused(text, Output::Prediction), "model reads columns, not a text");
    let message = "model reads columns, and has neither tokens nor embeddings";
    assert_eq!(refused(Input::Rows(some_rows(1)), Output::Embedding), message);
}

#[test]
fn a_kind_knows_its_files() {
    let kind = Linear::new(1);
    let files = files::write(&model()).unwrap();
    assert!(kind.recognises(&files) && kind.name() == "linear");
    let info = load(&files).unwrap().info().clone();
    assert_eq!((info.kind.as_str(), info.parameters), ("linear", 7));
    assert!((200..10_000).contains(&info.bytes));
}
