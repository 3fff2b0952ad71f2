//! Words on what is done about a vault's key.

use ::attest::SessionKey;
use vault::ids::{DeviceId, Epoch};

use super::unlisted::NOT_HERE;
use super::withheld::Why;
use crate::api::KeyNow;

/// What is done about a key.
pub(crate) enum OfKey {
    /// Its node takes no list for its device: it holds to those of another one.
    OfNoUse {
        /// Of which.
        other: DeviceId,
    },
    /// The TPM alone holds it.
    InTpmAlone,
    /// It is a default vault under its default policy.
    UnderDefault,
    /// It is a controller's key that this database does not have.
    NotHere,
    /// Nothing keeps it back.
    Ready {
        /// From whom.
        session: SessionKey,
        /// Where the vault is open by it already: at which epoch.
        opened_at: Option<Epoch>,
    },
    /// It is withheld.
    Withheld(Why),
}

/// Whole, and in a few words.
pub(crate) fn of_key(what: OfKey) -> (String, KeyNow) {
    match what {
        OfKey::OfNoUse { other } => plain(format!(
            "of no use: the node takes no list for this device, it holds to that of device {other}"
        )),
        OfKey::InTpmAlone => plain("not needed: the TPM alone holds the key".into()),
        OfKey::UnderDefault => plain("not needed: its default policy".into()),
        OfKey::NotHere => plain(NOT_HERE.into()),
        OfKey::Ready { session, opened_at } => plain(ready(session, opened_at)),
        OfKey::Withheld(why) => {
            let Why { short, whole } = why.clone().after("withheld");
            (whole, KeyNow { short, withheld: Some(why.whole) })
        }
    }
}

fn plain(words: String) -> (String, KeyNow) {
    (words.clone(), KeyNow { short: words, withheld: None })
}

/// Of a key that nothing keeps back: whether it is there already.
fn ready(session: SessionKey, opened_at: Option<Epoch>) -> String {
    let session = hex::encode(&session.0[..4]);
    match opened_at {
        Some(epoch) => {
            format!("released: the vault is open at epoch {epoch}; session {session} may have it again")
        }
        None => format!("would be released to session {session}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen-by-users 2: a cell says what is, not all that may be done; why a key is withheld stands by itself, for who reads on.
    #[test]
    fn a_key_that_is_withheld_is_told_in_a_line_without_advice() {
        let (whole, now) = of_key(OfKey::Withheld(Why::of("no boot is approved", "see ..; or")));
        assert_eq!(whole, "withheld: no boot is approved; see ..; or");
        assert_eq!(now.short, "withheld: no boot is approved");
        assert_eq!(now.withheld.as_deref(), Some("no boot is approved; see ..; or"));
        let session = SessionKey([0xa5; 32]);
        let (whole, now) = of_key(OfKey::Ready { session, opened_at: Some(Epoch(2)) });
        assert_eq!((whole.as_str(), now.withheld), (now.short.as_str(), None), "all of it: it is no advice");
    }
}
