//! Devices, onboarding and device certificates in SQLite.

use async_trait::async_trait;
use vault::decide::TpmPin;
use vault::ids::{DeviceId, Name, Project};

use super::read::{Word as _, alarm_text, blob, int, json};
use super::transaction::SqliteTx;
use crate::store::{
    Alarm, CertRow, DeviceRemains, DeviceReport, DeviceRow, Devices, Fared, OnboardRow, OrDamaged, Page,
    RemovedRow, Stored, UnixSeconds,
};

#[async_trait]
impl Devices for SqliteTx {
    async fn add_onboarding(&mut self, row: &OnboardRow) -> Stored<()> {
        let add =
            "INSERT INTO onboarding (project, cert_digest, serial, cert_der, name, labels, added_at, give_back, device)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)";
        let (project, name) = (row.project.as_str(), row.name.as_ref().map(Name::as_str));
        let labels = json(&row.labels);
        let values = (
            project,
            row.cert_digest,
            &row.serial,
            &row.cert_der,
            name,
            labels,
            int(row.added_at),
            row.give_back,
        );
        self.run(add, values).await.map(drop)
    }

    async fn onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<Option<OnboardRow>> {
        self.one("FROM onboarding WHERE cert_digest = ? AND serial = ?", (cert_digest, serial)).await
    }

    async fn onboardings(
        &mut self,
        project: &Project,
        after: Option<([u8; 32], &str)>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<OnboardRow>>> {
        let (digest, serial) = match &after {
            Some((digest, serial)) => (&digest[..], *serial),
            None => Default::default(),
        };
        let list = "FROM onboarding WHERE project = ? AND (cert_digest, serial) > (?, ?)
                    ORDER BY cert_digest, serial LIMIT ?";
        let first = ("onboarding", after.is_none());
        self.page(first, list, (project.as_str(), digest, serial, limit)).await
    }

    async fn name_is_kept(&mut self, project: &Project, name: &Name) -> Stored<bool> {
        let find = "FROM onboarding WHERE project = ? AND name = ? AND device IS NULL LIMIT 1";
        self.any(find, (project.as_str(), name.as_str())).await
    }

    async fn drop_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str) -> Stored<bool> {
        let forget = "DELETE FROM onboarding WHERE cert_digest = ? AND serial = ?";
        Ok(self.run(forget, (cert_digest, serial)).await? == 1)
    }

    async fn use_onboarding(&mut self, cert_digest: &[u8; 32], serial: &str, device: DeviceId) -> Stored<()> {
        let mark = "UPDATE onboarding SET device = ? WHERE cert_digest = ? AND serial = ?";
        self.change(mark, (blob(device.0), cert_digest, serial)).await
    }

    async fn add_device(&mut self, row: &DeviceRow) -> Stored<()> {
        let add = "INSERT INTO devices (id, project, name, labels, cert_digest, cert_der, key, let_in_by, serial, tpm, learn, registered_at,
                     section_version)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = (
            blob(row.id.0),
            row.project.as_str(),
            row.name.as_str(),
            json(&row.labels),
            row.cert_digest,
            &row.cert_der,
            row.key,
            row.let_in_by,
            &row.serial,
            row.tpm.word(),
            row.learn,
            int(row.registered_at),
            int(row.section_version),
        );
        self.run(add, values).await.map(drop)
    }

    async fn device(&mut self, id: DeviceId) -> Stored<Option<DeviceRow>> {
        self.one("FROM devices WHERE id = ?", (blob(id.0),)).await
    }

    async fn device_by_cert(&mut self, cert_digest: &[u8; 32]) -> Stored<Option<DeviceRow>> {
        match self.one("FROM devices WHERE cert_digest = ?", (cert_digest,)).await? {
            Some(present) => Ok(Some(present)),
            None => {
                let before =
                    "FROM devices WHERE id = (SELECT device FROM certs_before WHERE cert_digest = ?)";
                self.one(before, (cert_digest,)).await
            }
        }
    }

    async fn device_by_name(&mut self, project: &Project, name: &str) -> Stored<Option<DeviceRow>> {
        self.one("FROM devices WHERE project = ? AND name = ?", (project.as_str(), name)).await
    }

    async fn device_by_key(&mut self, key: &[u8; 32]) -> Stored<Option<DeviceRow>> {
        self.one("FROM devices WHERE key = ?", (key,)).await
    }

    async fn let_in_by(&mut self, cert_digest: &[u8; 32]) -> Stored<u64> {
        self.count("FROM devices WHERE let_in_by = ?", (cert_digest,)).await
    }

    async fn devices_before_keys(
        &mut self,
        after: Option<DeviceId>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<DeviceRow>>> {
        let after = after.map_or(vec![], |id| blob(id.0).to_vec());
        self.all("FROM devices WHERE key IS NULL AND id > ? ORDER BY id LIMIT ?", (after, limit)).await
    }

    async fn put_device_key(&mut self, id: DeviceId, key: &[u8; 32]) -> Stored<()> {
        self.change("UPDATE devices SET key = ? WHERE id = ?", (key, blob(id.0))).await
    }

    async fn certify_device(
        &mut self,
        id: DeviceId,
        cert_digest: &[u8; 32],
        cert_der: &[u8],
        keep: u32,
    ) -> Stored<()> {
        let again = "DELETE FROM certs_before WHERE device = ? AND cert_digest = ?";
        self.run(again, (blob(id.0), cert_digest)).await?;
        let remember = "INSERT INTO certs_before (cert_digest, device, number)
                    SELECT cert_digest, id, 1 + (SELECT coalesce(max(number), 0) FROM certs_before WHERE device = ?1)
                    FROM devices WHERE id = ?1";
        self.run(remember, (blob(id.0),)).await?;
        let forget = "DELETE FROM certs_before
                      WHERE device = ?1 AND number <= (SELECT max(number) FROM certs_before WHERE device = ?1) - ?2";
        self.run(forget, (blob(id.0), keep)).await?;
        let write = "UPDATE devices SET cert_digest = ?, cert_der = ? WHERE id = ?";
        self.change(write, (cert_digest, cert_der, blob(id.0))).await
    }

    async fn devices(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<DeviceRow>>> {
        self.named("devices", project, page).await
    }

    async fn remains(&mut self, project: &Project, which: &str) -> Stored<Option<DeviceRemains>> {
        let by_id = match which.parse::<DeviceId>() {
            Ok(id) => self.one("FROM devices WHERE id = ?", (blob(id.0),)).await?,
            Err(_) => None,
        };
        match by_id {
            Some(found) => Ok(Some(found)),
            None => self.one("FROM devices WHERE project = ? AND name = ?", (project.as_str(), which)).await,
        }
    }

    async fn saw_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        self.change("UPDATE devices SET last_seen = ? WHERE id = ?", (int(at), blob(id.0))).await
    }

    async fn heard_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        // Not into the device's own row: a fleet that is heard each minute would have all of those written each minute. A time that is hours
        // ahead of one that is heard is of a clock that was set back since.
        let write =
            "INSERT INTO heard (device, at) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM devices WHERE id = ?1)
                     ON CONFLICT (device) DO UPDATE SET at = excluded.at
                     WHERE at < excluded.at OR at > excluded.at + 3600";
        self.run(write, (blob(id.0), int(at))).await.map(drop)
    }

    async fn answered(&mut self, id: DeviceId, fared: &Fared, at: UnixSeconds) -> Stored<()> {
        let write = "UPDATE devices SET answered = answered + 1, verdict = ?2, last_seen = ?3,
                       proved_at = iif(?4, ?3, proved_at) WHERE id = ?1";
        self.change(write, (blob(id.0), json(fared), int(at), fared.is_good())).await
    }

    async fn proved_device(&mut self, id: DeviceId, at: UnixSeconds) -> Stored<()> {
        self.change("UPDATE devices SET proved_at = ? WHERE id = ?", (int(at), blob(id.0))).await
    }

    async fn pin_tpm(&mut self, id: DeviceId, tpm: TpmPin) -> Stored<()> {
        self.change("UPDATE devices SET tpm = ? WHERE id = ?", (tpm.word(), blob(id.0))).await
    }

    async fn set_learning(&mut self, id: DeviceId, learn: bool) -> Stored<()> {
        self.change("UPDATE devices SET learn = ? WHERE id = ?", (learn, blob(id.0))).await
    }

    async fn put_report(&mut self, id: DeviceId, report: &DeviceReport, at: UnixSeconds) -> Stored<()> {
        let write = "UPDATE devices SET report = ?, last_seen = ? WHERE id = ?";
        self.change(write, (json(report), int(at), blob(id.0))).await
    }

    async fn set_lost(&mut self, id: DeviceId, at: Option<UnixSeconds>) -> Stored<()> {
        self.change("UPDATE devices SET lost_at = ? WHERE id = ?", (at.map(int), blob(id.0))).await
    }

    async fn set_alarm(&mut self, id: DeviceId, alarm: Option<&Alarm>) -> Stored<()> {
        let alarm = alarm.map(alarm_text);
        self.change("UPDATE devices SET alarm = ? WHERE id = ?", (alarm, blob(id.0))).await
    }

    async fn put_report_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()> {
        let write = "UPDATE devices SET report_session = ?, report_counter = ? WHERE id = ?";
        self.change(write, (session, int(number), blob(id.0))).await
    }

    async fn put_upload_place(&mut self, id: DeviceId, session: &[u8; 32], number: u64) -> Stored<()> {
        let write = "UPDATE devices SET upload_session = ?, upload_number = ? WHERE id = ?";
        self.change(write, (session, int(number), blob(id.0))).await
    }

    async fn drop_device(&mut self, id: DeviceId, removed: &RemovedRow) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO removed_devices (cert_digest, key, name, serial, removed_at, lost_at, alarm) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (name, at) = (removed.name.as_str(), int(removed.removed_at));
        let marks = (removed.lost_at.map(int), removed.alarm.as_ref().map(alarm_text));
        let values = (removed.cert_digest, removed.key, name, &removed.serial, at, marks.0, marks.1);
        self.run(put, values).await?;
        // Open ones: of its project, and of the onboarding certificate by which it came in. A device may say any serial, also another's.
        let of_its_serial = "DELETE FROM onboarding WHERE serial <> '*' AND (device = ?1 OR (device IS NULL
             AND (project, serial) = (SELECT project, serial FROM devices WHERE id = ?1)
             AND cert_digest IN (SELECT let_in_by FROM devices WHERE id = ?1
                                 UNION SELECT cert_digest FROM onboarding WHERE device = ?1)))";
        self.run(of_its_serial, (blob(id.0),)).await?;
        // One for all serials is not this device's alone.
        self.run("UPDATE onboarding SET device = NULL WHERE device = ?", (blob(id.0),)).await?;
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
            "DELETE FROM past_vaults WHERE device = ?",
            "DELETE FROM certs_before WHERE device = ?",
            "DELETE FROM bundles WHERE device = ?",
            "DELETE FROM heard WHERE device = ?",
            "DELETE FROM devices WHERE id = ?",
        ] {
            self.erase(forget, (blob(id.0),)).await?;
        }
        Ok(())
    }

    async fn removed_device(&mut self, cert_digest: &[u8; 32], key: &[u8; 32]) -> Stored<Option<RemovedRow>> {
        match self.one("FROM removed_devices WHERE cert_digest = ?", (cert_digest,)).await? {
            Some(removed) => Ok(Some(removed)),
            None => self.one("FROM removed_devices WHERE key = ? LIMIT 1", (key,)).await,
        }
    }

    async fn forget_removal(&mut self, key: &[u8; 32]) -> Stored<()> {
        self.run("DELETE FROM removed_devices WHERE key = ?", (key,)).await.map(drop)
    }

    async fn certs(&mut self, device: DeviceId) -> Stored<Vec<CertRow>> {
        self.all("FROM device_certs WHERE device = ? ORDER BY kind", (blob(device.0),)).await
    }

    async fn drop_cert(&mut self, device: DeviceId, kind: i32) -> Stored<()> {
        let forget = "DELETE FROM device_certs WHERE device = ? AND kind = ?";
        self.run(forget, (blob(device.0), kind)).await.map(drop)
    }

    async fn put_cert(&mut self, row: &CertRow) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO device_certs (device, kind, pem, public, added_at) VALUES (?, ?, ?, ?, ?)";
        let values = (blob(row.device.0), row.kind, &row.pem, &row.public, int(row.added_at));
        self.run(put, values).await.map(drop)
    }
}
