//! Rows of devices, of their onboarding and of their certificates, from SQLite.

use vault::escrow::BundleId;
use vault::ids::DeviceId;
use vault::ledger::Mark;

use super::chains::chain;
use super::read::{
    Columns, FromRow, alarm, bytes32, device, from_json, generation, name, number, plain, project, uuid, word,
};
use crate::store::{
    Alarm, CertRow, DeviceRemains, DeviceReport, DeviceRow, HeldBundle, OnboardRow, RemovedRow, RowKind,
    Stored,
};

impl FromRow for OnboardRow {
    const KIND: RowKind = RowKind::Allowance;
    const COLUMNS: &'static str =
        "project, cert_digest, serial, cert_der, name, labels, added_at, device, give_back";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            project: row.read(project)?,
            cert_digest: row.read(bytes32)?,
            serial: row.read(plain)?,
            cert_der: row.read(plain)?,
            name: row.read_some(name)?,
            labels: row.read(from_json)?,
            added_at: row.read(number)?,
            device: row.read_some(device)?,
            give_back: row.read(plain)?,
        })
    }
}

impl FromRow for DeviceRow {
    const KIND: RowKind = RowKind::Device;
    const COLUMNS: &'static str =
        "id, project, name, labels, cert_digest, cert_der, key, serial, let_in_by, tpm, learn,
        registered_at, nullif(max(coalesce(last_seen, -1), coalesce((SELECT at FROM heard WHERE heard.device = devices.id), -1)), -1) AS last_seen,
        proved_at, answered, section_version, section_digest, ledger, older, report, verdict,
        lost_at, alarm, report_session, report_counter, upload_session, upload_number, held_generation, held_digest, held_at, drills, no_room_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            id: DeviceId(row.read(uuid)?),
            project: row.read(project)?,
            name: row.read(name)?,
            labels: row.read(from_json)?,
            cert_digest: row.read(bytes32)?,
            cert_der: row.read(plain)?,
            key: row.read_some(bytes32)?,
            serial: row.read(plain)?,
            let_in_by: row.read_some(bytes32)?,
            tpm: row.read(word)?,
            learn: row.read(plain)?,
            registered_at: row.read(number)?,
            last_seen: row.read_some(number)?,
            proved_at: row.read_some(number)?,
            answered: row.read(number)?,
            section_version: row.read(number)?,
            section_digest: row.read_some(bytes32)?,
            ledger: row.read(chain)?,
            older: row.read_some(from_json)?,
            report: row.told()?,
            verdict: row.told()?,
            lost_at: row.read_some(number)?,
            alarm: row.read_some(alarm)?,
            reported: place(row)?,
            uploaded: place(row)?,
            held: held(row)?,
            drills: row.told()?,
            no_room_at: row.read_some(number)?,
        })
    }
}

impl FromRow for DeviceRemains {
    const KIND: RowKind = RowKind::Device;
    const COLUMNS: &'static str =
        "id, name, project, labels, cert_digest, cert_der, key, serial, lost_at, alarm, report,
        (held_generation IS NOT NULL OR held_digest IS NOT NULL OR held_at IS NOT NULL
         OR EXISTS (SELECT 1 FROM bundles WHERE bundles.device = devices.id)) AS has_bundle";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            id: DeviceId(row.read(uuid)?),
            name: row.read(name).ok(),
            project: row.read(project).ok(),
            labels: row.read(from_json).ok(),
            cert_digest: row.read(bytes32).ok(),
            cert_der: row.read(plain).ok(),
            key: row.read(bytes32).ok(),
            serial: row.read(plain).ok(),
            lost_at: row.read_some(number).unwrap_or(Some(0)),
            alarm: row
                .read_some(alarm)
                .unwrap_or_else(|_| Some(Alarm::Told("an alarm that does not read".into()))),
            node_of: row.told::<DeviceReport>()?.take().and_then(|report| report.accepted_for),
            has_bundle: row.read(plain)?,
        })
    }
}

/// A session and a number in it; both columns say nothing together.
pub(super) fn place(row: &mut Columns<'_>) -> Stored<Option<([u8; 32], u64)>> {
    let session = row.read_some(bytes32)?;
    let counter = row.read(number)?;
    Ok(session.map(|session| (session, counter)))
}

/// Its newest bundle: all three columns, or none.
fn held(row: &mut Columns<'_>) -> Stored<Option<HeldBundle>> {
    let (generation, digest) = (row.read_some(generation)?, row.read_some(bytes32)?);
    let received_at = row.read_some(number)?;
    let whole = generation.zip(digest).zip(received_at);
    Ok(whole.map(|((generation, digest), received_at)| HeldBundle {
        id: BundleId { generation, digest },
        received_at,
    }))
}

impl FromRow for Mark {
    const COLUMNS: &'static str = "DISTINCT older";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.read(from_json)
    }
}

/// As it stands in the table: also one that does not read.
pub(super) struct MarkText {
    pub(super) text: String,
    pub(super) mark: Option<Mark>,
}

impl FromRow for MarkText {
    const COLUMNS: &'static str = "DISTINCT older";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let (text, mark) = row.read(|value| Some((plain(value)?, from_json(value))))?;
        Ok(Self { text, mark })
    }
}

impl FromRow for RemovedRow {
    const COLUMNS: &'static str = "cert_digest, key, name, serial, removed_at, lost_at, alarm";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            cert_digest: row.read(bytes32)?,
            key: row.read(bytes32)?,
            name: row.read(name)?,
            serial: row.read_some(plain)?,
            removed_at: row.read(number)?,
            lost_at: row.read_some(number)?,
            alarm: row.read_some(alarm)?,
        })
    }
}

impl FromRow for CertRow {
    const COLUMNS: &'static str = "device, kind, pem, public, added_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            device: row.read(device)?,
            kind: row.read(plain)?,
            pem: row.read(plain)?,
            public: row.read_some(plain)?,
            // Nobody decides by it: what is pinned holds whenever that was.
            added_at: row.read(|at| Some(number(at).unwrap_or_default()))?,
        })
    }
}
