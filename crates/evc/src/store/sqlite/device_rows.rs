//! Rows of devices, of their onboarding and of their certificates, from SQLite.

use sqlx::sqlite::SqliteRow;
use vault::ids::DeviceId;
use vault::ledger::Older;

use super::read::{
    FromRow, bytes32, damaged, device, from_json, get, kept, name, number, project, said, some_name,
    some_number, uuid, word,
};
use crate::store::{CertRow, DeviceRow, OnboardRow, RemovedRow, Stored};

impl FromRow for OnboardRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        let used: Option<Vec<u8>> = get(row, "device")?;
        Ok(Self {
            project: project(row)?,
            cert_digest: bytes32(row, "cert_digest")?,
            serial: get(row, "serial")?,
            cert_der: get(row, "cert_der")?,
            name: some_name(row, "name")?,
            added_at: number(row, "added_at")?,
            device: if used.is_some() { Some(device(row)?) } else { None },
        })
    }
}

impl FromRow for DeviceRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        let digest: Option<Vec<u8>> = get(row, "section_digest")?;
        Ok(Self {
            id: DeviceId(uuid(row, "id")?),
            project: project(row)?,
            name: name(row, "name")?,
            cert_digest: bytes32(row, "cert_digest")?,
            cert_der: get(row, "cert_der")?,
            serial: get(row, "serial")?,
            tpm: word(row, "tpm")?,
            learn: get(row, "learn")?,
            registered_at: number(row, "registered_at")?,
            last_seen: some_number(row, "last_seen")?,
            section_version: number(row, "section_version")?,
            section_digest: if digest.is_some() { Some(bytes32(row, "section_digest")?) } else { None },
            ledger: kept(row, "ledger")?,
            older: from_json(row, "older")?,
            report: said(row, "report")?,
            verdict: said(row, "verdict")?,
            lost_at: some_number(row, "lost_at")?,
            alarm: get(row, "alarm")?,
            past_sessions: sessions(row)?,
            reported: reported(row)?,
        })
    }
}

fn sessions(row: &SqliteRow) -> Stored<Vec<[u8; 32]>> {
    let (whole, rest) = get::<&[u8]>(row, "past_sessions")?.as_chunks();
    if rest.is_empty() { Ok(whole.to_vec()) } else { Err(damaged("past_sessions")) }
}

fn reported(row: &SqliteRow) -> Stored<Option<([u8; 32], u64)>> {
    let session: Option<&[u8]> = get(row, "report_session")?;
    let counter = number(row, "report_counter")?;
    session.map(|_| Ok((bytes32(row, "report_session")?, counter))).transpose()
}

impl FromRow for Older {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        kept(row, "older")
    }
}

/// That there is such a row.
pub(super) struct SentBefore;

impl FromRow for SentBefore {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        bytes32(row, "digest").map(|_| Self)
    }
}

impl FromRow for RemovedRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            cert_digest: bytes32(row, "cert_digest")?,
            key: bytes32(row, "key")?,
            name: name(row, "name")?,
            removed_at: number(row, "removed_at")?,
        })
    }
}

impl FromRow for CertRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            device: device(row)?,
            kind: get(row, "kind")?,
            pem: get(row, "pem")?,
            public: get(row, "public")?,
            added_at: number(row, "added_at")?,
        })
    }
}
