//! Columns of the input that a node asks about and shows to nobody: a text, a whole row. Rows that are kept until they are answered
//! do without them.
//!
//! Invariant: what conditions and target list refer to is kept.

use pgrx::pg_sys::{self, CustomScan, INDEX_VAR, PlanState, TupleTableSlot};

use super::expression::{any, column_of};

/// Which columns aren't kept.
pub struct UnusedColumns {
    unused: Vec<bool>,
    /// Of the row at hand.
    nulls: Vec<bool>,
}

impl UnusedColumns {
    /// Of a node of ours; nothing if all columns are used.
    ///
    /// # Safety
    /// `plan` is a node of ours, `input` the state of its input.
    pub unsafe fn of(plan: *mut CustomScan, input: *mut PlanState) -> Option<Self> {
        // SAFETY: as the caller promises.
        unsafe {
            let columns = usize::try_from((*(*input).ps_ResultTupleDesc).natts).unwrap_or(0);
            let mut unused = vec![true; columns];
            for expressions in [(*plan).scan.plan.targetlist, (*plan).scan.plan.qual] {
                any(expressions.cast(), |node| {
                    let number = column_of(INDEX_VAR, node).and_then(|number| number.checked_sub(1));
                    if let Some(unused) = number.and_then(|number| unused.get_mut(number)) {
                        *unused = false;
                    }
                    false
                });
            }
            unused.contains(&true).then(|| Self { nulls: vec![true; columns], unused })
        }
    }

    /// The row of a slot, with NULL in these columns, in the current memory context.
    ///
    /// # Safety
    /// The slot holds a row of the input.
    pub unsafe fn minimal_tuple(&mut self, slot: *mut TupleTableSlot) -> pg_sys::MinimalTuple {
        // SAFETY: as the caller promises: the slot has as many columns.
        unsafe {
            pg_sys::slot_getallattrs(slot);
            for (at, null) in self.nulls.iter_mut().enumerate() {
                *null = self.unused[at] || *(*slot).tts_isnull.add(at);
            }
            let (columns, values) = ((*slot).tts_tupleDescriptor, (*slot).tts_values);
            #[cfg(not(feature = "pg18"))]
            return pg_sys::heap_form_minimal_tuple(columns, values, self.nulls.as_mut_ptr());
            #[cfg(feature = "pg18")]
            return pg_sys::heap_form_minimal_tuple(columns, values, self.nulls.as_mut_ptr(), 0);
        }
    }
}
