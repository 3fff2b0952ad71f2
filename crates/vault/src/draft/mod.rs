//! What a device's section says, before any key is sealed: which vaults are listed and removed, what each entry says, which keys go out and what
//! is withheld, what is ordered to be locked, and when any of it takes a new number.
//! Pure: rows are read before, keys are sealed after. A key goes out by a [`Ruling::Release`] of [`decide`] alone, and nothing here makes one.
//! Equal digests mean that nothing was changed that a node would act on; the version of the section counts the unequal ones.

mod digest;
mod orders;
mod saying;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::cause::Cause;
use crate::decide::{
    Asking, Bar, BundleNeeded, ChallengeWay, Decision, Ruling, StandingAt, Subject, TpmPin, Withheld,
    challenge, changes_at, decide, lacking,
};
use crate::defaults;
use crate::ids::{DeviceId, IMAGE_VAULT, Name, VaultId};
use crate::lease::LeaseNonce;
use crate::ledger::Ledger;
use crate::policy::Check;
use crate::report::VaultReport;
use crate::section::{Entry, MAX_ORDERS, MAX_VAULTS, Operation, Presence, Release};

pub use saying::{HeldAgainst, Saying};

/// Over what a section, or orders in its place, say that a node acts on.
pub type DraftDigest = [u8; 32];

/// A vault that is in its device's list.
#[derive(Debug, Clone, Copy)]
pub struct ToList<'a> {
    /// As it is decided about.
    pub subject: Subject<'a>,
    /// Its user's name for it.
    pub name: &'a Name,
    /// Its node made it once.
    pub made: bool,
    /// An operator ordered it anew, and its node has not done so yet.
    pub recreate: bool,
}

/// What a node told last of whose lists it holds to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    /// For which device the list was that it accepted last.
    pub accepted_for: Option<DeviceId>,
    /// Vaults of which no row is kept, the default ones among them.
    pub strays: &'a [VaultReport],
}

impl Told<'_> {
    /// The device whose lists it holds to, where that is another than this one: it takes none of this one's.
    #[must_use]
    pub fn held_to(&self, own: DeviceId) -> Option<DeviceId> {
        self.accepted_for.filter(|device| *device != own)
    }
}

/// A device at one moment.
pub struct Facts<'a> {
    /// The vaults in its list.
    pub listed: Vec<ToList<'a>>,
    /// Those whose grace is over, until the node has told that they are gone.
    pub gone: &'a [VaultId],
    /// Those whose rows do not read, and that stand in no line of its list: a lost device has them locked by orders.
    pub unread: Vec<VaultId>,
    /// What its node told.
    pub told: Told<'a>,
    /// What it has shown.
    pub evidence: StandingAt<'a>,
    /// Who asks.
    pub asking: Asking,
    /// Vaults of which the controller's newest key does not open: each of these is withheld, and no other.
    pub unopened: &'a BTreeSet<VaultId>,
}

/// What is asked beside the list.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// By what leases are to be renewed. A question with no lease to renew changes nothing.
    pub lease: Option<LeaseNonce>,
    /// When the session needs its bundle in escrow.
    pub bundle: BundleNeeded,
}

/// One vault of the section and what was decided for it.
#[derive(Debug)]
pub struct Line {
    /// Its release is a placeholder where keys are to be sealed.
    pub entry: Entry,
    /// The decision.
    pub decision: Decision,
}

/// The section of a moment, or the challenge in its place.
#[derive(Debug)]
pub struct Draft {
    /// Its vaults. Decided also where the section is withheld.
    pub lines: Vec<Line>,
    /// Whether a challenge goes out beside it, or in its place.
    pub challenge: ChallengeWay,
    /// Vaults whose grace is over, until the node has told that they are gone.
    pub removed: Vec<VaultId>,
    /// Vaults that are to be locked although the section is withheld, or is none to the node.
    pub orders: Vec<VaultId>,
    /// Which demand the session's evidence does not meet, while it satisfies no policy.
    pub lacks: Option<Check>,
    /// Of the entries, the decisions and what is removed, or of the orders: what takes a number. None when neither goes out.
    pub digest: Option<DraftDigest>,
    /// The node's question, where a lease is to be renewed by it.
    pub lease: Option<LeaseNonce>,
    /// The first time at which it may be another while nothing else changes, in seconds since 1970.
    pub until: u64,
}

impl Draft {
    /// Decides for every listed vault of a device. `now` in seconds since 1970, by the controller's clock.
    #[must_use]
    pub fn of(facts: &Facts<'_>, asked: Asked, now: u64) -> Self {
        let Facts { evidence, asking, .. } = facts;
        let decisions: Vec<Decision> =
            facts.listed.iter().map(|vault| decided(facts, &vault.subject, now)).collect();
        let challenge = challenge(&decisions, evidence, asking, asked.bundle, now);
        let lacks = lacking(&decisions);
        let lines: Vec<Line> = facts.listed.iter().zip(decisions).map(Line::of).collect();
        let lines: Vec<Line> = lines.into_iter().chain(unlisted_image(facts)).collect();
        let every = facts.listed.iter().map(|vault| vault.subject.policy.attest.every);
        let until = changes_at(every, evidence, asked.bundle, now);
        let removed = facts.gone.iter().copied().take(MAX_VAULTS).collect();
        let orders = orders::orders(facts, &lines, challenge);
        // Of a section that is withheld each leased vault is withheld too.
        let lease = asked.lease.filter(|_| lines.iter().any(Line::renews));
        Self { lines, challenge, removed, orders, lacks, digest: None, lease, until }.digested()
    }

    /// To a session that another one followed: its word may be an old one that somebody sends again, and is answered by a challenge. Nothing
    /// takes a number for it, and what it is to lock is said under the one that is.
    #[must_use]
    pub fn of_past_session(self) -> Self {
        Self { challenge: ChallengeWay::InPlace, digest: None, lease: None, ..self }
    }

    fn digested(self) -> Self {
        let digest = match self.challenge {
            ChallengeWay::InPlace => (!self.orders.is_empty()).then(|| digest::of_orders(&self.orders)),
            ChallengeWay::None | ChallengeWay::Beside => Some(digest::of_section(&self)),
        };
        Self { digest, ..self }
    }

    /// What of it is new, where `last` took a number last: then it gets the next version, in the transaction that first sends it; and so does a
    /// section for a device that did not take the last one for the next of its history.
    #[must_use]
    pub fn says_more(&self, last: Option<DraftDigest>, ledger: &Ledger) -> Option<DraftDigest> {
        let anew = self.challenge != ChallengeWay::InPlace && ledger.is_astray();
        self.digest.filter(|digest| Some(*digest) != last || anew)
    }
}

/// What a lost device is to lock where nothing is numbered for it, since its database is, or may be, older than it: all that stands in its list
/// here, what is gone from it, and what its node has beside. Nothing for a device that is not lost.
#[must_use]
pub fn orders_of_lost(facts: &Facts<'_>) -> Vec<VaultId> {
    if facts.asking.barred != Some(Bar::Lost) {
        return Vec::new();
    }
    let image = unlisted_image(facts).map(|line| line.entry.id);
    let listed: Vec<VaultId> = facts.listed.iter().map(|vault| vault.subject.vault).chain(image).collect();
    let others = orders::beside_list(facts).into_iter().filter(|id| !listed.contains(id));
    listed.iter().copied().chain(others).take(MAX_ORDERS).collect()
}

fn decided(facts: &Facts<'_>, subject: &Subject<'_>, now: u64) -> Decision {
    decide(subject, &facts.evidence, &facts.asking, now).unless_unopened(facts.unopened)
}

impl Line {
    fn of((vault, decision): (&ToList<'_>, Decision)) -> Self {
        let ToList { subject, name, made, recreate } = *vault;
        let entry = Entry {
            id: subject.vault,
            name: name.clone(),
            policy: subject.policy.node.clone(),
            operation: operation(&subject, &decision.ruling),
            standing: subject.standing,
            created: made,
            recreate,
            release: unsealed(&decision.ruling),
        };
        Self { entry, decision }
    }

    /// Whether its section gives it a lease. What is decided counts: the entry holds no key yet.
    fn renews(&self) -> bool {
        let withheld = matches!(self.decision.ruling, Ruling::Withhold(_));
        self.entry.policy.lease.is_some() && self.entry.is_wanted_open() && !withheld
    }
}

fn unsealed(ruling: &Ruling) -> Release {
    match ruling {
        Ruling::NotNeeded => Release::NotNeeded,
        Ruling::Withhold(why) => Release::Withheld { reason: why.coarse() },
        Ruling::Release(_) => Release::Withheld { reason: Cause::UNSAID },
    }
}

/// What is removed, retained, or on a lost device is locked, whatever its policy says.
fn operation(subject: &Subject<'_>, ruling: &Ruling) -> Operation {
    let needs_controller = subject.policy.node.custody.needs_controller();
    match (ruling, subject.standing) {
        (Ruling::Withhold(Withheld::DeviceLost), _) | (_, Presence::Removing | Presence::Retained) => {
            Operation::Lock
        }
        (_, Presence::Active) => {
            subject.policy.operation(needs_controller && subject.epochs.is_behind(subject.reported))
        }
    }
}

/// The Image Vault holds what apps have, and stands in no list under its default policy: of a lost device it is locked like the others. The
/// Config Vault holds the node's own record, without which the node does not know what it was told.
fn unlisted_image(Facts { listed, asking, .. }: &Facts<'_>) -> Option<Line> {
    let is_listed = listed.iter().any(|vault| vault.subject.vault == IMAGE_VAULT);
    let has_tpm = asking.tpm == TpmPin::Present;
    let wanted = asking.barred == Some(Bar::Lost) && has_tpm && !is_listed && listed.len() < MAX_VAULTS;
    let ruling = Ruling::Withhold(Withheld::DeviceLost);
    wanted.then(|| Line {
        entry: Entry {
            id: IMAGE_VAULT,
            name: defaults::name(IMAGE_VAULT).expect("it is a default vault"),
            policy: defaults::policy(true),
            operation: Operation::Lock,
            standing: Presence::Active,
            created: false,
            recreate: false,
            release: unsealed(&ruling),
        },
        decision: Decision { ruling, lacks: None, renewal_due: false },
    })
}
