//! Which files a model consists of, and the address that its content has: one rule for imports, hubs and versions.
//!
//! It must not know what the files mean, only which names matter. Invariant: the address depends on names and bytes alone, not on
//! where they came from or in which order.

use sha2::Digest;

use crate::message::{FileEntry, Sha256};

/// Files that matter by their whole name: those of the Hugging Face layout, then those of models that aren't in it.
const NAMES: [&str; 13] = [
    "config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
    "ensemble.json",
    "features.json",
    "model.json",
    "signature.json",
    "texts.json",
    "trees.json",
];

/// Files that matter by the end of their name.
const SUFFIXES: [&str; 2] = [".safetensors", ".safetensors.index.json"];

/// Before the number of a member, where a model holds the files of others.
const MEMBER: &str = "member_";

/// Whether a file of this name is part of a model; all others are passed over.
pub fn is_model_file(name: &str) -> bool {
    let name = member_file(name).map_or(name, |(_, name)| name);
    NAMES.contains(&name) || (!name.contains('/') && SUFFIXES.iter().any(|suffix| name.ends_with(suffix)))
}

/// Of a file of a member of an ensemble the number of the member, from 1 on, and the name that it has there; none of another file.
pub fn member_file(name: &str) -> Option<(usize, &str)> {
    let (number, name) = name.strip_prefix(MEMBER)?.split_once('.')?;
    let is_written_so = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    Some((number.parse().ok().filter(|_| is_written_so)?, name))
}

/// Names a model by its content: SHA-256 over `name \0 size \0 hash in hex \n` of each file in the order of names.
pub fn content_address(manifest: &[FileEntry]) -> Sha256 {
    let mut entries: Vec<&FileEntry> = manifest.iter().collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = sha2::Sha256::new();
    for entry in entries {
        hasher.update(format!("{}\0{}\0{}\n", entry.name, entry.size, entry.sha256));
    }
    Sha256(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_model_consists_of() {
        for name in
            ["config.json", "vocab.json", "merges.txt", "model.safetensors", "model.json", "a.safetensors"]
        {
            assert!(is_model_file(name), "{name}");
        }
        for name in
            ["member_1.config.json", "member_12.model.json", "member_2.model.safetensors", "ensemble.json"]
        {
            assert!(is_model_file(name), "{name}");
        }
        for name in
            ["member_0.model.json", "member_.model.json", "member_1.README.md", "member_1./model.json"]
        {
            assert!(!is_model_file(name), "{name}");
        }
        for name in ["README.md", "pytorch_model.bin", "onnx/model.safetensors", "my_config.json", ""] {
            assert!(!is_model_file(name), "{name}");
        }
    }

    #[test]
    fn the_order_of_files_makes_no_difference() {
        let file = |name: &str, size| FileEntry { name: name.to_owned(), size, sha256: Sha256([1; 32]) };
        let (one, other) = (file("a", 1), file("b", 2));
        let address = content_address(&[one.clone(), other.clone()]);
        assert_eq!(address, content_address(&[other.clone(), one.clone()]));
        assert_ne!(address, content_address(&[one]));
        // Written down once: versions are kept under their addresses.
        assert_eq!(
            content_address(&[other]).to_string(),
            "303884c5066fa58674cdd7f63aae8691d461d91d8ed770f4fa6b2284bf63c5b4"
        );
    }
}
