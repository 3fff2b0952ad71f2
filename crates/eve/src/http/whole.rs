//! A request in one piece. The client writes head and body each by itself: two records of TLS and two packets for a poll that has room in one, so
//! whoever is asked is woken twice and reads twice. Here what is written waits until an answer is waited for.
//! The client's words (connector, transport, buffers) are ureq's. It never keeps anything back that the other side has to have before it answers.

use std::fmt;

use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// So many bytes go on without waiting for more: as many as a record of TLS has.
const PIECE: usize = 16 << 10;

/// Makes connections that do so, of others.
#[derive(Debug)]
pub(crate) struct InOnePiece;

impl<In: Transport> Connector<In> for InOnePiece {
    type Out = Whole<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, line: Option<In>) -> Result<Option<Whole<In>>, Error> {
        Ok(line.map(|line| Whole { line, held: Vec::new() }))
    }
}

/// A connection, and what was written and not sent yet.
pub(crate) struct Whole<T> {
    line: T,
    held: Vec<u8>,
}

impl<T: Transport> Whole<T> {
    fn send(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while !rest.is_empty() {
            let output = self.line.buffers().output();
            let (next, later) = rest.split_at(rest.len().min(output.len()));
            output[..next.len()].copy_from_slice(next);
            self.line.transmit_output(next.len(), timeout)?;
            rest = later;
        }
        Ok(())
    }
}

impl<T: Transport> Transport for Whole<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.line.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.held.extend_from_slice(&self.line.buffers().output()[..amount]);
        if self.held.len() < PIECE { Ok(()) } else { self.send(timeout) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.send(timeout)?;
        self.line.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.line.is_open()
    }

    fn is_tls(&self) -> bool {
        self.line.is_tls()
    }
}

/// Without what was written.
impl<T: fmt::Debug> fmt::Debug for Whole<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.line).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::sync::{Arc, Mutex};

    use ureq::unversioned::resolver::DefaultResolver;
    use ureq::unversioned::transport::LazyBuffers;
    use ureq::{Agent, AsSendBody, SendBody};

    use super::*;

    /// What was written to it, write by write; it answers whatever comes.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Written {
        fn bytes(&self) -> Vec<u8> {
            self.0.lock().expect("nobody panicked").concat()
        }
    }

    #[derive(Debug)]
    struct Heard {
        written: Written,
        buffers: LazyBuffers,
    }

    impl Connector<()> for Written {
        type Out = Heard;

        fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Heard>, Error> {
            Ok(Some(Heard { written: self.clone(), buffers: LazyBuffers::new(4096, 4096) }))
        }
    }

    impl Transport for Heard {
        fn buffers(&mut self) -> &mut dyn Buffers {
            &mut self.buffers
        }

        fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
            let written = self.buffers.output()[..amount].to_vec();
            self.written.0.lock().expect("nobody panicked").push(written);
            Ok(())
        }

        fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
            let answer = b"HTTP/1.1 304 Not Modified\r\n\r\n";
            self.buffers.input_append_buf()[..answer.len()].copy_from_slice(answer);
            self.buffers.input_appended(answer.len());
            Ok(true)
        }

        fn is_open(&mut self) -> bool {
            true
        }
    }

    /// A body that sees how much of it was not sent yet whenever more is asked for.
    struct Watched {
        rest: Vec<u8>,
        given: usize,
        written: Written,
    }

    impl Read for Watched {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let held = self.given.saturating_sub(self.written.bytes().len());
            assert!(held < 2 * PIECE, "{held} bytes are held");
            let next: Vec<u8> = self.rest.drain(..into.len().min(self.rest.len())).collect();
            into[..next.len()].copy_from_slice(&next);
            self.given += next.len();
            Ok(next.len())
        }
    }

    /// Sends one request, and it is answered.
    fn send(written: &Written, body: impl AsSendBody) {
        let connector = written.clone().chain(InOnePiece);
        let agent = Agent::with_parts(Agent::config_builder().build(), connector, DefaultResolver::default());
        let answer = agent.post("http://127.0.0.1/config").send(body).expect("answered");
        assert_eq!(answer.status(), 304);
    }

    /// Issue 8, A: what a poll costs its controller.
    #[test]
    fn a_poll_is_one_write() {
        let written = Written::default();
        send(&written, &[7; 400]);
        let writes = written.0.lock().expect("nobody panicked");
        let [whole] = &writes[..] else { panic!("{} writes", writes.len()) };
        assert!(whole.starts_with(b"POST /config HTTP/1.1\r\n") && whole.ends_with(&[7; 400]));
    }

    /// A report or a bundle is not held in memory twice, and nothing of it is lost.
    #[test]
    fn what_is_long_goes_on_as_it_comes() {
        let body: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        let written = Written::default();
        send(&written, &body);
        assert!(written.bytes().ends_with(&body));
        let written = Written::default();
        let mut watched = Watched { rest: body, given: 0, written: written.clone() };
        send(&written, SendBody::from_reader(&mut watched));
        assert!(watched.given == 200_000 && written.bytes().len() > watched.given);
    }
}
