//! Why a controller's certificates and its configuration are not taken, held against the form of all errors: plain words, whichever it is.

use std::error::Error;

use form::{Command, every, wrong_words};
use wire::DecodeError;
use wire::cert::CertificateError;
use wire::certs::CertsError;
use wire::config::SignedConfigError;
use wire::envelope::EnvelopeError;

fn decode() -> DecodeError {
    DecodeError::TooLarge { what: "a list of certificates", bytes: 7, limit: 5 }
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
}

/// An error and its causes.
fn lines(error: &dyn Error) -> Vec<String> {
    std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string).collect()
}

/// Issue 8, errors: what the library says of a chain is not said in its names.
#[test]
fn what_a_controller_sent_is_refused_in_plain_words() {
    let chains = [webpki::Error::BadDer, webpki::Error::CaUsedAsEndEntity].map(CertsError::Chain);
    let mut told: Vec<String> = certificates().iter().chain(&chains).flat_map(|error| lines(error)).collect();
    told.extend(configurations().iter().flat_map(|error| lines(error)));
    let wrong: Vec<String> = told.iter().flat_map(|line| wrong_words(&Command::new("eve"), line)).collect();
    assert!(told.len() > 14 && wrong.is_empty(), "{wrong:#?}");
}
