//! The answer to a challenge: a quote or, without a TPM, a signature, over nonce, session and claims.

use attest::{evidence_message, qualifying_data};
use serde::Serialize;
use tpm::PcrSelection;

use super::Signing;
use crate::bus::messages::{Bytes, Evidence, EvidenceWanted, Location, NetworkStatus, Port, Proof};

#[derive(Serialize)]
struct Claims<'a> {
    ports: &'a [Port],
    location: Option<&'a Location>,
    eve: &'static str,
}

pub(super) fn make(
    keys: &Signing,
    asked: &EvidenceWanted,
    network: &NetworkStatus,
) -> anyhow::Result<Evidence> {
    let location = network.location.as_ref().filter(|_| asked.question.wants_location);
    let claims = Claims { ports: &network.ports, location, eve: env!("CARGO_PKG_VERSION") };
    let claims = serde_json::to_vec(&claims)?;
    let proof = prove(keys, asked, &claims)?;
    Ok(Evidence { session: asked.session, nonce: asked.question.nonce, claims: Bytes(claims), proof })
}

fn prove(keys: &Signing, asked: &EvidenceWanted, claims: &[u8]) -> anyhow::Result<Proof> {
    let nonce = &asked.question.nonce;
    let Signing::Tpm { .. } = keys else {
        let signature = keys.sign(&evidence_message(nonce, &asked.session, claims))?;
        return Ok(Proof::DeviceKey(Bytes(signature)));
    };
    let [a, b, c, _] = asked.question.pcrs.0.to_le_bytes();
    let selection = PcrSelection::from_bitmap([a, b, c])?;
    let qualifying = qualifying_data(nonce, &asked.session, claims);
    Ok(keys.hardware(|tpm| tpm.quote(asked.session, &qualifying, selection))?)
}
