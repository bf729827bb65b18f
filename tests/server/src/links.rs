//! Links, headings and tables of Markdown, as GitHub renders them.
//!
//! Only what our documents use is understood: inline links, `#` headings, tables whose rows begin with `|`. It must not know
//! what the documents are about.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use crate::readme::Document;

/// What a reader would stumble over, as `docs/sql.md:12: what`; the repository is at `root`.
pub fn faults(documents: &[Document], root: &Path) -> Vec<String> {
    let anchors: HashMap<_, _> =
        documents.iter().map(|one| (one.path.as_path(), anchors(&one.text))).collect();
    let mut faults = Vec::new();
    for document in documents {
        for (line, target) in links(&document.text) {
            if let Some(fault) = broken(document, &target, &anchors, root) {
                faults.push(format!("{}:{line}: {target}: {fault}", document.path.display()));
            }
        }
    }
    faults
}

/// Why a link doesn't lead anywhere; those that leave the repository are not looked at.
fn broken(
    document: &Document,
    target: &str,
    anchors: &HashMap<&Path, HashSet<String>>,
    root: &Path,
) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = match file {
        "" => document.path.clone(),
        file => match resolved(document.path.parent().unwrap_or(Path::new("")), file) {
            Some(path) => path,
            None => return Some("is outside of the repository"),
        },
    };
    if !anchors.contains_key(path.as_path()) && !root.join(&path).exists() {
        return Some("there is no such file");
    }
    match anchor.map(|anchor| anchors.get(path.as_path()).is_some_and(|all| all.contains(anchor))) {
        Some(false) => Some("there is no such heading"),
        _ => None,
    }
}

/// A relative path from the root of the repository, without `..`.
fn resolved(folder: &Path, file: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in folder.join(file).components() {
        match component {
            Component::ParentDir => path.pop().then_some(())?,
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Line and target of each link and picture.
pub fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(markdown) {
        let line = without_code(line);
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.extend(targets.map(|(target, _)| (number, target.to_owned())));
    }
    links
}

/// Line, level and text of each heading.
pub fn headings(markdown: &str) -> Vec<(usize, usize, &str)> {
    let found = prose(markdown).filter_map(|(number, line)| {
        let level = line.len() - line.trim_start_matches('#').len();
        let text = line[level..].strip_prefix(' ')?;
        (1..=6).contains(&level).then_some((number, level, text.trim()))
    });
    found.collect()
}

/// Lines of tables that have another number of cells than their heads, which GitHub pads or cuts without a word.
pub fn ragged_rows(markdown: &str) -> Vec<usize> {
    let mut ragged = Vec::new();
    let mut before: Option<(usize, usize)> = None;
    for (number, line) in prose(markdown).filter(|(_, line)| line.starts_with('|')) {
        let cells = line.replace("\\|", "").matches('|').count();
        match before {
            Some((last, head)) if last + 1 == number => {
                ragged.extend((cells != head).then_some(number));
                before = Some((number, head));
            }
            _ => before = Some((number, cells)),
        }
    }
    ragged
}

/// What can stand behind `#`: headings in lower case, without punctuation, with `-` for spaces, numbered if they repeat.
fn anchors(markdown: &str) -> HashSet<String> {
    let mut counts = HashMap::new();
    let slugs = headings(markdown).into_iter().map(|(_, _, text)| {
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let count = counts.entry(slug.clone()).and_modify(|count| *count += 1).or_insert(0_usize);
        if *count == 0 { slug } else { format!("{slug}-{count}") }
    });
    slugs.collect()
}

/// The lines, numbered from 1, that are neither in a fence nor indented as code.
pub fn prose(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(markdown.lines()).filter(move |(_, line)| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    })
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn finds_links_that_lead_nowhere() {
        let text = "# A title\n[a](#a-title) [b](#b), `[c](#c)`\n\n    [d](#d)\n\n![e](../Cargo.toml) [f](g.md#f)\n\
                    [h](https://example.org/#h) [i](../../i)\n";
        let found = faults(&[document("docs/x.md", text)], &crate::installation::repository());
        let expected = [
            "docs/x.md:2: #b: there is no such heading",
            "docs/x.md:6: g.md#f: there is no such file",
            "docs/x.md:7: ../../i: is outside of the repository",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn makes_anchors_as_github_does() {
        let text = "## `jobs`, and job_metrics\n```\n# none\n```\n### Twice\n### Twice\n";
        let expected = ["jobs-and-job_metrics", "twice", "twice-1"].map(str::to_owned);
        assert_eq!(anchors(text), HashSet::from(expected));
    }

    #[test]
    fn finds_rows_that_lack_cells() {
        assert_eq!(ragged_rows("| a | b |\n|---|---|\n| `c \\| d` | e |\n| f |\n\n| g |\n|---|\n"), [4]);
    }
}
