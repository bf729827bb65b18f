//! The kind `lifetime`: purchases to a model, its files, its answers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/events.rs"]
mod events;

use ecommerce_ml_checkpoint::files::ModelFiles;
use ecommerce_ml_customer::kind::Lifetimes;
use ecommerce_ml_customer::random::Random;
use ecommerce_ml_predictor::{Job, ModelKind};
use ecommerce_ml_protocol::training::{
    Finished, Label, Objective, Prepared, TrainingCall, TrainingInput, TrainingPlan, TrainingRows,
};
use ecommerce_ml_protocol::{
    Answers, Column, EngineError, ErrorKind, Field, Input, Output, Rows, Sha256, Table, Task, ValueType,
    Values,
};

const DAY: f64 = 86_400e6;
/// Days that purchases cover.
const DAYS: f64 = 400.0;

#[derive(Debug, Clone, PartialEq)]
struct Purchase(String, i64, f64);

/// Customers who come at any time, buy at rates of their own and are lost after one purchase or another, until a day.
#[allow(clippy::cast_possible_truncation)]
fn purchases(customers: usize, until: f64) -> Vec<Purchase> {
    let mut random = Random::of(5);
    let mut all = Vec::new();
    for customer in 0..customers {
        let (mut time, rate, loss) =
            (DAYS / 2.0 * random.uniform(), random.gamma(0.8) / 25.0, random.beta(0.8, 2.5));
        let scale = 15.0 / random.gamma(4.0);
        while time < DAYS {
            let amount = (random.gamma(6.0) * scale * 100.0).round() / 100.0;
            if time < until {
                all.push(Purchase(format!("c{customer:04}"), (time * DAY) as i64, amount));
            }
            if random.uniform() < loss {
                break;
            }
            time += random.exponential() / rate;
        }
    }
    all
}

fn call(options: &str) -> TrainingCall {
    let field = Field { name: "customer".to_owned(), value_type: ValueType::Text };
    TrainingCall {
        objective: Objective::Lifetime,
        input: TrainingInput::Events { keys: vec![field.clone()], fields: vec![field] },
        has_time: true,
        options: options.to_owned(),
    }
}

fn job(options: &str, purchases: &[Purchase]) -> Job {
    let batch = |rows: &[Purchase]| {
        let dictionary = rows.iter().map(|row| row.0.clone()).collect();
        let codes = (0..rows.len()).map(|at| u32::try_from(at).ok()).collect();
        let column = Column { name: "customer".to_owned(), values: Values::Text { dictionary, codes } };
        TrainingRows {
            input: Input::Rows(Rows { count: rows.len() as u32, columns: vec![column] }),
            labels: rows.iter().map(|row| Label::Number(row.2)).collect(),
            times: rows.iter().map(|row| row.1).collect(),
            paraphrases: Vec::new(),
        }
    };
    let plan = TrainingPlan {
        call: call(options),
        base: None,
        incumbent: None,
        members: Vec::new(),
        memory_limit: 1 << 28,
        checkpoint_interval: 60,
    };
    let rows = purchases.chunks(97).map(batch).collect();
    Job {
        plan,
        base: None,
        incumbent: None,
        rows,
        synonyms: Vec::new(),
        descriptions: Vec::new(),
        members: Vec::new(),
        checkpoint: Vec::new(),
    }
}

fn train(job: Job) -> Result<(Prepared, Finished, ModelFiles), EngineError> {
    events::train(&Lifetimes::default(), job)
}

fn ask(files: &ModelFiles, days: f64, page: Option<(f64, f64)>) -> Result<Rows, EngineError> {
    let kind = Lifetimes::default();
    assert!(kind.recognises(files));
    let number = |name: &str, value: Option<f64>| Column {
        name: name.to_owned(),
        values: Values::Number(vec![value]),
    };
    let columns = vec![
        number("horizon", Some(days * 86_400.0)),
        number("after", page.map(|page| page.0)),
        number("count", page.map(|page| page.1)),
    ];
    let input = Input::Rows(Rows { count: 1, columns });
    let answers = kind.load(None, files)?.submit(input, Output::Table(Table::Lifetimes)).wait()?.answers;
    let Answers::Tables(mut tables) = answers else { panic!("{answers:?}") };
    assert!(tables.len() == 1 && tables[0].check());
    Ok(tables.remove(0))
}

fn column(table: &Rows, name: &str) -> Vec<Option<f64>> {
    let Some(Values::Number(values)) = table.column(name) else { panic!("{table:?}") };
    values.clone()
}

fn metric(finished: &Finished, name: &str) -> f64 {
    finished.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value).unwrap()
}

#[test]
fn a_model_beats_past_rates_and_foretells_what_comes() {
    let all = purchases(1500, DAYS);
    let known: Vec<Purchase> = all.iter().filter(|one| (one.1 as f64) < 300.0 * DAY).cloned().collect();
    let (prepared, finished, files) = train(job(r#"{"horizon": 100}"#, &known)).unwrap();
    assert_eq!(prepared.training_rows + prepared.held_out_rows, known.len() as u64);
    assert!(prepared.held_out_rows > 100 && prepared.ignored_rows == 0);
    assert_eq!(finished.info.task(), Task::Lifetime);
    let against = finished.against_baseline.clone().unwrap();
    assert!(against.testable && against.beaten, "{against:?}");
    let coverage = metric(&finished, "coverage");
    assert!((0.75..=0.97).contains(&coverage), "{coverage}");
    assert!(metric(&finished, "calibration_error") < 0.2);

    // What really came in the hundred days after, of those who were known.
    let table = ask(&files, 100.0, None).unwrap();
    let came = all.iter().filter(|one| one.1 as f64 >= 300.0 * DAY);
    let came: Vec<&Purchase> = came.filter(|one| known.iter().any(|before| before.0 == one.0)).collect();
    let sum = |name: &str| column(&table, name).iter().flatten().sum::<f64>();
    let (count, worth) = (came.len() as f64, came.iter().map(|one| one.2).sum::<f64>());
    assert!((sum("purchases") / count - 1.0).abs() < 0.15, "{} {count}", sum("purchases"));
    // A few customers of large amounts make much of the sum.
    assert!((sum("value") / worth - 1.0).abs() < 0.3, "{} {worth}", sum("value"));
    let between = column(&table, "alive").into_iter().flatten().all(|alive| (0.0..=1.0).contains(&alive));
    let ordered =
        column(&table, "lower").iter().zip(column(&table, "upper")).all(|(lower, upper)| *lower <= upper);
    assert!(between && ordered);
    // Pages add up, in the order of customers.
    let (first, second) =
        (ask(&files, 100.0, Some((0.0, 700.0))).unwrap(), ask(&files, 100.0, Some((700.0, 1e6))).unwrap());
    assert_eq!(first.count + second.count, table.count);
    assert_eq!([column(&first, "value"), column(&second, "value")].concat(), column(&table, "value"));
    for days in [0.0, -1.0, f64::NAN, 40_000.0] {
        assert_eq!(ask(&files, days, None).unwrap_err().kind, ErrorKind::InvalidRequest, "{days}");
    }
}

#[test]
fn the_order_of_rows_makes_no_difference_and_counts_are_enough() {
    let counts: Vec<Purchase> =
        purchases(300, DAYS).into_iter().map(|one| Purchase(one.0, one.1, 1.0)).collect();
    let mut turned = counts.clone();
    turned.reverse();
    let (prepared, finished, files) = train(job("{}", &counts)).unwrap();
    let (again, other, same) = train(job("{}", &turned)).unwrap();
    assert_eq!((&prepared, &finished), (&again, &other));
    assert_eq!(files.manifest(), same.manifest());
    assert_ne!(prepared.rows_sha256, Sha256([0; 32]));
    let table = ask(&files, 60.0, None).unwrap();
    assert!(column(&table, "value").iter().all(Option::is_none));
    assert!(column(&table, "upper").iter().flatten().any(|upper| *upper >= 1.0));
    // Of an option that says nothing is to be held out.
    let (prepared, finished, _) = train(job(r#"{"eval_fraction": 0}"#, &counts)).unwrap();
    assert!(
        prepared.held_out_rows == 0 && finished.against_baseline.is_none() && finished.metrics.is_empty()
    );
}

#[test]
fn a_new_version_is_compared_with_the_live_one_on_what_neither_knew() {
    let all = purchases(900, DAYS);
    let (_, _, live) =
        train(job("{}", &all.iter().filter(|one| (one.1 as f64) < 200.0 * DAY).cloned().collect::<Vec<_>>()))
            .unwrap();
    let mut retraining = job("{}", &all);
    retraining.incumbent = Some(live.clone());
    let (_, finished, files) = train(retraining).unwrap();
    let comparison = finished.comparison.unwrap();
    assert!(comparison.rows > 400 && comparison.new < comparison.incumbent, "{comparison:?}");
    // Without a row that the live one doesn't know there is nothing to compare by.
    let mut same = job("{}", &all);
    same.incumbent = Some(files);
    assert!(train(same).unwrap().1.comparison.is_none());
}

#[test]
fn what_can_not_be_learned_is_refused_with_the_reason() {
    let said = |purchases: &[Purchase]| train(job("{}", purchases)).unwrap_err().message;
    let row =
        |customer: usize, day: f64, amount: f64| Purchase(format!("c{customer}"), (day * DAY) as i64, amount);
    let one: Vec<_> = (0..40).map(|day| row(1, f64::from(day), 5.0)).collect();
    assert!(
        said(&one).contains("how often customers buy cannot be learned: 1 customers are too few"),
        "{}",
        said(&one)
    );
    let once: Vec<_> = (0..40).map(|customer| row(customer, customer as f64, 5.0)).collect();
    assert!(said(&once).contains("no customer has bought twice"), "{}", said(&once));
    let returns: Vec<_> = (0..40).map(|customer| row(customer, 1.0, -5.0)).collect();
    assert!(said(&returns).contains("there are no purchases to learn from"));
    let future: Vec<_> = (0..40).map(|customer| row(customer, 1e5, 5.0)).collect();
    assert!(said(&future).contains("there are no purchases to learn from"));
    let mut odd = purchases(60, DAYS);
    odd[3].2 = f64::INFINITY;
    assert!(said(&odd).contains("no finite number"));
    // Of one customer who came again nothing is known of amounts.
    let few: Vec<_> =
        (0..30).flat_map(|customer| [row(customer, 1.0, 5.0), row(customer.min(3), 9.0, 5.0)]).collect();
    assert!(
        said(&few).contains("what purchases are worth cannot be learned: 4 customers are too few"),
        "{}",
        said(&few)
    );
    // Returns and what lies ahead are passed over.
    let mut some = purchases(200, DAYS);
    let (prepared, ..) = train(job("{}", &some)).unwrap();
    some.extend([row(7, 3.0, -20.0), row(8, 1e5, 20.0)]);
    let (more, ..) = train(job("{}", &some)).unwrap();
    assert_eq!((more.ignored_rows, more.training_rows), (2, prepared.training_rows));
    assert!(train(job(r#"{"penalizer": 1}"#, &some)).unwrap_err().message.contains("penalizer"));
}

/// Where customers don't differ in something, the likelihood has no maximum.
#[test]
fn what_is_all_alike_is_no_obstacle() {
    // What each purchase is worth never varies.
    let fixed: Vec<_> = purchases(400, DAYS).into_iter().map(|one| Purchase(one.0, one.1, 9.0)).collect();
    let (.., files) = train(job(r#"{"correction": "none"}"#, &fixed)).unwrap();
    let table = ask(&files, 100.0, None).unwrap();
    for (purchases, value) in column(&table, "purchases").iter().zip(column(&table, "value")) {
        let (purchases, value) = (purchases.unwrap(), value.unwrap());
        assert!((value - 9.0 * purchases).abs() < 0.5 * purchases, "{purchases} {value}");
    }
    // Everybody buys each ten days, for ever: past rates have it all.
    let clockwork: Vec<_> = (0..50)
        .flat_map(|customer| (0..20).map(move |n| (customer, f64::from(n) * 10.0)))
        .map(|(customer, day)| Purchase(format!("c{customer}"), (day * DAY) as i64, 1.0))
        .collect();
    let (_, finished, files) = train(job(r#"{"history": "all"}"#, &clockwork)).unwrap();
    assert!(!finished.against_baseline.unwrap().beaten);
    let table = ask(&files, 100.0, None).unwrap();
    assert!(column(&table, "purchases").iter().flatten().all(|one| (7.0..11.5).contains(one)), "{table:?}");
    for days in [1.0, 3650.0, 36_000.0] {
        assert!(column(&ask(&files, days, None).unwrap(), "purchases").iter().all(Option::is_some), "{days}");
    }
}

#[test]
fn damage_is_told() {
    let (.., files) = train(job("{}", &purchases(200, DAYS))).unwrap();
    for name in ["signature.json", "model.json"] {
        let mut damaged = files.clone();
        let bytes = damaged.get_mut(name).unwrap();
        bytes.truncate(bytes.len() / 2);
        let error = Lifetimes::default().load(None, &damaged).map(|_| ()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::DamagedModel, "{name}");
    }
    let text = String::from_utf8(files.get("model.json").unwrap().to_vec()).unwrap();
    for (from, to, kind) in [
        ("\"format\":1", "\"format\":2", ErrorKind::UnsupportedModel),
        ("\"loss\":", "\"los\":", ErrorKind::DamagedModel),
        ("\"c0001\"", "\"z\"", ErrorKind::DamagedModel),
    ] {
        let mut changed = files.clone();
        assert!(text.contains(from), "{from}");
        *changed.get_mut("model.json").unwrap() = text.replacen(from, to, 1).into_bytes();
        assert_eq!(Lifetimes::default().load(None, &changed).map(|_| ()).unwrap_err().kind, kind, "{to}");
    }
}
