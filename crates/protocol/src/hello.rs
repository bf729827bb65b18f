//! The handshake: each side's first frame is a [`Hello`].
//!
//! Its layout is written by hand and frozen, so that any two builds can read each other's and part as
//! strangers instead of misreading what follows: `"ecml"`, then `length: u16 little endian`, then that many
//! bytes of UTF-8 build name; bytes after that are ignored. Everything else on the wire may change with the build.

use crate::frame::{DecodeError, frame_payload};

const MAGIC: &[u8; 4] = b"ecml";

/// Who is speaking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Build of the speaker's protocol crate, [`crate::BUILD`] in practice.
    pub build: String,
}

impl Hello {
    /// The greeting of this build.
    pub fn ours() -> Self {
        Self { build: crate::BUILD.to_owned() }
    }

    /// Whether the two builds may exchange messages.
    pub fn understands(&self, other: &Hello) -> bool {
        self.build == other.build
    }

    /// The greeting as one frame, header included.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] for a build name of more than 65535 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, DecodeError> {
        let length = u16::try_from(self.build.len()).map_err(|_| DecodeError::TooLarge(self.build.len()))?;
        let mut payload = MAGIC.to_vec();
        payload.extend_from_slice(&length.to_le_bytes());
        payload.extend_from_slice(self.build.as_bytes());
        frame_payload(&payload)
    }

    /// Reads a greeting from the payload of a frame.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] if this is no greeting.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed("not a greeting of ecommerce_ml".to_owned());
        let rest = payload.strip_prefix(MAGIC).ok_or_else(malformed)?;
        let (length, rest) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
        let build = rest.get(..usize::from(u16::from_le_bytes(*length))).ok_or_else(malformed)?;
        let build = std::str::from_utf8(build).map_err(|_| malformed())?;
        Ok(Self { build: build.to_owned() })
    }
}
