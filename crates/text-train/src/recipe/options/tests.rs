//! Tests of the options: defaults, ranges, and what errors say.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn parse(options: Value) -> Result<TrainingOptions, EngineError> {
    TrainingOptions::parse(&options, Objective::Classification)
}

#[track_caller]
fn assert_refused(options: Value, message: &str) {
    assert_eq!(parse(options).unwrap_err().message, message);
}

#[test]
fn nothing_given_means_defaults() {
    let options = parse(json!({})).unwrap();
    assert_eq!((options.learning_rate, options.num_train_epochs), (5e-5, 3));
    assert_eq!((options.per_device_train_batch_size, options.gradient_accumulation_steps), (32, 1));
    assert_eq!((options.weight_decay, options.warmup_ratio, options.max_grad_norm), (0.01, 0.1, 1.0));
    assert_eq!((options.lr_scheduler_type, options.seed), (SchedulerType::Linear, 42));
    assert_eq!((options.label_smoothing, options.class_weights), (0.0, ClassWeights::Equal));
    assert_eq!((options.hidden_dropout, options.max_length), (None, None));
    assert_eq!((options.eval_fraction, options.eval_strategy), (0.1, EvalStrategy::Epoch));
    assert_eq!((options.early_stopping_patience, options.metric_for_best_model), (None, Metric::Loss));
    assert_eq!(
        (options.calibration, options.tuning),
        (CalibrationMethod::Temperature, Tuning::Full { freeze_layers: 0 })
    );
    assert_eq!((options.augment, options.adversarial_epsilon), (Changes::default(), 0.0));
}

#[test]
fn all_options_are_read() {
    let options = parse(json!({
        "learning_rate": 1e-4, "num_train_epochs": 5.0, "per_device_train_batch_size": 16,
        "gradient_accumulation_steps": 2, "weight_decay": 0, "warmup_ratio": 0.5, "lr_scheduler_type": "cosine",
        "max_grad_norm": 0, "label_smoothing": 0.1, "class_weights": {"a": 2, "b": 0.5}, "hidden_dropout": 0.2,
        "max_length": 128, "seed": 7, "eval_fraction": 0.2, "eval_strategy": "epoch", "early_stopping_patience": 2,
        "metric_for_best_model": "eval_f1", "calibration": "none", "tuning": "lora", "lora_r": 4, "lora_alpha": 8, "freeze_layers": 3,
        "augment": {"word_drop": 0.1}, "adversarial_epsilon": 0, "where": "lang = 'en'", "deploy": "never",
        "keep_versions": 0,
    }))
    .unwrap();
    assert_eq!((options.num_train_epochs, options.max_length, options.seed), (5, Some(128), 7));
    assert_eq!((options.hidden_dropout, options.early_stopping_patience), (Some(0.2), Some(2)));
    assert_eq!((options.metric_for_best_model, options.calibration), (Metric::F1, CalibrationMethod::None));
    assert_eq!(options.tuning, Tuning::Lora { r: 4, alpha: 8.0, freeze_layers: 3 });
    assert_eq!(options.augment, Changes { word_drop: 0.1, ..Changes::default() });
    let weights = BTreeMap::from([("a".to_owned(), 2.0), ("b".to_owned(), 0.5)]);
    assert_eq!(options.class_weights, ClassWeights::Given(weights));
}

#[test]
fn unknown_options_are_refused_with_all_names() {
    let error = parse(json!({"learning_rat": 1})).unwrap_err();
    assert_eq!(error.message, "unknown training option \"learning_rat\"");
    assert!(error.hint.unwrap().starts_with("Options are learning_rate, num_train_epochs, "));
    assert_refused(json!([1]), "training options must be an object, not [1]");
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (options, message) in [
        (json!({"learning_rate": 0}), "\"learning_rate\" must be a number above 0 and at most 1, not 0"),
        (
            json!({"learning_rate": "1"}),
            "\"learning_rate\" must be a number above 0 and at most 1, not \"1\"",
        ),
        (
            json!({"num_train_epochs": 2.5}),
            "\"num_train_epochs\" must be a whole number from 1 to 1000, not 2.5",
        ),
        (
            json!({"num_train_epochs": -1}),
            "\"num_train_epochs\" must be a whole number from 1 to 1000, not -1",
        ),
        (json!({"seed": 1e300}), "\"seed\" must be a whole number from 0 to 9223372036854775807, not 1e+300"),
        (json!({"label_smoothing": 1}), "\"label_smoothing\" must be a number from 0 and below 1, not 1"),
        (json!({"weight_decay": true}), "\"weight_decay\" must be a number from 0 to 1, not true"),
        (json!({"tuning": "qlora"}), "\"tuning\" must be \"full\", \"head\" or \"lora\", not \"qlora\""),
        (json!({"hidden_dropout": 1}), "\"hidden_dropout\" must be a number from 0 to 0.9, not 1"),
        (
            json!({"class_weights": {"a": -1}}),
            "\"class_weights\" must be \"balanced\" or an object of labels with a number each, from 0 to 1000000, \
             not {\"a\":-1}",
        ),
    ] {
        assert_refused(options, &format!("training option {message}"));
    }
}

#[test]
fn long_values_are_cut_in_messages() {
    let error = parse(json!({"tuning": "é".repeat(100)})).unwrap_err();
    assert!(error.message.ends_with(&format!("\"{}...", "é".repeat(59))), "{}", error.message);
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (options, message) in [
        (json!({"lora_r": 4}), "\"lora_r\" needs \"tuning\" to be \"lora\""),
        (
            json!({"tuning": "head", "freeze_layers": 1}),
            "\"freeze_layers\" needs \"tuning\" to be \"full\" or \"lora\"",
        ),
        (
            json!({"eval_strategy": "no", "early_stopping_patience": 1}),
            "\"early_stopping_patience\" needs \"eval_strategy\" to be \"epoch\"",
        ),
        (
            json!({"eval_fraction": 0, "eval_strategy": "epoch"}),
            "\"eval_strategy\" needs \"eval_fraction\" to be above 0",
        ),
    ] {
        assert_refused(options, &format!("training option {message}"));
    }
    assert_eq!(parse(json!({"eval_fraction": 0})).unwrap().eval_strategy, EvalStrategy::No);
}

#[test]
fn all_changes_are_read() {
    let changes = parse(json!({"augment": {
        "duplicate": 0.5, "synonym": 0.1, "synonym_table": "public.synonyms", "word_drop": 0.2, "word_swap": 0.3,
        "noise": 0.02, "back_translation": 1, "back_translation_function": "public.paraphrase",
    }}));
    let expected = Changes {
        duplicate: 0.5,
        synonym: 0.1,
        synonym_table: true,
        word_drop: 0.2,
        word_swap: 0.3,
        noise: 0.02,
        back_translation: 1.0,
    };
    assert_eq!(changes.unwrap().augment, expected);
    let neighbours = parse(json!({"augment": {"synonym": 0.1}})).unwrap().augment;
    assert!(neighbours.wants_neighbours() && !expected.wants_neighbours());
}

#[test]
fn changes_are_checked_as_options_are() {
    for (changes, message) in [
        (json!(0.1), "\"augment\" must be an object of changes, not 0.1"),
        (json!({"drop_word": 0.1}), "\"augment\" has no \"drop_word\""),
        (json!({"noise": 1.5}), "\"augment.noise\" must be a number from 0 to 1, not 1.5"),
        (json!({"synonym": 1, "synonym_table": 7}), "\"augment.synonym_table\" must be some text, not 7"),
        (json!({"synonym_table": "words"}), "\"augment.synonym_table\" needs \"synonym\" to be above 0"),
        (
            json!({"back_translation": 0.5}),
            "\"augment.back_translation\" needs \"back_translation_function\", which gives other words for a text",
        ),
        (
            json!({"back_translation_function": "f", "back_translation": 0}),
            "\"augment.back_translation_function\" needs \"back_translation\" to be above 0",
        ),
    ] {
        assert_refused(json!({"augment": changes}), &format!("training option {message}"));
    }
    let hint = parse(json!({"augment": {"drop": 1}})).unwrap_err().hint.unwrap();
    assert!(hint.starts_with("It may have duplicate, synonym, synonym_table, word_drop, "), "{hint}");
    let error =
        TrainingOptions::parse(&json!({"augment": {"duplicate": 1}}), Objective::Regression).unwrap_err();
    assert_eq!(error.message, "training option \"augment.duplicate\" is not for regressions");
}

#[test]
fn only_embeddings_that_are_trained_can_be_moved() {
    let with = |mut options: Value| {
        options["adversarial_epsilon"] = json!(0.5);
        parse(options).map(|options| options.adversarial_epsilon)
    };
    assert_eq!(with(json!({})).unwrap(), 0.5);
    for (options, needed) in [
        (json!({"tuning": "lora"}), "\"tuning\" to be \"full\""),
        (json!({"tuning": "head"}), "\"tuning\" to be \"full\""),
        (json!({"freeze_layers": 1}), "\"freeze_layers\" to be 0"),
    ] {
        let message =
            format!("training option \"adversarial_epsilon\" needs {needed}, because it moves embeddings");
        assert_eq!(with(options).unwrap_err().message, message);
    }
}

#[test]
fn options_belong_to_an_objective() {
    let of = |objective, options| TrainingOptions::parse(&options, objective);
    let error = of(Objective::Regression, json!({"class_weights": "balanced"})).unwrap_err();
    assert_eq!(error.message, "training option \"class_weights\" is not for regressions");
    assert!(of(Objective::Rating, json!({"class_weights": "balanced"})).is_ok());
    let error = of(Objective::Regression, json!({"metric_for_best_model": "accuracy"})).unwrap_err();
    assert_eq!(
        error.message,
        "training option \"metric_for_best_model\" must be \"loss\", \"mae\" or \"rmse\", not \"accuracy\""
    );
}

#[test]
fn null_is_the_same_as_not_given() {
    assert_eq!(
        parse(json!({"seed": null, "lora_r": null, "max_length": null})).unwrap(),
        parse(json!({})).unwrap()
    );
}

#[test]
fn effective_options_are_the_same_ones() {
    for given in [
        json!({}),
        json!({"tuning": "head", "seed": null, "where": "lang = 'en'"}),
        json!({"tuning": "lora", "lora_r": 4, "freeze_layers": 2, "augment": {"noise": 0.1}}),
        json!({"eval_fraction": 0, "class_weights": "balanced", "lr_scheduler_type": "cosine"}),
        json!({"early_stopping_patience": 2, "metric_for_best_model": "eval_f1", "max_length": 64}),
    ] {
        let options = parse(given.clone()).unwrap();
        let effective = options.effective(&given);
        assert_eq!(parse(effective.clone()).unwrap(), options, "{effective}");
        assert!(effective["learning_rate"].is_number() && effective["seed"].is_number(), "{effective}");
    }
}

#[test]
fn few_weights_learn_faster() {
    let rate = |tuning: &str| parse(json!({"tuning": tuning})).unwrap().learning_rate;
    assert_eq!([rate("full"), rate("lora"), rate("head")], [5e-5, 5e-4, 1e-3]);
}

#[test]
fn sql_options_are_known_names() {
    assert!(SQL_OPTIONS.iter().all(|name| NAMES.contains(name)));
}
