//! What is said of a vault's key to who looks at one device: that it goes out, or why it does not.

use ::attest::SessionKey;
use vault::decide::Ruling;
use vault::ids::Epoch;
use vault::ledger::Older;
use vault::report::State;

use super::show::decided;
use crate::api::{StateNow, VaultView};
use crate::fleet::reported::is_held_to;
use crate::fleet::view::{ListedVault, View};
use crate::store::{Appraised, UnixSeconds};
use crate::words::notes::of_who_was_ahead;

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
        _ if let Some(mark) = view.device.older => {
            of_who_was_ahead(if mark.is_put_back() { Older::PutBack } else { mark.older() })
        }
        Ruling::Release(_) => match refused_since(view) {
            // What is good is of an earlier session; the present one has shown nothing that is.
            Some(why) => format!("withheld: evidence refused: {why}"),
            None => released(&session, opened_at),
        },
        Ruling::Withhold(why) => match refused_since(view) {
            Some(refused) => format!("withheld: evidence refused: {refused}; before that: {}", why.explain()),
            None => format!("withheld: {}", why.explain()),
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
    (since && fared.outcome == Appraised::Refused).then(|| fared.words.join("; "))
}
