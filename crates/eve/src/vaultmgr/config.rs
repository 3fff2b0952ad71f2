//! vaultmgr's own judgement of a signed configuration: chain up to the pinned root, signature, device key, session. It trusts
//! nothing of what zedagent or client found out: which device this is, the key says that tpmmgr holds. Dates are not looked at: newness comes from session and version.

use attest::SessionKey;
use vault::ids::{DeviceId, DeviceKey};
use vault::plan::Authority;
use vault::section::Section;
use vault::shares::RootPin;
use wire::config::{SignedConfig, SignedConfigError};
use wire::{ControllerCerts, DecodeError, Validity};

/// Who is judging: this node, in this life of vaultmgr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judge<'a> {
    /// The installed root certificate, PEM.
    pub(crate) root_pem: &'a [u8],
    /// The root accepted at first contact.
    pub(crate) pin: Option<RootPin>,
    /// This device's key, once tpmmgr has told it.
    pub(crate) device_key: Option<DeviceKey>,
    /// This session.
    pub(crate) session: SessionKey,
}

/// What a signed configuration says of vaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It carries no configuration: what was said before stands.
    Unchanged,
    /// It carries no section, or one that is not understood: withheld, and why.
    Withheld(String),
    /// A section, authentic, for this device's key and as new as `authority` asks; and the root it hangs on.
    Section(Box<Section>, RootPin),
}

/// Why a configuration was refused: nothing of it is used, and what was in force stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The certificates.
    #[error("the controller's certificates")]
    Certs(#[from] wire::certs::CertsError),
    /// Another root than was accepted at first contact.
    #[error(
        "the controller hangs on another root than at first contact: nothing of it is believed; put the first one's certificate back into config/root-certificate.pem"
    )]
    OtherRoot,
    /// The signature or what is under it.
    #[error("the signed configuration")]
    Config(#[from] SignedConfigError),
    /// For the key of another device.
    #[error("the vault section is for device {0}, whose key is not this node's: nothing of it is used")]
    OtherDevice(DeviceId),
    /// For an earlier life of vaultmgr: recorded, or overtaken.
    #[error("the section is for another session than this one")]
    OtherSession,
}

/// Judges the signed answer `envelope` with the certificates that came with it.
pub(crate) fn judge(
    judge: &Judge<'_>,
    authority: Authority,
    envelope: &[u8],
    certs: &[u8],
) -> Result<Judged, Refused> {
    let trusted = ControllerCerts::decode(certs)?.verify(judge.root_pem, Validity::Ignored)?;
    let root = RootPin(trusted.root().0);
    if judge.pin.is_some_and(|pin| pin != root) {
        return Err(Refused::OtherRoot);
    }
    let signed = SignedConfig::verify(envelope, &trusted)?;
    let Some(config) = &signed.response().config else { return Ok(Judged::Unchanged) };
    match config.section() {
        Ok(Some(section)) => check(judge, authority, section).map(|section| Judged::Section(section, root)),
        Ok(None) => Ok(Judged::Withheld("the controller sent no vault section".to_owned())),
        Err(error) => Ok(Judged::Withheld(not_understood(error))),
    }
}

fn not_understood(error: &DecodeError) -> String {
    format!("the vault section is not understood: {error}")
}

fn check(judge: &Judge<'_>, authority: Authority, section: &Section) -> Result<Box<Section>, Refused> {
    // While the key is not known no live section is accepted, and a checkpoint is held against the record.
    if judge.device_key.is_some_and(|key| key != section.device_key) {
        return Err(Refused::OtherDevice(section.device));
    }
    if authority == Authority::Live && section.session != judge.session {
        return Err(Refused::OtherSession);
    }
    Ok(Box::new(section.clone()))
}
