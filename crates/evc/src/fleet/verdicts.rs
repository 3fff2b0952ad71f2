//! Verdicts on evidence, remembered by all that was judged: judging is pure, so what is remembered can't be out of date, and nothing has
//! to end it. Lost at any time, it is judged again.
//! It holds what `attest` found good, under the SHA-256 of every byte that went in: no key, no secret, nothing of a policy. It never holds a
//! decision: that depends on the time.

use std::sync::{Arc, Mutex, PoisonError};

use vault::decide::TpmPin;
use vault::ids::DeviceId;

use super::bounded::Bounded;
use super::evidence::{ATTESTATION_CERT, BadEvidence, Shown, judge};
use super::parts::Parts;
use crate::store::{CertRow, DeviceRow, Pcrs, Record, ReferenceRow, ReferenceState};

/// Of so many devices, one each: what stands. A device that shows ever more takes its own place, and no other's. Beyond them each that comes
/// costs another one its verdict, which is one verification to know again.
const MOST: usize = 4096;

/// What was judged, and found to show.
type KnownGood = ([u8; 32], Arc<Shown>);

/// Of good evidence, what it showed.
pub struct Verdicts(Mutex<Bounded<DeviceId, KnownGood>>);

impl Default for Verdicts {
    fn default() -> Self {
        Self(Mutex::new(Bounded::of(MOST)))
    }
}

impl Verdicts {
    /// As [`judge`].
    ///
    /// # Errors
    /// [`BadEvidence`]: it is worth nothing. That is not remembered.
    pub(crate) fn judge(
        &self,
        record: &Record,
        device: &DeviceRow,
        certs: &[CertRow],
        references: &[ReferenceRow],
    ) -> Result<Arc<Shown>, BadEvidence> {
        let judged = inputs(record, device, certs, references);
        let known = self.held(|all| all.get(&device.id).filter(|(known, _)| *known == judged).cloned());
        if let Some((_, shown)) = known {
            return Ok(shown);
        }
        let shown = Arc::new(judge(record, device, certs, references)?);
        self.held(|all| all.put(device.id, (judged, shown.clone())));
        Ok(shown)
    }

    fn held<T>(&self, look: impl FnOnce(&mut Bounded<DeviceId, KnownGood>) -> T) -> T {
        // Whoever panicked had put a whole verdict in, or none.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Values of PCRs, which say how many there are.
fn add_pcrs(inputs: &mut Parts, Pcrs(values): &Pcrs) {
    inputs.add(&[values.len() as u8]);
    for (pcr, value) in values {
        inputs.add(&[*pcr]);
        inputs.add(value.as_bytes());
    }
}

fn word(tpm: TpmPin) -> &'static [u8] {
    match tpm {
        TpmPin::Unknown => b"unknown",
        TpmPin::Present => b"present",
        TpmPin::Absent => b"absent",
    }
}

/// All that [`judge`] looks at.
fn inputs(record: &Record, device: &DeviceRow, certs: &[CertRow], references: &[ReferenceRow]) -> [u8; 32] {
    // Named one by one: a new field is not forgotten here.
    let Record { session, nonce, claims, attest_data, signature, device_signature, pcrs, before } = record;
    let mut inputs = Parts::default();
    for bytes in [&session[..], nonce, claims, attest_data, signature] {
        inputs.add(bytes);
    }
    for bytes in [device_signature, before] {
        inputs.add_if_any(bytes.as_deref());
    }
    add_pcrs(&mut inputs, pcrs);
    inputs.add(word(device.tpm));
    inputs.add(&device.cert_der);
    for cert in certs.iter().filter(|cert| cert.kind == ATTESTATION_CERT) {
        inputs.add(b"ak");
        inputs.add_if_any(cert.public.as_deref());
    }
    for good in references.iter().filter(|row| row.state == ReferenceState::Approved) {
        inputs.add(b"reference");
        add_pcrs(&mut inputs, &good.pcrs);
    }
    inputs.digest()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use vault::ids::Project;

    use super::*;
    use crate::store::{Alarm, NodeWord};

    struct Judged {
        record: Record,
        device: DeviceRow,
        certs: Vec<CertRow>,
        references: Vec<ReferenceRow>,
    }

    fn pcrs(value: u8) -> Pcrs {
        let of = |value| attest::PcrDigest::Sha256([value; 32]);
        Pcrs(BTreeMap::from([(0, of(value)), (7, of(7))]))
    }

    fn pcrs_at(pcr: u8, value: u8) -> [(u8, attest::PcrDigest); 1] {
        [(pcr, attest::PcrDigest::Sha256([value; 32]))]
    }

    fn moved(Pcrs(values): &mut Pcrs, from: u8, to: u8) {
        let value = values.remove(&from).expect("there");
        values.insert(to, value);
    }

    fn device() -> DeviceRow {
        DeviceRow {
            id: DeviceId(uuid::Uuid::from_u128(1)),
            project: Project::default(),
            name: "edge-1".parse().expect("a name"),
            labels: vault::labels::Labels::default(),
            cert_digest: [1; 32],
            cert_der: vec![1],
            key: None,
            serial: "1".into(),
            let_in_by: None,
            tpm: TpmPin::Present,
            learn: false,
            registered_at: 1,
            last_seen: None,
            proved_at: None,
            answered: 0,
            section_version: 0,
            section_digest: None,
            ledger: vault::ledger::Ledger::default(),
            older: None,
            report: NodeWord::nothing(),
            verdict: NodeWord::nothing(),
            lost_at: None,
            alarm: None,
            reported: None,
            uploaded: None,
            held: None,
            drills: NodeWord::nothing(),
            no_room_at: None,
        }
    }

    fn reference(id: i64, state: ReferenceState) -> ReferenceRow {
        let device = device();
        let pcrs = pcrs(u8::try_from(id).expect("small"));
        let project = Project::default();
        ReferenceRow { id, project, device: device.id, pcrs, state, learned_at: 1, decided_at: None }
    }

    fn some() -> Judged {
        let device = device();
        let record = Record {
            session: [1; 32],
            nonce: [2; 32],
            claims: vec![3],
            attest_data: vec![4],
            signature: vec![5],
            device_signature: None,
            pcrs: pcrs(6),
            before: None,
        };
        let cert = CertRow {
            device: device.id,
            kind: ATTESTATION_CERT,
            pem: vec![1],
            public: Some(vec![8]),
            added_at: 1,
        };
        let references = vec![reference(1, ReferenceState::Approved), reference(2, ReferenceState::Pending)];
        Judged { record, device, certs: vec![cert], references }
    }

    fn digest(change: &dyn Fn(&mut Judged)) -> [u8; 32] {
        let mut judged = some();
        change(&mut judged);
        inputs(&judged.record, &judged.device, &judged.certs, &judged.references)
    }

    type Change = (&'static str, &'static dyn Fn(&mut Judged));

    /// Invariant 6: whatever a verdict depends on counts, each by itself, and bytes that move from one part to the next do too. Two inputs of
    /// one digest would lend one device's verdict to another.
    #[test]
    fn every_input_of_a_verdict_counts() {
        let changes: &[Change] = &[
            ("nothing", &|_| {}),
            ("session", &|it| it.record.session = [9; 32]),
            ("nonce", &|it| it.record.nonce = [9; 32]),
            ("claims", &|it| it.record.claims = vec![9]),
            ("quote", &|it| it.record.attest_data = vec![9]),
            ("its signature", &|it| it.record.signature = vec![9]),
            ("from claims to quote", &|it| {
                (it.record.claims, it.record.attest_data) = (vec![3, 4], vec![]);
            }),
            ("the device's signature", &|it| it.record.device_signature = Some(vec![9])),
            ("an empty one", &|it| it.record.device_signature = Some(vec![])),
            ("the quote before", &|it| it.record.before = Some(vec![9])),
            ("another quote before", &|it| it.record.before = Some(vec![8])),
            ("an empty quote before", &|it| it.record.before = Some(vec![])),
            ("a PCR's value", &|it| it.record.pcrs = pcrs(9)),
            ("another PCR's value", &|it| it.record.pcrs.0.extend(pcrs_at(7, 9))),
            ("a value at another PCR", &|it| moved(&mut it.record.pcrs, 7, 8)),
            ("a value at another PCR, the first", &|it| moved(&mut it.record.pcrs, 0, 1)),
            ("a PCR's number", &|it| it.record.pcrs.0.retain(|pcr, _| *pcr != 7)),
            ("no TPM", &|it| it.device.tpm = TpmPin::Absent),
            ("unknown TPM", &|it| it.device.tpm = TpmPin::Unknown),
            ("the device's certificate", &|it| it.device.cert_der = vec![9]),
            ("the attestation key", &|it| it.certs[0].public = Some(vec![9])),
            ("an empty public area", &|it| it.certs[0].public = Some(vec![])),
            ("no public area", &|it| it.certs[0].public = None),
            ("no attestation key", &|it| it.certs.clear()),
            ("a reference that is rejected", &|it| it.references[0].state = ReferenceState::Rejected),
            ("one more that is approved", &|it| it.references[1].state = ReferenceState::Approved),
            ("another's values", &|it| it.references[0].pcrs = pcrs(9)),
            ("a reference's other value", &|it| it.references[0].pcrs.0.extend(pcrs_at(7, 9))),
            ("a reference's value elsewhere", &|it| moved(&mut it.references[0].pcrs, 7, 8)),
            ("the same, of the first", &|it| moved(&mut it.references[0].pcrs, 0, 1)),
        ];
        let mut seen = HashMap::new();
        for (what, change) in changes {
            if let Some(other) = seen.insert(digest(change), what) {
                panic!("{what} counts no more than {other}");
            }
        }
    }

    #[test]
    fn what_no_verdict_looks_at_does_not_count() {
        let changes: &[Change] = &[
            ("its name", &|it| it.device.name = "edge-2".parse().expect("a name")),
            ("an alarm", &|it| it.device.alarm = Some(Alarm::Told("two".into()))),
            ("a reference that waits", &|it| drop(it.references.pop())),
            ("a certificate signed anew", &|it| it.certs[0].pem = vec![9]),
        ];
        for (what, change) in changes {
            assert_eq!(digest(change), digest(&|_| {}), "{what}");
        }
    }
}
