//! Another identity of a device in SQLite: each row that names it.

use async_trait::async_trait;
use vault::ids::{DeviceId, Project};
use vault::ledger::Ledger;
use vault::life::Phase;

use super::chains::packed_chain;
use super::read::{Word as _, blob, int};
use super::transaction::SqliteTx;
use crate::store::{BundleRow, EpochRow, Identities, SealedAnew, Stored, VaultStanding};

/// Every table whose rows are of a device that is there, but those that are changed otherwise.
const OF_DEVICES: [&str; 9] = [
    "epochs",
    "refs",
    "past_sessions",
    "device_certs",
    "past_vaults",
    "certs_before",
    "bundles",
    "heard",
    "onboarding",
];

#[async_trait]
impl Identities for SqliteTx {
    async fn identify(&mut self, device: DeviceId, anew: DeviceId, sealed: &SealedAnew) -> Stored<()> {
        let both = || (blob(device.0), blob(anew.0));
        self.defer_references()?;
        let itself = "UPDATE devices SET id = ?2, section_version = 0, section_digest = NULL, ledger = ?3 WHERE id = ?1";
        let empty = packed_chain(&Ledger::default());
        self.change(itself, (blob(device.0), blob(anew.0), empty)).await?;
        self.run("DELETE FROM sent_before WHERE device = ?", (blob(device.0),)).await?;
        for table in OF_DEVICES {
            self.run(&format!("UPDATE {table} SET device = ?2 WHERE device = ?1"), both()).await?;
        }
        self.run("UPDATE standings SET device = ?2, renew = 1 WHERE device = ?1", both()).await?;
        let went_out = "UPDATE releases SET device = ?2, session = zeroblob(32), enc = x'', ciphertext = x'' WHERE device = ?1";
        self.run(went_out, both()).await?;
        self.vaults_of(device, anew).await?;
        for row in &sealed.epochs {
            self.seal_epoch(row, anew).await?;
        }
        for row in &sealed.bundles {
            self.seal_bundle(row, anew).await?;
        }
        Ok(())
    }
}

impl SqliteTx {
    async fn vaults_of(&mut self, device: DeviceId, anew: DeviceId) -> Stored<()> {
        let vaults = "UPDATE vaults SET device = ?2, recreate = 0, left_version = iif(standing = 'gone', 1, left_version) WHERE device = ?1";
        self.run(vaults, (blob(device.0), blob(anew.0))).await?;
        let (standing, until) = VaultStanding::of(Phase::Grace { until: 0 }.begun_anew());
        let graces =
            "UPDATE vaults SET standing = ?, delete_at = ? WHERE device = ? AND standing = 'removing'";
        self.run(graces, (standing.word(), until.map(int), blob(anew.0))).await.map(drop)
    }

    async fn seal_epoch(&mut self, row: &EpochRow, of: DeviceId) -> Stored<()> {
        let seal = "UPDATE epochs SET project = ?, sealed = ? WHERE device = ? AND vault = ? AND epoch = ?";
        let project = row.project.as_ref().map(Project::as_str);
        let which = (blob(of.0), blob(row.vault.0), int(row.epoch.0));
        self.change(seal, (project, &row.sealed, which.0, which.1, which.2)).await
    }

    async fn seal_bundle(&mut self, row: &BundleRow, of: DeviceId) -> Stored<()> {
        let seal = "UPDATE bundles SET sealed = ? WHERE device = ? AND digest = ?";
        self.change(seal, (&row.sealed, blob(of.0), row.held.id.digest)).await
    }
}
