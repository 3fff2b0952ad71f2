//! The controller's own CA: a root, and leaves for signing, for objects (ECDH) and for TLS, made at first start.
//! Private keys are rows sealed under the key-encryption key; the root certificate is also a file for the nodes' installer.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use wire::certs::{OWN_ROOT, OWN_SIGNING};
use wire::sign::FileSigner;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use super::{CustodyError, Identity, Kek};
use crate::store::{KeyRow, StoreError, Tx, UnixSeconds};

/// The year that begins every certificate here, a fixed time in the past: a clock that was ahead when one was made makes none that does
/// not hold yet once it is set right.
const FROM: i32 = 2026;
/// The year that ends the root.
const ROOT_UNTIL: i32 = FROM + 30;
/// Years that a leaf is good for; not longer than the root.
const LEAF_YEARS: i32 = 10;
/// A leaf that ends within so many seconds (a year) is made anew at start.
const RENEWAL_S: i64 = 365 * 86_400;

/// The controller's certificates, and the keys that it works with.
pub struct Authority {
    /// The root certificate: what nodes are installed with.
    pub root_pem: String,
    /// The signing certificate.
    pub signing_pem: String,
    /// The payload of `/certs`: signing and ECDH leaves.
    pub list: Vec<u8>,
    /// Changes when the list does: SHA-256 of it, in hexadecimal.
    pub list_hash: String,
    /// Signs every answer.
    pub signer: FileSigner,
    /// The chain that TLS shows: its leaf.
    pub tls_chain: Vec<CertificateDer<'static>>,
    /// TLS's private key.
    pub tls_key: PrivateKeyDer<'static>,
}

/// Loads the CA, making what is not there yet. A leaf is made anew when it is not good much longer, or is damaged, and the TLS leaf when it does not
/// name all of `names`.
///
/// # Errors
/// [`CustodyError`]: the controller can't start; also when the clock is outside the root's time, for no leaf made by it would chain.
pub async fn load(
    tx: &mut dyn Tx,
    kek: &Kek,
    names: &[String],
    now: UnixSeconds,
) -> Result<Authority, CustodyError> {
    let root = root(tx, kek).await?;
    within(&root.cert_pem, now)?;
    let signing =
        leaf(tx, kek, &root, Leaf { name: "signing", common_name: OWN_SIGNING, names: &[] }, now).await?;
    let ecdh = leaf(
        tx,
        kek,
        &root,
        Leaf { name: "ecdh", common_name: "EVE Vault controller objects", names: &[] },
        now,
    )
    .await?;
    let tls =
        leaf(tx, kek, &root, Leaf { name: "tls", common_name: "EVE Vault controller", names }, now).await?;
    let list = wire::certs::encode_list(signing.cert_pem.as_bytes(), &[], &[ecdh.cert_pem.as_bytes()]);
    let signer = FileSigner::from_der(&signing.key)
        .map_err(|_| CustodyError::Unsealed(Identity::Key("signing").into()))?;
    Ok(Authority {
        root_pem: root.cert_pem,
        list_hash: hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &list)),
        list,
        signer,
        tls_chain: vec![der(&tls.cert_pem)?],
        tls_key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(tls.key.to_vec())),
        signing_pem: signing.cert_pem,
    })
}

/// An opened row.
struct OpenedRow {
    cert_pem: String,
    key: Zeroizing<Vec<u8>>,
}

/// What a leaf is for.
#[derive(Clone, Copy)]
struct Leaf<'a> {
    name: &'static str,
    common_name: &'static str,
    names: &'a [String],
}

async fn opened(tx: &mut dyn Tx, kek: &Kek, name: &str) -> Result<Option<OpenedRow>, CustodyError> {
    let Some(row) = tx.key(name).await? else { return Ok(None) };
    let key = kek.open(Identity::Key(name), &row.sealed)?;
    Ok(Some(OpenedRow { cert_pem: row.cert_pem, key }))
}

async fn keep(
    tx: &mut dyn Tx,
    kek: &Kek,
    name: &str,
    key: &KeyPair,
    cert_pem: String,
) -> Result<OpenedRow, CustodyError> {
    let key = Zeroizing::new(key.serialize_der());
    let sealed = kek.seal(Identity::Key(name), &key)?;
    tx.put_key(&KeyRow { name: name.into(), sealed, cert_pem: cert_pem.clone() }).await?;
    Ok(OpenedRow { cert_pem, key })
}

async fn root(tx: &mut dyn Tx, kek: &Kek) -> Result<OpenedRow, CustodyError> {
    if let Some(there) = opened(tx, kek, "ca").await? {
        return Ok(there);
    }
    let key = KeyPair::generate()?;
    let mut params = params(OWN_ROOT, &[], (ROOT_UNTIL, 1, 1))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let cert = params.self_signed(&key)?;
    keep(tx, kek, "ca", &key, cert.pem()).await
}

async fn leaf(
    tx: &mut dyn Tx,
    kek: &Kek,
    root: &OpenedRow,
    leaf: Leaf<'_>,
    now: UnixSeconds,
) -> Result<OpenedRow, CustodyError> {
    let there = match opened(tx, kek, leaf.name).await {
        // The root's key opened, so it is this row that is damaged.
        Err(error @ (CustodyError::Unsealed(_) | CustodyError::Store(StoreError::Damaged(_)))) => {
            tracing::error!(leaf = leaf.name, %error, "a key of the controller's own is damaged, and is made anew under the same root");
            None
        }
        there => there?,
    };
    if let Some(there) = there
        && serves(&there.cert_pem, leaf.names, now)
    {
        return Ok(there);
    }
    let key = KeyPair::generate()?;
    let mut params = params(leaf.common_name, leaf.names, leaf_until(now))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let issuer_key = KeyPair::try_from(root.key.as_slice())?;
    let issuer = Issuer::from_ca_cert_der(&der(&root.cert_pem)?, issuer_key)?;
    let cert = params.signed_by(&key, &issuer)?;
    keep(tx, kek, leaf.name, &key, cert.pem()).await
}

fn params(
    common_name: &str,
    names: &[String],
    (year, month, day): (i32, u8, u8),
) -> Result<CertificateParams, CustodyError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(FROM, 1, 1);
    params.not_after = date_time_ymd(year, month, day);
    Ok(params)
}

fn leaf_until(now: UnixSeconds) -> (i32, u8, u8) {
    let (year, month, day) = date(now);
    (year + LEAF_YEARS, month, day).min((ROOT_UNTIL, 1, 1))
}

/// A date that exists in every year.
fn date(at: UnixSeconds) -> (i32, u8, u8) {
    let text = crate::clock::text(at);
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    let day: u8 = part(8..10).parse().unwrap_or(1);
    (part(0..4).parse().unwrap_or(1970), part(5..7).parse().unwrap_or(1), day.min(28))
}

fn der(pem: &str) -> Result<CertificateDer<'static>, CustodyError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| CustodyError::Unreadable)
}

/// The clock must be within the root's time.
fn within(root_pem: &str, now: UnixSeconds) -> Result<(), CustodyError> {
    let der = der(root_pem)?;
    let (_, root) = X509Certificate::from_der(&der).map_err(|_| CustodyError::Unreadable)?;
    let validity = root.validity();
    let good = (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&seconds(now));
    let [begins, ends] = [validity.not_before, validity.not_after].map(|time| time.to_string());
    if good { Ok(()) } else { Err(CustodyError::Clock { now: crate::clock::text(now), begins, ends }) }
}

/// Whether a certificate is good for a while yet, and names all these hosts and addresses.
fn serves(pem: &str, names: &[String], now: UnixSeconds) -> bool {
    let Ok(der) = der(pem) else { return false };
    let Ok((_, cert)) = X509Certificate::from_der(&der) else { return false };
    let Ok(found) = cert.subject_alternative_name() else { return false };
    let found = found.map(|ext| ext.value.general_names.clone()).unwrap_or_default();
    lasts(&cert, now) && names.iter().all(|name| found.iter().any(|general| is(general, name)))
}

/// One that does not hold yet was made by a clock that was ahead, and by an earlier version: it is made anew, for the clock is not far behind.
fn lasts(cert: &X509Certificate<'_>, now: UnixSeconds) -> bool {
    let validity = cert.validity();
    let [begins, ends] = [validity.not_before, validity.not_after].map(|time| time.timestamp());
    begins <= seconds(now) && seconds(now).saturating_add(RENEWAL_S) < ends
}

/// As certificates count.
fn seconds(at: UnixSeconds) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

fn is(general: &GeneralName<'_>, name: &str) -> bool {
    match general {
        GeneralName::DNSName(dns) => *dns == name,
        GeneralName::IPAddress(bytes) => match name.parse() {
            Ok(std::net::IpAddr::V4(ip)) => ip.octets() == *bytes,
            Ok(std::net::IpAddr::V6(ip)) => ip.octets() == *bytes,
            Err(_) => false,
        },
        _ => false,
    }
}
