//! What of a session gives names, conditions and policies their meaning, so that work that is done for it elsewhere means
//! the same.
//!
//! It must not know what the work is. Invariant: only settings that anyone may change travel, so whoever applies them
//! gains nothing by it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use pgrx::{JsonB, pg_sys};
use serde_json::Value;

use super::privilege::SYSTEM_PATH;
use crate::error::Error;

/// Settings of the server's own that change what a condition, a policy or a label says, in whatever way they were set.
const MEANINGFUL: [&CStr; 8] = [
    c"DateStyle",
    c"IntervalStyle",
    c"TimeZone",
    c"default_text_search_config",
    c"extra_float_digits",
    c"row_security",
    c"standard_conforming_strings",
    c"transform_null_equals",
];

/// What a session has of that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    pub search_path: String,
    /// Values by name: those of [`MEANINGFUL`], and those with a dot in their name that the session has set, such as
    /// `app.tenant`.
    pub settings: BTreeMap<String, String>,
}

impl Session {
    /// That of the calling session, as it is now.
    pub fn current() -> Self {
        let named = MEANINGFUL.iter().filter_map(|name| Some((text(name), value(name)?)));
        let settings = named.chain(set_with_dot()).collect();
        Self { search_path: value(c"search_path").unwrap_or_default(), settings }
    }

    /// One for statements of our own.
    pub fn system() -> Self {
        Self { search_path: SYSTEM_PATH.to_owned(), settings: BTreeMap::new() }
    }

    /// The settings as our tables keep them.
    pub fn to_json(&self) -> JsonB {
        JsonB(self.settings.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect())
    }

    /// What [`to_json`](Self::to_json) has made.
    pub fn from_json(search_path: String, settings: &Value) -> Self {
        let pairs = settings.as_object().into_iter().flatten();
        let texts = pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Self { search_path, settings: texts.collect() }
    }

    /// Makes the current session like it, until the server takes the current level of settings back.
    ///
    /// # Errors
    /// None in practice: no setting has a NUL. The server's own errors, for a value that it refuses here, end the
    /// statement.
    pub(super) fn apply(&self) -> Result<(), Error> {
        let path = ("search_path".to_owned(), safe_path(&self.search_path));
        for (name, value) in std::iter::once((&path.0, &path.1)).chain(&self.settings) {
            let (name, value) = (terminated(name)?, terminated(value)?);
            // SAFETY: whoever calls has opened a level of settings.
            unsafe { set_in_level(&name, &value) };
        }
        Ok(())
    }
}

/// Sets what anyone may set, until the server takes the current level of settings back.
///
/// # Safety
/// Within a level of settings (`NewGUCNestLevel`) that somebody ends.
pub unsafe fn set_in_level(name: &CStr, value: &CStr) {
    // SAFETY: terminated strings, and a level as the caller promises.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// Temporary relations are looked for first unless a path says otherwise; those of the calling session are not what the
/// names meant to somebody else.
fn safe_path(path: &str) -> String {
    let names_temporary = path.split(',').any(|name| name.trim().trim_matches('"') == "pg_temp");
    match path.trim() {
        _ if names_temporary => path.to_owned(),
        "" => "pg_catalog, pg_temp".to_owned(),
        path => format!("{path}, pg_temp"),
    }
}

fn set_with_dot() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for setting in all_settings() {
        // SAFETY: the server's own table of settings, which nothing changes meanwhile.
        let (name, is_set, is_anyones) = unsafe {
            let setting = &*setting;
            (
                CStr::from_ptr(setting.name),
                setting.source >= pg_sys::GucSource::PGC_S_CLIENT,
                setting.context == pg_sys::GucContext::PGC_USERSET,
            )
        };
        if is_set && is_anyones && name.to_bytes().contains(&b'.') {
            found.extend(value(name).map(|value| (text(name), value)));
        }
    }
    found
}

#[cfg(any(feature = "pg14", feature = "pg15"))]
fn all_settings() -> Vec<*mut pg_sys::config_generic> {
    // SAFETY: a table of so many entries.
    unsafe {
        let count = usize::try_from(pg_sys::GetNumConfigOptions()).unwrap_or(0);
        std::slice::from_raw_parts(pg_sys::get_guc_variables(), count).to_vec()
    }
}

#[cfg(not(any(feature = "pg14", feature = "pg15")))]
fn all_settings() -> Vec<*mut pg_sys::config_generic> {
    let mut count = 0;
    // SAFETY: an array of so many entries, in memory of the current context.
    unsafe {
        let first = pg_sys::get_guc_variables(&raw mut count);
        std::slice::from_raw_parts(first, usize::try_from(count).unwrap_or(0)).to_vec()
    }
}

/// The value of a setting; `None` if there is no such setting.
fn value(name: &CStr) -> Option<String> {
    // SAFETY: a terminated name; the value is null or a terminated string of the server's.
    let value = unsafe { pg_sys::GetConfigOption(name.as_ptr(), true, false) };
    // SAFETY: as above.
    (!value.is_null()).then(|| text(unsafe { CStr::from_ptr(value) }))
}

fn text(value: &CStr) -> String {
    value.to_string_lossy().into_owned()
}

fn terminated(value: &str) -> Result<CString, Error> {
    CString::new(value).map_err(|_| Error::Unexpected("a setting with a NUL"))
}
