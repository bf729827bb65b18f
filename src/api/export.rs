//! Exporting a model in the layout that `transformers` reads.
//!
//! Invariant: nothing that exists is overwritten; an export that fails removes the files that it made.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use ecommerce_ml_protocol::{FileEntry, ModelSource, Sha256};
use pgrx::pg_extern;
use pgrx::pg_sys::panic::ErrorReport;

use crate::catalog::resolve::resolve;
use crate::catalog::{content, privilege};
use crate::error::Error;
use crate::runtime;

/// Writes a model's files into a folder of the server, which is made if need be and must hold nothing yet.
#[pg_extern]
fn export_model(model: &str, directory: &str) -> Result<(), ErrorReport> {
    privilege::require_role("pg_write_server_files", "export a model")?;
    let resolved = resolve(model)?;
    let mut folder = ExportFolder::open(Path::new(directory))?;
    match &resolved.reference.source {
        ModelSource::Builtin(name) => copy(&runtime::builtin_models().join(name), &mut folder)?,
        ModelSource::Content(sha256) => unpack(*sha256, &mut folder)?,
    }
    folder.keep();
    Ok(())
}

/// The folder being filled. Unless told to [`keep`](Self::keep) them, it removes the files that it made.
struct ExportFolder {
    directory: PathBuf,
    made: Vec<PathBuf>,
}

impl ExportFolder {
    fn open(directory: &Path) -> Result<Self, Error> {
        if !directory.is_absolute() {
            return Err(Error::RelativePath(directory.display().to_string()));
        }
        let failed = |error| Error::file("make directory", directory, error);
        fs::create_dir_all(directory).map_err(failed)?;
        if fs::read_dir(directory).map_err(failed)?.next().is_some() {
            return Err(Error::DirectoryNotEmpty(directory.display().to_string()));
        }
        Ok(Self { directory: directory.to_owned(), made: Vec::new() })
    }

    fn create(&mut self, name: &str) -> Result<(File, PathBuf), Error> {
        let path = self.directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| Error::file("create", &path, error))?;
        self.made.push(path.clone());
        Ok((file, path))
    }

    fn keep(mut self) {
        self.made.clear();
    }
}

impl Drop for ExportFolder {
    fn drop(&mut self) {
        for path in &self.made {
            // An error is on its way to the user already.
            let _ = fs::remove_file(path);
        }
    }
}

fn unpack(sha256: Sha256, folder: &mut ExportFolder) -> Result<(), Error> {
    let files = content::manifest(sha256)?.ok_or_else(|| Error::ContentMissing(sha256.to_string()))?;
    let made: Vec<(File, PathBuf)> =
        files.iter().map(|FileEntry { name, .. }| folder.create(name)).collect::<Result<_, _>>()?;
    content::for_each_chunk(sha256, |index, data| {
        let (file, path) = made.get(index as usize).ok_or(Error::Unexpected("a chunk of no file"))?;
        let mut file: &File = file;
        file.write_all(&data).map_err(|error| Error::file("write", path, error))?;
        Ok(true)
    })?;
    made.iter().try_for_each(|(file, path)| file.sync_all().map_err(|error| Error::file("sync", path, error)))
}

fn copy(source: &Path, folder: &mut ExportFolder) -> Result<(), Error> {
    let failed = |error| Error::file("read directory", source, error);
    for entry in fs::read_dir(source).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) else {
            continue;
        };
        let (mut file, made) = folder.create(name)?;
        let mut original = File::open(&path).map_err(|error| Error::file("open", &path, error))?;
        std::io::copy(&mut original, &mut file).map_err(|error| Error::file("write", &made, error))?;
    }
    Ok(())
}
