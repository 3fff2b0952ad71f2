//! Deleted devices in SQLite.

use async_trait::async_trait;
use vault::escrow::drill::Drills;
use vault::ids::{DeviceId, Epoch, Project, VaultId};

use super::read::{
    Columns, FromRow, blob, bytes32, device, from_json, int, json, name, number, plain, project, uuid, vault,
};
use super::transaction::SqliteTx;
use crate::store::{
    BundleRow, Deleted, DeletedRow, EpochRow, KeptBundle, NodeWord, OfDeleted, Stored, UnixSeconds, VaultRow,
    WentOut,
};

impl FromRow for DeletedRow {
    const COLUMNS: &'static str =
        "id, device, node_of, labels, project, key, name, serial, deleted_at, until";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            id: DeviceId(row.read(uuid)?),
            device: row.read(device)?,
            node_of: row.read_some(device)?,
            labels: row.read(from_json)?,
            project: row.read(project)?,
            key: row.read(bytes32)?,
            name: row.read(name)?,
            serial: row.read(plain)?,
            deleted_at: row.read(number)?,
            until: row.read(number)?,
        })
    }
}

impl FromRow for KeptBundle {
    const COLUMNS: &'static str = "project, device, generation, digest, received_at, has, sealed, offered";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self { row: BundleRow::from_row(row)?, offered: row.read(plain)? })
    }
}

impl FromRow for WentOut {
    const COLUMNS: &'static str = "vault, epoch, custody";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self { vault: row.read(vault)?, epoch: Epoch(row.read(number)?), custody: row.read(plain)? })
    }
}

/// Whose it was, and how its drills stood.
struct Whose(DeviceId, NodeWord<Drills>);

impl FromRow for Whose {
    const COLUMNS: &'static str = "device, drills";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self(row.read(device)?, row.told()?))
    }
}

/// What goes into the row of a deleted device from its own.
const NUMBERS: &str = "tpm, section_version, ledger, older, answered, report_session, report_counter, upload_session, upload_number";

/// From the table of what is there into that of what is kept, and back: from the rows of device `?1` to those of `?2`.
fn copy(from: &str, to: &str, columns: &str, rest: &str) -> String {
    // The device is the first column that is so called.
    let others = columns.replacen("device", "?2", 1);
    format!("INSERT INTO {to} ({columns}) SELECT {others} FROM {from} WHERE device = ?1 {rest}")
}

/// Of sections and sessions, and the certificates that its node sends once, which go both ways.
const HISTORY: [(&str, &str); 3] = [
    ("device_certs", "device, kind, pem, public, added_at"),
    ("sent_before", "device, number, digest"),
    ("past_sessions", "device, session, ended_at, settled, booted"),
];

#[async_trait]
impl Deleted for SqliteTx {
    async fn keep_deleted(&mut self, row: &DeletedRow) -> Stored<()> {
        let add = format!(
            "INSERT INTO deleted_devices (id, device, node_of, labels, project, key, name, serial, deleted_at, until, drills, {NUMBERS})
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, drills, {NUMBERS} FROM devices WHERE id = ?2"
        );
        let (deleted_at, until) = (int(row.deleted_at), int(row.until));
        let (project, name) = (row.project.as_str(), row.name.as_str());
        let (id, device, node_of) = (blob(row.id.0), blob(row.device.0), row.node_of.map(|of| blob(of.0)));
        let labels = json(&row.labels);
        let values = (id, device, node_of, labels, project, row.key, name, &row.serial, deleted_at, until);
        self.change(&add, values).await?;
        let rows = [
            ("vaults", VaultRow::COLUMNS, "AND standing <> 'gone'"),
            ("epochs", EpochRow::COLUMNS, ""),
            ("releases", "device, vault, epoch, custody", ""),
            ("bundles", KeptBundle::COLUMNS, "ORDER BY number"),
        ];
        let history = HISTORY.map(|(table, columns)| (table, columns, ""));
        for (table, columns, rest) in rows.into_iter().chain(history) {
            let keep = copy(table, &format!("deleted_{table}"), columns, rest);
            self.run(&keep, (blob(row.device.0), blob(row.id.0))).await?;
        }
        Ok(())
    }

    async fn deleted(&mut self, project: &Project) -> Stored<Vec<DeletedRow>> {
        let list = "FROM deleted_devices WHERE project = ? ORDER BY rowid";
        self.all(list, (project.as_str(),)).await
    }

    async fn deleted_by_key(&mut self, key: &[u8; 32]) -> Stored<Vec<DeletedRow>> {
        self.all("FROM deleted_devices WHERE key = ? ORDER BY rowid", (key,)).await
    }

    async fn deleted_over(&mut self, now: UnixSeconds) -> Stored<Vec<DeletedRow>> {
        self.all("FROM deleted_devices WHERE until <= ? ORDER BY until, id", (int(now),)).await
    }

    async fn of_deleted(&mut self, id: DeviceId) -> Stored<OfDeleted> {
        let of = || (blob(id.0),);
        let whose = self.one("FROM deleted_devices WHERE id = ?", of()).await?;
        let Some(Whose(device, drills)) = whose else { return Ok(OfDeleted::default()) };
        let vaults: Vec<VaultRow> =
            self.all("FROM deleted_vaults WHERE device = ? ORDER BY id", of()).await?;
        let epochs: Vec<EpochRow> =
            self.all("FROM deleted_epochs WHERE device = ? ORDER BY vault, epoch", of()).await?;
        let went_out = "FROM deleted_releases WHERE device = ? ORDER BY vault, epoch, custody";
        let bundles: Vec<KeptBundle> =
            self.all("FROM deleted_bundles WHERE device = ? ORDER BY number", of()).await?;
        let its_own = |kept: KeptBundle| KeptBundle { row: BundleRow { device, ..kept.row }, ..kept };
        Ok(OfDeleted {
            vaults: vaults.into_iter().map(|row| VaultRow { device, ..row }).collect(),
            epochs: epochs.into_iter().map(|row| EpochRow { device, ..row }).collect(),
            went_out: self.all(went_out, of()).await?,
            bundles: bundles.into_iter().map(its_own).collect(),
            drills,
        })
    }

    async fn go_on(&mut self, id: DeviceId, device: DeviceId) -> Stored<()> {
        let write = format!(
            "UPDATE devices SET section_digest = NULL, ({NUMBERS}) = (SELECT {NUMBERS} FROM deleted_devices WHERE id = ?1) WHERE id = ?2"
        );
        let between = || (blob(id.0), blob(device.0));
        self.change(&write, between()).await?;
        for (table, columns) in HISTORY {
            self.run(&copy(&format!("deleted_{table}"), table, columns, ""), between()).await?;
        }
        Ok(())
    }

    async fn forget_deleted_vault(&mut self, id: DeviceId, vault: VaultId) -> Stored<()> {
        let of = || (blob(id.0), blob(vault.0));
        self.run("DELETE FROM deleted_releases WHERE device = ? AND vault = ?", of()).await?;
        self.erase("DELETE FROM deleted_epochs WHERE device = ? AND vault = ?", of()).await?;
        self.change("DELETE FROM deleted_vaults WHERE device = ? AND id = ?", of()).await
    }

    async fn forget_deleted_bundle(&mut self, id: DeviceId, digest: &[u8; 32]) -> Stored<()> {
        let forget = "DELETE FROM deleted_bundles WHERE device = ? AND digest = ?";
        self.change(forget, (blob(id.0), digest)).await
    }

    async fn forget_deleted(&mut self, id: DeviceId) -> Stored<()> {
        for table in
            ["bundles", "releases", "epochs", "vaults", "sent_before", "past_sessions", "device_certs"]
        {
            self.erase(&format!("DELETE FROM deleted_{table} WHERE device = ?"), (blob(id.0),)).await?;
        }
        self.change("DELETE FROM deleted_devices WHERE id = ?", (blob(id.0),)).await
    }
}
