//! The manual: README.md and `docs/`, and the SQL blocks in it.
//!
//! A block that opens with ```` ```sql ```` must succeed. One that opens with ```` ```sql error=42704 ```` must fail
//! with that SQLSTATE. Other languages are not run. A fence that might be taken for SQL by a reader and not by us, because
//! it is indented or spelt in another way, is refused, so that no block escapes the tests.

use std::fs;
use std::path::{Path, PathBuf};

use crate::installation::repository;

/// The languages of blocks that are shown and not run; none is for drawings.
const NOT_RUN: [&str; 4] = ["", "python", "sh", "text"];

/// A document, by its path from the root of the repository.
#[derive(Debug, Clone)]
pub struct Document {
    /// Such as `docs/sql.md`.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// One fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Line of its first statement, counted from 1.
    pub line: usize,
    /// The statements.
    pub sql: String,
    /// How it must fail, if it must.
    pub error: Option<String>,
}

/// README.md, and all that is in `docs/`, so that a new document needs no line in a test.
pub fn manual() -> Vec<Document> {
    let mut documents = markdown_below(Path::new("docs"));
    documents.insert(0, document(Path::new("README.md")));
    documents
}

/// Every Markdown file of the repository; what is built or downloaded, and what is hidden, is none of it.
pub fn markdown_files() -> Vec<Document> {
    markdown_below(Path::new(""))
}

fn markdown_below(folder: &Path) -> Vec<Document> {
    let mut entries: Vec<_> = fs::read_dir(repository().join(folder))
        .expect("a folder of the repository can be read")
        .map(|entry| entry.expect("a folder of the repository can be read"))
        .collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut documents = Vec::new();
    for entry in entries {
        let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
        let kind = entry.file_type().expect("a file of the repository has a type");
        if kind.is_dir() && name != "target" && name != "venv" && !name.as_encoded_bytes().starts_with(b".") {
            documents.extend(markdown_below(&path));
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "md") {
            documents.push(document(&path));
        }
    }
    documents
}

fn document(path: &Path) -> Document {
    let text = fs::read_to_string(repository().join(path))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Document { path: path.to_owned(), text }
}

/// The SQL blocks of a Markdown text, in order.
///
/// # Panics
/// If a fence is not written in the one way that is understood here, or a block doesn't end.
pub fn sql_blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    // Outside of blocks there is none; a block that is not run has no `Block`.
    let mut open: Option<Option<Block>> = None;
    for (number, line) in (1..).zip(markdown.lines()) {
        match &mut open {
            Some(_) if line.trim_end() == "```" => blocks.extend(open.take().flatten()),
            Some(Some(block)) => block.sql += &format!("{line}\n"),
            Some(None) => {}
            None => open = opening(line, number),
        }
    }
    assert!(open.is_none(), "a block doesn't end");
    blocks
}

/// The block that this line opens, if it opens one.
fn opening(line: &str, number: usize) -> Option<Option<Block>> {
    let fence = line.trim_start();
    if !fence.starts_with("```") && !fence.starts_with("~~~") {
        return None;
    }
    let info =
        line.strip_prefix("```").unwrap_or_else(|| panic!("line {number}: a fence like no other: {line}"));
    let mut words = info.split_whitespace();
    let language = words.next().unwrap_or_default();
    if language != "sql" {
        assert!(NOT_RUN.contains(&language), "line {number}: is {language} to be run?");
        return Some(None);
    }
    let error = words.next().map(|word| {
        let state = word.strip_prefix("error=").unwrap_or_else(|| panic!("line {number}: what is {word}?"));
        assert_eq!(state.len(), 5, "line {number}: {state} is no SQLSTATE");
        state.to_owned()
    });
    Some(Some(Block { line: number + 1, sql: String::new(), error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_sql_and_expected_errors_only() {
        let text = "a\n```sql\nSELECT 1;\n```\n```sh\nls\n```\n```sql error=42704\nSELECT x;\n```\n";
        let expected = [
            Block { line: 3, sql: "SELECT 1;\n".to_owned(), error: None },
            Block { line: 9, sql: "SELECT x;\n".to_owned(), error: Some("42704".to_owned()) },
        ];
        assert_eq!(sql_blocks(text), expected);
    }

    #[test]
    #[should_panic(expected = "a fence like no other")]
    fn refuses_fences_that_are_indented() {
        sql_blocks("- so:\n  ```sql\n  SELECT 1;\n  ```\n");
    }

    #[test]
    #[should_panic(expected = "is postgresql to be run?")]
    fn refuses_languages_that_it_does_not_know() {
        sql_blocks("```postgresql\nSELECT 1;\n```\n");
    }
}
