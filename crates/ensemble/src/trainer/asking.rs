//! What members say of all rows of a training.
//!
//! It must not know labels. Invariant: an answer, or none, of each member for each row, in the order of the rows.

use ecommerce_ml_predictor::Sink;
use ecommerce_ml_protocol::training::JobOutput;
use ecommerce_ml_protocol::{EngineError, Input, Rows};

use crate::member::{Asked, Member};
use crate::model::Head;
use crate::says::Says;

/// Rows that members are asked of together: two such parts are under way at a time.
const PART: usize = 2048;

/// Asks all members of all rows, and tells how far it has come.
///
/// # Errors
/// Those of members, and if nobody listens.
pub(super) fn ask(
    members: &[Member],
    rows: &Rows,
    (head, text): (&Head, Option<&str>),
    sink: &mut dyn Sink,
) -> Result<Vec<Says>, EngineError> {
    let mut says = vec![Says::new(head.outputs()); members.len()];
    let of = rows.count as usize;
    let input = Input::Rows(rows.clone());
    let mut under_way: Option<Vec<Asked>> = None;
    for start in (0..of).step_by(PART) {
        let Input::Rows(part) = input.part(start..of.min(start + PART)) else { continue };
        let next = members.iter().map(|member| member.ask(&part, text)).collect::<Result<_, _>>()?;
        if let Some(before) = under_way.replace(next) {
            receive(members, head, before, &mut says)?;
        }
        sink.send(JobOutput::Reading { done: start as u64, of: of as u64 })?;
    }
    under_way.map_or(Ok(()), |last| receive(members, head, last, &mut says))?;
    Ok(says)
}

fn receive(members: &[Member], head: &Head, asked: Vec<Asked>, says: &mut [Says]) -> Result<(), EngineError> {
    for ((asked, member), says) in asked.into_iter().zip(members).zip(says) {
        says.extend(asked.wait(head, member.model.info().labels())?);
    }
    Ok(())
}
