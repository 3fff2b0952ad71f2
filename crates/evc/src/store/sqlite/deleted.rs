//! Deleted devices in SQLite.

use async_trait::async_trait;
use vault::decide::TpmPin;
use vault::escrow::drill::Drills;
use vault::ids::{DeviceId, Epoch, Project, VaultId};
use vault::ledger::Mark;

use super::chains::chain;
use super::device_rows::place;
use super::read::{
    Columns, FromRow, blob, bytes32, device, from_json, int, json, name, number, plain, project, uuid, vault,
    word,
};
use super::transaction::SqliteTx;
use crate::store::{
    BundleRow, DamagedRow, Deleted, DeletedRow, EpochRow, KeptBundle, NodeWord, OfDeleted, OrDamaged,
    RowKind, Stored, UnixSeconds, VaultRow, WentOut,
};

impl FromRow for DeletedRow {
    const KIND: RowKind = RowKind::DeletedDevice;
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

/// One whose numbers read too, from which its device goes on.
struct GoesOn(DeletedRow);

impl FromRow for GoesOn {
    const KIND: RowKind = RowKind::DeletedDevice;
    const COLUMNS: &'static str = "id, device, node_of, labels, project, key, name, serial, deleted_at, until,
        tpm, section_version, ledger, older, answered, report_session, report_counter, upload_session, upload_number";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let kept = DeletedRow::from_row(row)?;
        row.read(word::<TpmPin>)?;
        row.read(number)?;
        row.read(chain)?;
        row.read_some(from_json::<Mark>)?;
        row.read(number)?;
        place(row)?;
        place(row)?;
        Ok(Self(kept))
    }
}

/// A key of an epoch, as the vault's that it is of.
struct KeptEpoch(EpochRow);

impl FromRow for KeptEpoch {
    const KIND: RowKind = RowKind::Key;
    const COLUMNS: &'static str = "project, device, vault AS id, epoch, period, sealed, made_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        EpochRow::from_row(row).map(Self)
    }
}

impl FromRow for KeptBundle {
    const KIND: RowKind = RowKind::Bundle;
    const COLUMNS: &'static str = "project, device, generation, digest, received_at, has, sealed, offered";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self { row: BundleRow::from_row(row)?, offered: row.read(plain)? })
    }
}

impl FromRow for WentOut {
    const KIND: RowKind = RowKind::Key;
    const COLUMNS: &'static str = "vault AS id, epoch, custody";
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

/// A row whose grace is over.
struct Over(DeviceId);

impl FromRow for Over {
    const KIND: RowKind = RowKind::DeletedDevice;
    const COLUMNS: &'static str = "id, until, name";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let id = row.read(uuid)?;
        row.read(number).map(|_| Self(DeviceId(id)))
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

/// Of sections, sessions and vaults, and the certificates that its node sends once, which go both ways.
const HISTORY: [(&str, &str); 4] = [
    ("device_certs", "device, kind, pem, public, added_at"),
    ("sent_before", "device, number, digest"),
    ("past_vaults", "device, id, name, number"),
    ("past_sessions", "device, session, ended_at, settled, booted"),
];

/// Those that read; the others are damaged.
fn read_of<T, U>(rows: Vec<OrDamaged<T>>, damaged: &mut Vec<DamagedRow>, its_own: impl Fn(T) -> U) -> Vec<U> {
    let mut whole = Vec::new();
    for row in rows {
        match row {
            OrDamaged::Whole(row) => whole.push(its_own(row)),
            OrDamaged::Damaged(row) => damaged.push(row),
        }
    }
    whole
}

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
            ("vaults", VaultRow::COLUMNS, ""),
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

    async fn deleted(&mut self, project: &Project) -> Stored<Vec<OrDamaged<DeletedRow>>> {
        let list = "FROM deleted_devices WHERE project = ? ORDER BY rowid";
        self.page(("deleted_devices", true), list, (project.as_str(),)).await
    }

    async fn deleted_by_key(&mut self, key: &[u8; 32]) -> Stored<Vec<OrDamaged<DeletedRow>>> {
        let of_key = self.all("FROM deleted_devices WHERE key = ? ORDER BY rowid", (key,)).await?;
        Ok(of_key.into_iter().map(|row: OrDamaged<GoesOn>| row.map(|GoesOn(row)| row)).collect())
    }

    async fn deleted_as(&mut self, id: DeviceId) -> Stored<Vec<OrDamaged<DeletedRow>>> {
        let list = "FROM deleted_devices WHERE device = ?1 OR id = ?1 ORDER BY rowid";
        self.all(list, (blob(id.0),)).await
    }

    async fn deleted_over(&mut self, now: UnixSeconds) -> Stored<Vec<OrDamaged<DeviceId>>> {
        let over = self.all("FROM deleted_devices WHERE until <= ? ORDER BY until, id", (int(now),)).await?;
        Ok(over.into_iter().map(|row: OrDamaged<Over>| row.map(|Over(id)| id)).collect())
    }

    async fn of_deleted(&mut self, id: DeviceId) -> Stored<OfDeleted> {
        let of = || (blob(id.0),);
        let whose = self.one("FROM deleted_devices WHERE id = ?", of()).await?;
        let Some(Whose(device, drills)) = whose else { return Ok(OfDeleted::default()) };
        let mut damaged = Vec::new();
        let vaults = self.all("FROM deleted_vaults WHERE device = ? ORDER BY id", of()).await?;
        let vaults = read_of(vaults, &mut damaged, |row: VaultRow| VaultRow { device, ..row });
        let epochs = self.all("FROM deleted_epochs WHERE device = ? ORDER BY vault, epoch", of()).await?;
        let epochs = read_of(epochs, &mut damaged, |KeptEpoch(row)| EpochRow { device, ..row });
        let went_out = "FROM deleted_releases WHERE device = ? ORDER BY vault, epoch, custody";
        let went_out = read_of(self.all(went_out, of()).await?, &mut damaged, |row: WentOut| row);
        let bundles = self.all("FROM deleted_bundles WHERE device = ? ORDER BY number", of()).await?;
        let its_own = |kept: KeptBundle| KeptBundle { row: BundleRow { device, ..kept.row }, ..kept };
        let bundles = read_of(bundles, &mut damaged, its_own);
        // By the identity under which they are kept nobody knows them.
        damaged.iter_mut().for_each(|row: &mut DamagedRow| row.device = Some(device.to_string()));
        Ok(OfDeleted { vaults, epochs, went_out, bundles, drills, damaged })
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
        let history = HISTORY.map(|(table, _)| table);
        for table in ["bundles", "releases", "epochs", "vaults"].into_iter().chain(history) {
            self.erase(&format!("DELETE FROM deleted_{table} WHERE device = ?"), (blob(id.0),)).await?;
        }
        self.change("DELETE FROM deleted_devices WHERE id = ?", (blob(id.0),)).await
    }
}
