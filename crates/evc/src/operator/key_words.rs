//! What is said of a vault's key: whether it would be released to the session that stands, and why not.

use ::attest::SessionKey;
use vault::decide::{Barred, Decision, Ruling, Withheld, decide};
use vault::ids::Epoch;
use vault::ledger::Older;
use vault::report::State;

use crate::api::{StateNow, VaultView};
use crate::fleet::fared::strange;
use crate::fleet::reported::is_held_to;
use crate::fleet::section::subject;
use crate::fleet::view::{ListedVault, View};
use crate::store::{Appraised, Strange, UnixSeconds};
use crate::words::evidence::of_refused;
use crate::words::key::{OfKey, of_key};
use crate::words::notes::of_who_was_ahead;
use crate::words::withheld::{Why, withheld};

/// What of the evidence that stands keeps a key back; none where it keeps none.
pub(super) fn withheld_for(view: &View, now: UnixSeconds) -> Option<Strange> {
    let why = strange(view.stands()?.shown)?;
    view.vaults.iter().any(|held| is_withheld(view, held, now)).then_some(why)
}

/// Whether a key that would be released is withheld for what the evidence shows, or does not open.
pub(super) fn is_withheld(view: &View, held: &ListedVault, now: UnixSeconds) -> bool {
    matches!(
        decided(view, held, now).ruling,
        Ruling::Withhold(Withheld::Failed { .. } | Withheld::KeyUnopened)
    )
}

pub(super) fn decided(view: &View, held: &ListedVault, now: UnixSeconds) -> Decision {
    decide(&subject(held), &view.evidence(), &view.asking(asking(view)), now).unless_unopened(&view.unopened)
}

/// The epoch at which the vault is open, by its node's word.
pub(super) fn opened_at(shown: &VaultView) -> Option<Epoch> {
    let state = shown.last_state.map(StateNow::Said).or(shown.state);
    shown.reported_epoch.filter(|_| state == Some(StateNow::Said(State::Unlocked)))
}

impl VaultView {
    /// With what is done about its key.
    pub(super) fn keyed(self, what: Option<OfKey>) -> Self {
        let (key, key_now) = what.map(of_key).unzip();
        Self { key, key_now, ..self }
    }
}

/// What is done about a key that the controller has.
pub(super) fn of_its_key(
    view: &View,
    held: &ListedVault,
    opened_at: Option<Epoch>,
    now: UnixSeconds,
) -> OfKey {
    if let Some(other) = is_held_to(&view.device) {
        return OfKey::OfNoUse { other };
    }
    match decided(view, held, now).ruling {
        Ruling::NotNeeded => OfKey::InTpmAlone,
        _ if let Some(Barred::Older(older)) = view.bars().barred() => {
            let older = if view.is_put_back() { Older::PutBack } else { older };
            OfKey::Withheld(of_who_was_ahead(older))
        }
        Ruling::Release(_) => match refused_since(view) {
            // What is good is of an earlier session; the present one has shown nothing that is.
            Some(why) => OfKey::Withheld(why),
            None => OfKey::Ready { session: asking(view), opened_at },
        },
        Ruling::Withhold(why) => OfKey::Withheld(match refused_since(view) {
            Some(refused) => refused.and_before(&withheld(&why)),
            None => withheld(&why),
        }),
    }
}

/// The session that stands; where none does, none that there is.
fn asking(view: &View) -> SessionKey {
    view.stands().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session))
}

/// Why the last evidence was refused, when none was good since.
fn refused_since(view: &View) -> Option<Why> {
    let fared = view.device.verdict.get()?;
    let since = view.stands().is_none_or(|stands| stands.row.at <= fared.at);
    (since && fared.outcome == Appraised::Refused).then(|| of_refused(fared))
}
