//! Prepacked weights kept on disk, so that an engine that is started again has its models at once.
//!
//! It must not know models. Invariant: what is found is what was kept, or nothing: files are named by what they were made
//! from, checked when they are opened, and never changed. Losing them costs time only.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ecommerce_ml_tensor_cpu::PrepackedWeights;

/// End of the names of complete files.
const SUFFIX: &str = ".weights";

/// Begin of the names of files being written.
const UNFINISHED: &str = "unfinished-";

/// A folder of prepacked weights.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Most bytes of all files.
    capacity: u64,
}

/// A complete file.
struct StoredFile {
    path: PathBuf,
    bytes: u64,
    last_used: SystemTime,
}

impl Store {
    /// The store in a folder, which is made when something is kept.
    ///
    /// What an engine that died left unfinished there is deleted; the folder must not be another running engine's.
    pub fn new(folder: PathBuf, capacity: u64) -> Self {
        for path in paths(&folder) {
            if name(&path).starts_with(UNFINISHED) {
                let _ = fs::remove_file(path);
            }
        }
        Self { folder, capacity }
    }

    /// What was kept under this name. A damaged file is deleted.
    pub fn get(&self, name: &str) -> Option<PrepackedWeights> {
        let path = self.path(name);
        let file = File::open(&path).ok()?;
        match PrepackedWeights::map(&file) {
            Ok(prepacked) => {
                // For the order of deletion only.
                let _ = file.set_modified(SystemTime::now());
                Some(prepacked)
            }
            Err(_) => {
                let _ = fs::remove_file(path);
                None
            }
        }
    }

    /// Keeps prepacked weights under this name, and gives them back from the file, so that they take no memory of their own; or
    /// as they were, if they can't be kept.
    pub fn insert(&self, name: &str, prepacked: PrepackedWeights) -> PrepackedWeights {
        match self.write(name, &prepacked) {
            Ok(()) => self.get(name).unwrap_or(prepacked),
            Err(_) => prepacked,
        }
    }

    fn write(&self, name: &str, prepacked: &PrepackedWeights) -> io::Result<()> {
        let bytes = prepacked.size() as u64;
        if bytes > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        fs::create_dir_all(&self.folder)?;
        self.evict(bytes);
        let unfinished = self.folder.join(format!("{UNFINISHED}{name}"));
        let written = File::create(&unfinished).and_then(|mut file| {
            prepacked.write(&mut file)?;
            fs::rename(&unfinished, self.path(name))
        });
        if written.is_err() {
            let _ = fs::remove_file(unfinished);
        }
        written
    }

    /// Deletes the files that were not used for longest, until so many bytes fit.
    fn evict(&self, bytes: u64) {
        let mut files = self.files();
        files.sort_by_key(|file| file.last_used);
        let mut total: u64 = files.iter().map(|file| file.bytes).sum();
        for file in files {
            if total + bytes <= self.capacity {
                return;
            }
            if fs::remove_file(file.path).is_ok() {
                total -= file.bytes;
            }
        }
    }

    fn files(&self) -> Vec<StoredFile> {
        let complete = paths(&self.folder).into_iter().filter(|path| name(path).ends_with(SUFFIX));
        let describe = |path: PathBuf| {
            let data = path.metadata().ok()?;
            Some(StoredFile { bytes: data.len(), last_used: data.modified().ok()?, path })
        };
        complete.filter_map(describe).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{SUFFIX}"))
    }
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecommerce_ml_tensor_cpu::PrepackedBuilder;

    fn prepacked(numbers: usize) -> PrepackedWeights {
        let mut prepacked = PrepackedBuilder::default();
        prepacked.add("part", &vec![1.5_f32; numbers]);
        prepacked.finish(serde_json::json!({ "numbers": numbers }))
    }

    fn part(prepacked: PrepackedWeights, numbers: usize) -> Vec<f32> {
        std::sync::Arc::new(prepacked).numbers("part", numbers).unwrap().to_vec()
    }

    #[test]
    fn what_is_kept_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("new"), 1 << 20);
        assert!(store.get("a").is_none());
        assert_eq!(part(store.insert("a", prepacked(100)), 100), [1.5; 100]);
        let found = Store::new(folder.path().join("new"), 1 << 20).get("a").unwrap();
        assert_eq!(found.about()["numbers"], 100);
        assert_eq!(part(found, 100), [1.5; 100]);
    }

    #[test]
    fn a_damaged_file_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned(), 1 << 20);
        let path = folder.path().join("a.weights");
        for at in [0, 9, 20, 200] {
            drop(store.insert("a", prepacked(100)));
            let mut bytes = fs::read(&path).unwrap();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            assert!(store.get("a").is_none());
            assert!(!path.exists());
        }
        for length in [0, 5, 16, 40, 300] {
            drop(store.insert("a", prepacked(100)));
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(store.get("a").is_none());
        }
    }

    #[test]
    fn the_least_recently_used_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned(), 10_000);
        let day = |day: u64| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(86_400 * day);
        for (name, used) in [("a", 2), ("b", 1), ("c", 3)] {
            drop(store.insert(name, prepacked(700)));
            File::open(store.path(name)).unwrap().set_modified(day(used)).unwrap();
        }
        drop(store.insert("d", prepacked(700)));
        assert!(store.get("b").is_none());
        assert!(["a", "c", "d"].into_iter().all(|name| store.get(name).is_some()));
    }

    #[test]
    fn what_is_too_large_stays_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned(), 100);
        assert_eq!(part(store.insert("a", prepacked(100)), 100), [1.5; 100]);
        assert!(store.get("a").is_none());
    }

    #[test]
    fn unfinished_files_are_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join("unfinished-a");
        fs::write(&unfinished, "half").unwrap();
        Store::new(folder.path().to_owned(), 100);
        assert!(!unfinished.exists());
    }
}
