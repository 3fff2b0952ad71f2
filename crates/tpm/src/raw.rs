//! The few commands that need no session, spoken directly and bounded in time, before the TPM Software Stack is let
//! near the TPM: is it alive, and what did a killed predecessor leave in it? (The stack blocks without a limit, and
//! a swtpm that serves somebody else does not refuse: it is silent.)
//!
//! Source: TPM 2.0 Library Part 3, TPM2_GetTestResult, TPM2_GetCapability, TPM2_FlushContext.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::Tcti;

/// Largest answer that is read, in bytes; ours are far smaller.
const MAX_RESPONSE: usize = 4096;
/// Tag, size and response code.
const HEADER: usize = 10;
const NO_SESSIONS: u16 = 0x8001;
const FLUSH_CONTEXT: u32 = 0x165;
const GET_CAPABILITY: u32 = 0x17a;
const GET_TEST_RESULT: u32 = 0x17c;
const CAP_HANDLES: u32 = 1;
/// Most handles asked for at once; a TPM has room for far fewer.
const MAX_HANDLES: u32 = 64;
/// How long to wait before a refused connection is tried again: a swtpm that restarts is back in 20 ms.
const RECONNECT: Duration = Duration::from_millis(50);

/// Handles that a client leaves behind: first of each kind (transient, loaded and saved session).
const LEFTOVERS: [u32; 3] = [0x8000_0000, 0x0200_0000, 0x0300_0000];

/// Why a raw command gave no result.
#[derive(Debug)]
pub(crate) enum RawError {
    /// Nobody there.
    Unreachable(io::Error),
    /// No answer in time.
    Silent,
    /// Answered with this code; 0 for an answer that is none.
    Code(u32),
}

/// A connection of our own to the TPM.
pub(crate) enum Raw {
    Tcp(TcpStream),
    Device(File),
}

impl Raw {
    /// Connects, trying again until `deadline` while the TPM refuses.
    pub(crate) fn connect(tcti: &Tcti, deadline: Instant) -> Result<Self, RawError> {
        loop {
            match Self::connect_once(tcti, deadline) {
                Err(error) if may_come_back(&error) && Instant::now() + RECONNECT < deadline => {
                    std::thread::sleep(RECONNECT);
                }
                Err(error) => return Err(RawError::Unreachable(error)),
                Ok(raw) => return Ok(raw),
            }
        }
    }

    fn connect_once(tcti: &Tcti, deadline: Instant) -> io::Result<Self> {
        match tcti {
            Tcti::Swtpm { host, port } => {
                TcpStream::connect_timeout(&(*host, *port).into(), left(deadline)).map(Self::Tcp)
            }
            Tcti::Device(path) => OpenOptions::new().read(true).write(true).open(path).map(Self::Device),
        }
    }

    /// The outcome of the TPM's self-test: 0, or why it failed.
    pub(crate) fn test_result(&mut self, deadline: Instant) -> Result<u32, RawError> {
        let answer = self.command(GET_TEST_RESULT, &[], deadline)?;
        let (size, rest) = split_u16(&answer)?;
        let tail = rest.get(usize::from(size)..).ok_or(RawError::Code(0))?;
        Ok(split_u32(tail)?.0)
    }

    /// Flushes every transient object and session, whoever left it. Returns how many.
    pub(crate) fn flush_leftovers(&mut self, deadline: Instant) -> Result<usize, RawError> {
        let mut flushed = 0;
        for first in LEFTOVERS {
            for handle in self.handles(first, deadline)? {
                self.command(FLUSH_CONTEXT, &handle.to_be_bytes(), deadline)?;
                flushed += 1;
            }
        }
        Ok(flushed)
    }

    /// The handles in use from `first` on, of its kind.
    pub(crate) fn handles(&mut self, first: u32, deadline: Instant) -> Result<Vec<u32>, RawError> {
        let parameters = [CAP_HANDLES, first, MAX_HANDLES].map(u32::to_be_bytes).concat();
        handle_list(&self.command(GET_CAPABILITY, &parameters, deadline)?)
    }

    /// Sends one command; returns the parameters of its answer.
    fn command(&mut self, code: u32, parameters: &[u8], deadline: Instant) -> Result<Vec<u8>, RawError> {
        let size = (HEADER + parameters.len()) as u32;
        let mut bytes = NO_SESSIONS.to_be_bytes().to_vec();
        bytes.extend(
            size.to_be_bytes().into_iter().chain(code.to_be_bytes()).chain(parameters.iter().copied()),
        );
        let answer = self.exchange(&bytes, deadline).map_err(silent_or_gone)?;
        parameters_of(&answer).map(<[u8]>::to_vec)
    }

    fn exchange(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
        let mut answer = vec![0; MAX_RESPONSE];
        match self {
            // The kernel's driver bounds every command itself, and hands out one whole answer a read.
            Self::Device(file) => {
                file.write_all(bytes)?;
                let size = file.read(&mut answer)?;
                answer.truncate(size);
            }
            Self::Tcp(stream) => {
                stream.set_write_timeout(Some(left(deadline)))?;
                stream.set_read_timeout(Some(left(deadline)))?;
                stream.write_all(bytes)?;
                read_answer(stream, &mut answer)?;
            }
        }
        Ok(answer)
    }
}

/// Reads a whole answer, which says its own size.
fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> io::Result<()> {
    stream.read_exact(&mut answer[..HEADER])?;
    let size = u32::from_be_bytes([answer[2], answer[3], answer[4], answer[5]]) as usize;
    if !(HEADER..=MAX_RESPONSE).contains(&size) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    stream.read_exact(&mut answer[HEADER..size])?;
    answer.truncate(size);
    Ok(())
}

/// Time until `deadline`; never zero, which a socket would take for "for ever".
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn may_come_back(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, ResourceBusy, TimedOut};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | ResourceBusy | TimedOut)
}

fn silent_or_gone(error: io::Error) -> RawError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => RawError::Silent,
        io::ErrorKind::InvalidData => RawError::Code(0),
        _ => RawError::Unreachable(error),
    }
}

/// Checks an answer's header; returns what follows.
fn parameters_of(answer: &[u8]) -> Result<&[u8], RawError> {
    let (tag, rest) = split_u16(answer)?;
    let (size, rest) = split_u32(rest)?;
    let (code, rest) = split_u32(rest)?;
    match code {
        0 if tag == NO_SESSIONS && size as usize == answer.len() => Ok(rest),
        code => Err(RawError::Code(code)),
    }
}

/// TPMS_CAPABILITY_DATA with TPML_HANDLE, after the "more" flag.
fn handle_list(parameters: &[u8]) -> Result<Vec<u32>, RawError> {
    let (capability, rest) = split_u32(parameters.get(1..).unwrap_or_default())?;
    let (count, rest) = split_u32(rest)?;
    let (handles, tail) = rest.as_chunks::<4>();
    if capability != CAP_HANDLES || count as usize != handles.len() || !tail.is_empty() {
        return Err(RawError::Code(0));
    }
    Ok(handles.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect())
}

fn split_u16(bytes: &[u8]) -> Result<(u16, &[u8]), RawError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(RawError::Code(0))?;
    Ok((u16::from_be_bytes(*head), rest))
}

fn split_u32(bytes: &[u8]) -> Result<(u32, &[u8]), RawError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(RawError::Code(0))?;
    Ok((u32::from_be_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_list_of_handles() {
        let list =
            [&[0][..], &1u32.to_be_bytes(), &2u32.to_be_bytes(), &[0x80, 0, 0, 0, 0x80, 0, 0, 1]].concat();
        assert_eq!(handle_list(&list).unwrap(), [0x8000_0000, 0x8000_0001]);
        for cut in 0..list.len() {
            assert!(handle_list(&list[..cut]).is_err(), "cut at {cut}");
        }
        assert!(handle_list(&[&list[..], &[0]].concat()).is_err(), "trailing byte");
    }

    #[test]
    fn an_error_keeps_its_code() {
        let answer = [&[0x80, 1, 0, 0, 0, 10][..], &0x101u32.to_be_bytes()].concat();
        assert!(matches!(parameters_of(&answer), Err(RawError::Code(0x101))));
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parameters_of(&bytes);
            let _ = handle_list(&bytes);
        }
    }
}
