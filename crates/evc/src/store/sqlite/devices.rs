//! Devices, onboarding and device certificates in SQLite.

use async_trait::async_trait;
use sqlx::query;
use vault::ids::{DeviceId, Name, Project, SectionDigest};
use vault::ledger::{Ledger, Older};

use super::SqliteTx;
use super::device_rows::SentBefore;
use super::read::{Word as _, blob, int, json};
use crate::store::{
    CertRow, DeviceReport, DeviceRow, Devices, Fared, OnboardRow, Page, RemovedRow, SENT_BEFORE, Stored, Tpm,
    UnixSeconds,
};

#[async_trait]
impl Devices for SqliteTx {
    async fn add_onboarding(&mut self, row: &OnboardRow) -> Stored<()> {
        let add = "INSERT INTO onboarding (project, cert_digest, serial, cert_der, name, added_at, device)
                   VALUES (?, ?, ?, ?, ?, ?, NULL)";
        let add = query(add).bind(row.project.to_string()).bind(row.cert_digest.to_vec());
        let add = add.bind(row.serial.clone()).bind(row.cert_der.clone());
        self.run(add.bind(row.name.as_ref().map(ToString::to_string)).bind(int(row.added_at))).await.map(drop)
    }

    async fn onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<Option<OnboardRow>> {
        let find = query("SELECT * FROM onboarding WHERE cert_digest = ? AND serial = ?");
        self.one(find.bind(cert_digest.to_vec()).bind(serial.to_owned())).await
    }

    async fn onboardings(
        &mut self,
        project: &Project,
        after: Option<([u8; 32], &str)>,
        limit: u32,
    ) -> Stored<Vec<OnboardRow>> {
        let (digest, serial) =
            after.map_or_else(Default::default, |(digest, serial)| (digest.to_vec(), serial.to_owned()));
        let list = "SELECT * FROM onboarding WHERE project = ? AND (cert_digest, serial) > (?, ?)
                    ORDER BY cert_digest, serial LIMIT ?";
        self.all(query(list).bind(project.to_string()).bind(digest).bind(serial).bind(limit)).await
    }

    async fn name_is_kept(&mut self, project: &Project, name: &Name) -> Stored<bool> {
        let find =
            query("SELECT * FROM onboarding WHERE project = ? AND name = ? AND device IS NULL LIMIT 1");
        let find = find.bind(project.to_string()).bind(name.to_string());
        Ok(self.one::<OnboardRow>(find).await?.is_some())
    }

    async fn drop_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<bool> {
        let forget = query("DELETE FROM onboarding WHERE cert_digest = ? AND serial = ?");
        Ok(self.run(forget.bind(cert_digest.to_vec()).bind(serial.to_owned())).await? == 1)
    }

    async fn use_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str, device: DeviceId) -> Stored<()> {
        let mark = query("UPDATE onboarding SET device = ? WHERE cert_digest = ? AND serial = ?");
        self.change(mark.bind(blob(device.0)).bind(cert_digest.to_vec()).bind(serial.to_owned())).await
    }

    async fn add_device(&mut self, row: &DeviceRow) -> Stored<()> {
        let add = "INSERT INTO devices (id, project, name, cert_digest, cert_der, key, let_in_by, serial, tpm, learn, registered_at,
                     section_version)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let add = query(add).bind(blob(row.id.0)).bind(row.project.to_string());
        let add = add.bind(row.name.to_string()).bind(row.cert_digest.to_vec());
        let add =
            add.bind(row.cert_der.clone()).bind(row.key.map(Vec::from)).bind(row.let_in_by.map(Vec::from));
        let add = add.bind(row.serial.clone()).bind(row.tpm.word()).bind(row.learn);
        self.run(add.bind(int(row.registered_at)).bind(int(row.section_version))).await.map(drop)
    }

    async fn device(&mut self, id: DeviceId) -> Stored<Option<DeviceRow>> {
        self.one(query("SELECT * FROM devices WHERE id = ?").bind(blob(id.0))).await
    }

    async fn device_by_cert(&mut self, cert_digest: &[u8; 32]) -> Stored<Option<DeviceRow>> {
        self.one(query("SELECT * FROM devices WHERE cert_digest = ?").bind(cert_digest.to_vec())).await
    }

    async fn device_by_name(&mut self, project: &Project, name: &str) -> Stored<Option<DeviceRow>> {
        let find = query("SELECT * FROM devices WHERE project = ? AND name = ?");
        self.one(find.bind(project.to_string()).bind(name.to_owned())).await
    }

    async fn device_by_key(&mut self, key: &[u8; 32]) -> Stored<Option<DeviceRow>> {
        self.one(query("SELECT * FROM devices WHERE key = ?").bind(key.to_vec())).await
    }

    async fn let_in_by(&mut self, cert_digest: &[u8; 32]) -> Stored<u64> {
        let count = query("SELECT count(*) AS count FROM devices WHERE let_in_by = ?");
        self.count(count.bind(cert_digest.to_vec())).await
    }

    async fn devices_before_keys(&mut self, after: Option<DeviceId>, limit: u32) -> Stored<Vec<DeviceRow>> {
        let list = query("SELECT * FROM devices WHERE key IS NULL AND id > ? ORDER BY id LIMIT ?");
        self.all(list.bind(after.map_or(vec![], |id| blob(id.0))).bind(limit)).await
    }

    async fn put_device_key(&mut self, id: DeviceId, key: &[u8; 32]) -> Stored<()> {
        let write = query("UPDATE devices SET key = ? WHERE id = ?").bind(key.to_vec());
        self.change(write.bind(blob(id.0))).await
    }

    async fn certify_device(&mut self, id: DeviceId, cert_digest: &[u8; 32], cert_der: &[u8]) -> Stored<()> {
        let write = query("UPDATE devices SET cert_digest = ?, cert_der = ? WHERE id = ?");
        self.change(write.bind(cert_digest.to_vec()).bind(cert_der.to_vec()).bind(blob(id.0))).await
    }

    async fn devices(&mut self, project: &Project, page: &Page) -> Stored<Vec<DeviceRow>> {
        let list = query("SELECT * FROM devices WHERE project = ? AND name > ? ORDER BY name LIMIT ?");
        self.all(list.bind(project.to_string()).bind(page.after.clone()).bind(page.limit)).await
    }

    async fn saw_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        let write = query("UPDATE devices SET last_seen = ? WHERE id = ?").bind(int(at));
        self.change(write.bind(blob(id.0))).await
    }

    async fn answered(&mut self, id: DeviceId) -> Stored<()> {
        let write = query("UPDATE devices SET answered = answered + 1 WHERE id = ?").bind(blob(id.0));
        self.change(write).await
    }

    async fn proved_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        let write = query("UPDATE devices SET proved_at = ? WHERE id = ?").bind(int(at));
        self.change(write.bind(blob(id.0))).await
    }

    async fn pin_tpm(&mut self, id: DeviceId, tpm: Tpm) -> Stored<()> {
        let write = query("UPDATE devices SET tpm = ? WHERE id = ?").bind(tpm.word());
        self.change(write.bind(blob(id.0))).await
    }

    async fn set_learning(&mut self, id: DeviceId, learn: bool) -> Stored<()> {
        self.change(query("UPDATE devices SET learn = ? WHERE id = ?").bind(learn).bind(blob(id.0))).await
    }

    async fn put_report(&mut self, id: DeviceId, report: &DeviceReport, at: UnixSeconds) -> Stored<()> {
        let write = query("UPDATE devices SET report = ?, last_seen = ? WHERE id = ?");
        self.change(write.bind(json(report)).bind(int(at)).bind(blob(id.0))).await
    }

    async fn put_verdict(&mut self, id: DeviceId, verdict: &Fared, at: UnixSeconds) -> Stored<()> {
        let write = query("UPDATE devices SET verdict = ?, last_seen = ? WHERE id = ?");
        self.change(write.bind(json(verdict)).bind(int(at)).bind(blob(id.0))).await
    }

    async fn put_section(&mut self, id: DeviceId, version: u64, digest: &[u8; 32]) -> Stored<()> {
        let write = query("UPDATE devices SET section_version = ?, section_digest = ? WHERE id = ?");
        self.change(write.bind(int(version)).bind(digest.to_vec()).bind(blob(id.0))).await
    }

    async fn put_ledger(&mut self, id: DeviceId, ledger: &Ledger) -> Stored<()> {
        let write = query("UPDATE devices SET ledger = ? WHERE id = ?").bind(json(ledger));
        self.change(write.bind(blob(id.0))).await
    }

    async fn add_sent_before(&mut self, id: DeviceId, digests: &[SectionDigest]) -> Stored<()> {
        let add = "INSERT OR REPLACE INTO sent_before (device, number, digest)
                   SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM sent_before WHERE device = ?1";
        for SectionDigest(digest) in digests {
            self.run(query(add).bind(blob(id.0)).bind(digest.to_vec())).await?;
        }
        let forget = "DELETE FROM sent_before
                      WHERE device = ?1 AND number <= (SELECT max(number) FROM sent_before WHERE device = ?1) - ?2";
        self.run(query(forget).bind(blob(id.0)).bind(SENT_BEFORE)).await.map(drop)
    }

    async fn was_sent_before(&mut self, id: DeviceId, digest: &SectionDigest) -> Stored<bool> {
        let find = query("SELECT digest FROM sent_before WHERE device = ? AND digest = ?");
        let SectionDigest(digest) = digest;
        Ok(self.one::<SentBefore>(find.bind(blob(id.0)).bind(digest.to_vec())).await?.is_some())
    }

    async fn set_older(&mut self, id: DeviceId, older: Option<Older>) -> Stored<()> {
        let write = query("UPDATE devices SET older = ? WHERE id = ?").bind(older.as_ref().map(json));
        self.change(write.bind(blob(id.0))).await
    }

    async fn all_older(&mut self) -> Stored<Vec<Older>> {
        self.all(query("SELECT DISTINCT older FROM devices WHERE older IS NOT NULL")).await
    }

    async fn number_anew(&mut self) -> Stored<()> {
        let empty = json(&Ledger::default());
        let devices =
            "UPDATE devices SET section_version = 0, section_digest = NULL, ledger = ?, older = NULL";
        self.run(query(devices).bind(empty)).await?;
        self.run(query("DELETE FROM sent_before")).await?;
        let vaults =
            "UPDATE vaults SET reported_epoch = NULL, report = NULL, reported_at = NULL, recreate = 0,
                        left_version = iif(standing = 'gone', 1, NULL)";
        self.run(query(vaults)).await?;
        let graces = "UPDATE vaults SET standing = 'active', delete_at = NULL WHERE standing = 'removing'";
        self.run(query(graces)).await.map(drop)
    }

    async fn end_section(&mut self, id: DeviceId) -> Stored<()> {
        self.change(query("UPDATE devices SET section_digest = NULL WHERE id = ?").bind(blob(id.0))).await
    }

    async fn set_lost(&mut self, id: DeviceId, at: Option<UnixSeconds>) -> Stored<()> {
        let write = query("UPDATE devices SET lost_at = ? WHERE id = ?").bind(at.map(int));
        self.change(write.bind(blob(id.0))).await
    }

    async fn set_alarm(&mut self, id: DeviceId, alarm: Option<&str>) -> Stored<()> {
        let write = query("UPDATE devices SET alarm = ? WHERE id = ?").bind(alarm.map(str::to_owned));
        self.change(write.bind(blob(id.0))).await
    }

    async fn put_report_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()> {
        let write = query("UPDATE devices SET report_session = ?, report_counter = ? WHERE id = ?");
        self.change(write.bind(session.to_vec()).bind(int(number)).bind(blob(id.0))).await
    }

    async fn drop_device(&mut self, id: DeviceId, removed: &RemovedRow) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO removed_devices (cert_digest, key, name, serial, removed_at) VALUES (?, ?, ?, ?, ?)";
        let put = query(put).bind(removed.cert_digest.to_vec()).bind(removed.key.to_vec());
        let put = put.bind(removed.name.to_string()).bind(removed.serial.clone());
        self.run(put.bind(int(removed.removed_at))).await?;
        let of_its_serial = "DELETE FROM onboarding WHERE serial <> '*'
             AND (device = ?1 OR (device IS NULL AND serial = (SELECT serial FROM devices WHERE id = ?1)))";
        self.run(query(of_its_serial).bind(blob(id.0))).await?;
        // One for all serials is not this device's alone.
        self.run(query("UPDATE onboarding SET device = NULL WHERE device = ?").bind(blob(id.0))).await?;
        // What refers to the device goes before it.
        for forget in [
            "DELETE FROM releases WHERE device = ?",
            "DELETE FROM epochs WHERE device = ?",
            "DELETE FROM vaults WHERE device = ?",
            "DELETE FROM refs WHERE device = ?",
            "DELETE FROM standings WHERE device = ?",
            "DELETE FROM past_sessions WHERE device = ?",
            "DELETE FROM device_certs WHERE device = ?",
            "DELETE FROM sent_before WHERE device = ?",
            "DELETE FROM devices WHERE id = ?",
        ] {
            self.run(query(forget).bind(blob(id.0))).await?;
        }
        Ok(())
    }

    async fn removed_device(&mut self, cert_digest: &[u8; 32], key: &[u8; 32]) -> Stored<Option<RemovedRow>> {
        let by_cert = query("SELECT * FROM removed_devices WHERE cert_digest = ?").bind(cert_digest.to_vec());
        match self.one(by_cert).await? {
            Some(removed) => Ok(Some(removed)),
            None => {
                let by_key = query("SELECT * FROM removed_devices WHERE key = ? LIMIT 1").bind(key.to_vec());
                self.one(by_key).await
            }
        }
    }

    async fn forget_removal(&mut self, key: &[u8; 32]) -> Stored<()> {
        self.run(query("DELETE FROM removed_devices WHERE key = ?").bind(key.to_vec())).await.map(drop)
    }

    async fn certs(&mut self, device: DeviceId) -> Stored<Vec<CertRow>> {
        self.all(query("SELECT * FROM device_certs WHERE device = ? ORDER BY kind").bind(blob(device.0)))
            .await
    }

    async fn put_cert(&mut self, row: &CertRow) -> Stored<()> {
        let put = query(
            "INSERT OR REPLACE INTO device_certs (device, kind, pem, public, added_at) VALUES (?, ?, ?, ?, ?)",
        );
        let put = put.bind(blob(row.device.0)).bind(row.kind).bind(row.pem.clone()).bind(row.public.clone());
        self.run(put.bind(int(row.added_at))).await.map(drop)
    }
}
