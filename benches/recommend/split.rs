//! Trains on the rows of a file that are marked `0`, choosing settings on these alone, and measures what the model recommends on
//! those marked `1`: `recommend_split FILE [ease|als] [times]`. A line is customer, item, weight, time and mark, between tabs.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::collections::HashMap;
use std::time::Instant;

use ecommerce_ml_recommend::evaluation::{Task, evaluate, mean};
use ecommerce_ml_recommend::model::Query;
use ecommerce_ml_recommend::scorer::Scorer;
use ecommerce_ml_recommend::training::{Options, Wanted, first_settings, selected};
use ecommerce_ml_recommend::{Event, Interactions, Recommender, ease};

fn place(names: &mut Vec<String>, places: &mut HashMap<String, u32>, name: &str) -> u32 {
    *places.entry(name.to_owned()).or_insert_with(|| {
        names.push(name.to_owned());
        u32::try_from(names.len() - 1).expect("fewer names")
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(arguments.get(1).expect("a file")).expect("readable");
    let (mut customers, mut items, mut customer_places, mut item_places) = Default::default();
    let mut events = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let event = Event {
            customer: place(&mut customers, &mut customer_places, fields[0]),
            item: place(&mut items, &mut item_places, fields[1]),
            weight: fields[2].parse().expect("a weight"),
            time: fields[3].parse().expect("a time"),
        };
        events.push((event, fields[4] == "1"));
    }
    let marked: std::collections::HashSet<(u32, u32)> =
        events.iter().filter(|(_, marked)| *marked).map(|(event, _)| (event.customer, event.item)).collect();
    let all = Interactions::new(&customers, &items, events.into_iter().map(|(event, _)| event).collect());
    let is_marked = |customer: usize, item: u32| {
        let (customer, item) = (&all.customers[customer], &all.items[item as usize]);
        marked.contains(&(customer_places[customer], item_places[item]))
    };
    let training = all.filtered(|customer, item, _| !is_marked(customer, item));
    let held_out = all.filtered(|customer, item, _| is_marked(customer, item)).matrix;

    let options = Options {
        algorithm: match arguments.get(2).map(String::as_str) {
            Some("als") => Wanted::Als,
            _ => Wanted::Ease,
        },
        has_times: arguments.get(3).is_some_and(|word| word == "times"),
        eval_fraction: 0.25,
        ..Options::default()
    };
    let began = Instant::now();
    let (first, _) = first_settings(&training, &options).expect("fits");
    let settings = selected(&training, first, &options, &mut || true).expect("settings");
    let choosing = began.elapsed();
    let began = Instant::now();
    let scorer = settings.fit(&training, ease::kept_entries(all.items.len())).expect("a fit");
    let fitting = began.elapsed();
    let histories = settings.histories(&training);
    let task = Task { seen: &training.matrix, histories: &histories, held_out: &held_out };
    let show = |name: &str, scorer: &Scorer| {
        let found = evaluate(scorer, task);
        println!(
            "{name}: NDCG@10 {:.4}, recall@20 {:.4}, coverage {:.3}, novelty {:.2}",
            mean(&found.ndcg),
            mean(&found.recall),
            found.coverage.unwrap_or_default(),
            found.novelty.unwrap_or_default()
        );
    };
    println!("{settings:?}");
    show("popularity", &Scorer::Popularity { items: all.items.len() });
    show(scorer.name(), &scorer);
    let model = Recommender::new(&training, histories.clone(), scorer);
    let began = Instant::now();
    let mut answers = 0;
    for customer in &model.customers {
        let query = Query { customer: Some(customer), count: 10, exclude_seen: true, ..Query::default() };
        answers += usize::from(!model.recommend(query).is_empty());
    }
    let answering = began.elapsed();
    #[allow(clippy::cast_precision_loss)]
    let rate = answers as f64 / answering.as_secs_f64();
    println!(
        "choosing {choosing:.2?}, one fit {fitting:.3?}, {rate:.0} customers/s one at a time with reasons"
    );
}
