//! How often the store is asked.

use super::common::{Device, Evc};
use super::engines::{Asked, Faults, Faulty, Memory};
use super::fleet::nonce;

/// What is asked of the store by who polls for ever: nothing, once one poll told that it accepted what it was sent last.
/// Others write once.
#[test]
fn an_unchanged_poll_asks_nothing_and_others_are_one_write() {
    let (memory, faults) = (Memory::default(), Faults::default());
    let evc = Evc::over_engine(Faulty(memory, faults.clone()));
    let mut device = Device::onboarded(&evc, "edge-1");
    let section = device.attested(&evc);
    let count = |ask: &mut dyn FnMut()| {
        faults.set(None);
        ask();
        faults.asked()
    };
    let accepted = count(&mut || assert!(device.poll(&evc).is_none()));
    assert_eq!((accepted.reads, accepted.writes), (0, 1), "that it accepted what was sent last");
    let again = count(&mut || assert!(device.poll(&evc).is_none()));
    assert_eq!(again, Asked::default(), "nothing was written since by anybody else");
    let transactions = |asked: Asked| (asked.reads, asked.writes);
    // The first one tells that its vaults were made, and that is in the next section.
    device.report(&evc, &section, 1);
    while_it_changes(&mut device, &evc);
    assert_eq!(transactions(count(&mut || device.report(&evc, &section, 1))), (0, 1), "a report");
    let reported = count(&mut || assert!(device.poll(&evc).is_none()));
    assert_eq!(reported, Asked { steps: 3, reads: 1, writes: 0 }, "it may have changed what is said");
    device.hash.clear();
    assert_eq!(transactions(count(&mut || drop(device.poll(&evc)))), (1, 1), "a poll in full");
    assert_eq!(
        transactions(count(&mut || assert!(nonce(&evc, &device) != [0; 32]))),
        (2, 0),
        "a nonce: who asks, and what it answered"
    );
}

/// Polls until it is told that nothing is new, twice: the first time it tells what it accepted.
fn while_it_changes(device: &mut Device, evc: &Evc) {
    let unchanged = (0..4).filter(|_| device.poll(evc).is_none()).count();
    assert!(unchanged >= 2, "{unchanged}");
}
