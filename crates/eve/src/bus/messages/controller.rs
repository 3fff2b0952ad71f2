//! The line to the controller: who the device is there, and what the controller says.

use serde::{Deserialize, Serialize};
use vault::escrow::BundleId;
use vault::ids::{DeviceId, Generation};
use wire::escrow::UploadPlace;

use super::{Bytes, rfc3339};

/// How far the device is with its onboarding (client): for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onboarding {
    /// What the last try said, and what to do; empty when it succeeded.
    pub words: String,
    /// The controller said that it does not know the device. Otherwise nobody knows yet whether it does: it may have registered long ago.
    pub unknown: bool,
    /// Nobody was asked: what failed lies on this node.
    pub here: bool,
}

impl Onboarding {
    /// Why it is not known which device this is, of one that did not succeed.
    #[must_use]
    pub fn why_not(&self) -> String {
        let Self { words, unknown, here } = self;
        if *unknown {
            return format!("not onboarded yet: {words}");
        }
        if *here {
            return format!("the controller was not asked which device this is: {words}");
        }
        format!("the controller has not said yet whether it knows this device: {words}")
    }
}

/// Who the device is (client).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onboarded {
    /// Its identity, from the controller.
    pub device: DeviceId,
    /// Its certificate, PEM.
    pub device_cert: Bytes,
    /// The controller's certificates, the list as received.
    pub certs: Bytes,
}

/// Where a signed answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The controller, just now.
    Live,
    /// The checkpoint in the Config Vault.
    Checkpoint,
}

/// The controller's whole signed answer, unchanged (zedagent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedConfig {
    /// Where from.
    pub source: Source,
    /// The envelope.
    pub envelope: Bytes,
    /// The certificates to verify it with.
    pub certs: Bytes,
}

/// The same, of an answer without a configuration, which says something of the escrow (zedagent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedWord {
    /// The envelope.
    pub envelope: Bytes,
    /// The certificates to verify it with.
    pub certs: Bytes,
}

/// What vaultmgr wants of the controller for its escrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowWish {
    /// A bundle that the controller does not hold yet.
    pub upload: Option<EscrowUpload>,
    /// The newest that it does, as this session heard it.
    pub held: Option<BundleId>,
    /// The generation of which the bundle is wanted back.
    pub rescue: Option<Generation>,
}

/// A bundle, sealed to the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowUpload {
    /// Which.
    pub id: BundleId,
    /// Where it stands among the bundles of its session.
    pub place: UploadPlace,
    /// HPKE encapsulated key.
    pub enc: Bytes,
    /// HPKE ciphertext.
    pub ciphertext: Bytes,
}

/// How it goes with the controller (zedagent): for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerStatus {
    /// The controller's address.
    pub server: String,
    /// The proxy on the way to it, `host:port`, where `config/proxy` names one.
    pub proxy: Option<String>,
    /// Nothing was said to it for a reason that lies on this node: [`Self::words`] has it.
    pub not_asked: bool,
    /// Its last answer was good.
    pub reachable: bool,
    /// What the last exchange said.
    pub words: String,
    /// When it last answered, seconds since 1970.
    pub last_answer_unix_s: Option<u64>,
    /// It is overdue that zedagent asks it again after this, by the clock that nobody sets (CLOCK_MONOTONIC, in seconds).
    pub overdue_at_s: Option<u64>,
    /// The verdict on this session's evidence.
    pub attestation: Option<String>,
    /// The evidence was taken.
    pub attested: bool,
    /// It does not know this device: client asks who it is, and registers it anew if need be.
    pub unknown_device: bool,
    /// How it refuses the certificates of this device's keys, while it does: tried again at each poll, and all else goes on.
    pub certificates_refused: Option<String>,
    /// It said when it was last heard that an operator removed this device there.
    pub removed: bool,
    /// Its last answer was a refusal: it is there.
    pub refused: bool,
}

/// What an operator's removal means for what is here.
const REMOVED: &str = "the controller removed this device: no key of its comes any more. Copy what you need out of vaults that are open now, before `eve vault lock` or a boot; after that a vault that needs the controller's key opens nowhere, unless its operator gives the keys back as long as they are kept there (`evc onboard add --give-back`)";

impl ControllerStatus {
    /// When it last answered: RFC 3339.
    #[must_use]
    pub fn last_answer(&self) -> Option<String> {
        rfc3339(self.last_answer_unix_s?)
    }

    /// Whether zedagent has not asked it for so long that it does not work, by the same clock as [`Self::overdue_at_s`].
    #[must_use]
    pub fn is_overdue(&self, now_s: u64) -> bool {
        self.overdue_at_s.is_some_and(|at| at < now_s)
    }

    /// What needs care though the controller answers.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        if self.removed {
            return Some(REMOVED.to_owned());
        }
        let words = self.certificates_refused.as_ref()?;
        Some(format!("the certificates of this device's keys are not taken: {words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack A4: what an operator did there is said here, before it is too late.
    #[test]
    fn who_was_removed_reads_what_to_do_before_the_last_key_goes() {
        let told = |removed| ControllerStatus { removed, ..Default::default() }.note();
        let note = told(true).expect("a note");
        assert!(
            note.contains("removed this device") && note.contains("before `eve vault lock` or a boot"),
            "{note}"
        );
        assert_eq!(told(false), None);
    }
}
