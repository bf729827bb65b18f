//! `name` stands for a model's live version, `name@3` for its version 3.
//!
//! Invariant: a [`ModelName`] can be put into any message or file name as it is.

use std::fmt;

use crate::error::Error;

/// Longest name of a model, as of any PostgreSQL identifier.
const MAX_LENGTH: usize = 63;

/// The name of a model, with a version or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName {
    pub name: String,
    pub version: Option<i32>,
}

impl ModelName {
    /// Reads `name` or `name@version`.
    ///
    /// # Errors
    /// [`Error::InvalidModelName`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let invalid = || Error::InvalidModelName(text.chars().take(2 * MAX_LENGTH).collect());
        let version = version.map(parse_version).transpose().map_err(|()| invalid())?;
        if !is_name(name) {
            return Err(invalid());
        }
        Ok(Self { name: name.to_owned(), version })
    }

    /// Reads a name that must not carry a version.
    ///
    /// # Errors
    /// [`Error::InvalidModelName`].
    pub fn parse_bare(text: &str) -> Result<String, Error> {
        match Self::parse(text)? {
            Self { name, version: None } => Ok(name),
            _ => Err(Error::InvalidModelName(text.to_owned())),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn parse_version(text: &str) -> Result<i32, ()> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|version| digits && *version > 0).ok_or(())
}

fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    begins && text.len() <= MAX_LENGTH && text.bytes().all(rest)
}
