//! Sessions, standings and reference values in SQLite.

use async_trait::async_trait;
use sqlx::query;
use sqlx::sqlite::SqliteRow;
use vault::ids::{DeviceId, Project};

use super::SqliteTx;
use super::read::{
    FromRow, Word as _, blob, bytes32, device, get, int, json, kept, number, project, some_number, word,
};
use crate::store::{Evidence, PastSession, ReferenceRow, ReferenceState, StandingRow, Stored, UnixSeconds};

impl FromRow for StandingRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            device: device(row)?,
            session: bytes32(row, "session")?,
            at: number(row, "at")?,
            renew: get(row, "renew")?,
            record: kept(row, "record")?,
        })
    }
}

impl FromRow for PastSession {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            device: device(row)?,
            session: bytes32(row, "session")?,
            ended_at: number(row, "ended_at")?,
            settled: get(row, "settled")?,
        })
    }
}

impl FromRow for ReferenceRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            id: get(row, "id")?,
            project: project(row)?,
            device: device(row)?,
            pcrs: kept(row, "pcrs")?,
            state: word(row, "state")?,
            learned_at: number(row, "learned_at")?,
            decided_at: some_number(row, "decided_at")?,
        })
    }
}

/// A number alone.
struct Id(i64);

impl FromRow for Id {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        get(row, "id").map(Self)
    }
}

#[async_trait]
impl Evidence for SqliteTx {
    async fn past_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<Option<PastSession>> {
        let find = query("SELECT * FROM past_sessions WHERE device = ? AND session = ?");
        self.one(find.bind(blob(device.0)).bind(session.to_vec())).await
    }

    async fn end_session(&mut self, row: &PastSession, keep: u32) -> Stored<()> {
        let put = query(
            "INSERT OR REPLACE INTO past_sessions (device, session, ended_at, settled) VALUES (?, ?, ?, ?)",
        );
        let put = put.bind(blob(row.device.0)).bind(row.session.to_vec());
        self.run(put.bind(int(row.ended_at)).bind(row.settled)).await?;
        let older = "DELETE FROM past_sessions WHERE device = ?1 AND session IN
             (SELECT session FROM past_sessions WHERE device = ?1 ORDER BY ended_at DESC, session LIMIT -1 OFFSET ?2)";
        self.run(query(older).bind(blob(row.device.0)).bind(keep)).await.map(drop)
    }

    async fn resume_session(&mut self, device: DeviceId, session: &[u8; 32]) -> Stored<()> {
        let forget = query("DELETE FROM past_sessions WHERE device = ? AND session = ?");
        self.run(forget.bind(blob(device.0)).bind(session.to_vec())).await.map(drop)
    }

    async fn sessions_since(&mut self, device: DeviceId, after: UnixSeconds) -> Stored<u64> {
        let count =
            "SELECT count(*) AS count FROM past_sessions WHERE device = ? AND ended_at > ? AND settled = 0";
        self.count(query(count).bind(blob(device.0)).bind(int(after))).await
    }

    async fn settle_sessions(&mut self, device: DeviceId) -> Stored<()> {
        let settle = query("UPDATE past_sessions SET settled = 1 WHERE device = ?");
        self.run(settle.bind(blob(device.0))).await.map(drop)
    }

    async fn standing(&mut self, device: DeviceId) -> Stored<Option<StandingRow>> {
        self.one(query("SELECT * FROM standings WHERE device = ?").bind(blob(device.0))).await
    }

    async fn put_standing(&mut self, row: &StandingRow) -> Stored<()> {
        let put = query(
            "INSERT OR REPLACE INTO standings (device, session, at, renew, record) VALUES (?, ?, ?, ?, ?)",
        );
        let put = put.bind(blob(row.device.0)).bind(row.session.to_vec()).bind(int(row.at)).bind(row.renew);
        self.run(put.bind(json(&row.record))).await.map(drop)
    }

    async fn renew_standing(&mut self, device: DeviceId) -> Stored<()> {
        self.run(query("UPDATE standings SET renew = 1 WHERE device = ?").bind(blob(device.0)))
            .await
            .map(drop)
    }

    async fn add_reference(&mut self, row: &ReferenceRow) -> Stored<i64> {
        let add = query(
            "INSERT INTO refs (project, device, pcrs, state, learned_at, decided_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        );
        let add = add
            .bind(row.project.to_string())
            .bind(blob(row.device.0))
            .bind(json(&row.pcrs))
            .bind(row.state.word())
            .bind(int(row.learned_at));
        let id = self.one::<Id>(add.bind(row.decided_at.map(int))).await?;
        id.map(|id| id.0)
            .ok_or_else(|| crate::store::StoreError::Damaged("an added row has no number".into()))
    }

    async fn reference(&mut self, project: &Project, id: i64) -> Stored<Option<ReferenceRow>> {
        let find = query("SELECT * FROM refs WHERE id = ? AND project = ?");
        self.one(find.bind(id).bind(project.to_string())).await
    }

    async fn references_of(&mut self, device: DeviceId) -> Stored<Vec<ReferenceRow>> {
        self.all(query("SELECT * FROM refs WHERE device = ? ORDER BY id").bind(blob(device.0))).await
    }

    async fn references(&mut self, project: &Project, after: i64, limit: u32) -> Stored<Vec<ReferenceRow>> {
        let list = query("SELECT * FROM refs WHERE project = ? AND id > ? ORDER BY id LIMIT ?");
        self.all(list.bind(project.to_string()).bind(after).bind(limit)).await
    }

    async fn judge_reference(&mut self, id: i64, state: ReferenceState, at: UnixSeconds) -> Stored<()> {
        let judge = query("UPDATE refs SET state = ?, decided_at = ? WHERE id = ?");
        self.change(judge.bind(state.word()).bind(int(at)).bind(id)).await
    }
}
