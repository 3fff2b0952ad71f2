//! Sessions, standings and reference values in SQLite.

use async_trait::async_trait;
use vault::ids::{DeviceId, Project};

use super::read::{
    Columns, FromRow, Word as _, blob, bytes32, device, int, number, packed, plain, project, unpacked, word,
};
use super::transaction::SqliteTx;
use crate::repeats::OnceForContent;
use crate::store::{
    EvidenceRows, OrDamaged, PastSession, ReferenceRow, ReferenceState, RowKind, StandingRow, Stored,
    UnixSeconds, readable,
};

/// Evidence that did not read.
static TOLD: OnceForContent = OnceForContent::new();

impl FromRow for StandingRow {
    const COLUMNS: &'static str = "device, session, at, renew, record";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            device: row.read(device)?,
            session: row.read(bytes32)?,
            at: row.read(number)?,
            renew: row.read(plain)?,
            record: row.read(unpacked)?,
        })
    }
}

impl FromRow for PastSession {
    const COLUMNS: &'static str = "device, session, ended_at, settled, booted";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            device: row.read(device)?,
            session: row.read(bytes32)?,
            ended_at: row.read(number)?,
            settled: row.read(plain)?,
            booted: row.read(plain)?,
        })
    }
}

/// Where a session stands among those that are over, as it is written: one that does not read is forgotten like the others.
struct Ended(i64, Vec<u8>);

impl FromRow for Ended {
    const COLUMNS: &'static str = "ended_at, session";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self(row.read(plain)?, row.read(plain)?))
    }
}

impl FromRow for ReferenceRow {
    const KIND: RowKind = RowKind::Reference;
    const COLUMNS: &'static str = "id, project, device, pcrs, state, learned_at, decided_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            id: row.read(plain)?,
            project: row.read(project)?,
            device: row.read(device)?,
            pcrs: row.read(unpacked)?,
            state: row.read(word)?,
            learned_at: row.read(number)?,
            decided_at: row.read_some(number)?,
        })
    }
}

/// Sessions of a device that ended after a time, of those that count.
const ENDED_SINCE: &str =
    "FROM past_sessions WHERE device = ? AND ended_at > ? AND settled = 0 AND booted = 0";
/// The newest of a device but so many. Most have none: then nothing is deleted, and no table is made for a list of what is.
const BEYOND: &str =
    "FROM past_sessions WHERE device = ? ORDER BY ended_at DESC, session DESC LIMIT 1 OFFSET ?";

#[async_trait]
impl EvidenceRows for SqliteTx {
    async fn past_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<Option<PastSession>> {
        self.one("FROM past_sessions WHERE device = ? AND session = ?", (blob(device.0), session)).await
    }

    async fn end_session(&mut self, row: &PastSession, keep: u32) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO past_sessions (device, session, ended_at, settled, booted) VALUES (?, ?, ?, ?, ?)";
        let values = (blob(row.device.0), row.session, int(row.ended_at), row.settled, row.booted);
        self.run(put, values).await?;
        let first = self.one(BEYOND, (blob(row.device.0), keep)).await?;
        let Some(Ended(at, session)) = first else { return Ok(()) };
        let forget = "DELETE FROM past_sessions WHERE device = ? AND (ended_at, session) <= (?, ?)";
        self.run(forget, (blob(row.device.0), at, session)).await.map(drop)
    }

    async fn resume_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<()> {
        let forget = "DELETE FROM past_sessions WHERE device = ? AND session = ?";
        self.run(forget, (blob(device.0), session)).await.map(drop)
    }

    async fn sessions_since(&mut self, device: DeviceId, after: UnixSeconds) -> Stored<u64> {
        self.count(ENDED_SINCE, (blob(device.0), int(after))).await
    }

    async fn settle_sessions(&mut self, device: DeviceId) -> Stored<()> {
        let settle = "UPDATE past_sessions SET settled = 1 WHERE device = ?";
        self.run(settle, (blob(device.0),)).await.map(drop)
    }

    async fn standing(&mut self, device: DeviceId) -> Stored<Option<StandingRow>> {
        match self.one("FROM standings WHERE device = ?", (blob(device.0),)).await? {
            Some(OrDamaged::Damaged(row)) => {
                // With every poll it is met again, until other evidence comes.
                if TOLD.told(&[device.0.as_bytes(), &row.content.to_be_bytes()]) {
                    tracing::error!(%device, what = %row, "the evidence that is kept of this device does not read: it is asked for another");
                }
                Ok(None)
            }
            found => Ok(found.and_then(|row| row.whole().ok())),
        }
    }

    async fn put_standing(&mut self, row: &StandingRow) -> Stored<()> {
        // The row stays where it is: one that is replaced is another, in another place.
        let put = "INSERT INTO standings (device, session, at, renew, record) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (device) DO UPDATE SET (session, at, renew, record) =
                     (excluded.session, excluded.at, excluded.renew, excluded.record)";
        let values = (blob(row.device.0), row.session, int(row.at), row.renew, packed(&row.record));
        self.run(put, values).await.map(drop)
    }

    async fn drop_standing(&mut self, device: DeviceId) -> Stored<()> {
        self.run("DELETE FROM standings WHERE device = ?", (blob(device.0),)).await.map(drop)
    }

    async fn renew_standing(&mut self, device: DeviceId) -> Stored<()> {
        self.run("UPDATE standings SET renew = 1 WHERE device = ?", (blob(device.0),)).await.map(drop)
    }

    async fn add_reference(&mut self, row: &ReferenceRow) -> Stored<i64> {
        let add = "INSERT INTO refs (project, device, pcrs, state, learned_at, decided_at) VALUES (?, ?, ?, ?, ?, ?)";
        let (project, device) = (row.project.as_str(), blob(row.device.0));
        let (learned, decided) = (int(row.learned_at), row.decided_at.map(int));
        self.add(add, (project, device, packed(&row.pcrs), row.state.word(), learned, decided)).await
    }

    async fn reference(&mut self, project: &Project, id: i64) -> Stored<Option<ReferenceRow>> {
        self.one("FROM refs WHERE id = ? AND project = ?", (id, project.as_str())).await
    }

    async fn references_of(&mut self, device: DeviceId) -> Stored<Vec<ReferenceRow>> {
        // Sorted here: SQLite would open a table of its own for it.
        let mut references: Vec<ReferenceRow> =
            readable(self.all("FROM refs WHERE device = ?", (blob(device.0),)).await?);
        references.sort_by_key(|reference| reference.id);
        Ok(references)
    }

    async fn references_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<ReferenceRow>>> {
        self.all("FROM refs WHERE device = ? ORDER BY id", (blob(device.0),)).await
    }

    async fn references(
        &mut self,
        project: &Project,
        after: i64,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<ReferenceRow>>> {
        let list = "FROM refs WHERE project = ? AND id > ? ORDER BY id LIMIT ?";
        self.page(("refs", after == 0), list, (project.as_str(), after, limit)).await
    }

    async fn judge_reference(&mut self, id: i64, state: ReferenceState, at: UnixSeconds) -> Stored<()> {
        self.change("UPDATE refs SET state = ?, decided_at = ? WHERE id = ?", (state.word(), int(at), id))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tables::bring_up_to_date;
    use super::*;

    /// Issue 8, A: each attestation asks both, of up to 512 sessions of its device: by the index alone, in its order, and with no table made for it.
    #[test]
    fn what_is_asked_of_past_sessions_looks_at_none_of_their_rows() {
        let mut file = rusqlite::Connection::open_in_memory().expect("opened");
        bring_up_to_date(&mut file).expect("made");
        let told = |ask: &str, column: usize| {
            let mut plan = file.prepare(ask).expect("planned");
            let steps = plan.query_map((&[1; 16], 512), |row| row.get::<_, String>(column)).expect("told");
            steps.collect::<Result<Vec<_>, _>>().expect("text").join("; ")
        };
        let beyond = format!("SELECT {} {BEYOND}", Ended::COLUMNS);
        for ask in [format!("SELECT count(*) {ENDED_SINCE}"), beyond] {
            let steps = told(&format!("EXPLAIN QUERY PLAN {ask}"), 3);
            let by_index = steps.matches("SEARCH").count() == steps.matches("COVERING INDEX").count();
            assert!(by_index && !steps.contains("TEMP"), "{steps}");
            let steps = told(&format!("EXPLAIN {ask}"), 1);
            assert!(!steps.contains("Ephemeral") && !steps.contains("Sorter"), "{steps}");
        }
    }
}
