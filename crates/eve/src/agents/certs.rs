//! Certificates that this device makes of its own keys, as EVE does: self-signed for the device key, issued by it for the others.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, PublicKeyData,
    SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo,
};
use wire::Signer;

use super::failed::Failed;

/// A P-256 key of ours elsewhere, with what signs for it.
struct Remote<'a> {
    point: &'a [u8],
    signer: &'a dyn Signer,
}

impl PublicKeyData for Remote<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.point
    }
    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Remote<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature = self.signer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(to_der(&signature.0))
    }
}

/// `r || s` as an ECDSA-Sig-Value.
fn to_der(fixed: &[u8; 64]) -> Vec<u8> {
    let mut body = integer(&fixed[..32]);
    body.extend(integer(&fixed[32..]));
    [&[0x30, u8::try_from(body.len()).expect("two integers of 35 bytes at most")][..], &body].concat()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let digits = match number.iter().position(|byte| *byte != 0) {
        Some(start) => &number[start..],
        None => &[0],
    };
    let sign: &[u8] = if digits[0] & 0x80 != 0 { &[0] } else { &[] };
    [&[2, u8::try_from(sign.len() + digits.len()).expect("33 at most")][..], sign, digits].concat()
}

fn params(name: &str) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 1, 1);
    Ok(params)
}

fn device_params() -> anyhow::Result<CertificateParams> {
    let mut params = params("EVE")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params)
}

/// The device certificate: self-signed, P-256, CN EVE. PEM.
pub(super) fn device_cert(point: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, Failed> {
    let key = Remote { point, signer };
    let signed = device_params()?.self_signed(&key);
    Ok(signed.map_err(|error| failed(error, "the device certificate"))?.pem().into_bytes())
}

/// A key that does not sign is another matter than a certificate that can't be made.
fn failed(error: rcgen::Error, what: &'static str) -> Failed {
    match error {
        rcgen::Error::RemoteKeyError => Failed::NotSigned(Box::new(error)),
        other => Failed::Other(anyhow::Error::new(other).context(what)),
    }
}

/// A certificate of the P-256 key at `point`, issued by the device key. PEM.
pub(super) fn issued(
    name: &str,
    point: &[u8],
    device_point: &[u8],
    signer: &dyn Signer,
) -> Result<Vec<u8>, Failed> {
    let issuer = Issuer::new(device_params()?, Remote { point: device_point, signer });
    let subject = Remote { point, signer };
    let subject =
        SubjectPublicKeyInfo::from_der(&subject.subject_public_key_info()).context("a public key")?;
    let signed = params(name)?.signed_by(&subject, &issuer);
    Ok(signed.map_err(|error| failed(error, "a certificate"))?.pem().into_bytes())
}
