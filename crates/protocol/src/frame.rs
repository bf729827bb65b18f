//! Frames: `length: u32 little endian`, then that many bytes of payload.
//!
//! [`FrameDecoder`] is fed bytes as they come and hands out whole payloads, so that a blocking client, a
//! client that waits on a latch, and an asynchronous server share it. It must not know what a payload means.
//! Invariant: no more than [`MAX_FRAME_BYTES`] and one read are ever buffered.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest payload of a frame in bytes. A request of many texts is cut into several frames by its sender.
pub const MAX_FRAME_BYTES: usize = 32 << 20;

const HEADER_BYTES: usize = 4;

/// Bytes that are no frame, or a frame that is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame announces (or would need) more than [`MAX_FRAME_BYTES`].
    #[error("frame of {0} bytes exceeds the limit of {MAX_FRAME_BYTES} bytes")]
    TooLarge(usize),
    /// The payload isn't an encoding of the expected message.
    #[error("malformed message: {0}")]
    Malformed(String),
}

/// Encodes a message as one frame, header included.
///
/// # Errors
/// [`DecodeError::TooLarge`] if the message doesn't fit into a frame.
pub fn encode_frame<M: Serialize>(message: &M) -> Result<Vec<u8>, DecodeError> {
    let bytes = postcard::to_extend(message, vec![0; HEADER_BYTES])
        .map_err(|error| DecodeError::Malformed(error.to_string()))?;
    seal(bytes)
}

/// Wraps an already encoded payload into a frame.
///
/// # Errors
/// [`DecodeError::TooLarge`] if the payload doesn't fit into a frame.
pub fn frame_payload(payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes.extend_from_slice(payload);
    seal(bytes)
}

fn seal(mut bytes: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
    let payload = bytes.len() - HEADER_BYTES;
    let length = u32::try_from(payload).ok().filter(|_| payload <= MAX_FRAME_BYTES);
    let length = length.ok_or(DecodeError::TooLarge(payload))?;
    bytes[..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Decodes the payload of a frame.
///
/// # Errors
/// [`DecodeError::Malformed`] for bytes that aren't exactly one message.
pub fn decode_payload<M: DeserializeOwned>(payload: &[u8]) -> Result<M, DecodeError> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(DecodeError::Malformed(format!("{} bytes after the message", rest.len()))),
        Err(error) => Err(DecodeError::Malformed(error.to_string())),
    }
}

/// Cuts a stream of bytes into payloads.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that have been handed out already.
    consumed: usize,
}

impl FrameDecoder {
    /// Takes bytes as read from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole payload, or `None` until more bytes have come.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`] as soon as a header announces too much; the stream can't be used further.
    pub fn next_payload(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        let pending = &self.buffer[self.consumed..];
        let Some((header, rest)) = pending.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = u32::from_le_bytes(*header) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(DecodeError::TooLarge(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let start = self.consumed + HEADER_BYTES;
        self.consumed = start + length;
        Ok(Some(&self.buffer[start..start + length]))
    }

    /// The next whole message, or `None` until more bytes have come.
    ///
    /// # Errors
    /// As [`next_payload`](Self::next_payload) and [`decode_payload`].
    pub fn next_message<M: DeserializeOwned>(&mut self) -> Result<Option<M>, DecodeError> {
        self.next_payload()?.map(decode_payload).transpose()
    }
}
