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
use crate::words::evidence::of_fared;
use crate::words::notes::of_who_was_ahead;
use crate::words::withheld::withheld;

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
    let session = view.stands().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    decide(&subject(held), &view.evidence(), &view.asking(session), now).unless_unopened(&view.unopened)
}

/// The epoch at which the vault is open, by its node's word.
pub(super) fn opened_at(shown: &VaultView) -> Option<Epoch> {
    let state = shown.last_state.map(StateNow::Said).or(shown.state);
    shown.reported_epoch.filter(|_| state == Some(StateNow::Said(State::Unlocked)))
}

pub(super) fn key_words(
    view: &View,
    held: &ListedVault,
    opened_at: Option<Epoch>,
    now: UnixSeconds,
) -> String {
    let session = view.stands().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    if let Some(other) = is_held_to(&view.device) {
        return format!(
            "of no use: the node takes no list for this device, it holds to that of device {other}"
        );
    }
    match decided(view, held, now).ruling {
        Ruling::NotNeeded => "not needed: the TPM alone holds the key".into(),
        _ if let Some(Barred::Older(older)) = view.bars().barred() => {
            of_who_was_ahead(if view.is_put_back() { Older::PutBack } else { older })
        }
        Ruling::Release(_) => match refused_since(view) {
            // What is good is of an earlier session; the present one has shown nothing that is.
            Some(why) => format!("withheld: evidence refused: {why}"),
            None => released(&session, opened_at),
        },
        Ruling::Withhold(why) => match refused_since(view) {
            Some(refused) => {
                format!("withheld: evidence refused: {refused}; before that: {}", withheld(&why))
            }
            None => format!("withheld: {}", withheld(&why)),
        },
    }
}

/// Of a key that nothing keeps back: whether it is there already.
fn released(session: &SessionKey, opened_at: Option<Epoch>) -> String {
    let session = hex::encode(&session.0[..4]);
    match opened_at {
        Some(epoch) => {
            format!("released: the vault is open at epoch {epoch}; session {session} may have it again")
        }
        None => format!("would be released to session {session}"),
    }
}

/// Why the last evidence was refused, when none was good since.
fn refused_since(view: &View) -> Option<String> {
    let fared = view.device.verdict.get()?;
    let since = view.stands().is_none_or(|stands| stands.row.at <= fared.at);
    (since && fared.outcome == Appraised::Refused).then(|| of_fared(fared).join("; "))
}
