//! Chains: from a controller's leaves through its intermediates to the installed roots, at one time for all.

use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{CertsError, ControllerCerts, Leaf, RootDigest};
use crate::cert::sha256;
use crate::limits::{MAX_CERTS, MAX_PEM, at_most};

impl ControllerCerts {
    /// If all are valid at some time, they are at the latest of their beginnings: so the beginnings are all there is to try.
    pub(super) fn chain_at_any(&self, roots: &[Root]) -> Result<RootDigest, CertsError> {
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

    pub(super) fn chain(&self, roots: &[Root], unix: u64) -> Result<RootDigest, CertsError> {
        for leaf in &self.ecdh {
            self.chain_leaf(leaf, roots, unix)?;
        }
        self.chain_leaf(&self.signing, roots, unix)
    }

    /// Returns the root that the leaf chains to. `webpki` does not look at a root's own validity: such roots are left out.
    fn chain_leaf(&self, leaf: &Leaf, roots: &[Root], unix: u64) -> Result<RootDigest, CertsError> {
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
        let root = roots.iter().find(|root| &root.anchor == path.anchor());
        root.map(|root| root.digest).ok_or(CertsError::Root)
    }
}

/// A certificate of the root file.
pub(super) struct Root {
    anchor: TrustAnchor<'static>,
    digest: RootDigest,
    begins: u64,
    ends: u64,
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
        Ok(Self { anchor, digest: RootDigest(sha256(der)), begins, ends })
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
