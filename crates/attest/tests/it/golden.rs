//! A quote made by EVE's own code on a TPM: EVE qualifies with the bare nonce and quotes PCR 0 to 15.

use std::fs;
use std::path::PathBuf;

use attest::{
    PcrValues, Quote, QuoteError, Verdict, composite, kind, magic, qualifying, references, selection,
};
use serde_json::Value;

fn vector(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../vectors", name].iter().collect();
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn facts() -> Value {
    serde_json::from_slice(&vector("tpm/quote.json")).unwrap()
}

fn pcrs(facts: &Value) -> PcrValues {
    let all = facts["pcr_values_sent"].as_object().unwrap().iter();
    let one = |(n, v): (&String, &Value)| {
        let value: [u8; 32] = hex::decode(v.as_str().unwrap()).unwrap().try_into().unwrap();
        (n.parse().unwrap(), value.into())
    };
    all.map(one).filter(|(n, _)| *n < 16).collect()
}

#[test]
fn a_quote_of_eve_reads_and_passes_each_check() {
    let (facts, quote) = (facts(), Quote::read(&vector("tpm/quote.attest.bin")).unwrap());
    let decoded = &facts["decoded"];
    assert_eq!(u64::from(quote.reset_count), decoded["reset_count"].as_u64().unwrap());
    assert_eq!(u64::from(quote.restart_count), decoded["restart_count"].as_u64().unwrap());
    assert_eq!(quote.clock_ms, decoded["clock"].as_u64().unwrap());
    assert_eq!(format!("{:016x}", quote.firmware_version), decoded["firmware_version_hex"].as_str().unwrap());
    assert_eq!(u64::from(quote.safe), decoded["safe"].as_u64().unwrap());
    assert_eq!(hex::encode(&quote.qualifying_data), decoded["extra_data_hex"]);
    assert_eq!(hex::encode(&quote.composite), decoded["pcr_digest_hex"]);
    qualifying(&quote, &hex::decode(facts["nonce_hex"].as_str().unwrap()).unwrap()).unwrap();
    selection(&quote, 0xFFFF).unwrap();
    composite(&quote, 0xFFFF, &pcrs(&facts)).unwrap();
    assert_eq!(references(&[pcrs(&facts)], &pcrs(&facts)), Verdict::Passed);
}

/// IF-4: each check alone says why, whatever the others say.
#[test]
fn magic_and_kind_are_checked_each_alone() {
    let mut bytes = vector("tpm/quote.attest.bin");
    assert_eq!((magic(&bytes), kind(&bytes)), (Ok(()), Ok(())));
    bytes[0] ^= 1;
    assert_eq!((magic(&bytes), kind(&bytes)), (Err(QuoteError::Magic), Ok(())));
    bytes[0] ^= 1;
    bytes[5] ^= 1;
    assert_eq!((magic(&bytes), kind(&bytes)), (Ok(()), Err(QuoteError::Type)));
    assert_eq!((magic(&bytes[..3]), kind(&bytes[..5])), (Err(QuoteError::Magic), Err(QuoteError::Type)));
}

#[test]
fn its_signature_verifies_with_the_certificates_key_and_no_other_bytes() {
    let pem = vector("keys/device-tpm-attest.cert.pem");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let certificate = pem.parse_x509().unwrap();
    let point = &certificate.public_key().subject_public_key.data;
    let key =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1, point);
    let (mut quote, signature) = (vector("tpm/quote.attest.bin"), vector("tpm/quote.signature.der.bin"));
    key.verify(&quote, &signature).expect("EVE's quote");
    quote[40] ^= 1;
    assert!(key.verify(&quote, &signature).is_err());
}

#[test]
fn every_cut_of_it_is_refused() {
    let bytes = vector("tpm/quote.attest.bin");
    for length in 0..bytes.len() {
        assert!(Quote::read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
}
