//! What a key file leaves in memory. A program of its own, for in no other may nobody else have read that file.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use wire::FileSigner;
use zeroize::Zeroizing;

const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/keys/device.key.pem");
/// Bytes looked for, each inverted so that this program does not find its own list: from the middle of the private number, and of
/// the text in the file.
const NEEDLES: usize = 16;

/// How often `inverted` stands in this process's writable memory.
fn found(inverted: &[u8]) -> usize {
    let (maps, memory) =
        (std::fs::read_to_string("/proc/self/maps").unwrap(), File::open("/proc/self/mem").unwrap());
    let writable =
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|flags| flags.starts_with("rw")));
    writable.map(|line| found_in(&memory, line.split(' ').next().unwrap(), inverted)).sum()
}

/// One page at a time, the next one's beginning included, into a buffer that is wiped: it is searched too.
fn found_in(memory: &File, range: &str, inverted: &[u8]) -> usize {
    let (from, to) = range.split_once('-').unwrap();
    let [from, to] = [from, to].map(|at| u64::from_str_radix(at, 16).unwrap());
    let pages = (from..to).step_by(4096);
    pages
        .filter(|at| {
            let mut page = Zeroizing::new([0; 4096 + NEEDLES]);
            let length = memory.read_at(&mut *page, *at).unwrap_or(0);
            let here = page[..length].windows(NEEDLES);
            let is_it = |bytes: &[u8]| bytes.iter().zip(inverted).all(|(byte, not)| *byte == !not);
            here.into_iter().any(is_it)
        })
        .count()
}

fn inverted(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

/// Invariant 3: of a key that was read, only the signer remains, and it holds it in another form.
#[test]
fn a_key_file_that_was_read_leaves_nothing_in_memory() {
    let pem = Zeroizing::new(std::fs::read(KEY).unwrap());
    let body = pem.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // SEC1: seven bytes, then the number's 32. The file's text has four characters for three bytes.
    let text = inverted(&pem[body + 24..body + 24 + NEEDLES]);
    let number = {
        let mut der = Zeroizing::new([0; 48]);
        base64::Engine::decode_slice(
            &base64::engine::general_purpose::STANDARD,
            &pem[body..body + 64],
            &mut *der,
        )
        .unwrap();
        inverted(&der[20..20 + NEEDLES])
    };
    assert!(found(&text) > 0, "the search finds what is there");
    let signer = FileSigner::from_pem(&pem).unwrap();
    drop(pem);
    assert_eq!((found(&number), found(&text)), (0, 0), "of the number, and of the text");
    drop(signer);
}
