//! Rows of typed columns, put together.
//!
//! It must not know labels. Invariant: rows that were put together and then [picked](Rows::picked) are the same columns, in whatever
//! parts they came.

use std::collections::HashMap;

use ecommerce_ml_protocol::{Column, EngineError, ErrorKind, Field, Rows, Values};

/// Puts rows together, with the columns of `fields` in their order.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] if some rows lack one of the columns, or have it with another type.
pub fn concatenated(parts: Vec<Rows>, fields: &[Field]) -> Result<Rows, EngineError> {
    let count = parts.iter().map(|rows| rows.count).sum();
    let mut parts: Vec<HashMap<String, Values>> = parts
        .into_iter()
        .map(|rows| rows.columns.into_iter().map(|column| (column.name, column.values)).collect())
        .collect();
    let columns = fields.iter().map(|field| {
        let mut values = empty(field);
        for part in &mut parts {
            let own = part.remove(&field.name).ok_or_else(|| refused(field, "lacks"))?;
            append(&mut values, own).map_err(|()| refused(field, "has another type in"))?;
        }
        Ok(Column { name: field.name.clone(), values })
    });
    Ok(Rows { count, columns: columns.collect::<Result<_, EngineError>>()? })
}

fn empty(field: &Field) -> Values {
    use ecommerce_ml_protocol::ValueType;
    match field.value_type {
        ValueType::Text => Values::Text { dictionary: Vec::new(), codes: Vec::new() },
        ValueType::Number => Values::Number(Vec::new()),
        ValueType::Boolean => Values::Boolean(Vec::new()),
        ValueType::Timestamp => Values::Timestamp(Vec::new()),
    }
}

/// Adds values of the same type. A text may stand twice in the dictionary then.
fn append(all: &mut Values, own: Values) -> Result<(), ()> {
    match (all, own) {
        (Values::Text { dictionary, codes }, Values::Text { dictionary: texts, codes: own }) => {
            let before = dictionary.len() as u32;
            dictionary.extend(texts);
            codes.extend(own.into_iter().map(|code| code.map(|code| code + before)));
        }
        (Values::Number(all), Values::Number(own)) => all.extend(own),
        (Values::Boolean(all), Values::Boolean(own)) => all.extend(own),
        (Values::Timestamp(all), Values::Timestamp(own)) => all.extend(own),
        _ => return Err(()),
    }
    Ok(())
}

fn refused(field: &Field, what: &str) -> EngineError {
    let message = format!("column \"{}\" of the rows to learn from {what} some of them", field.name);
    EngineError::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use ecommerce_ml_protocol::ValueType;

    use super::*;

    fn text(texts: &[Option<&str>]) -> Rows {
        // As a worker may send it: with what no row has.
        let mut dictionary = vec!["unused".to_owned()];
        let codes = texts.iter().map(|text| {
            text.map(|text| {
                dictionary.push(text.to_owned());
                dictionary.len() as u32 - 1
            })
        });
        let codes = codes.collect();
        let columns = vec![Column { name: "colour".to_owned(), values: Values::Text { dictionary, codes } }];
        Rows { count: texts.len() as u32, columns }
    }

    fn colour() -> [Field; 1] {
        [Field { name: "colour".to_owned(), value_type: ValueType::Text }]
    }

    #[test]
    fn the_way_to_some_rows_makes_no_difference() {
        let parts = vec![text(&[Some("red"), None]), text(&[Some("blue"), Some("red")])];
        let all = concatenated(parts, &colour()).unwrap();
        assert_eq!(all.count, 4);
        let values = all.picked(&[3, 1, 2]).columns.remove(0).values;
        let dictionary = vec!["blue".to_owned(), "red".to_owned()];
        assert_eq!(values, Values::Text { dictionary, codes: vec![Some(1), None, Some(0)] });
        let Values::Text { dictionary, .. } = all.picked(&[0]).columns.remove(0).values else {
            unreachable!()
        };
        assert_eq!(dictionary, ["red"]);
    }

    #[test]
    fn rows_must_have_the_columns() {
        let error = concatenated(vec![Rows { count: 1, columns: Vec::new() }], &colour()).unwrap_err();
        assert_eq!(error.message, "column \"colour\" of the rows to learn from lacks some of them");
        let number = [Field { name: "colour".to_owned(), value_type: ValueType::Number }];
        assert!(concatenated(vec![text(&[None])], &number).is_err());
    }
}
