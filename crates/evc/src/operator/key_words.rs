//! What is said of a vault's key: whether it would be released to the session that stands, and why not.

use ::attest::SessionKey;
use vault::decide::{Barred, Decision, Ruling, Withheld, decide};
use vault::ids::Epoch;
use vault::ledger::Older;
use vault::report::State;

use crate::api::{KeyNow, StateNow, VaultView};
use crate::fleet::fared::strange;
use crate::fleet::reported::is_held_to;
use crate::fleet::section::subject;
use crate::fleet::view::{ListedVault, View};
use crate::store::{Appraised, Strange, UnixSeconds};
use crate::words::evidence::of_refused;
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

fn decided(view: &View, held: &ListedVault, now: UnixSeconds) -> Decision {
    let session = view.stands().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    decide(&subject(held), &view.evidence(), &view.asking(session), now).unless_unopened(&view.unopened)
}

/// The epoch at which the vault is open, by its node's word.
pub(super) fn opened_at(shown: &VaultView) -> Option<Epoch> {
    let state = shown.last_state.map(StateNow::Said).or(shown.state);
    shown.reported_epoch.filter(|_| state == Some(StateNow::Said(State::Unlocked)))
}

/// What is done about a key.
pub(super) enum KeyWords {
    /// This.
    Done(String),
    /// It is withheld.
    Withheld(Why),
}

impl KeyWords {
    /// As it is told: whole, and in a few words.
    pub(super) fn told(self) -> (String, KeyNow) {
        match self {
            Self::Done(words) => (words.clone(), KeyNow { short: words, withheld: None }),
            Self::Withheld(why) => {
                let Why { short, whole } = why.clone().after("withheld");
                (whole, KeyNow { short, withheld: Some(why.whole) })
            }
        }
    }
}

impl VaultView {
    /// With what is done about its key.
    pub(super) fn keyed(self, words: Option<KeyWords>) -> Self {
        let (key, key_now) = words.map(KeyWords::told).unzip();
        Self { key, key_now, ..self }
    }
}

pub(super) fn key_words(
    view: &View,
    held: &ListedVault,
    opened_at: Option<Epoch>,
    now: UnixSeconds,
) -> KeyWords {
    let session = view.stands().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    if let Some(other) = is_held_to(&view.device) {
        return KeyWords::Done(format!(
            "of no use: the node takes no list for this device, it holds to that of device {other}"
        ));
    }
    match decided(view, held, now).ruling {
        Ruling::NotNeeded => KeyWords::Done("not needed: the TPM alone holds the key".into()),
        _ if let Some(Barred::Older(older)) = view.bars().barred() => {
            let older = if view.is_put_back() { Older::PutBack } else { older };
            KeyWords::Withheld(of_who_was_ahead(older))
        }
        Ruling::Release(_) => match refused_since(view) {
            // What is good is of an earlier session; the present one has shown nothing that is.
            Some(why) => KeyWords::Withheld(why),
            None => KeyWords::Done(released(&session, opened_at)),
        },
        Ruling::Withhold(why) => KeyWords::Withheld(match refused_since(view) {
            Some(Why { short, whole }) => {
                let before = withheld(&why).whole;
                Why { short, whole: format!("{whole}; before that: {before}") }
            }
            None => withheld(&why),
        }),
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
fn refused_since(view: &View) -> Option<Why> {
    let fared = view.device.verdict.get()?;
    let since = view.stands().is_none_or(|stands| stands.row.at <= fared.at);
    (since && fared.outcome == Appraised::Refused).then(|| of_refused(fared))
}
