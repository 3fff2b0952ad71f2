//! Chains: from a controller's leaves through its intermediates to the installed roots, at one time for all.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{CertsError, ControllerCerts, Leaf, RootDigest};
use crate::cert::sha256;
use crate::limits::{MAX_CERTS, MAX_PEM, at_most};

/// Subject of the root that our own controller makes.
pub const OWN_ROOT: &str = "EVE Vault controller root";
/// Subject of the one leaf under it that signs envelopes. Other leaves, that of TLS above all, are held elsewhere and by others.
pub const OWN_SIGNING: &str = "EVE Vault controller signing";

impl ControllerCerts {
    /// If all are valid at some time, they are at the latest of their beginnings: so the beginnings are all there is to try.
    pub(super) fn chain_at_any<'a>(&self, roots: &'a [Root]) -> Result<&'a Root, CertsError> {
        let mut times: Vec<u64> = roots.iter().map(|root| root.begins).collect();
        times.extend(self.leaves().map(|leaf| begins(leaf.certificate.der())));
        times.extend(self.intermediates.iter().map(|der| begins(der)));
        times.sort_unstable();
        times.dedup();
        let mut refused = CertsError::Root;
        for unix in times.into_iter().rev() {
            match self.chain(roots, unix) {
                Ok(root) => return Ok(root),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        std::iter::once(&self.signing).chain(&self.ecdh)
    }

    /// The root that the signing leaf chains to.
    pub(super) fn chain<'a>(&self, roots: &'a [Root], unix: u64) -> Result<&'a Root, CertsError> {
        for leaf in &self.ecdh {
            self.chain_leaf(leaf, roots, unix)?;
        }
        self.chain_leaf(&self.signing, roots, unix)
    }

    /// Returns the root that the leaf chains to. `webpki` does not look at a root's own validity: such roots are left out.
    fn chain_leaf<'a>(&self, leaf: &Leaf, roots: &'a [Root], unix: u64) -> Result<&'a Root, CertsError> {
        let anchors: Vec<TrustAnchor<'_>> =
            roots.iter().filter(|root| root.valid_at(unix)).map(|root| root.anchor.clone()).collect();
        let der = CertificateDer::from(leaf.certificate.der());
        let end = EndEntityCert::try_from(&der).map_err(CertsError::Chain)?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(unix));
        let path = end
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                &self.intermediates,
                time,
                KeyUsage::server_auth(),
                None,
                None,
            )
            .map_err(CertsError::Chain)?;
        roots.iter().find(|root| &root.anchor == path.anchor()).ok_or(CertsError::Root)
    }
}

/// A certificate of the root file.
pub(super) struct Root {
    anchor: TrustAnchor<'static>,
    digest: RootDigest,
    begins: u64,
    ends: u64,
    own: bool,
}

impl Root {
    pub(super) fn read_all(pem: &[u8]) -> Result<Vec<Self>, CertsError> {
        at_most("root certificates", pem.len(), MAX_PEM * MAX_CERTS)?;
        let ders = pem_certs(pem).map_err(|_| CertsError::Root)?;
        at_most("root certificates", ders.len(), MAX_CERTS)?;
        ders.iter().map(Self::read).collect()
    }

    fn read(der: &CertificateDer<'_>) -> Result<Self, CertsError> {
        let anchor = webpki::anchor_from_trusted_cert(der).map_err(|_| CertsError::Root)?.to_owned();
        let (begins, ends) = validity(der).ok_or(CertsError::Root)?;
        Ok(Self { anchor, digest: RootDigest(sha256(der)), begins, ends, own: is_named(der, OWN_ROOT) })
    }

    pub(super) fn digest(&self) -> RootDigest {
        self.digest
    }

    /// Under our own root every leaf is good for server authentication, and one alone for signing: who holds TLS's key is no
    /// signer. A root of others says nothing of it: there EVE's rule alone holds.
    pub(super) fn require_signing(&self, leaf: &Leaf) -> Result<(), CertsError> {
        if self.own && !is_named(leaf.certificate.der(), OWN_SIGNING) {
            Err(CertsError::NotForSigning)
        } else {
            Ok(())
        }
    }

    fn valid_at(&self, unix: u64) -> bool {
        (self.begins..=self.ends).contains(&unix)
    }
}

pub(super) fn pem_certs(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertsError> {
    let ders: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MAX_CERTS + 1).collect();
    let ders = ders.map_err(|_| CertsError::Intermediate)?;
    if ders.is_empty() { Err(CertsError::Intermediate) } else { Ok(ders) }
}

/// Whether the subject of a certificate has this common name, and no other.
fn is_named(der: &[u8], name: &str) -> bool {
    let Ok((_, x509)) = X509Certificate::from_der(der) else { return false };
    let mut names = x509.subject().iter_common_name().map(|found| found.as_str() == Ok(name));
    names.next() == Some(true) && names.next().is_none()
}

/// Beginning and end of a certificate's validity, in seconds since 1970; nothing before then is of use here.
fn validity(der: &[u8]) -> Option<(u64, u64)> {
    let (_, x509) = X509Certificate::from_der(der).ok()?;
    let begins = u64::try_from(x509.validity().not_before.timestamp()).ok()?;
    let ends = u64::try_from(x509.validity().not_after.timestamp()).ok()?;
    Some((begins, ends))
}

/// Where a certificate can't be read, a time at which nothing is valid: its chain is refused for its own reason.
fn begins(der: &[u8]) -> u64 {
    validity(der).map_or(0, |(begins, _)| begins)
}
