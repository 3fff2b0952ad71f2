//! Seen-by-users 1.15: what does not read is met with every poll of its device, and stands in the log once for each content. Alone in its process,
//! whose log it reads.

mod common;

use std::io;
use std::sync::{Mutex, PoisonError};

use common::{Device, Evc, sql};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Into;

impl io::Write for Into {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines that have these words.
fn lines(words: &str) -> usize {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&log).lines().filter(|line| line.contains(words)).count()
}

fn polls(evc: &Evc, device: &mut Device) {
    for _ in 0..5 {
        device.hash.clear();
        evc.post(&device.own("config"), &device.seal(&device.ask()));
    }
}

#[test]
fn what_does_not_read_is_told_once_for_each_content() {
    tracing_subscriber::fmt().with_writer(|| Into).with_ansi(false).init();
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    let standing = "the evidence that is kept of this device does not read";
    for (times, damage) in ["record = x'00'", "record = x'0000'"].into_iter().enumerate() {
        sql(evc.dir.path(), &[&format!("UPDATE standings SET {damage}")]);
        polls(&evc, &mut device);
        assert_eq!(lines(standing), times + 1, "{damage}");
    }
    for (times, damage) in ["ledger = x'00'", "tpm = 'x'"].into_iter().enumerate() {
        sql(evc.dir.path(), &[&format!("UPDATE devices SET {damage}")]);
        polls(&evc, &mut device);
        // Beside those of the evidence.
        assert_eq!(lines("has an impossible value"), 2 + times + 1, "{damage}");
    }
    assert_eq!(lines("device `edge-1`"), 2, "it says which row");
}
