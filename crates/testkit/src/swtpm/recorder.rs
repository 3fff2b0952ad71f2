//! A wire tap between a client and a swtpm: records all that goes by, and may change it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::Swtpm;
use crate::ports::Pair;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Commands.
    ToTpm,
    /// Responses.
    FromTpm,
}

/// Changes a message on its way.
type Tamper = Box<dyn FnMut(Way, &mut Vec<u8>) + Send>;
/// Says, of a command, what somebody else sends the TPM before the client hears the answer.
type Inject = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

struct Shared {
    seen: Mutex<Vec<(Way, Vec<u8>)>>,
    tamper: Mutex<Tamper>,
    inject: Mutex<Inject>,
    injected: Mutex<Option<Vec<u8>>>,
    stop: AtomicBool,
}

/// The tap; a client reaches the TPM through it by [`Recorder::tcti`].
pub struct Recorder {
    ports: Pair,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

impl Recorder {
    /// Listens only.
    ///
    /// # Errors
    /// No ports.
    pub fn start(tpm: &Swtpm) -> Result<Self> {
        Self::tampering(tpm, |_, _| ())
    }

    /// Passes each message through `tamper`. One that it leaves empty ends the connection in its place.
    ///
    /// # Errors
    /// No ports.
    pub fn tampering(tpm: &Swtpm, tamper: impl FnMut(Way, &mut Vec<u8>) + Send + 'static) -> Result<Self> {
        Self::tap(tpm, Box::new(tamper), Box::new(|_| None))
    }

    /// Sends what `inject` answers to a command right after it, as a second user of the TPM behind a resource manager would.
    ///
    /// # Errors
    /// No ports.
    pub fn injecting(
        tpm: &Swtpm,
        inject: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Result<Self> {
        Self::tap(tpm, Box::new(|_, _| ()), Box::new(inject))
    }

    fn tap(tpm: &Swtpm, tamper: Tamper, inject: Inject) -> Result<Self> {
        let (ports, listeners) = listen()?;
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            tamper: Mutex::new(tamper),
            inject: Mutex::new(inject),
            injected: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let targets = [tpm.port(), tpm.port() + 1];
        let serve = |(listener, target)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(&listener, target, &shared))
        };
        let listeners = listeners.into_iter().zip(targets).map(serve).collect();
        Ok(Self { ports, shared, listeners })
    }

    /// How to reach the TPM through the tap.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.ports.first())
    }

    /// All messages so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<(Way, Vec<u8>)> {
        self.shared.seen.lock().expect("no holder panics").clone()
    }

    /// Whether `needle` went by in any message.
    #[must_use]
    pub fn saw(&self, needle: &[u8]) -> bool {
        self.seen().iter().any(|(_, bytes)| bytes.windows(needle.len()).any(|window| window == needle))
    }
}

impl Shared {
    fn ask(&self, command: &[u8]) {
        let wanted = (self.inject.lock().expect("it does not panic"))(command);
        *self.injected.lock().expect("no holder panics") = wanted;
    }

    /// The TPM has answered the client's command, and the client does not know yet.
    fn inject(&self, tpm: &mut TcpStream) {
        let Some(command) = self.injected.lock().expect("no holder panics").take() else { return };
        // Where the TPM is gone the client finds out by itself.
        let _ = tpm.write_all(&command).and_then(|()| tpm.read(&mut [0; 8192]));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for port in [self.ports.first(), self.ports.first() + 1] {
            // Wakes the listener.
            let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        }
        self.listeners.drain(..).for_each(|listener| drop(listener.join()));
    }
}

fn listen() -> Result<(Pair, [TcpListener; 2])> {
    for _ in 0..20 {
        let pair = Pair::free();
        if let Ok(listeners) = pair.bind() {
            return Ok((pair, listeners));
        }
    }
    Err(anyhow::anyhow!("no free ports")).context("recorder")
}

fn serve(listener: &TcpListener, target: u16, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(tpm) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
        let (Ok(client2), Ok(tpm2)) = (client.try_clone(), tpm.try_clone()) else { continue };
        let (to, from) = (Arc::clone(shared), Arc::clone(shared));
        thread::spawn(move || pump(Way::ToTpm, client, tpm, &to));
        thread::spawn(move || pump(Way::FromTpm, tpm2, client2, &from));
    }
}

fn pump(way: Way, mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 8192];
    while let Ok(size @ 1..) = from.read(&mut buffer) {
        let mut message = buffer[..size].to_vec();
        shared.seen.lock().expect("no holder panics").push((way, message.clone()));
        (shared.tamper.lock().expect("a tamper function does not panic"))(way, &mut message);
        if message.is_empty() {
            break;
        }
        match way {
            Way::ToTpm => shared.ask(&message),
            Way::FromTpm => shared.inject(&mut from),
        }
        if to.write_all(&message).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
