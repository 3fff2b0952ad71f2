//! One row per situation and what comes next: what is to happen, and what must not.

mod absence;
mod deleting;
mod erasing;
mod keys;
mod leases;
mod making;
mod missing;
mod others;
mod recovery;
mod seal;
mod space;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use attest::SessionKey;
use vault::cause::Cause;
use vault::condition::{
    Dir, Escrow, Hint, Key, Keys, MetaCopy, MetaPlace, Node, OpenedBy, Part, Past, Seen, ShareKey, Staged,
    State, TableSeen, TpmSeen, Upcoming,
};
use vault::custody::{EpochMark, Wrapping};
use vault::ids::{
    CONFIG_VAULT, DeviceId, DeviceKey, Epoch, IMAGE_VAULT, Incarnation, Name, SectionVersion, VaultId,
};
use vault::lease::{Lease, SinceBoot};
use vault::plan::{
    Act, Finished, Hold, Known, Next, NoKey, NodeGlance, NodeStep, Note, Op, Setbacks, Step, StepKind, View,
    Wait, next, one, plan,
};
use vault::report::{By, Opened, Reasons, Remembered, VaultReport, report};
use vault::section::{
    BySeal, Custody, Encryption, Entry, NodePolicy, Operation, Presence, Release, Seal, Section,
};
use vault::shares::{Dropped, Mark};
use vault::wanted::{
    Accepted, Authority, Desired, Listing, NotTaken, Record, RecordSeen, Released, Want, Wish,
};

const USER: VaultId = VaultId(uuid::Uuid::from_u128(5));
const DEVICE: DeviceId = DeviceId(uuid::Uuid::from_u128(0xd));
const AES: Encryption = Encryption::Aes256Xts;
const NODE: Node = Node {
    tpm: TpmSeen::Present { table: TableSeen::Open, pcrs: true },
    measured: true,
    past: Past::NOTHING,
    escrow: Escrow::Nothing,
    since_boot: SinceBoot(Duration::ZERO),
    disk_went: false,
    table_lent: false,
};
const TABLE_LOST: Node = Node {
    tpm: TpmSeen::Present { table: TableSeen::Lost, pcrs: true },
    measured: true,
    past: Past::NOTHING,
    escrow: Escrow::Nothing,
    since_boot: SinceBoot(Duration::ZERO),
    disk_went: false,
    table_lent: false,
};
const NO_TPM: Node = Node {
    tpm: TpmSeen::Absent,
    measured: false,
    past: Past::NOTHING,
    escrow: Escrow::Nothing,
    since_boot: SinceBoot(Duration::ZERO),
    disk_went: false,
    table_lent: false,
};
const TPM_NOT_HEARD: Node = Node {
    tpm: TpmSeen::Unknown,
    measured: false,
    past: Past::NOTHING,
    escrow: Escrow::Nothing,
    since_boot: SinceBoot(Duration::ZERO),
    disk_went: false,
    table_lent: false,
};

fn name() -> Name {
    "berlin".parse().expect("a name")
}

fn want(custody: Custody) -> Want {
    let keys = Released::Keys { current: Epoch(3), last: Epoch(2) };
    Want {
        name: name(),
        policy: NodePolicy {
            encryption: AES,
            custody,
            seal: Seal::Tpm,
            lease: None,
            recovery: vault::recovery::Recipients::NONE,
            storage_limit: None,
        },
        operation: Operation::Unlock,
        standing: Presence::Active,
        created: false,
        recreate: false,
        shut_given_up: false,
        released: if custody.needs_controller() { keys } else { Released::NotNeeded },
        lacks: None,
        authority: Authority::Live,
        heard: true,
        floor: None,
    }
}

fn share(mark: Mark) -> BySeal<Option<Mark>> {
    BySeal { tpm: Some(mark), pcrs: None }
}

fn key(tpm: ShareKey) -> BySeal<ShareKey> {
    BySeal { tpm, ..BySeal::default() }
}

fn both(epoch: u64) -> Wrapping {
    Wrapping::Both(Seal::Tpm, Epoch(epoch))
}

const TPM: Wrapping = Wrapping::Tpm(Seal::Tpm);

/// A made vault, locked.
fn made(custody: Custody, epoch: u64) -> Seen {
    let copy =
        MetaCopy::Good(if custody == Custody::Tpm { Hint::NoEpoch } else { Hint::Epoch(Epoch(epoch)) });
    let shares = if custody.needs_tpm() { share(Mark::Made) } else { BySeal::default() };
    Seen { dir: Dir::Vault(AES), first: copy, second: copy, shares, ..Seen::default() }
}

fn keys() -> Keys {
    Keys { shares: key(ShareKey::Open), current: Some(Epoch(3)), last: Some(Epoch(2)), ..Keys::default() }
}

fn held(wrapping: Wrapping) -> Keys {
    Keys { held: Some(OpenedBy { first: Some(wrapping), second: Some(wrapping) }), ..keys() }
}

fn ask(id: VaultId, wish: &Wish, seen: &Seen, keys: &Keys, node: &Node) -> Next {
    next(&View { id, wish, seen, keys, node, setbacks: Setbacks::default() })
}

fn keep(want: Want, seen: Seen, keys: Keys) -> Next {
    ask(USER, &Wish::Keep(want), &seen, &keys, &NODE)
}

fn step(next: &Next) -> Option<Step> {
    match next {
        Next::Do(act) => Some(act.step),
        _ => None,
    }
}

fn missing(next: &Next) -> Vec<Part> {
    let Next::Settled(settled) = next else { return Vec::new() };
    let part = |note: &Note| if let Note::Missing(part) = note { Some(*part) } else { None };
    settled.notes.iter().filter_map(part).collect()
}
