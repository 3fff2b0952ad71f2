//! The signature of a signed configuration, verified by vaultmgr itself: chain up to the installed root, signature, and what the answer
//! says of vaults. It trusts nothing of what zedagent or client found out. For whom a section is, and whether it counts, `vault::belief`
//! decides. Dates are not looked at: newness comes from session and version.

use std::collections::BTreeSet;

use crate::agents::vaultmgr::escrow::Said as OfEscrow;
use vault::belief::{Beside, LockOrders, Said, Signed, SignedAnswer};
use vault::shares::RootPin;
use wire::certs::{CertsError, TrustedCerts};
use wire::config::{DeviceConfig, SignedConfig, SignedConfigError};
use wire::control::{Control, Order};
use wire::{ControllerCerts, DecodeError, Validity};

/// Why a configuration was refused: nothing of it is used, and what was in force stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotVerified {
    /// The certificates.
    #[error("the controller's certificates")]
    Certs(#[from] CertsError),
    /// The signature or what is under it.
    #[error("the signed configuration")]
    Config(#[from] SignedConfigError),
}

/// The controller's certificates that were found good last, with the root certificate that they hang on, PEM. Whether they are good follows from these
/// bytes alone, and answer after answer comes with the same: so it is found out again only where a byte is another.
#[derive(Debug, Default)]
pub(crate) struct GoodCerts(Option<(Vec<u8>, TrustedCerts)>);

impl GoodCerts {
    /// Whether these very ones were found good by that root.
    pub(crate) fn are_these(&self, root_pem: &[u8], certs: &[u8]) -> bool {
        self.0.as_ref().is_some_and(|(root, good)| root == root_pem && good.bytes() == certs)
    }

    fn judge(&mut self, root_pem: &[u8], certs: &[u8]) -> Result<&TrustedCerts, CertsError> {
        if !self.are_these(root_pem, certs) {
            let good = ControllerCerts::decode(certs)?.verify(root_pem, Validity::Ignored)?;
            self.0 = Some((root_pem.to_vec(), good));
        }
        Ok(&self.0.as_ref().expect("they are there, or were put there").1)
    }
}

/// Verifies a signed answer with the certificates that came with it, against the installed root certificate, PEM.
pub(crate) fn verify(
    known: &mut GoodCerts,
    root_pem: &[u8],
    signed: Signed,
) -> Result<(SignedAnswer, OfEscrow), NotVerified> {
    let trusted = known.judge(root_pem, &signed.certs)?;
    let root = RootPin(trusted.root().0);
    let answer = SignedConfig::verify(&signed.envelope, trusted)?;
    let said = answer.response().config.as_ref().map_or(Said::Unchanged, said);
    let control = answer.response().control.clone();
    let beside = control.as_ref().map(beside).unwrap_or_default();
    let key = trusted.ecdh().first().map(|ecdh| *ecdh.certificate.public_key());
    Ok((SignedAnswer { root, said, beside, signed }, OfEscrow { root, key, control }))
}

fn said(config: &DeviceConfig) -> Said {
    match (config.section(), config.section_digest()) {
        (Ok(Some(section)), Some(digest)) => Said::Section(Box::new(section.clone()), digest),
        (Ok(_), _) => Said::NoSection,
        (Err(error), _) => Said::Withheld(not_understood(error)),
    }
}

/// Orders to lock that say for whose key they are and from when: of others nothing tells whether they hold.
fn beside(control: &Control) -> Beside {
    let lock = |order: &Order| match order {
        Order::Lock(vault) => Some(*vault),
        Order::Erase(_) | Order::NotUnderstood(_) => None,
    };
    let vaults: BTreeSet<_> = control.orders.iter().filter_map(lock).collect();
    let (device, session) = (control.device, control.session);
    let orders = match (control.device_key, control.as_of) {
        (Some(device_key), Some(at)) if !vaults.is_empty() => {
            Some(LockOrders { device, device_key, session, at, vaults })
        }
        _ => None,
    };
    Beside { orders, lacks: Some(control.lacks.clone()).filter(|lacks| !lacks.is_empty()) }
}

fn not_understood(error: &DecodeError) -> String {
    format!("the list of vaults is not understood: {error}")
}
