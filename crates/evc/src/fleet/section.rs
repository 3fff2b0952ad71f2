//! What a device's section says, before any key is sealed: its entries, the decision on each, and a digest of its content.
//! Equal digests mean that nothing was changed that a node would act on; the version of the section counts the unequal ones.

use ::attest::SessionKey;
use aws_lc_rs::digest::{Context, SHA256};
use vault::decide::{
    Bar, ChallengeWay, Decision, Ruling, Subject, TpmPin, Withheld, challenge, changes_at, decide, lacking,
};
use vault::defaults;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::lease::LeaseNonce;
use vault::section::{Entry, MAX_VAULTS, Operation, Presence, Release};
use wire::control::MAX_ORDERS;

use super::reported::is_held_to;
use super::view::{ListedVault, View};
use crate::store::{UnixSeconds, VaultStanding};

/// One vault of the section and what was decided for it.
pub(crate) struct Line {
    /// Its release is a placeholder until keys are sealed.
    pub(crate) entry: Entry,
    pub(crate) decision: Decision,
}

/// The section of a moment, or the challenge in its place.
pub(crate) struct Draft {
    pub(crate) lines: Vec<Line>,
    pub(crate) challenge: ChallengeWay,
    /// Vaults whose grace is over, until the node has told that they are gone.
    pub(crate) removed: Vec<VaultId>,
    /// Vaults that are to be locked although the section is withheld, or is none to the node.
    pub(crate) orders: Vec<VaultId>,
    /// Which demand the session's evidence does not meet, coarsely, while it satisfies no policy.
    pub(crate) lacks: Option<&'static str>,
    /// Of the entries, the decisions and what is removed, or of the orders: what takes a number. None when neither goes out.
    pub(crate) digest: Option<[u8; 32]>,
    /// The node's question, where a lease is to be renewed by it.
    pub(crate) lease: Option<LeaseNonce>,
    /// The first time at which it may be another while nothing else changes.
    pub(crate) until: UnixSeconds,
}

/// Decides for every listed vault of a device. `asked`: what leases are to be renewed by. One that is not to be renewed, or a question with no
/// lease to renew, changes nothing.
pub(crate) fn draft(view: &View, session: SessionKey, asked: Option<LeaseNonce>, now: UnixSeconds) -> Draft {
    let (evidence, asking) = (view.evidence(), view.asking(session));
    let decisions: Vec<Decision> =
        view.vaults.iter().map(|held| decide(&subject(held), &evidence, &asking, now)).collect();
    let challenge = challenge(&decisions, &evidence, &asking, now);
    let lacks = lacking(&decisions).filter(|_| challenge == ChallengeWay::InPlace);
    let lines: Vec<Line> =
        view.vaults.iter().zip(decisions).map(|(held, decision)| line(held, decision)).collect();
    let lines: Vec<Line> = lines.into_iter().chain(unlisted_image(view, asking.barred)).collect();
    let orders = orders(&lines, challenge, held_elsewhere(view, asking.barred));
    let lease = asked.filter(|_| challenge != ChallengeWay::InPlace && lines.iter().any(renews));
    let digest = match challenge {
        ChallengeWay::InPlace => (!orders.is_empty()).then(|| digest_of_orders(&orders)),
        ChallengeWay::None | ChallengeWay::Beside => Some(digest(&lines, &view.removed, &orders, lease)),
    };
    let until = changes_at(view.vaults.iter().map(|held| held.policy.attest.every), &evidence, now);
    Draft { lines, challenge, removed: view.removed.clone(), orders, lacks, digest, lease, until }
}

/// Whether its section gives it a lease. What is decided counts: the entry holds no key yet.
fn renews(Line { entry, decision }: &Line) -> bool {
    let withheld = matches!(decision.ruling, Ruling::Withhold(_));
    entry.policy.lease.is_some() && entry.is_wanted_open() && !withheld
}

/// What is locked in the section that is withheld (by its operator, while it is removed, or because its device is lost), and what no section
/// can lock.
fn orders(lines: &[Line], challenge: ChallengeWay, elsewhere: Vec<VaultId>) -> Vec<VaultId> {
    let is_withheld = challenge == ChallengeWay::InPlace;
    let locked = lines.iter().filter(|line| is_withheld && line.entry.operation == Operation::Lock);
    let locked: Vec<_> = locked.map(|line| line.entry.id).collect();
    let others = elsewhere.into_iter().filter(|id| !locked.contains(id));
    locked.iter().copied().chain(others).take(MAX_ORDERS).collect()
}

/// A lost device whose node holds to the lists of another one has vaults that stand in no list of this one, and opens them by those.
fn held_elsewhere(view: &View, barred: Option<Bar>) -> Vec<VaultId> {
    let is_so = barred == Some(Bar::Lost) && is_held_to(&view.device).is_some();
    let report = view.device.report.get().filter(|_| is_so);
    let told = report.into_iter().flat_map(|report| &report.vaults);
    let here = |id: &VaultId| view.vaults.iter().any(|held| held.row.id == *id);
    told.map(|vault| vault.id).filter(|id| *id != CONFIG_VAULT && !here(id)).collect()
}

/// The Image Vault holds what apps have, and stands in no list under its default policy: of a lost device it is locked like the others. The
/// Config Vault holds the node's own record, without which the node does not know what it was told.
fn unlisted_image(view: &View, barred: Option<Bar>) -> Option<Line> {
    let is_listed = view.vaults.iter().any(|held| held.row.id == IMAGE_VAULT);
    let has_tpm = view.device.tpm == TpmPin::Present;
    let wanted = barred == Some(Bar::Lost) && has_tpm && !is_listed && view.vaults.len() < MAX_VAULTS;
    wanted.then(|| Line {
        entry: Entry {
            id: IMAGE_VAULT,
            name: defaults::name(IMAGE_VAULT).expect("it is a default vault"),
            policy: defaults::policy(true),
            operation: Operation::Lock,
            standing: Presence::Active,
            created: false,
            recreate: false,
            release: Release::Withheld { reason: Withheld::DeviceLost.coarse().into() },
        },
        decision: Decision {
            ruling: Ruling::Withhold(Withheld::DeviceLost),
            lacks: None,
            renewal_due: false,
        },
    })
}

/// A vault as decisions take it.
pub(crate) fn subject(held: &ListedVault) -> Subject<'_> {
    Subject {
        vault: held.row.id,
        policy: &held.policy,
        epochs: held.epochs,
        reported: held.row.reported_epoch,
        standing: standing(held),
    }
}

fn standing(held: &ListedVault) -> Presence {
    match held.row.standing {
        VaultStanding::Active => Presence::Active,
        VaultStanding::Retained => Presence::Retained,
        VaultStanding::Removing | VaultStanding::Gone => Presence::Removing,
    }
}

fn line(held: &ListedVault, decision: Decision) -> Line {
    let entry = Entry {
        id: held.row.id,
        name: held.row.name.clone(),
        policy: held.policy.node.clone(),
        operation: if matches!(decision.ruling, Ruling::Withhold(Withheld::DeviceLost)) {
            Operation::Lock
        } else {
            operation(held)
        },
        standing: standing(held),
        created: held.row.created,
        recreate: held.row.recreate,
        release: match &decision.ruling {
            Ruling::NotNeeded => Release::NotNeeded,
            Ruling::Withhold(why) => Release::Withheld { reason: why.coarse().into() },
            Ruling::Release(_) => Release::Withheld { reason: String::new() },
        },
    };
    Line { entry, decision }
}

fn operation(held: &ListedVault) -> Operation {
    match standing(held) {
        Presence::Removing | Presence::Retained => Operation::Lock,
        Presence::Active => {
            let behind =
                held.policy.node.custody.needs_controller() && held.epochs.is_behind(held.row.reported_epoch);
            held.policy.operation(behind)
        }
    }
}

/// Unlike that of any section: so orders, and the section after them, each take a number.
fn digest_of_orders(orders: &[VaultId]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    count_orders(&mut context, orders);
    finished(context)
}

fn count_orders(context: &mut Context, orders: &[VaultId]) {
    context.update(b"orders to lock");
    orders.iter().for_each(|id| context.update(id.0.as_bytes()));
}

fn finished(context: Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Over what a node acts on: entries, and the epochs that go out. Not over sealed bytes, which differ from session to session.
fn digest(lines: &[Line], removed: &[VaultId], orders: &[VaultId], lease: Option<LeaseNonce>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for line in lines {
        let text = serde_json::to_vec(&line.entry).expect("an entry has no map with keys that are not text");
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(&text);
        if let Ruling::Release(granted) = &line.decision.ruling {
            context.update(&granted.epochs().current().0.to_be_bytes());
            context.update(&granted.epochs().last().0.to_be_bytes());
        }
    }
    removed.iter().for_each(|id| context.update(id.0.as_bytes()));
    lease.iter().for_each(|nonce| context.update(&nonce.0));
    if !orders.is_empty() {
        count_orders(&mut context, orders);
    }
    finished(context)
}
