//! Where states and pool live in the server's memory.
//!
//! A state is dropped with the memory context that the aggregate node gives us, whether the group is done, its window
//! starts anew, or the statement fails; the pool, which all groups of one aggregate call share, with the function's.
//! It must not know what a state holds. Invariant: only what [`AggregateCall::keep`] or [`transient`] returned
//! ever comes back as a state.

use std::cell::RefCell;
use std::rc::Rc;

use pgrx::datum::Internal;
use pgrx::{PgMemoryContexts, pg_sys};

use super::pool::Pool;
use crate::error::Error;

/// A call of a support function by an aggregate node.
pub struct AggregateCall {
    fcinfo: pg_sys::FunctionCallInfo,
    /// Of the group that is being worked on.
    context: pg_sys::MemoryContext,
}

impl AggregateCall {
    /// The call that is being made.
    ///
    /// # Errors
    /// [`Error::OutsideAggregate`].
    pub fn of(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self, Error> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the server called us with this.
        let kind = unsafe { pg_sys::AggCheckCallContext(fcinfo, &raw mut context) };
        if kind == 0 { Err(Error::OutsideAggregate) } else { Ok(Self { fcinfo, context }) }
    }

    /// Keeps a new state for as long as its group.
    pub fn keep<T>(&self, state: T) -> Internal {
        Internal::from(Some(PgMemoryContexts::For(self.context).leak_and_drop_on_delete(state).into()))
    }

    /// The state if there is one, else a new one.
    pub fn state_or<T>(&self, state: Internal, make: impl FnOnce() -> T) -> Internal {
        if state.initialized() { state } else { self.keep(make()) }
    }

    /// The pool of this transition function, which all groups of the aggregate call share.
    pub fn pool(&self) -> Rc<RefCell<Pool>> {
        // SAFETY: the server gave us the function's call info, whose `fn_extra` is ours, and null at first. What we
        // put there lives as long as the context that holds the call info.
        unsafe {
            let function = (*self.fcinfo).flinfo;
            if (*function).fn_extra.is_null() {
                let mut context = PgMemoryContexts::For((*function).fn_mcxt);
                let pool: *mut Rc<RefCell<Pool>> = context.leak_and_drop_on_delete(Rc::default());
                (*function).fn_extra = pool.cast();
            }
            Rc::clone(&*(*function).fn_extra.cast::<Rc<RefCell<Pool>>>())
        }
    }
}

/// A state for as long as the value that reaches the server from here, in the memory of the current call.
pub fn transient<T>(state: T) -> Internal {
    Internal::new(state)
}

/// A state that the server handed back to us.
///
/// # Errors
/// [`Error::Unexpected`] if it is null.
///
/// # Safety
/// The state was made by [`AggregateCall::keep`] or [`transient`] of this type, and nothing else refers to it now.
pub unsafe fn state_mut<T>(state: &mut Internal) -> Result<&mut T, Error> {
    // SAFETY: as demanded above.
    unsafe { state.get_mut() }.ok_or(Error::Unexpected("an aggregate without state"))
}
