//! Devices, vaults and policies as the operator sees them. Explains every refusal in full. Holds no secret.

use std::collections::HashMap;

use vault::decide::{Ruling, decide};
use vault::ids::{DeviceId, Name, Project, VaultId};
use vault::labels::Labels;
use vault::policy::VaultPolicy;
use wire::Certificate;

use ::attest::SessionKey;

use super::Operator;
use crate::api::{DeviceView, PolicyView, ServerStatus, VaultView};
use crate::fleet::reported::said_at;
use crate::fleet::section::subject;
use crate::fleet::view::{ListedVault, View};
use crate::service::{Controller, Fault, Refusal, Verdicts, find_device};
use crate::store::{Appraised, DeviceRow, Page, Tx, UnixSeconds, VaultRow, VaultStanding};
use crate::words::notes::withheld_from_who_is_ahead;

impl Controller {
    /// Itself, at a glance. Nothing of it is secret.
    ///
    /// # Errors
    /// [`Fault::Certificate`]: its own root certificate does not read.
    pub fn status(&self, now: UnixSeconds) -> Result<ServerStatus, Refusal> {
        let root =
            Certificate::from_pem(self.authority.root_pem.as_bytes()).map_err(|_| Fault::Certificate)?;
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            root_fingerprint: hex::encode(root.digest().0),
            incarnation: hex::encode(self.incarnation.0),
            now: crate::clock::text(now),
        })
    }
}

impl Operator {
    /// Devices by name; with a selector, those with its labels.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_devices(
        &self,
        selector: Option<&Labels>,
        page: &Page,
        now: UnixSeconds,
    ) -> Result<Vec<DeviceView>, Refusal> {
        let rows = match selector {
            None => self.store.read(|tx| tx.devices(&self.project, page)).await?,
            Some(labels) => self.store.read(|tx| tx.devices_named_by(&self.project, labels, page)).await?,
        };
        let newest = rows.into_iter().map(|row| self.heard.newest(row));
        Ok(newest.map(|row| DeviceView::of(row, now).in_a_list()).collect())
    }

    /// One device with its vaults, and what is done about each key.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn show_device(
        &self,
        which: &str,
        now: UnixSeconds,
    ) -> Result<(DeviceView, Vec<VaultView>), Refusal> {
        let (device, mut rows, view) =
            self.store.read(|tx| Box::pin(stored(&self.verdicts, tx, &self.project, which))).await?;
        // Of one name, the one that is there comes before those that were.
        rows.sort_by_key(|row| row.standing == VaultStanding::Gone);
        let device = self.heard.newest(device);
        let vaults: Vec<_> = rows
            .iter()
            .map(|row| explained(&view, row, now).aged(&device, said_at(row, device.report.get()), now))
            .collect();
        let shown = DeviceView::of(device, now);
        let unlisted = shown.default_vaults.iter().filter(|vault| rows.iter().all(|row| row.id != vault.id));
        let vaults = unlisted.cloned().chain(vaults).collect();
        Ok((shown, vaults))
    }

    /// Vaults of all devices, after one of them.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_vaults(
        &self,
        after: Option<(DeviceId, VaultId)>,
        limit: u32,
        now: UnixSeconds,
    ) -> Result<Vec<VaultView>, Refusal> {
        let page = self.store.read(|tx| Box::pin(vaults_and_devices(tx, &self.project, after, limit)));
        let (rows, devices, policies) = page.await?;
        let devices: HashMap<_, _> =
            devices.into_iter().map(|row| (row.id, self.heard.newest(row))).collect();
        let aged = |row: &VaultRow| match devices.get(&row.device) {
            Some(device) => {
                let policy = row.policy.as_ref().and_then(|name| policies.get(name));
                let view = VaultView::from(row).fitted(policy, device);
                view.aged(device, said_at(row, device.report.get()), now)
            }
            None => row.into(),
        };
        Ok(rows.iter().map(|row| aged(row).in_a_list()).collect())
    }

    /// Policies by name, in their canonical form.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_policies(&self, page: &Page) -> Result<Vec<PolicyView>, Refusal> {
        let rows = self.store.read(|tx| tx.policies(&self.project, page)).await?;
        let shown = rows.into_iter().map(|row| PolicyView {
            name: row.policy.name.clone(),
            policy: row.policy,
            changed: crate::clock::text(row.changed_at),
        });
        Ok(shown.collect())
    }
}

/// A page of vaults, the devices that they are of, and the policies that they name.
async fn vaults_and_devices(
    tx: &mut dyn Tx,
    project: &Project,
    after: Option<(DeviceId, VaultId)>,
    limit: u32,
) -> Result<(Vec<VaultRow>, Vec<DeviceRow>, HashMap<Name, VaultPolicy>), Refusal> {
    let rows = tx.all_vaults(project, after, limit).await?;
    let mut devices: Vec<DeviceRow> = Vec::new();
    // In the order of their devices.
    for of in rows.chunk_by(|one, next| one.device == next.device).filter_map(<[_]>::first) {
        devices.extend(tx.device(of.device).await?);
    }
    let mut policies = HashMap::new();
    for name in rows.iter().filter_map(|row| row.policy.as_ref()) {
        if !policies.contains_key(name)
            && let Some(row) = tx.policy(project, name.as_str()).await?
        {
            policies.insert(name.clone(), row.policy);
        }
    }
    Ok((rows, devices, policies))
}

async fn stored(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
) -> Result<(DeviceRow, Vec<VaultRow>, View), Refusal> {
    let device = find_device(tx, project, which).await?;
    let rows = tx.vaults(device.id).await?;
    let view = View::load(verdicts, tx, device.clone()).await?;
    Ok((device, rows, view))
}

fn explained(view: &View, row: &VaultRow, now: UnixSeconds) -> VaultView {
    let held = view.vaults.iter().find(|held| held.row.id == row.id);
    let key = held.map(|held| key_words(view, held, now));
    VaultView { key, ..row.into() }.fitted(held.map(|held| &held.policy), &view.device)
}

fn key_words(view: &View, held: &ListedVault, now: UnixSeconds) -> String {
    let session = view.stands.as_ref().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    match decide(&subject(held), &view.evidence(), &view.asking(session), now).ruling {
        Ruling::NotNeeded => "not needed: the TPM alone holds the key".into(),
        _ if let Some(older) = view.device.older => withheld_from_who_is_ahead(older),
        Ruling::Release(_) => match refused_since(view) {
            // What is good is of an earlier session; the present one has shown nothing that is.
            Some(why) => format!("withheld: evidence refused: {why}"),
            None => format!("would be released to session {}", hex::encode(&session.0[..4])),
        },
        Ruling::Withhold(why) => match refused_since(view) {
            Some(refused) => format!("withheld: evidence refused: {refused}; before that: {}", why.explain()),
            None => format!("withheld: {}", why.explain()),
        },
    }
}

/// Why the last evidence was refused, when none was good since.
fn refused_since(view: &View) -> Option<String> {
    let fared = view.device.verdict.get()?;
    let since = view.stands.as_ref().is_none_or(|stands| stands.row.at <= fared.at);
    (since && fared.outcome == Appraised::Refused).then(|| fared.words.join("; "))
}
