//! The models that one execution of a node asks.
//!
//! Invariant: a name means the same version from the first row to the last, and the default model is that of the
//! statement's beginning; whether the calling role may use a version is looked at for every window.

use std::collections::HashMap;
use std::rc::Rc;

use crate::catalog::resolve::{Resolved, require_use, resolve};
use crate::error::Error;
use crate::guc;

/// What names mean here.
pub struct Models {
    default: String,
    known: HashMap<String, Rc<Resolved>>,
}

impl Models {
    /// For an execution that begins now.
    pub fn new() -> Self {
        Self { default: guc::default_model(), known: HashMap::new() }
    }

    /// The default model's name.
    pub fn default(&self) -> &str {
        &self.default
    }

    /// The version of a name, or of the default model's.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn version_of(&mut self, name: Option<&str>) -> Result<Rc<Resolved>, Error> {
        let name = name.unwrap_or(&self.default);
        if let Some(known) = self.known.get(name) {
            require_use(known)?;
            return Ok(Rc::clone(known));
        }
        let found = resolve(name)?;
        self.known.insert(name.to_owned(), Rc::clone(&found));
        Ok(found)
    }
}
