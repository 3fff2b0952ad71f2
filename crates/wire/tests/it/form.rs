//! Why what was sent is not taken, held against the form of all errors: plain words, whichever it is.

use std::error::Error;

use form::{Command, every, wrong_words};
use vault::escrow::Bundle;
use vault::ids::{Epoch, Generation};
use wire::DecodeError;
use wire::cert::CertificateError;
use wire::certs::CertsError;
use wire::config::SignedConfigError;
use wire::envelope::EnvelopeError;
use wire::escrow::{NotOpened, NotSealed};
use wire::register::RegisterError;
use wire::sign::{BadSignature, NotP256, NotRAndS, SignError};

fn decode() -> DecodeError {
    DecodeError::TooLarge { what: "a list of certificates", bytes: 7, limit: 5 }
}

/// What the library says of bytes that are no protocol buffer.
fn malformed() -> prost::DecodeError {
    <() as prost::Message>::decode(&b"\xff"[..]).expect_err("no message")
}

every! {
    certificates: CertsError {
        CertsError::Decode(_) => CertsError::Decode(decode()),
        CertsError::Envelope(_) => CertsError::Envelope(EnvelopeError::BadSignature),
        CertsError::SigningLeaves(_) => CertsError::SigningLeaves(2),
        CertsError::NoEcdhLeaf => CertsError::NoEcdhLeaf,
        CertsError::Kind(_) => CertsError::Kind(7),
        CertsError::Leaf(_) => CertsError::Leaf(CertificateError::NotX509),
        CertsError::Intermediate => CertsError::Intermediate,
        CertsError::Root => CertsError::Root,
        CertsError::Chain(_) => CertsError::Chain(webpki::Error::UnknownIssuer),
        CertsError::NotForSigning => CertsError::NotForSigning,
    }
    configurations: SignedConfigError {
        SignedConfigError::Envelope(_) => SignedConfigError::Envelope(EnvelopeError::UnknownSender),
        SignedConfigError::Decode(_) => SignedConfigError::Decode(decode()),
    }
    decodes: DecodeError {
        DecodeError::TooLarge { .. } => decode(),
        DecodeError::Malformed { .. } => DecodeError::Malformed { message: "vault section", source: malformed() },
        DecodeError::Broken { .. } => DecodeError::Broken { message: "vault section", why: "it ends early" },
        DecodeError::Twice { .. } => DecodeError::Twice { message: "vault section", field: 7 },
        DecodeError::Missing { .. } => DecodeError::Missing { field: "nonce" },
        DecodeError::Invalid { .. } => DecodeError::Invalid { field: "nonce", why: "has not 32 bytes" },
        DecodeError::NotUnderstood { .. } => DecodeError::NotUnderstood { field: "custody", value: 7 },
    }
    envelopes: EnvelopeError {
        EnvelopeError::Decode(_) => EnvelopeError::Decode(decode()),
        EnvelopeError::NoPayload => EnvelopeError::NoPayload,
        EnvelopeError::Algorithm(_) => EnvelopeError::Algorithm(7),
        EnvelopeError::HashLength(_) => EnvelopeError::HashLength(7),
        EnvelopeError::UnknownSender => EnvelopeError::UnknownSender,
        EnvelopeError::SignatureLength(_) => EnvelopeError::SignatureLength(7),
        EnvelopeError::BadSignature => EnvelopeError::BadSignature,
        EnvelopeError::Evidence => EnvelopeError::Evidence,
        EnvelopeError::SenderCert(_) => EnvelopeError::SenderCert(Some(CertificateError::NotX509)),
    }
    registrations: RegisterError {
        RegisterError::Decode(_) => RegisterError::Decode(decode()),
        RegisterError::Certificate(_) => RegisterError::Certificate(CertificateError::NotX509),
    }
    sealed: wire::envelope::SealError {
        wire::envelope::SealError::Certificate(_) => CertificateError::NotX509.into(),
        wire::envelope::SealError::Sign(_) => signs().remove(0).into(),
    }
    to_sessions: wire::release::SealError { wire::release::SealError => wire::release::SealError }
    to_recipients: wire::age::SealError { wire::age::SealError => wire::age::SealError }
    released: wire::release::OpenError {
        wire::release::OpenError { .. } => wire::release::OpenError { epoch: Epoch(2) },
    }
    recovered: wire::age::OpenError {
        wire::age::OpenError::Damaged => wire::age::OpenError::Damaged,
        wire::age::OpenError::NoMatch => wire::age::OpenError::NoMatch,
        wire::age::OpenError::Other => wire::age::OpenError::Other,
    }
    identities: wire::age::BadIdentity { wire::age::BadIdentity { .. } => wire::age::BadIdentity { line: 7 } }
    bundles: NotOpened { NotOpened(_) => NotOpened(Bundle::id_of(Generation(1), b"x")) }
    to_nodes: NotSealed { NotSealed => NotSealed }
    signs: SignError { SignError(_) => SignError("the TPM is busy".into()) }
    signatures: BadSignature { BadSignature => BadSignature }
    points: NotP256 { NotP256 => NotP256 }
    lengths: NotRAndS { NotRAndS => NotRAndS }
}

/// An error and its causes.
fn lines(error: &dyn Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
}

/// Issue 8, errors: what the library says of a chain is not said in its names.
#[test]
fn what_was_sent_is_refused_in_plain_words() {
    let chains = [webpki::Error::BadDer, webpki::Error::CaUsedAsEndEntity].map(CertsError::Chain);
    let mut told: Vec<String> = certificates().iter().chain(&chains).flat_map(|error| lines(error)).collect();
    macro_rules! all {
        ($($of:ident),+) => { $($of().iter().for_each(|error| told.extend(lines(error)));)+ };
    }
    all!(configurations, decodes, envelopes, registrations, sealed, to_sessions, to_recipients, released);
    all!(recovered, identities, bundles, to_nodes, signs, signatures, points, lengths);
    // What the library says of a protocol buffer is its own word.
    told.retain(|line| *line != malformed().to_string());
    let wrong: Vec<String> = told.iter().flat_map(|line| wrong_words(&Command::new("eve"), line)).collect();
    assert!(told.len() > 40 && wrong.is_empty(), "{wrong:#?}");
}
