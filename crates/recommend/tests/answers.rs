//! What a model answers, to whomever asks whatever.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use ecommerce_ml_recommend::described::Described;
use ecommerce_ml_recommend::evaluation::mean;
use ecommerce_ml_recommend::incumbent::Incumbent;
use ecommerce_ml_recommend::model::Query;
use ecommerce_ml_recommend::quality::Quality;
use ecommerce_ml_recommend::training::{Context, Options, Trained, Training, TrainingError, Wanted, train};
use ecommerce_ml_recommend::{Event, Interactions, Recommender};

/// Customers of four tastes, each with five of the ten items of theirs, and one of those that everybody has.
fn made(weight: f64) -> Interactions {
    let customers: Vec<String> = (0..200).map(|name| format!("c{name:03}")).collect();
    let items: Vec<String> = (0..42).map(|name| format!("i{name:02}")).collect();
    let mut events = Vec::new();
    for customer in 0..200_u32 {
        let own = (0..5).map(|at| customer % 4 * 10 + (customer / 4 * 3 + at * (1 + customer / 40 % 4)) % 10);
        for (time, item) in own.chain([40 + customer / 100]).enumerate() {
            events.push(Event { customer, item, weight, time: i64::try_from(time).unwrap() });
        }
    }
    Interactions::new(&customers, &items, events)
}

fn trained(algorithm: Wanted, has_times: bool) -> Trained {
    let options = Options { algorithm, has_times, ..Options::default() };
    train(&made(1.0), &options, &mut || true).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn tastes_are_learned_and_popularity_is_beaten() {
    for algorithm in [Wanted::Ease, Wanted::Als] {
        let Trained { model, measured, .. } = trained(algorithm, false);
        assert!(mean(&measured.model.ndcg) > 2.0 * mean(&measured.popularity.ndcg));
        let query = Query { customer: Some("c000"), count: 4, exclude_seen: true, ..Query::default() };
        let found = model.recommend(query);
        assert!(found.iter().all(|one| one.item < "i10" && !one.because.is_empty()), "{found:?}");
        let had = model.histories.row(0).0;
        assert!(found.iter().all(|one| had.iter().all(|&item| model.items[item as usize] != one.item)));
        assert!(found[0].because.iter().all(|&reason| had.contains(&model.item(reason).unwrap())));
        let similar = model.similar("i13", 3).unwrap();
        assert!(similar.iter().all(|one| (10..20).contains(&model.item(one.item).unwrap())), "{similar:?}");
        assert_eq!(model.similar("dropped", 3), None);
    }
}

#[test]
fn someone_new_is_answered_by_history_and_the_unknown_by_popularity() {
    for algorithm in [Wanted::Ease, Wanted::Als] {
        let model = trained(algorithm, true).model;
        let history = names(&["i21", "gone", "i22", "i22"]);
        let query = Query { history: Some(&history), count: 3, exclude_seen: true, ..Query::default() };
        let found = model.recommend(query);
        // Everybody has i40.
        assert!((20..30).contains(&model.item(found[0].item).unwrap()), "{found:?}");
        assert!(found.iter().all(|one| one.item == "i40" || one.item.starts_with("i2")), "{found:?}");
        assert!(found.iter().all(|one| one.because.iter().all(|reason| ["i21", "i22"].contains(reason))));

        let unknown = names(&["gone", "never was"]);
        for query in [
            Query { customer: Some("nobody"), count: 2, ..Query::default() },
            Query { history: Some(&unknown), count: 2, ..Query::default() },
            Query { history: Some(&[]), count: 2, ..Query::default() },
        ] {
            let found = model.recommend(query);
            assert_eq!(found.iter().map(|one| one.item).collect::<Vec<_>>(), ["i40", "i41"]);
            assert!(
                found
                    .iter()
                    .all(|one| one.because == ["popularity"] && (one.score - 100.0 / 210.0).abs() < 1e-6)
            );
        }
    }
}

/// All events but those of some customers from a time on.
fn before(interactions: &Interactions, customers: usize, time: i64) -> Interactions {
    interactions.filtered(|customer, _, place| customer >= customers || interactions.times[place] < time)
}

#[test]
fn a_live_version_is_asked_for_what_came_since() {
    let all = made(1.0);
    let options =
        Options { regularization: Some(200.0), dropout: Some(0.4), power: Some(0.5), ..Options::default() };
    let live = |interactions: &Interactions| {
        let Trained { model, settings, .. } = train(interactions, &options, &mut || true).unwrap();
        Incumbent { model, settings: Some(settings) }
    };
    let compared = |live: &Incumbent| {
        let training = Training::new(&all, &options).unwrap();
        let context = Context { incumbent: Some(live), ..Context::default() };
        training.run(context, &mut || true).unwrap().measured.beside.unwrap()
    };
    // One that doesn't know half of the customers, or half of the items.
    for known in [before(&all, 100, 0), all.filtered(|_, item, _| item < 20)] {
        let found = compared(&live(&known));
        assert_eq!((found.metric, found.new.len()), ("ndcg", found.incumbent.len()));
        assert!((40..130).contains(&found.new.len()), "{}", found.new.len());
        assert!(mean(&found.new) > 1.2 * mean(&found.incumbent), "{found:?}");
    }
    // One that knows all is compared by its settings, which are the same here.
    let found = compared(&live(&all));
    assert!(found.metric == "ndcg_of_settings" && found.new.len() > 100, "{found:?}");
    assert_eq!(found.new, found.incumbent);
}

#[test]
fn rankings_are_measured_on_what_came_after() {
    let all = made(1.0);
    let options = Options::default();
    let model = train(&before(&all, 200, 5), &options, &mut || true).unwrap().model;
    let first = Quality::of(&model, "c000", &names(&["i40", "i40", "never was"]));
    assert_eq!((first.new, first.known), (2, 0));
    let had: Vec<String> = model.history("c000").0.iter().map(|&item| model.name(item).to_owned()).collect();
    let known = Quality::of(&model, "c000", &had);
    assert_eq!((known.new, known.known, known.model.worth.ndcg), (0, 5, 0.0));
    assert!(known.model.shown.len() == 10 && known.model.bits > 0.0, "{known:?}");
    // Somebody unknown is shown what is popular.
    let stranger = Quality::of(&model, "nobody", &names(&["i00"]));
    assert_eq!(stranger.model, stranger.baseline);
    let theirs = Quality::of(
        &model,
        "c001",
        &names(&["i10", "i11", "i12", "i13", "i14", "i15", "i16", "i17", "i18", "i19"]),
    );
    assert!(theirs.model.worth.ndcg > 0.9 && theirs.baseline.worth.ndcg < 0.9, "{theirs:?}");
}

#[test]
fn candidates_and_what_was_seen_are_kept_to() {
    let model = trained(Wanted::Ease, false).model;
    let candidates = model.item_set(&names(&["i30", "i05", "gone", "i40"]));
    let nothing = model.item_set(&names(&["gone"]));
    let query = Query { customer: Some("c000"), count: 9, candidates: Some(&candidates), ..Query::default() };
    assert_eq!(model.recommend(query).len(), 3);
    let found = model.recommend(Query { exclude_seen: true, ..query });
    assert!(found.iter().all(|one| one.item != "i40"), "{found:?}");
    assert_eq!(model.recommend(Query { candidates: Some(&nothing), ..query }), []);
    assert_eq!(model.recommend(Query { count: 0, ..query }), []);
    assert_eq!(model.recommend(Query { count: usize::MAX, candidates: None, ..query }).len(), 42);
}

#[test]
fn a_diverse_list_is_of_several_tastes() {
    for algorithm in [Wanted::Ease, Wanted::Als] {
        let model = trained(algorithm, false).model;
        let tastes = |diversity: f32, customer: &str| {
            let query = Query { customer: Some(customer), count: 4, exclude_seen: true, ..Query::default() };
            let found = model.recommend(Query { diversity, ..query });
            let first = model.recommend(query)[0].clone();
            assert!(found.len() == 4 && found[0] == first, "{found:?}");
            found.iter().map(|one| one.item[..2].to_owned()).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert!(tastes(0.0, "c000") == 1 && tastes(1.0, "c000") >= 3);
        // Of what is popular the first is the first, too.
        assert!((1..=4).contains(&tastes(1.0, "nobody")));
    }
}

#[test]
fn threads_and_weights_that_are_all_the_same_change_nothing() {
    let with = |threads: usize, weight: f64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train(&made(weight), &Options::default(), &mut || true).unwrap().model)
    };
    let model = with(1, 1.0);
    assert_eq!(model, with(3, 1.0));
    assert_eq!(model, with(2, 5.0));
}

#[test]
fn what_can_not_be_learned_is_refused() {
    let all = made(1.0);
    let error = |interactions: &Interactions, options: &Options| {
        train(interactions, options, &mut || true).unwrap_err()
    };
    let names = names(&["a", "b"]);
    let event = |customer, item| Event { customer, item, weight: 1.0, time: 0 };
    for (events, customers, items) in
        [(vec![event(0, 0), event(0, 1)], 1, 2), (vec![event(0, 0), event(1, 0)], 2, 1), (Vec::new(), 0, 0)]
    {
        let interactions = Interactions::new(&names, &names, events);
        let expected = TrainingError::TooFew { customers, items };
        assert_eq!(error(&interactions, &Options::default()), expected);
    }
    let limited = Options { memory_limit: 100_000, ..Options::default() };
    assert!(
        matches!(error(&all, &limited), TrainingError::DoesNotFit { needed, limit: 100_000 } if needed > 100_000)
    );
    assert_eq!(train(&all, &Options::default(), &mut || false).unwrap_err(), TrainingError::Cancelled);

    let few = Interactions::new(&names, &names, vec![event(0, 0), event(1, 0), event(1, 1)]);
    let trained = train(&few, &Options::default(), &mut || true).unwrap();
    let query = Query { customer: Some("a"), count: 5, exclude_seen: true, ..Query::default() };
    assert_eq!(trained.model.recommend(query).len(), 1);
}

#[test]
fn items_without_a_sale_are_known_by_their_texts() {
    let customers: Vec<String> = (0..400).map(|name| format!("c{name:03}")).collect();
    let items: Vec<String> = (0..80).map(|name| format!("i{name:02}")).collect();
    let event = |at: u32| {
        let customer = at / 8;
        let item = customer % 4 * 20 + (customer / 4 * 7 + at % 8 * (1 + customer / 80)) % 20;
        Event { customer, item, weight: 1.0, time: 0 }
    };
    let interactions = Interactions::new(&customers, &items, (0..3200).map(event).collect());
    let things = ["porcelain tea cup", "garden hose", "running shoe", "story book"];
    let mut texts: BTreeMap<String, String> = items
        .iter()
        .enumerate()
        .map(|(at, name)| (name.clone(), format!("{} {}", things[at / 20], at % 7)))
        .collect();
    for (at, thing) in things.iter().enumerate() {
        texts.insert(format!("new {at}"), format!("{thing} 3"));
    }
    let described = Described::new(&texts, &vec![None; texts.len()]);
    for algorithm in [Wanted::Ease, Wanted::Als] {
        let options = Options { algorithm, factors: Some(8), ..Options::default() };
        let with = |described| {
            let training = Training::new(&interactions, &options).unwrap();
            training.run(Context { described, ..Context::default() }, &mut || true).unwrap()
        };
        let Trained { model, cold, is_extended, .. } = with(Some(&described));
        let found = cold.unwrap();
        assert!(is_extended && found.by_text.ndcg > found.by_chance.ndcg, "{algorithm:?} {found:?}");
        let new = model.item_set(&names(&["new 0", "new 1", "new 2", "new 3"]));
        for customer in 0..8 {
            let name = format!("c{customer:03}");
            let query = Query { customer: Some(&name), count: 1, candidates: Some(&new), ..Query::default() };
            assert_eq!(model.recommend(query)[0].item, format!("new {}", customer % 4), "{algorithm:?}");
        }
        let alike = model.similar("new 2", 5).unwrap();
        assert!(alike.len() == 5 && alike.iter().all(|one| ("i40".."i60").contains(&one.item)), "{alike:?}");
        // What was there is recommended as before.
        let query = Query { customer: Some("c000"), count: 5, exclude_seen: true, ..Query::default() };
        let before = with(None).model;
        let list = |model: &Recommender| {
            model.recommend(query).iter().map(|one| one.item.to_owned()).collect::<Vec<_>>()
        };
        let after: Vec<String> = list(&model).into_iter().filter(|item| !item.starts_with("new")).collect();
        assert!(
            list(&before).starts_with(&after) || algorithm == Wanted::Als,
            "{after:?} {:?}",
            list(&before)
        );
    }
}
