//! Tests of data sets: order, copies, sides.

use ecommerce_ml_protocol::text::look_of_text;
use ecommerce_ml_protocol::training::Objective;
use ecommerce_ml_protocol::{Column, Rows, ValueType, Values};

use super::*;

/// A text and its label.
type Row = (String, Label);

fn row(text: &str, label: &str) -> Row {
    (text.to_owned(), Label::Class(label.to_owned()))
}

fn call(input: TrainingInput, has_time: bool) -> TrainingCall {
    TrainingCall { objective: Objective::Classification, input, has_time, options: "{}".to_owned() }
}

fn data_set(rows: Vec<Row>) -> Dataset {
    // In two parts, as they may come.
    let parts = rows.chunks(rows.len() / 2 + 1).map(|rows| {
        let (texts, labels) = rows.iter().cloned().unzip();
        TrainingRows { input: Input::Texts(texts), labels, times: Vec::new(), paraphrases: Vec::new() }
    });
    Dataset::new(&call(TrainingInput::Text, false), parts.collect()).unwrap()
}

fn classes(dataset: &Dataset) -> Vec<u32> {
    dataset.labels.iter().map(|label| u32::from(*label == Label::Class("y".to_owned()))).collect()
}

#[test]
fn order_makes_no_difference_and_duplicates_count() {
    let rows = || vec![row("a", "x"), row("b", "y"), row("a", "x"), row("a", "y")];
    let one = data_set(rows());
    let other = data_set(rows().into_iter().rev().collect());
    assert_eq!((one.texts(), one.sha256()), (other.texts(), other.sha256()));
    assert_ne!(one.sha256(), data_set(rows().split_off(1)).sha256());
}

#[test]
fn new_rows_are_left_out_and_missing_ones_refused() {
    let before = data_set(vec![row("a", "x"), row("b", "y"), row("b", "y")]);
    let all = vec![row("b", "y"), row("c", "x"), row("a", "x"), row("b", "y"), row("b", "y")];
    let mut now = data_set(all);
    assert_eq!(now.keep(&before.ids).unwrap(), 2);
    assert_eq!((now.texts(), now.sha256()), (before.texts(), before.sha256()));
    let error = data_set(vec![row("a", "x"), row("b", "y")]).keep(&before.ids).unwrap_err();
    assert_eq!(error.detail.as_deref(), Some("1 of its 3 rows were deleted or changed."));
}

#[test]
fn a_text_lies_on_one_side() {
    let rows: Vec<Row> =
        (0..400).map(|number| row(&format!("text {}", number % 97), ["x", "y"][number % 2])).collect();
    let dataset = data_set(rows);
    let classes = classes(&dataset);
    let split = dataset.split(&classes, 0.2, 1);
    let texts = |places: &[usize]| places.iter().map(|&at| dataset.texts()[at].clone()).collect::<Vec<_>>();
    let (learned, held_out) = (texts(&split.training), texts(&split.held_out));
    assert_eq!(learned.len() + held_out.len(), 400);
    assert!(held_out.len() > 40 && held_out.iter().all(|text| !learned.contains(text)));
}

#[test]
fn a_text_that_looks_like_another_lies_beside_it() {
    let spellings = ["Text  {}", "text {}", " TEXT {}\n"];
    let rows = (0..300).map(|number| {
        row(&spellings[number % 3].replace("{}", &(number / 3).to_string()), ["x", "y"][number / 3 % 2])
    });
    let dataset = data_set(rows.collect());
    let classes = classes(&dataset);
    let mut split = dataset.split(&classes, 0.2, 1);
    let looks =
        |places: &[usize]| places.iter().map(|&at| look_of_text(&dataset.texts()[at])).collect::<Vec<_>>();
    let (learned, held_out) = (looks(&split.training), looks(&split.held_out));
    assert_eq!((learned.len(), held_out.len()), (240, 60));
    assert!(held_out.iter().all(|text| !learned.contains(text)));
    let findings = dataset.inspect(&mut split);
    assert_eq!((split.training.len(), split.held_out.len()), (240, 20));
    let expected = Findings {
        repeated_rows: 200,
        repeated_held_out_rows: 40,
        similar_texts: 300,
        ..Findings::default()
    };
    assert_eq!(findings, expected);
}

#[test]
fn copies_and_contradictions_are_counted() {
    let rows =
        [("a", "x"), ("a", "x"), ("A", "y"), ("b", "x"), ("b ", "x"), ("c", "x"), ("c", "y"), ("d", "y")];
    let dataset = data_set(rows.map(|(text, label)| row(text, label)).to_vec());
    let everything = Split { training: Vec::new(), held_out: (0..8).collect() };
    let mut split = everything.clone();
    let expected = Findings {
        repeated_rows: 2,
        repeated_held_out_rows: 2,
        similar_texts: 4,
        contradicting_texts: 2,
        contradicting_rows: 5,
        ..Findings::default()
    };
    assert_eq!(dataset.inspect(&mut split), expected);
    assert_eq!(split.held_out.len(), 6);
    let numbers = [0.0, -0.0, 1.0].map(|label| ("e".to_owned(), Label::Number(label)));
    let findings = data_set(numbers.to_vec()).inspect(&mut Split::default());
    assert_eq!((findings.repeated_rows, findings.contradicting_rows), (1, 3));
}

#[test]
fn every_class_keeps_a_row_to_learn_from() {
    let mut rows: Vec<Row> = (0..20).map(|number| row(&format!("text {number}"), "x")).collect();
    rows.extend((0..20).map(|number| row(&format!("text {number}"), &format!("only {number}"))));
    let dataset = data_set(rows);
    let mut names: Vec<Label> = dataset.labels.to_vec();
    names.dedup();
    let class = |label: &Label| match label {
        Label::Class(name) => name.strip_prefix("only ").map_or(0, |number| number.parse().unwrap_or(0) + 1),
        Label::Number(_) | Label::Range(..) => 0,
    };
    let classes: Vec<u32> = dataset.labels.iter().map(class).collect();
    let split = dataset.split(&classes, 0.5, 1);
    let learned: Vec<u32> = split.training.iter().map(|&place| classes[place]).collect();
    assert!((0..=20).all(|class| learned.contains(&class)));
}

/// Rows of a category, a number and a class, some of them in each part.
fn columns(rows: &[(&str, f64, &str)], parts: usize) -> Dataset {
    let fields = vec![
        Field { name: "colour".to_owned(), value_type: ValueType::Text },
        Field { name: "price".to_owned(), value_type: ValueType::Number },
    ];
    let parts = rows.chunks(rows.len().div_ceil(parts)).map(|rows| {
        let dictionary = rows.iter().map(|row| row.0.to_owned()).collect();
        let colour = Values::Text { dictionary, codes: (0..rows.len() as u32).map(Some).collect() };
        let price = Values::Number(rows.iter().map(|row| Some(row.1)).collect());
        let columns = [("price", price), ("colour", colour)];
        let columns = columns.map(|(name, values)| Column { name: name.to_owned(), values });
        TrainingRows {
            input: Input::Rows(Rows { count: rows.len() as u32, columns: columns.into() }),
            labels: rows.iter().map(|row| Label::Class(row.2.to_owned())).collect(),
            times: Vec::new(),
            paraphrases: Vec::new(),
        }
    });
    let call = call(TrainingInput::Columns { fields, text: None }, false);
    Dataset::new(&call, parts.collect()).unwrap()
}

#[test]
fn columns_have_an_order_of_their_own_too() {
    let mut rows: Vec<(&str, f64, &str)> =
        (0..40).map(|at| (["red", "blue", "green"][at % 3], at as f64, ["x", "y"][at % 2])).collect();
    let one = columns(&rows, 1);
    rows.reverse();
    let other = columns(&rows, 3);
    assert_eq!((&one.input, &one.labels, one.sha256()), (&other.input, &other.labels, other.sha256()));
    let Input::Rows(rows) = &one.input else { unreachable!() };
    let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!((rows.count, names), (40, vec!["colour", "price"]));
}

#[test]
fn rows_of_columns_are_copies_unless_most_look_like_another() {
    let unlike: Vec<(&str, f64, &str)> =
        (0..60).map(|at| (["red", "Red "][at / 30], (at % 30) as f64, ["x", "y"][at % 2])).collect();
    let dataset = columns(&unlike, 2);
    let mut split = dataset.split(&classes(&dataset), 0.2, 1);
    assert_eq!((split.training.len(), split.held_out.len()), (48, 12));
    let findings = dataset.inspect(&mut split);
    assert_eq!((findings.repeated_rows, findings.similar_texts), (30, 60));
    assert_eq!((findings.repeated_held_out_rows, split.held_out.len()), (6, 6));

    let alike: Vec<(&str, f64, &str)> =
        (0..60).map(|at| (["red", "blue"][at % 2], 1.0, ["x", "y"][at / 30])).collect();
    let dataset = columns(&alike, 2);
    let mut split = dataset.split(&classes(&dataset), 0.2, 1);
    assert_eq!((split.training.len(), split.held_out.len()), (48, 12));
    assert_eq!((dataset.inspect(&mut split), split.held_out.len()), (Findings::default(), 12));
}

#[test]
fn equal_rows_that_are_no_copies_lie_on_both_sides() {
    // Two thirds of the members stay, half of the others: what is held out has to show it.
    let rows: Vec<(&str, f64, &str)> = (0..1200)
        .map(|at| {
            let member = at % 2 == 0;
            let stays = if member { at % 3 > 0 } else { at % 4 == 1 };
            (["guest", "member"][usize::from(member)], 1.0, ["x", "y"][usize::from(stays)])
        })
        .collect();
    let dataset = columns(&rows, 3);
    let split = dataset.split(&classes(&dataset), 0.25, 1);
    let kinds = |places: &[usize]| {
        let Input::Rows(rows) = dataset.input_of(places) else { unreachable!() };
        let Values::Text { dictionary, codes } = &rows.columns[0].values else { unreachable!() };
        let labels = places.iter().map(|&place| label_key(&dataset.labels[place]).0.to_owned());
        let of_rows = codes.iter().map(|code| dictionary[code.unwrap() as usize].clone()).zip(labels);
        let mut counts = std::collections::BTreeMap::<(String, String), usize>::new();
        of_rows.for_each(|kind| *counts.entry(kind).or_default() += 1);
        counts
    };
    let (learned, held_out) = (kinds(&split.training), kinds(&split.held_out));
    assert_eq!(held_out.len(), 4);
    for (kind, count) in &held_out {
        let share = *count as f64 / (*count + learned[kind]) as f64;
        assert!((0.15..0.35).contains(&share), "{kind:?}: {share}");
    }
    let keys = dataset.keys();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
}

#[test]
fn what_is_held_out_by_time_counts_as_a_copy_of_what_is_learned() {
    let rows = [("a", "x", 1), ("b", "y", 2), ("c", "x", 3), ("A", "x", 8), ("b", "x", 9), ("d", "y", 9)];
    let parts = rows.map(|(text, label, time)| TrainingRows {
        input: Input::Texts(vec![text.to_owned()]),
        labels: vec![Label::Class(label.to_owned())],
        times: vec![time],
        paraphrases: Vec::new(),
    });
    let with_times = call(TrainingInput::Text, true);
    let dataset = Dataset::new(&with_times, parts.to_vec()).unwrap();
    let mut split = dataset.split_by_time(0.5).unwrap();
    let texts =
        |places: &[usize]| places.iter().map(|&at| dataset.texts()[at].as_str()).collect::<BTreeSet<_>>();
    assert_eq!(texts(&split.held_out), BTreeSet::from(["A", "b", "d"]));
    let findings = dataset.inspect(&mut split);
    // The copy is left out, the contradiction isn't.
    assert_eq!((findings.repeated_rows, findings.repeated_held_out_rows), (1, 1));
    assert_eq!(
        (findings.similar_texts, findings.contradicting_texts, findings.contradicting_rows),
        (2, 1, 2)
    );
    assert_eq!(texts(&split.held_out), BTreeSet::from(["b", "d"]));
    assert_eq!(split.training.len(), 3);
    // Another time is another row.
    let mut others = parts.to_vec();
    others[0].times = vec![2];
    assert_ne!(Dataset::new(&with_times, others).unwrap().sha256(), dataset.sha256());
    assert!(Dataset::new(&call(TrainingInput::Text, false), parts.to_vec()).is_err());
}

#[test]
fn rows_must_be_what_the_training_reads() {
    let texts = TrainingRows {
        input: Input::Texts(vec!["a".to_owned()]),
        labels: vec![Label::Number(1.0)],
        times: Vec::new(),
        paraphrases: Vec::new(),
    };
    let columns = TrainingInput::Columns { fields: Vec::new(), text: None };
    let error = Dataset::new(&call(columns, false), vec![texts]).unwrap_err();
    assert_eq!(error.message, "rows to learn from are not of what the training reads");
}
