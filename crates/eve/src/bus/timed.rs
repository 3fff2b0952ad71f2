//! A connection with a deadline for all that is said on it until then: a peer who gives a byte now and then gains no time.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

/// Longest write at once: the kernel counts the time anew for each piece that it makes of a longer one.
const PIECE: usize = 16 << 10;

/// The connection. What is not done by the deadline fails with [`is_late`].
pub(super) struct Timed {
    stream: UnixStream,
    until: Instant,
}

impl Timed {
    /// Connects, within the time too: while the listener takes nobody, the kernel lets a connection wait as long as a write.
    pub(super) fn connect(path: &Path, patience: Duration) -> io::Result<Self> {
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        let timed = Self::new(socket.into(), patience);
        timed.stream.set_write_timeout(Some(timed.left()?))?;
        connect(timed.stream.as_raw_fd(), &UnixAddr::new(path)?)?;
        Ok(timed)
    }

    /// So long from now.
    pub(super) fn new(stream: UnixStream, patience: Duration) -> Self {
        Self { stream, until: Instant::now() + patience }
    }

    /// So long from now again.
    pub(super) fn renew(&mut self, patience: Duration) {
        self.until = Instant::now() + patience;
    }

    /// The connection itself.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Waits for what comes next without a deadline.
    pub(super) fn for_ever(self) -> io::Result<UnixStream> {
        self.stream.set_read_timeout(None)?;
        Ok(self.stream)
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl From<Timed> for UnixStream {
    fn from(timed: Timed) -> Self {
        timed.stream
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(&bytes[..bytes.len().min(PIECE)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whether an error says that the deadline has passed; a system call that waited as long says that it would block.
pub(super) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::bus::frame::{self, FrameError};

    const PATIENCE: Duration = Duration::from_millis(300);
    const DRIP: Duration = Duration::from_millis(20);

    fn late(result: Result<impl Sized, FrameError>) -> bool {
        matches!(result, Err(FrameError::Io(error)) if is_late(&error))
    }

    /// Threats, bus: a byte now and then buys no time, neither of who reads nor of who writes.
    #[test]
    fn a_peer_who_drips_is_given_up() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        // 1000 drips are longer than the patience, each is shorter.
        let drips = thread::spawn(move || {
            let length = theirs.write_all(&1000_u32.to_le_bytes());
            length.and_then(|()| (0..1000).try_for_each(|_| (thread::sleep(DRIP), theirs.write_all(&[0])).1))
        });
        assert!(late(frame::read(&mut Timed::new(ours, PATIENCE))));
        drips.join().expect("runs").expect_err("we hung up");

        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let sips = thread::spawn(move || {
            let mut sip = [0; 4096];
            while theirs.read(&mut sip).is_ok_and(|read| read > 0) {
                thread::sleep(DRIP);
            }
        });
        assert!(late(frame::write(&mut Timed::new(ours, PATIENCE), &vec![0; frame::MAX_FRAME])));
        sips.join().expect("runs");
    }

    #[test]
    fn a_peer_in_time_is_heard_and_hears() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let patience = Duration::from_secs(60);
        let echo = thread::spawn(move || {
            let mut theirs = Timed::new(theirs, patience);
            frame::read(&mut theirs).and_then(|frame| frame::write(&mut theirs, &frame))
        });
        let (mut ours, long) = (Timed::new(ours, patience), vec![7; frame::MAX_FRAME]);
        frame::write(&mut ours, &long).expect("is taken");
        assert_eq!(*frame::read(&mut ours).expect("comes back"), long);
        echo.join().expect("runs").expect("echoes");
    }
}
