//! The second serial line of a node in a VM: a command goes in, a line with its exit status and what it printed comes out
//! (`init.sh` answers). Each wait is bounded.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::wait;

/// From the start of QEMU to the first answer; 7 s of a processor that is ours alone.
const BOOT: Duration = Duration::from_secs(180);
/// The longest that a command may run, and how much longer its answer may be on its way.
const COMMAND: Duration = Duration::from_secs(60);
const WAY: Duration = Duration::from_secs(30);

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status; 143 when its time was up.
    pub code: i32,
    /// Both its outputs, their last 200 kB.
    pub printed: String,
}

/// The test's end of the line.
pub(super) struct Shell(BufReader<UnixStream>);

impl Shell {
    /// Takes the line: QEMU boots the machine once somebody has.
    pub(super) fn connected(socket: &Path, mut alive: impl FnMut() -> Result<()>) -> Result<Self> {
        let mut looked = || alive().err().map(Err).or_else(|| UnixStream::connect(socket).ok().map(Ok));
        let stream = wait::until("QEMU to offer its serial line", &mut looked)??;
        Ok(Self(BufReader::new(stream)))
    }

    /// Waits until the machine has booted. Firmware writes to this line, too.
    pub(super) fn until_ready(&mut self) -> Result<()> {
        while !self.line(BOOT)?.trim_end().ends_with("ready") {}
        Ok(())
    }

    /// Runs a command.
    pub(super) fn ask(&mut self, command: &str) -> Result<Answer> {
        let script = STANDARD.encode(format!("#{}\n{command}\n", COMMAND.as_secs()));
        ensure!(script.len() < 3000, "a command for the serial line is too long: {command}");
        self.0.get_mut().write_all(format!("{script}\n").as_bytes())?;
        read(&self.line(COMMAND + WAY)?).with_context(|| format!("the answer to `{command}`"))
    }

    fn line(&mut self, patience: Duration) -> Result<String> {
        self.0.get_ref().set_read_timeout(Some(patience))?;
        let mut line = Vec::new();
        let read = self.0.read_until(b'\n', &mut line);
        match read.with_context(|| format!("nothing from the node in {} s", patience.as_secs()))? {
            0 => bail!("the node's machine ended"),
            _ => Ok(String::from_utf8_lossy(&line).into_owned()),
        }
    }
}

/// `CODE BASE64`, and no more than `CODE ` of a command that printed nothing.
fn read(line: &str) -> Result<Answer> {
    let (code, printed) = line.trim_end_matches('\n').split_once(' ').context("no exit status in it")?;
    let printed = STANDARD.decode(printed.trim())?;
    Ok(Answer { code: code.trim().parse()?, printed: String::from_utf8_lossy(&printed).into_owned() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_what_was_printed() {
        let answer = |code, printed: &str| Answer { code, printed: printed.into() };
        assert_eq!(read("0 aGkK\n").unwrap(), answer(0, "hi\n"));
        assert_eq!(read("143 \n").unwrap(), answer(143, ""));
        for line in ["", "ready\n", "x aGkK\n", "0 aGk*\n"] {
            assert!(read(line).is_err(), "{line:?}");
        }
    }
}
