//! Prepacked weights: named parts of one block of bytes, in the layout that the kernels read, in memory or in a file.
//!
//! It must not know what a part is for. Invariant: a part begins at a multiple of 64 bytes, so that no vector of it
//! crosses a cache line, and a part that is handed out lies within the block.
//!
//! A file holds, in the byte order of the machine that wrote it (it is never moved to another): [`MAGIC`], the
//! length of the header as `u64`, the header as JSON, zeros up to the next multiple of 64, the parts, and the BLAKE3
//! hash of all that comes before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 8] = *b"ecomml01";
const ALIGNMENT: usize = 64;
const HASH_BYTES: usize = blake3::OUT_LEN;

/// A cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; ALIGNMENT]);

/// What a file says of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Header {
    /// Whatever whoever made the weights wants to know of it later.
    about: serde_json::Value,
    /// First byte, counted from the end of the header's padding, and length.
    parts: BTreeMap<String, (usize, usize)>,
}

/// Parts being put together.
#[derive(Default)]
pub struct PrepackedBuilder {
    lines: Vec<CacheLine>,
    parts: BTreeMap<String, (usize, usize)>,
}

/// Prepacked weights.
pub struct PrepackedWeights {
    storage: Storage,
    /// Where the parts begin.
    start: usize,
    header: Header,
}

enum Storage {
    Memory(Vec<CacheLine>),
    File(Mmap),
}

/// Numbers of a part, kept alive with their weights.
pub struct PrepackedSlice<T> {
    prepacked: Arc<PrepackedWeights>,
    range: Range<usize>,
    kind: PhantomData<T>,
}

impl PrepackedBuilder {
    /// Adds a part.
    pub fn add<T: Pod>(&mut self, name: impl Into<String>, numbers: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        let start = self.lines.len() * ALIGNMENT;
        self.parts.insert(name.into(), (start, bytes.len()));
        self.lines.resize(self.lines.len() + bytes.len().div_ceil(ALIGNMENT), CacheLine::zeroed());
        bytemuck::cast_slice_mut(&mut self.lines)[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Adds all parts of prepacked weights.
    pub fn append(&mut self, prepacked: &PrepackedWeights) {
        for (name, bytes) in prepacked.parts_of("") {
            self.add(name, bytes);
        }
    }

    /// The weights, in memory; `about` can be asked for later.
    pub fn finish(self, about: serde_json::Value) -> PrepackedWeights {
        PrepackedWeights {
            storage: Storage::Memory(self.lines),
            start: 0,
            header: Header { about, parts: self.parts },
        }
    }
}

impl PrepackedWeights {
    /// What its maker wanted to know of it.
    pub fn about(&self) -> &serde_json::Value {
        &self.header.about
    }

    /// The same parts with another account of them.
    pub fn with_about(mut self, about: serde_json::Value) -> Self {
        self.header.about = about;
        self
    }

    /// Bytes of all parts.
    pub fn size(&self) -> usize {
        self.header.parts.values().map(|(_, length)| length).sum()
    }

    /// Names and bytes of the parts whose name begins like this; the names without that.
    pub fn parts_of<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let names = self
            .header
            .parts
            .keys()
            .filter_map(move |name| name.strip_prefix(prefix).map(|rest| (name, rest)));
        names.filter_map(|(name, rest)| Some((rest, self.bytes(name)?)))
    }

    /// A part, `None` if there is none of this name and of `length` numbers.
    pub fn numbers<T: Pod>(self: &Arc<Self>, name: &str, length: usize) -> Option<PrepackedSlice<T>> {
        let bytes = self.bytes(name)?;
        let fits = bytemuck::try_cast_slice::<u8, T>(bytes).is_ok_and(|numbers| numbers.len() == length);
        let (start, length) = *self.header.parts.get(name)?;
        let range = self.start + start..self.start + start + length;
        fits.then(|| PrepackedSlice { prepacked: Arc::clone(self), range, kind: PhantomData })
    }

    /// Writes prepacked weights; the file can be mapped once it is complete.
    ///
    /// # Errors
    /// On I/O.
    pub fn write(&self, file: &mut File) -> io::Result<()> {
        let mut hasher = blake3::Hasher::new();
        let mut put = |bytes: &[u8]| {
            hasher.update(bytes);
            file.write_all(bytes)
        };
        let header = serde_json::to_vec(&self.header)?;
        let length = MAGIC.len() + size_of::<u64>() + header.len();
        put(&MAGIC)?;
        put(&(header.len() as u64).to_ne_bytes())?;
        put(&header)?;
        put(&vec![0; length.next_multiple_of(ALIGNMENT) - length])?;
        put(&self.all()[self.start..self.end()])?;
        file.write_all(hasher.finalize().as_bytes())
    }

    /// Maps a file, after checking its hash.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if the file isn't what [`write`](Self::write) made; and on I/O.
    pub fn map(file: &File) -> io::Result<Self> {
        // SAFETY: the file lies in a folder that only this user's engines write to, and they write a file under another
        // name before they give it its own, delete files, and never change or shorten one.
        let map = unsafe { Mmap::map(file)? };
        let body = map.len().checked_sub(HASH_BYTES).ok_or_else(damaged)?;
        if blake3::hash(&map[..body]).as_bytes() != &map[body..] {
            return Err(damaged());
        }
        let (magic, rest) = map.split_at_checked(MAGIC.len()).ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_ne_bytes(*length)).map_err(|_| damaged())?;
        let header: Header = serde_json::from_slice(rest.get(..length).ok_or_else(damaged)?)?;
        let start = (MAGIC.len() + size_of::<u64>() + length).next_multiple_of(ALIGNMENT);
        if magic != MAGIC || start > body {
            return Err(damaged());
        }
        Ok(Self { storage: Storage::File(map), start, header })
    }

    fn bytes(&self, name: &str) -> Option<&[u8]> {
        let &(start, length) = self.header.parts.get(name)?;
        let start = self.start.checked_add(start)?;
        self.all().get(start..start.checked_add(length)?)
    }

    fn all(&self) -> &[u8] {
        match &self.storage {
            Storage::Memory(lines) => bytemuck::cast_slice(lines),
            Storage::File(map) => map,
        }
    }

    /// Where the parts end.
    fn end(&self) -> usize {
        match &self.storage {
            Storage::Memory(lines) => lines.len() * ALIGNMENT,
            Storage::File(map) => map.len() - HASH_BYTES,
        }
    }
}

impl std::fmt::Debug for PrepackedWeights {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PrepackedWeights")
            .field("about", self.about())
            .field("bytes", &self.size())
            .finish()
    }
}

impl<T: Pod> Deref for PrepackedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // Range, length and alignment have been checked when this was made.
        bytemuck::cast_slice(&self.prepacked.all()[self.range.clone()])
    }
}

impl<T> std::fmt::Debug for PrepackedSlice<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("PrepackedSlice").field(&self.range).finish()
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "prepared weights are damaged")
}
