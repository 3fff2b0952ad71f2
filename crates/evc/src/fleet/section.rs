//! What a device's section says, before any key is sealed: its entries, the decision on each, and a digest of its content.
//! Equal digests mean that nothing was changed that a node would act on; the version of the section counts the unequal ones.

use ::attest::SessionKey;
use aws_lc_rs::digest::{Context, SHA256};
use vault::decide::{Challenge, Decision, Ruling, Subject, Withheld, challenge, changes_at, decide};
use vault::ids::VaultId;
use vault::section::{Entry, Operation, Presence, Release};

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
    pub(crate) challenge: Challenge,
    /// Vaults whose grace is over, until the node has told that they are gone.
    pub(crate) removed: Vec<VaultId>,
    /// Of the entries, the decisions and what is removed; none when the section is withheld.
    pub(crate) digest: Option<[u8; 32]>,
    /// The first time at which it may be another while nothing else changes.
    pub(crate) until: UnixSeconds,
}

/// Decides for every listed vault of a device.
pub(crate) fn draft(view: &View, session: SessionKey, now: UnixSeconds) -> Draft {
    let (evidence, asking) = (view.evidence(), view.asking(session));
    let decisions: Vec<Decision> =
        view.vaults.iter().map(|held| decide(&subject(held), &evidence, &asking, now)).collect();
    let challenge = challenge(&decisions, &evidence, &asking, now);
    let lines: Vec<Line> =
        view.vaults.iter().zip(decisions).map(|(held, decision)| line(held, decision)).collect();
    let digest = (challenge != Challenge::InPlace).then(|| digest(&lines, &view.removed));
    let until = changes_at(view.vaults.iter().map(|held| held.policy.attest.every), &evidence, now);
    Draft { lines, challenge, removed: view.removed.clone(), digest, until }
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
        Presence::Removing => Operation::Lock,
        Presence::Active => {
            let behind =
                held.policy.node.custody.needs_controller() && held.epochs.is_behind(held.row.reported_epoch);
            held.policy.operation(behind)
        }
    }
}

/// Over what a node acts on: entries, and the epochs that go out. Not over sealed bytes, which differ from session to session.
fn digest(lines: &[Line], removed: &[VaultId]) -> [u8; 32] {
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
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
