//! Sessions, standings and reference values in SQLite.

use async_trait::async_trait;
use vault::ids::{DeviceId, Project};

use super::read::{
    Columns, FromRow, Word as _, blob, bytes32, device, int, number, packed, plain, project, unpacked, word,
};
use super::transaction::SqliteTx;
use crate::store::{Evidence, PastSession, ReferenceRow, ReferenceState, StandingRow, Stored, UnixSeconds};

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

impl FromRow for ReferenceRow {
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

#[async_trait]
impl Evidence for SqliteTx {
    async fn past_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<Option<PastSession>> {
        self.one("FROM past_sessions WHERE device = ? AND session = ?", (blob(device.0), session)).await
    }

    async fn end_session(&mut self, row: &PastSession, keep: u32) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO past_sessions (device, session, ended_at, settled, booted) VALUES (?, ?, ?, ?, ?)";
        let values = (blob(row.device.0), row.session, int(row.ended_at), row.settled, row.booted);
        self.run(put, values).await?;
        let older = "DELETE FROM past_sessions WHERE device = ?1 AND session IN
             (SELECT session FROM past_sessions WHERE device = ?1 ORDER BY ended_at DESC, session DESC LIMIT -1 OFFSET ?2)";
        self.run(older, (blob(row.device.0), keep)).await.map(drop)
    }

    async fn resume_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<()> {
        let forget = "DELETE FROM past_sessions WHERE device = ? AND session = ?";
        self.run(forget, (blob(device.0), session)).await.map(drop)
    }

    async fn sessions_since(&mut self, device: DeviceId, after: UnixSeconds) -> Stored<u64> {
        let since = "FROM past_sessions WHERE device = ? AND ended_at > ? AND settled = 0 AND booted = 0";
        self.count(since, (blob(device.0), int(after))).await
    }

    async fn settle_sessions(&mut self, device: DeviceId) -> Stored<()> {
        let settle = "UPDATE past_sessions SET settled = 1 WHERE device = ?";
        self.run(settle, (blob(device.0),)).await.map(drop)
    }

    async fn standing(&mut self, device: DeviceId) -> Stored<Option<StandingRow>> {
        self.one("FROM standings WHERE device = ?", (blob(device.0),)).await
    }

    async fn put_standing(&mut self, row: &StandingRow) -> Stored<()> {
        // The row stays where it is: one that is replaced is another, in another place.
        let put = "INSERT INTO standings (device, session, at, renew, record) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (device) DO UPDATE SET (session, at, renew, record) =
                     (excluded.session, excluded.at, excluded.renew, excluded.record)";
        let values = (blob(row.device.0), row.session, int(row.at), row.renew, packed(&row.record));
        self.run(put, values).await.map(drop)
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
            self.all("FROM refs WHERE device = ?", (blob(device.0),)).await?;
        references.sort_by_key(|reference| reference.id);
        Ok(references)
    }

    async fn references(&mut self, project: &Project, after: i64, limit: u32) -> Stored<Vec<ReferenceRow>> {
        let list = "FROM refs WHERE project = ? AND id > ? ORDER BY id LIMIT ?";
        self.all(list, (project.as_str(), after, limit)).await
    }

    async fn judge_reference(&mut self, id: i64, state: ReferenceState, at: UnixSeconds) -> Stored<()> {
        self.change("UPDATE refs SET state = ?, decided_at = ? WHERE id = ?", (state.word(), int(at), id))
            .await
    }
}
