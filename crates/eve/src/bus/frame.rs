//! Frames: `u32` length, little-endian, and that many bytes of postcard. Wiped when dropped, never grown while being filled.

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// Longest frame, in bytes.
pub const MAX_FRAME: usize = 4 << 20;

/// Bytes of a message.
pub(super) type Frame = Zeroizing<Vec<u8>>;

/// What is wrong with a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// Over [`MAX_FRAME`], or over what belongs there.
    #[error("a frame of {0} bytes, more than is taken")]
    TooLong(usize),
    /// Not the message that belongs there.
    #[error("not a message of this kind")]
    Malformed(#[from] postcard::Error),
    /// A change of what was never said.
    #[error("a change of a value that was not told")]
    NothingBefore,
    /// Something follows it.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

pub(super) fn encode(value: &impl Serialize) -> Result<Frame, FrameError> {
    encode_at_most(value, MAX_FRAME)
}

pub(super) fn encode_at_most(value: &impl Serialize, most: usize) -> Result<Frame, FrameError> {
    let length = postcard::experimental::serialized_size(value)?;
    if length > most {
        return Err(FrameError::TooLong(length));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    postcard::to_slice(value, &mut frame)?;
    Ok(frame)
}

pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(frame)? {
        (value, []) => Ok(value),
        (_, rest) => Err(FrameError::Trailing(rest.len())),
    }
}

pub(super) fn write(stream: &mut impl Write, frame: &[u8]) -> Result<(), FrameError> {
    let length = u32::try_from(frame.len()).ok().filter(|_| frame.len() <= MAX_FRAME);
    let length = length.ok_or(FrameError::TooLong(frame.len()))?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(frame)?;
    Ok(stream.flush()?)
}

pub(super) fn read(stream: &mut impl Read) -> Result<Frame, FrameError> {
    read_at_most(stream, MAX_FRAME)
}

pub(super) fn read_at_most(stream: &mut impl Read, most: usize) -> Result<Frame, FrameError> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(FrameError::TooLong(length));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer can't make us take more than the limit, nor accept what is cut short or has a tail.
    #[test]
    fn long_short_and_trailing_frames_are_refused() {
        let mut long: &[u8] = &u32::MAX.to_le_bytes();
        assert!(matches!(read(&mut long), Err(FrameError::TooLong(_))));
        let mut over: &[u8] = &[3, 0, 0, 0, 1, 2, 3];
        assert!(matches!(read_at_most(&mut over, 2), Err(FrameError::TooLong(3))));
        let mut short: &[u8] = &[8, 0, 0, 0, 1, 2];
        assert!(matches!(read(&mut short), Err(FrameError::Io(_))));
        assert!(matches!(decode::<u8>(&[1, 2]), Err(FrameError::Trailing(1))));
        assert!(matches!(encode(&vec![1u8; MAX_FRAME + 1]), Err(FrameError::TooLong(_))));
        assert!(matches!(write(&mut Vec::new(), &vec![0; MAX_FRAME + 1]), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut wire = Vec::new();
        write(&mut wire, &encode(&("text", 7u32)).unwrap()).unwrap();
        let frame = read(&mut wire.as_slice()).unwrap();
        assert_eq!(decode::<(String, u32)>(&frame).unwrap(), ("text".to_owned(), 7));
    }
}
