//! All options of a training as one JSON object: those that were given, and the defaults of the others.
//!
//! It must not know what an option does. Invariant: parsed again, it gives the same options.

use serde_json::{Map, Value, json};

use super::{EvalStrategy, SCHEDULERS, TrainingOptions, Tuning};

impl TrainingOptions {
    /// What holds, given what the user wrote: `given`, completed. What the model decides (`max_length`,
    /// `hidden_dropout`) and what isn't limited is left out unless it was given.
    pub fn effective(&self, given: &Value) -> Value {
        let schedule =
            SCHEDULERS.iter().find(|(_, kind)| *kind == self.lr_scheduler_type).map(|(name, _)| *name);
        let strategy = if self.eval_strategy == EvalStrategy::Epoch { "epoch" } else { "no" };
        let mut all = json!({
            "learning_rate": self.learning_rate,
            "num_train_epochs": self.num_train_epochs,
            "per_device_train_batch_size": self.per_device_train_batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            "weight_decay": self.weight_decay,
            "warmup_ratio": self.warmup_ratio,
            "lr_scheduler_type": schedule,
            "max_grad_norm": self.max_grad_norm,
            "seed": self.seed,
            "eval_fraction": self.eval_fraction,
            "eval_strategy": strategy,
        });
        if let Value::Object(all) = &mut all {
            if self.eval_strategy == EvalStrategy::Epoch {
                all.insert("metric_for_best_model".to_owned(), json!(self.metric_for_best_model.as_str()));
            }
            tuning(self.tuning, all);
            let given = given.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
            all.extend(given.map(|(name, value)| (name.clone(), value.clone())));
        }
        all
    }
}

fn tuning(tuning: Tuning, all: &mut Map<String, Value>) {
    let (name, freeze_layers) = match tuning {
        Tuning::Full { freeze_layers } => ("full", Some(freeze_layers)),
        Tuning::Head => ("head", None),
        Tuning::Lora { r, alpha, freeze_layers } => {
            all.insert("lora_r".to_owned(), json!(r));
            all.insert("lora_alpha".to_owned(), json!(alpha));
            ("lora", Some(freeze_layers))
        }
    };
    all.insert("tuning".to_owned(), json!(name));
    if let Some(layers) = freeze_layers {
        all.insert("freeze_layers".to_owned(), json!(layers));
    }
}
