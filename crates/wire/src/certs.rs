//! A controller's certificates: the list of `/certs`, judged up to the root that was installed with the node.
//! Rules of EVE's `VerifyLeavesCertChainWithRootPEM`; chains by `webpki`. Stricter: leaves on P-256 only, at most 32 certificates,
//! and the list's own envelope must be signed by the list's signing leaf.

mod chain;

use prost::Message as _;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

pub use self::chain::{OWN_ROOT, OWN_SIGNING};
use self::chain::{Root, pem_certs};
use crate::cert::{Certificate, CertificateError, sha256, short_hash};
use crate::envelope::{EnvelopeError, open_from_controller, unverified_payload};
use crate::error::DecodeError;
use crate::limits::{MAX_CERTS, MAX_PEM, at_most, decode, known};
use crate::pb::certs::{ZCert, ZCertType, ZControllerCert};
use crate::pb::common::HashAlgorithm;
use crate::sign::P256PublicKey;

/// At which time the certificates must be valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// At this time, in seconds since 1970: all that `now` can tell.
    At(u64),
    /// At any one time, the same for all of them. For a reader that knows newness by other means, and whose clock may be wrong.
    Ignored,
}

/// Why a controller's certificates are not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertsError {
    /// Not a list of certificates.
    #[error("not a list of certificates")]
    Decode(#[from] DecodeError),
    /// The envelope around the list.
    #[error("the envelope around the certificates")]
    Envelope(#[from] EnvelopeError),
    /// Not exactly one signing leaf.
    #[error("{0} signing certificates instead of one")]
    SigningLeaves(usize),
    /// No ECDH leaf.
    #[error("no ECDH certificate")]
    NoEcdhLeaf,
    /// A kind that a controller has not.
    #[error("a certificate of kind {0} in a controller's list")]
    Kind(i32),
    /// A leaf that is not readable.
    #[error("a leaf certificate is not readable")]
    Leaf(#[source] CertificateError),
    /// An intermediate that is not readable.
    #[error("an intermediate certificate is not readable")]
    Intermediate,
    /// The installed root file has no readable certificate: the installer's fault.
    #[error("the root certificate file has no readable certificate")]
    Root,
    /// A leaf that does not chain to the root, or not at the time asked.
    #[error("a leaf certificate does not chain to the installed root: {}", not_chained(.0))]
    Chain(webpki::Error),
    /// A leaf of our own controller that is for something else.
    #[error("the signing certificate is one that the controller has for something else")]
    NotForSigning,
}

/// In words: the library has its own names for them alone.
fn not_chained(why: &webpki::Error) -> &'static str {
    use webpki::Error;
    match why {
        Error::CertExpired { .. } => "its time is over, by this machine's clock",
        Error::CertNotValidYet { .. } => "its time has not begun, by this machine's clock",
        Error::UnknownIssuer => "another authority signed it, or none",
        _ => "it is not formed, or not signed, as a controller's are",
    }
}

/// A controller's list of certificates, well formed but not trusted yet.
#[derive(Debug, Clone)]
pub struct ControllerCerts {
    bytes: Vec<u8>,
    signing: Leaf,
    ecdh: Vec<Leaf>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// A leaf: the certificate, the hash it is named by, and the PEM text as received.
#[derive(Debug, Clone)]
struct Leaf {
    name: Vec<u8>,
    pem: Vec<u8>,
    certificate: Certificate,
}

/// SHA-256 of the DER of the root that the signing leaf chains to. A node pins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDigest(pub [u8; 32]);

/// A controller's key for objects: type 3 of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcdhCert {
    /// `certHash` as the controller wrote it: how cipher contexts name it.
    pub name: Vec<u8>,
    /// The certificate.
    pub certificate: Certificate,
}

/// A controller's certificates that chain to the installed root: only [`ControllerCerts::verify`] makes them.
#[derive(Debug, Clone)]
pub struct TrustedCerts {
    bytes: Vec<u8>,
    signing_hash: [u8; 32],
    signing: Certificate,
    ecdh: Vec<EcdhCert>,
    root: RootDigest,
}

impl TrustedCerts {
    /// The list as received, a `ZControllerCert`: what goes to the checkpoint and to vaultmgr.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The key that signs the controller's answers.
    #[must_use]
    pub fn signing_key(&self) -> &P256PublicKey {
        self.signing.public_key()
    }
    /// SHA-256 of the signing leaf's PEM text as received: how the controller names itself in its envelopes.
    #[must_use]
    pub fn signing_hash(&self) -> &[u8; 32] {
        &self.signing_hash
    }
    /// The ECDH leaves; at least one.
    #[must_use]
    pub fn ecdh(&self) -> &[EcdhCert] {
        &self.ecdh
    }
    /// The root that the signing leaf chains to.
    #[must_use]
    pub fn root(&self) -> RootDigest {
        self.root
    }
}

/// Opens an answer of `/certs`: reads the list, verifies it up to the root, then the envelope by its signing leaf.
///
/// # Errors
/// [`CertsError`]: nothing of it is used.
pub fn open_answer(envelope: &[u8], root_pem: &[u8], validity: Validity) -> Result<TrustedCerts, CertsError> {
    let payload = unverified_payload(envelope)?;
    let trusted = ControllerCerts::decode(&payload)?.verify(root_pem, validity)?;
    open_from_controller(envelope, &trusted)?;
    Ok(trusted)
}

/// Makes the payload of `/certs` from PEM texts: one signing leaf, intermediates (each text may hold several), ECDH leaves.
#[must_use]
pub fn encode_list(signing: &[u8], intermediates: &[&[u8]], ecdh: &[&[u8]]) -> Vec<u8> {
    let mut certs = vec![entry(ZCertType::CertTypeControllerSigning, signing)];
    certs.extend(intermediates.iter().map(|pem| entry(ZCertType::CertTypeControllerIntermediate, pem)));
    certs.extend(ecdh.iter().map(|pem| entry(ZCertType::CertTypeControllerEcdhExchange, pem)));
    ZControllerCert { certs }.encode_to_vec()
}

fn entry(kind: ZCertType, pem: &[u8]) -> ZCert {
    let pem = pem.trim_ascii();
    ZCert {
        hash_algo: HashAlgorithm::Sha25616bytes.into(),
        cert_hash: short_hash(pem).to_vec(),
        r#type: kind.into(),
        cert: pem.to_vec(),
        ..ZCert::default()
    }
}

impl ControllerCerts {
    /// Reads a `ZControllerCert`: one signing leaf, at least one ECDH leaf, any intermediates, nothing else.
    ///
    /// # Errors
    /// [`CertsError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CertsError> {
        let list: ZControllerCert = decode(bytes)?;
        at_most("certs", list.certs.len(), MAX_CERTS)?;
        let (mut signing, mut ecdh, mut intermediates) = (Vec::new(), Vec::new(), Vec::new());
        for cert in list.certs {
            at_most("cert", cert.cert.len(), MAX_PEM)?;
            match known("type", cert.r#type)? {
                ZCertType::CertTypeControllerSigning => signing.push(Leaf::read(cert)?),
                ZCertType::CertTypeControllerEcdhExchange => ecdh.push(Leaf::read(cert)?),
                ZCertType::CertTypeControllerIntermediate => intermediates.extend(pem_certs(&cert.cert)?),
                other => return Err(CertsError::Kind(other.into())),
            }
        }
        at_most("intermediate certificates", intermediates.len(), MAX_CERTS)?;
        let [signing] = <[Leaf; 1]>::try_from(signing).map_err(|all| CertsError::SigningLeaves(all.len()))?;
        if ecdh.is_empty() {
            return Err(CertsError::NoEcdhLeaf);
        }
        Ok(Self { bytes: bytes.to_vec(), signing, ecdh, intermediates })
    }

    /// Verifies that every leaf chains through the intermediates to a certificate of `root_pem`, each good for server
    /// authentication where it says what it is good for, all valid at one time as `validity` asks; and that the signing leaf is for
    /// signing, where the root is that of our own controller.
    ///
    /// # Errors
    /// [`CertsError`]: the list is not used.
    pub fn verify(self, root_pem: &[u8], validity: Validity) -> Result<TrustedCerts, CertsError> {
        let roots = Root::read_all(root_pem)?;
        let root = match validity {
            Validity::At(unix) => self.chain(&roots, unix)?,
            Validity::Ignored => self.chain_at_any(&roots)?,
        };
        root.require_signing(&self.signing)?;
        let ecdh =
            self.ecdh.into_iter().map(|leaf| EcdhCert { name: leaf.name, certificate: leaf.certificate });
        Ok(TrustedCerts {
            bytes: self.bytes,
            signing_hash: sha256(&self.signing.pem),
            signing: self.signing.certificate,
            ecdh: ecdh.collect(),
            root: root.digest(),
        })
    }
}

impl Leaf {
    /// Only the first certificate of a leaf's PEM text is used.
    fn read(cert: ZCert) -> Result<Self, CertsError> {
        let certificate = Certificate::from_pem(&cert.cert).map_err(CertsError::Leaf)?;
        Ok(Self { name: cert.cert_hash, pem: cert.cert, certificate })
    }
}
