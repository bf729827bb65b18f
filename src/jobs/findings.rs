//! What to know of the rows of a training, in words.
//!
//! Invariant: a kind of finding has one name, and is there only if there is something to say.

use ecommerce_ml_protocol::training::{Findings, Prepared};
use serde_json::{Value, json};

/// All that there is to say, each as a JSON object with its kind, its counts and a message.
///
/// Of columns, what is said of a text is said of all that is read of a row.
pub fn notices(prepared: &Prepared, of_columns: bool) -> Value {
    let (one, several) = if of_columns { ("set of values", "sets of values") } else { ("text", "texts") };
    let Findings {
        repeated_rows,
        repeated_held_out_rows,
        similar_texts,
        contradicting_texts,
        contradicting_rows,
        ref leaking_columns,
        ref constant_columns,
        ref distinct_columns,
        equal_held_out_rows,
    } = prepared.findings;
    let mut notices = Vec::new();
    if contradicting_texts > 0 {
        let texts = counted(contradicting_texts, &format!("{one} has"), &format!("{several} have"));
        notices.push(json!({
            "kind": "contradicting_labels", "texts": contradicting_texts, "rows": contradicting_rows,
            "message": format!("{texts} more than one label, in {contradicting_rows} rows"),
        }));
    }
    if repeated_rows > 0 {
        let rows = counted(repeated_rows, "row repeats another", "rows repeat others");
        let left_out = counted(repeated_held_out_rows, "of them is", "of them are");
        notices.push(json!({
            "kind": "repeated_rows", "rows": repeated_rows, "held_out_rows": repeated_held_out_rows,
            "message": format!("{rows}; {left_out} neither learned from nor measured on, since what is held out counts once"),
        }));
    }
    if similar_texts > 0 {
        notices.push(json!({
            "kind": "similar_texts", "texts": similar_texts,
            "message": format!("{similar_texts} {several} differ from others only in case or white space; they are learned from, \
                                or held out, together with those"),
        }));
    }
    for column in leaking_columns {
        notices.push(json!({
            "kind": "leaking_column", "column": column,
            "message": format!("column \"{column}\" alone tells the label (area under the ROC curve above 0.99); leave it out if it is \
                                known only afterwards"),
        }));
    }
    for column in constant_columns {
        notices.push(json!({
            "kind": "constant_column", "column": column,
            "message": format!("column \"{column}\" never changes in the rows learned from, so nothing is learned from it"),
        }));
    }
    for column in distinct_columns {
        notices.push(json!({
            "kind": "distinct_column", "column": column,
            "message": format!("next to every row has a text of its own in column \"{column}\", so it tells nothing of new rows; leave it out, \
                                or have it read as a text with option \"text_features\""),
        }));
    }
    if equal_held_out_rows > 0 {
        let rows = counted(equal_held_out_rows, "row held out has", "rows held out have");
        notices.push(json!({
            "kind": "equal_rows", "held_out_rows": equal_held_out_rows,
            "message": format!("{rows} the same values as rows learned from; if rows were copied, by a join for example, train from a view \
                                with SELECT DISTINCT, since what is measured on copies is too good"),
        }));
    }
    if prepared.held_out_rows == 0 {
        notices.push(json!({
            "kind": "nothing_held_out", "message": "no rows are held out, so nothing is measured",
        }));
    }
    notices.into()
}

/// Adds what is to be said of the rows that members of an ensemble were trained on.
pub fn add_of_members(notices: &mut Value, known: i64, unknown: &[String]) {
    let Value::Array(notices) = notices else { return };
    if known > 0 {
        let rows = counted(known.unsigned_abs(), "row is", "rows are");
        notices.push(json!({
            "kind": "rows_of_members", "rows": known,
            "message": format!("{rows} neither learned from nor measured on, since members were trained on them"),
        }));
    }
    for member in unknown {
        notices.push(json!({
            "kind": "rows_of_member_unknown", "member": member,
            "message": format!("nobody knows which of the rows member \"{member}\" was trained on; if there are any, it is believed too \
                                much, and what is measured is too good"),
        }));
    }
}

/// The messages of notices.
pub fn messages(notices: &Value) -> impl Iterator<Item = &str> {
    notices.as_array().into_iter().flatten().filter_map(|notice| notice["message"].as_str())
}

fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
