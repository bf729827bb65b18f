//! Files that aren't what was written.

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_protocol::ErrorKind;
use ecommerce_ml_tabular::Head;
use ecommerce_ml_tabular::linear::files;
use ecommerce_ml_tabular::linear::model::LinearModel;
use proptest::prelude::*;

use crate::kit::{load, model, predict, rows, texts};

/// What a model reads and answers.
const SIGNATURE: &str = "signature.json";

fn parts(model: &LinearModel) -> [String; 2] {
    let files = files::write(model).unwrap();
    [SIGNATURE, files::MODEL].map(|name| String::from_utf8(files.get(name).unwrap().to_vec()).unwrap())
}

fn with(signature: &str, model: &str) -> ModelFiles {
    let parts = [(SIGNATURE, signature), (files::MODEL, model)];
    ModelFiles::from_parts(parts.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).to_vec())
}

#[test]
fn a_model_reads_back_to_the_same_bits() {
    let mut model = model();
    let read = |model: &LinearModel| files::read(&files::write(model).unwrap()).unwrap();
    assert_eq!(read(&model), model);
    let bits = |model: &LinearModel| model.coefficients.iter().map(|one| one.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&read(&model)), bits(&model));
    model.head = Head::Classes { labels: ["a", "b", "\"c\\"].map(str::to_owned).to_vec() };
    model.intercepts = vec![1.0, f64::NEG_INFINITY, -1.0];
    model.coefficients = (0..18).map(|number| f64::from(number).sin() * 1e-9).collect();
    assert_eq!(read(&model), model);
    model.head = Head::Number;
    model.intercepts = vec![5e-324];
    model.coefficients.truncate(6);
    assert_eq!(read(&model), model);
}

#[test]
fn what_is_wrong_is_told() {
    let [signature, text] = parts(&model());
    let error = |signature: &str, text: &str| {
        let files = with(signature, text);
        assert!(files::recognises(&files));
        let error = load(&files).map(|_| ()).unwrap_err();
        assert!([ErrorKind::DamagedModel, ErrorKind::UnsupportedModel].contains(&error.kind), "{error:?}");
        error.message
    };
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        error(&signature, &text.replacen(from, to, 1))
    };
    assert!(error(&signature, &text[..100]).starts_with("file \"model.json\" of the model is damaged: EOF"));
    assert!(error("{", &text).starts_with("file \"signature.json\" of the model is damaged: EOF"));
    let expected = [
        ("\"scale\":2.0", "\"scale\":0.0", "column \"price\" has no finite mean or scale"),
        ("\"scale\":2.0,", "", "column \"price\" is not complete"),
        ("[-1.5]", "[-1.5,2]", "column \"price\" has 2 coefficients, not 1"),
        ("\"AT\"", "\"DE\"", "column \"country\" has a category twice"),
        ("\"name\":\"country\"", "\"name\":\"price\"", "a column is there twice"),
        ("\"label\":\"stays\"", "\"label\":\"leaves\"", "its equations are not those of the labels of"),
        ("0.25", "null", "an intercept is not finite"),
        ("\"format\": 1", "\"format\": 2", "model is of format 2, and this engine reads 1"),
        ("\"kind\": \"linear\"", "\"kind\": \"trees\"", "its kind is not \"linear\""),
        ("[-1.5]", "[1e999]", "number out of range"),
    ];
    for (from, to, message) in expected {
        let found = changed(from, to);
        assert!(found.contains(message), "{found}");
    }
    let other = signature.replace("\"price\"", "\"cost\"");
    assert!(error(&other, &text).contains("it does not say what \"model.json\" does"));
    let missing = ModelFiles::from_parts(vec![(files::MODEL.to_owned(), text.clone().into_bytes())]);
    assert_eq!(load(&missing).map(|_| ()).unwrap_err().kind, ErrorKind::FileMissing);
    assert!(!files::recognises(&with(&signature.replace("linear", "trees"), &text)));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in 0usize..2000, byte in any::<u8>(), cut in 0usize..2000) {
        for which in 0..2 {
            let mut parts = parts(&model()).map(String::into_bytes);
            let part = &mut parts[which];
            let length = part.len();
            part[at % length] = byte;
            if cut % 3 == 0 {
                part.truncate(cut % length);
            }
            let names = [SIGNATURE, files::MODEL].map(str::to_owned);
            let files = ModelFiles::from_parts(names.into_iter().zip(parts).collect());
            files::recognises(&files);
            match load(&files) {
                Ok(model) => drop(predict(&*model, &rows(vec![texts("country", &[None])]))),
                Err(error) => prop_assert!(
                    matches!(error.kind, ErrorKind::DamagedModel | ErrorKind::UnsupportedModel), "{error:?}"
                ),
            }
        }
    }

    #[test]
    fn nor_any_json(numbers in proptest::collection::vec(-3i32..3, 1..6), text in "[{}\\[\\],:\"a-z0-9]{0,60}") {
        let [signature, model] = parts(&model());
        let json = serde_json::to_string(&numbers).unwrap();
        for model in [model.replace("[-1.5]", &json), model.replace("\"AT\"", &json), text.clone()] {
            drop(load(&with(&signature, &model)));
        }
        drop(load(&with(&text, &model)));
    }
}
