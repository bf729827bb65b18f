//! Trees in XGBoost's JSON, as its versions 1.7 to 3 read and write it.
//!
//! "Introduction to Model IO" in XGBoost's manual has the schema. Numbers of parameters are written as strings there.
//! It must not know columns. Invariant: trees that are written read back in every bit.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::forest::{Forest, RawNode, Tree};

/// What XGBoost has for the parent of a root.
const NO_PARENT: i64 = 2_147_483_647;

/// How a model that is written says which version wrote it.
const VERSION: [u32; 3] = [1, 7, 6];

/// A truth value, which some versions write as 0 or 1.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Truth(bool),
            Number(i64),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::Truth(truth) => truth,
            Either::Number(number) => number != 0,
        }))
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(self.0))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    learner: Learner,
    version: Vec<u32>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Learner {
    #[serde(default)]
    attributes: Value,
    #[serde(default)]
    feature_names: Vec<String>,
    #[serde(default)]
    feature_types: Vec<String>,
    gradient_booster: GradientBooster,
    learner_model_param: LearnerParameters,
    objective: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct GradientBooster {
    model: Model,
    name: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Model {
    gbtree_model_param: Value,
    tree_info: Vec<usize>,
    trees: Vec<TreeFile>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LearnerParameters {
    base_score: String,
    /// Whether a library shall find the base score itself: it would, of a model that doesn't say.
    #[serde(default = "zero")]
    boost_from_average: String,
    num_class: String,
    num_feature: String,
    #[serde(default = "one")]
    num_target: String,
}

fn zero() -> String {
    "0".to_owned()
}

fn one() -> String {
    "1".to_owned()
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct TreeFile {
    base_weights: Vec<f32>,
    #[serde(default)]
    categories: Vec<i64>,
    #[serde(default)]
    categories_nodes: Vec<i64>,
    #[serde(default)]
    categories_segments: Vec<i64>,
    #[serde(default)]
    categories_sizes: Vec<i64>,
    default_left: Vec<Flag>,
    id: usize,
    left_children: Vec<i64>,
    loss_changes: Vec<f32>,
    parents: Vec<i64>,
    right_children: Vec<i64>,
    split_conditions: Vec<f32>,
    split_indices: Vec<u32>,
    #[serde(default)]
    split_type: Vec<i64>,
    sum_hessian: Vec<f32>,
    tree_param: Value,
}

/// The forest of a file; `features` are those that there are.
///
/// # Errors
/// A few words on what is wrong.
pub fn read(bytes: &[u8], features: usize) -> Result<Forest, String> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let Learner { gradient_booster: booster, learner_model_param: parameters, objective, .. } = file.learner;
    if booster.name != "gbtree" {
        return Err(format!("its booster is \"{}\", not \"gbtree\"", booster.name));
    }
    let number = |name: &str, text: &str| {
        text.parse::<usize>().map_err(|_| format!("{name} is \"{text}\", which is not a number"))
    };
    if number("num_feature", &parameters.num_feature)? != features {
        return Err(format!("it has {} features, not {features}", parameters.num_feature));
    }
    let objective = objective["name"].as_str().unwrap_or_default();
    let base = base_score(&parameters.base_score)?;
    let base = match objective {
        "binary:logistic" => (base / (1.0 - base)).ln(),
        "multi:softprob" | "reg:squarederror" => base,
        other => return Err(format!("its objective is \"{other}\"")),
    };
    let sums = number("num_class", &parameters.num_class)?.max(1);
    let model = booster.model;
    if model.tree_info.len() != model.trees.len() {
        return Err("it has more or fewer trees than it says".to_owned());
    }
    let trees = model.trees.iter().map(|tree| tree.read(features));
    let trees = trees.collect::<Result<Vec<Tree>, _>>()?;
    Ok(Forest { base, sums, trees: model.tree_info.into_iter().zip(trees).collect() })
}

/// The base score: since version 3.1 a list, of one a class.
fn base_score(text: &str) -> Result<f64, String> {
    let all = text.trim_matches(['[', ']']).split(',').map(|one| one.trim().parse::<f64>());
    let all: Vec<f64> = all
        .collect::<Result<_, _>>()
        .map_err(|_| format!("base_score is \"{text}\", which is not a number"))?;
    match all.split_first() {
        Some((first, rest)) if rest.iter().all(|one| one == first) => Ok(*first),
        _ => Err(format!("base_score is \"{text}\", which differs between classes")),
    }
}

impl TreeFile {
    fn read(&self, features: usize) -> Result<Tree, String> {
        let count = self.left_children.len();
        let sizes = [
            self.right_children.len(),
            self.split_conditions.len(),
            self.split_indices.len(),
            self.default_left.len(),
            self.sum_hessian.len(),
            self.loss_changes.len(),
        ];
        if sizes.iter().any(|size| *size != count) {
            return Err("a tree has nodes without all of their numbers".to_owned());
        }
        if self.split_type.iter().any(|kind| *kind != 0) {
            return Err("a tree splits by categories".to_owned());
        }
        let node = |number: usize| {
            let child = |of: &[i64]| usize::try_from(of[number]).ok();
            RawNode {
                children: child(&self.left_children).zip(child(&self.right_children)),
                feature: self.split_indices[number],
                value: self.split_conditions[number],
                default_left: self.default_left[number].0,
                cover: self.sum_hessian[number],
                gain: self.loss_changes[number],
            }
        };
        Tree::new(&(0..count).map(node).collect::<Vec<_>>(), features)
    }

    fn of(id: usize, tree: &Tree, features: usize) -> Self {
        let count = tree.nodes.len();
        let mut file = Self { id, parents: vec![NO_PARENT; count], ..Self::default() };
        // Level by level: XGBoost takes the node after a left child for the right one.
        let mut order = vec![0];
        for number in 0..count {
            let Some(node) = order.get(number).and_then(|place: &usize| tree.nodes.get(*place)) else {
                break;
            };
            let (left, right) = if node.is_leaf() {
                (-1, -1)
            } else {
                let left = order.len();
                file.parents.iter_mut().skip(left).take(2).for_each(|parent| *parent = number as i64);
                order.extend([order[number] + 1, node.right as usize]);
                (left as i64, left as i64 + 1)
            };
            file.left_children.push(left);
            file.right_children.push(right);
            file.split_conditions.push(node.value);
            file.split_indices.push(if node.is_leaf() { 0 } else { node.feature });
            file.default_left.push(Flag(node.default_left && !node.is_leaf()));
            file.sum_hessian.push(node.cover);
            file.loss_changes.push(node.gain);
            file.base_weights.push(if node.is_leaf() { node.value } else { 0.0 });
        }
        file.split_type = vec![0; count];
        file.tree_param = json!({
            "num_deleted": "0", "num_feature": features.to_string(), "num_nodes": count.to_string(), "size_leaf_vector": "0",
        });
        file
    }
}

/// The file of a forest over features of these names.
pub fn write(forest: &Forest, feature_names: &[String], is_number: bool) -> impl Serialize + use<> {
    let features = feature_names.len();
    let weight = json!({ "scale_pos_weight": "1" });
    let (objective, base) = match (is_number, forest.sums) {
        (true, _) => (json!({ "name": "reg:squarederror", "reg_loss_param": weight }), forest.base),
        (false, 1) => {
            let probability = 1.0 / (1.0 + (-forest.base).exp());
            (json!({ "name": "binary:logistic", "reg_loss_param": weight }), probability)
        }
        (false, classes) => {
            let parameter = json!({ "num_class": classes.to_string() });
            (json!({ "name": "multi:softprob", "softmax_multiclass_param": parameter }), forest.base)
        }
    };
    let trees = forest.trees.iter().enumerate();
    File {
        learner: Learner {
            attributes: json!({}),
            feature_names: feature_names.to_vec(),
            feature_types: vec!["float".to_owned(); features],
            gradient_booster: GradientBooster {
                model: Model {
                    gbtree_model_param: json!({
                        "num_parallel_tree": "1", "num_trees": forest.trees.len().to_string(), "size_leaf_vector": "0",
                    }),
                    tree_info: forest.trees.iter().map(|(sum, _)| *sum).collect(),
                    trees: trees.map(|(id, (_, tree))| TreeFile::of(id, tree, features)).collect(),
                },
                name: "gbtree".to_owned(),
            },
            learner_model_param: LearnerParameters {
                // More digits than single precision has make the library read 0.5 instead.
                base_score: format!("{:E}", base as f32),
                boost_from_average: zero(),
                num_class: if forest.sums > 1 { forest.sums.to_string() } else { "0".to_owned() },
                num_feature: features.to_string(),
                num_target: one(),
            },
            objective,
        },
        version: VERSION.to_vec(),
    }
}
