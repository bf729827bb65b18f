//! The SQL blocks of the manual.
//!
//! A block that opens with ```` ```sql ```` must succeed. One that opens with ```` ```sql error=42704 ```` must fail
//! with that SQLSTATE. Other languages are not run.

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

/// The SQL blocks of a Markdown text, in order.
pub fn sql_blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(markdown.lines()) {
        match &mut open {
            Some(_) if line.trim_end() == "```" => blocks.extend(open.take()),
            Some(block) => block.sql += &format!("{line}\n"),
            None => open = opening(line).map(|error| Block { line: number + 1, sql: String::new(), error }),
        }
    }
    blocks
}

/// How the block that this line opens must fail; `None` if it opens no block of SQL.
fn opening(line: &str) -> Option<Option<String>> {
    let mut words = line.strip_prefix("```")?.split_whitespace();
    (words.next()? == "sql").then(|| words.find_map(|word| word.strip_prefix("error=")).map(str::to_owned))
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
}
