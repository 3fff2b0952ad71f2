//! What is posted: certificates, evidence, status.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use nix::time::{ClockId, clock_gettime};
use vault::ids::{DeviceId, VaultId};
use vault::section::Seal;
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EvidenceAnswer, EvidenceBinding, PcrAlgorithm,
    PcrValue, Quote, QuoteAnswer, QuoteCode, Version, VersionKind,
};
use wire::info::{AttestationState, DeviceInfo, NodeReport, PcrStatus, TpmPresence, VaultLine};
use wire::{Signature, TrustedCerts, envelope};

use super::Zedagent;
use crate::agents::certs::issued;
use crate::agents::failed::Failed;
use crate::agents::signer::BusSigner;
use crate::bus::messages::{Agents, Bytes, Evidence, Proof, TpmIdentity, TpmStatus};
use crate::http::{LineError, Refusal, now_unix_s};

/// Since the machine was started, in microseconds, asleep or not: what numbers this node's reports. It goes on over lives of zedagent,
/// and a session ends with the boot at the latest.
fn since_boot_us() -> anyhow::Result<u64> {
    let passed = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).context("the clock since the boot")?);
    Ok(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

impl Zedagent<'_> {
    /// Tells the controller this device's keys, once per life. Refused, it is tried again with each regular poll.
    pub(super) fn upload_certs(&mut self, poll_is_due: bool) -> Result<(), Failed> {
        let again = poll_is_due || self.status.certificates_refused.is_none();
        if self.known()?.uploaded || !again {
            return Ok(());
        }
        let told = match &self.tpm {
            None | Some(TpmStatus::Failing { .. }) => return Ok(()),
            Some(TpmStatus::Absent { .. }) => Ok(()),
            Some(TpmStatus::Ready { identity, .. }) => self.tell_keys(identity),
        };
        self.status.certificates_refused = of_this_alone(told)?.err().map(|refusal| refusal.to_string());
        let uploaded = self.status.certificates_refused.is_none();
        self.identity.iter_mut().for_each(|identity| identity.uploaded = uploaded);
        Ok(())
    }

    fn tell_keys(&self, keys: &TpmIdentity) -> Result<(), Failed> {
        let request = AttestRequest::Certs(self.device_certs(keys)?);
        self.post("attest", &request.encode()).map(drop)
    }

    pub(super) fn device_certs(&self, keys: &TpmIdentity) -> Result<Vec<DeviceCert>, Failed> {
        let signer = BusSigner(self.bus);
        let ak = issued("EVE attestation", &keys.ak, &keys.device_key, &signer)?;
        let ecdh = issued("EVE ecdh", &keys.ecdh, &keys.device_key, &signer)?;
        let mut certs = vec![
            DeviceCert::new(DeviceCertKind::Attestation, ak, Some(sized(&keys.ak_public.0)?)),
            DeviceCert::new(DeviceCertKind::Ecdh, ecdh, None),
        ];
        if let Some(ek) = &keys.ek_cert {
            certs.push(DeviceCert::new(
                DeviceCertKind::Endorsement,
                pem(&ek.0),
                Some(sized(&keys.ek_public.0)?),
            ));
        }
        Ok(certs)
    }

    /// Posts the evidence that waits, and says whether it did. What the controller refuses is not sent again: it asks anew.
    pub(super) fn post_evidence(&mut self) -> Result<bool, Failed> {
        let Some(evidence) = self.evidence.take() else { return Ok(false) };
        if self.session.is_none_or(|session| session.key != evidence.session) {
            return Ok(false);
        }
        let request = AttestRequest::Quote(Box::new(quote(&evidence)?));
        self.vaults_due = true;
        let answer = match of_this_alone(self.post("attest", &request.encode())) {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => {
                self.status.attested = false;
                self.status.attestation = Some(refusal.to_string());
                return Ok(true);
            }
            Err(error) => {
                self.evidence = Some(evidence);
                return Err(error);
            }
        };
        let verdict = verdict(&answer.body, &self.known()?.certs)?;
        let refused = match verdict.verdict {
            Some(EvidenceAnswer::Refused(words)) => words,
            _ if verdict.code == QuoteCode::Success => {
                self.accepted();
                return Ok(true);
            }
            _ => format!("refused by the controller: {}", verdict.code),
        };
        // It has no key of this device any more: an operator had it forget the one that it had.
        if verdict.code == QuoteCode::NoCertFound {
            self.identity.iter_mut().for_each(|identity| identity.uploaded = false);
        }
        (self.status.attested, self.status.attestation) = (false, Some(refused));
        Ok(true)
    }

    pub(super) fn post_info(&mut self) -> Result<(), Failed> {
        self.post("info", &self.info()?.encode())?;
        self.vaults_due = false;
        self.info_at.rotate_right(1);
        self.info_at[0] = Some(Instant::now());
        Ok(())
    }

    pub(super) fn info(&self) -> anyhow::Result<DeviceInfo> {
        self.info_of(self.known()?.device)
    }

    /// What is reported of this node as that device.
    pub(super) fn info_of(&self, device: DeviceId) -> anyhow::Result<DeviceInfo> {
        let session = self.session.map(|session| session.key);
        let (accepted, notes, counter) = (self.vaults.accepted, self.notes(), since_boot_us()?);
        let (disk_away, drill) = (self.vaults.disk_away, self.vaults.drill.clone());
        let (generation, measured) = (self.vaults.generation, self.measured());
        let node = NodeReport {
            session,
            accepted,
            accepted_for: self.vaults.head.map(|head| head.device),
            notes,
            counter,
            disk_away,
            drill,
            generation,
            measured,
        };
        let lines =
            self.vaults.vaults.iter().map(|report| VaultLine::of(report.clone(), self.pcrs(report.id)));
        Ok(DeviceInfo {
            device,
            at_unix_s: now_unix_s(),
            tpm: match &self.tpm {
                None => TpmPresence::Unknown,
                Some(TpmStatus::Absent { .. }) => TpmPresence::NotFound,
                Some(TpmStatus::Failing { .. }) => TpmPresence::Disabled,
                Some(TpmStatus::Ready { .. }) => TpmPresence::Enabled,
            },
            tpm_info: self.tpm.as_ref().map(TpmStatus::words).unwrap_or_default(),
            attestation: if self.status.attested {
                AttestationState::Complete
            } else {
                AttestationState::AttestWait
            },
            attestation_error: self.status.attestation.clone().filter(|_| !self.status.attested),
            vaults: lines.collect(),
            node: Some(node),
        })
    }

    /// Whether firmware measured this boot, while a TPM answers.
    fn measured(&self) -> Option<bool> {
        match self.tpm {
            Some(TpmStatus::Ready { measured, .. }) => Some(measured),
            _ => None,
        }
    }

    /// Whether PCRs guard a vault's key, in EVE's words.
    fn pcrs(&self, vault: VaultId) -> PcrStatus {
        match self.vaults.seals.get(&vault) {
            None => PcrStatus::Unknown,
            Some(Some(Seal::Pcrs)) => PcrStatus::Enabled,
            Some(Some(Seal::Tpm) | None) => PcrStatus::Disabled,
        }
    }

    fn notes(&self) -> Vec<String> {
        let tpm = match &self.tpm {
            Some(TpmStatus::Failing { why }) => Some(format!("TPM failing: {why}")),
            Some(TpmStatus::Ready { identity, .. }) if identity.other_tpm => {
                Some("this is not the TPM that this node was installed with".to_owned())
            }
            Some(tpm @ TpmStatus::Ready { identity, .. }) if identity.cleared => {
                Some(format!("TPM: {}", tpm.words()))
            }
            _ => None,
        };
        let silent = self.silent.iter().cloned();
        self.vaults.notes.iter().cloned().chain(tpm).chain(self.status.note()).chain(silent).collect()
    }

    /// What is new of those that do not answer is told at once: they may be ended before the next report.
    pub(super) fn hear_agents(&mut self, agents: &Agents) {
        let silent = agents.notes();
        self.vaults_due |= silent != self.silent;
        self.silent = silent;
    }
}

/// A refusal of one thing, for the rest to go on. Any other error stays one.
pub(super) fn of_this_alone<T>(done: Result<T, Failed>) -> Result<Result<T, Refusal>, Failed> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(Failed::Line(LineError::Refused(refusal))) if refusal.of_this_alone() => Ok(Err(refusal)),
        Err(error) => Err(error),
    }
}

/// The answer to evidence.
fn verdict(answer: &[u8], certs: &TrustedCerts) -> anyhow::Result<QuoteAnswer> {
    let payload = envelope::open_from_controller(answer, certs)?;
    match AttestResponse::decode(&payload)? {
        AttestResponse::Quote(verdict) => Ok(verdict),
        _ => Err(anyhow!("an answer on something else")),
    }
}

pub(super) fn quote(evidence: &Evidence) -> anyhow::Result<Quote> {
    let version = Version { kind: VersionKind::Eve, text: env!("CARGO_PKG_VERSION").to_owned() };
    let mut binding = EvidenceBinding {
        session: evidence.session,
        nonce: evidence.nonce,
        claims: evidence.claims.0.clone(),
        device_signature: None,
    };
    let mut quote = Quote { versions: vec![version], ..Quote::default() };
    match &evidence.proof {
        Proof::DeviceKey(signature) => {
            binding.device_signature = Some(
                Signature::try_from(signature.0.as_slice()).context("tpmmgr's signature does not read")?,
            );
        }
        Proof::Quote { attest, signature, bank, pcrs } => {
            quote.attest_data.clone_from(&attest.0);
            quote.signature.clone_from(&signature.0);
            let algorithm = PcrAlgorithm::of(*bank);
            let value =
                |(index, value): &(u8, Bytes)| PcrValue { index: *index, algorithm, value: value.0.clone() };
            quote.pcr_values = pcrs.iter().map(value).collect();
        }
    }
    quote.binding = Some(binding);
    Ok(quote)
}

/// TPM2B_PUBLIC: the size before a TPMT_PUBLIC.
fn sized(public: &[u8]) -> anyhow::Result<Vec<u8>> {
    let size = u16::try_from(public.len()).context("a public area of the TPM")?;
    Ok([&size.to_be_bytes()[..], public].concat())
}

fn pem(der: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n")).into_bytes()
}
