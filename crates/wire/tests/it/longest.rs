//! The longest answers that a controller can give: what a node reads at once has room for them.

use std::sync::LazyLock;

use vault::escrow::MAX_BUNDLE_BYTES;
use vault::escrow::drill::DrillNonce;
use vault::ids::{Epoch, Generation};
use vault::recovery::{MAX_RECIPIENTS, Recipient, Recipients};
use vault::section::{Entry, MAX_VAULTS, NodePolicy, Release, Section};
use wire::MAX_ANSWER;
use wire::config::{ConfigParts, ConfigResponse, DeviceConfig};
use wire::control::{BundleId, Control, Drill, MAX_ORDERS, Order};
use wire::escrow::{SealedBundle, seal_down};
use wire::release::SessionSecret;

use crate::beside::answer;
use crate::common::{device, entry, sealed, section, vault_id};

/// What is around an answer: its signature, the sender's hash, lengths.
const ENVELOPE: usize = 1 << 10;

static LONGEST: LazyLock<SealedBundle> = LazyLock::new(|| {
    let id = BundleId { generation: Generation(u32::MAX), digest: [0xff; 32] };
    let session = SessionSecret::init(nines).expect("a key").session_key();
    seal_down(&session, device(), id, &vec![7; MAX_BUNDLE_BYTES]).expect("sealed")
});

fn longest_entry(n: u128) -> Entry {
    let recipients = (1..).filter_map(|byte: u8| Recipient::of([byte; 32]).ok()).take(MAX_RECIPIENTS);
    let recovery = Recipients::try_from(recipients.collect::<Vec<_>>()).expect("as many as there may be");
    let one = entry(n, Release::Keys { current: sealed(u64::MAX), last: sealed(Epoch(u64::MAX - 1).0) });
    Entry {
        name: format!("{n:0>64}").parse().expect("a name"),
        policy: NodePolicy { recovery, ..one.policy },
        ..one
    }
}

/// A full section, as many removed vaults and orders as there may be, the longest words; and what comes beside them.
fn longest(rescue: Option<SealedBundle>, drill: Option<Drill>) -> usize {
    let all = MAX_VAULTS as u128;
    let section = Section {
        vaults: (1..=all).map(longest_entry).collect(),
        removed: (all + 1..=2 * all).map(vault_id).collect(),
        ..section()
    };
    let parts = ConfigParts { section: Some(section), ..ConfigParts::default() };
    let config = DeviceConfig::new(&parts).expect("it reads back");
    assert!(config.section().is_ok(), "{:?}", config.section().err());
    let beside = answer().control.expect("there");
    let orders = (1..=MAX_ORDERS as u128).map(|n| Order::Lock(vault_id(n))).collect();
    let control = Control { rescue, drill, orders, lacks: "x".repeat(1024), ..beside };
    let answer = ConfigResponse { config: Some(config), control: Some(control), ..answer() };
    answer.encode().len() + ENVELOPE
}

/// Invariant 6: a full section and the longest bundle go in one answer; a second bundle in the same would not be read by any node.
#[test]
fn a_full_section_and_one_bundle_fit_in_an_answer_and_two_bundles_do_not() {
    let drill = || Some(Drill { nonce: DrillNonce([1; 32]), bundle: LONGEST.clone() });
    let of_one = [longest(Some(LONGEST.clone()), None), longest(None, drill())];
    assert!(of_one.iter().all(|length| *length <= MAX_ANSWER), "{of_one:?} of {MAX_ANSWER}");
    let of_two = longest(Some(LONGEST.clone()), drill());
    assert!(of_two > MAX_ANSWER, "{of_two} of {MAX_ANSWER}: then both may go at once");
}

fn nines(bytes: &mut [u8; 32]) -> Result<(), ()> {
    bytes.fill(9);
    Ok(())
}
