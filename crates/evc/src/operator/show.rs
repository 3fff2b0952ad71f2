//! Devices, vaults and policies as the operator sees them. Explains every refusal in full. Holds no secret.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use vault::decide::{Ruling, decide};
use vault::ids::{DeviceId, Epoch, Project, VaultId};
use vault::report::{State, VaultReport};

use ::attest::SessionKey;

use super::Operator;
use crate::api::{DeviceView, PolicyView, VaultView};
use crate::fleet::heard::{Word, ago, condition, word};
use crate::fleet::life::listed;
use crate::fleet::reported;
use crate::fleet::section::subject;
use crate::fleet::view::{Held, View};
use crate::service::{Refusal, find_device};
use crate::store::{DeviceRow, Page, Tx, UnixSeconds, VaultRow, VaultStanding};

impl DeviceView {
    fn of(row: DeviceRow, now: UnixSeconds) -> Self {
        let attestation = row.verdict.as_ref().map_or(Value::Null, |fared| {
            let mut shown = json!(fared);
            shown["at"] = crate::clock::text(fared.at).into();
            shown
        });
        Self {
            default_vaults: default_vaults(&row, now),
            condition: condition(&row, now),
            id: row.id.to_string(),
            name: row.name.to_string(),
            serial: row.serial,
            tpm: row.tpm,
            registered: crate::clock::text(row.registered_at),
            seen: row.last_seen.map(|at| ago(at, now)),
            last_seen: row.last_seen.map(crate::clock::text),
            alarm: row.older.map(|older| format!("{older}; {}", crate::fleet::OLDER)).or(row.alarm),
            section_version: row.section_version,
            attestation,
            report: json!(row.report),
        }
    }
}

fn default_vaults(row: &DeviceRow, now: UnixSeconds) -> Vec<VaultView> {
    reported::default_vaults(row).map(|vault| as_reported(row, vault).aged(row, now)).collect()
}

/// A default vault under its default policy, by the node's word alone.
fn as_reported(row: &DeviceRow, vault: &VaultReport) -> VaultView {
    VaultView {
        device: row.id.to_string(),
        id: vault.id.to_string(),
        name: vault.name.to_string(),
        policy: None,
        standing: VaultStanding::Active,
        delete_at: None,
        created: vault.created,
        recreate: false,
        current_epoch: 0,
        last_epoch: 0,
        reported_epoch: vault.epoch.map(|epoch| epoch.0),
        state: state(vault.state),
        state_now: None,
        notes: Vec::new(),
        key: Some("not needed: its default policy".into()),
        report: json!(vault),
        reported: row.report.as_ref().map(|report| report.vaults_received().into()),
    }
}

/// Its word.
fn state(state: State) -> Option<String> {
    json!(state).as_str().map(str::to_owned)
}

impl From<&VaultRow> for VaultView {
    fn from(row: &VaultRow) -> Self {
        Self {
            device: row.device.to_string(),
            id: row.id.to_string(),
            name: row.name.to_string(),
            policy: row.policy.as_ref().map(ToString::to_string),
            standing: row.standing,
            delete_at: row.delete_at.map(crate::clock::text),
            created: row.created,
            recreate: row.recreate,
            current_epoch: row.current_epoch.0,
            last_epoch: row.last_epoch.0,
            reported_epoch: row.reported_epoch.map(|epoch| epoch.0),
            state: row.report.as_ref().and_then(|report| state(report.state)),
            state_now: None,
            notes: epoch_note(row).into_iter().collect(),
            key: None,
            report: json!(row.report),
            reported: row.reported_at.map(crate::clock::text),
        }
    }
}

impl DeviceView {
    fn in_a_list(mut self) -> Self {
        self.report = Value::Null;
        self.default_vaults = self.default_vaults.into_iter().map(VaultView::in_a_list).collect();
        self
    }
}

/// The epoch that a node reported, when it was never made here.
fn unknown_epoch(row: &VaultRow) -> Option<Epoch> {
    listed(row).ok()?.never_made()
}

/// Epochs that differ are said: the number alone does not say who waits for whom.
fn epoch_note(row: &VaultRow) -> Option<String> {
    let (ours, theirs) = (row.current_epoch, unknown_epoch(row).or(row.reported_epoch)?);
    match theirs.cmp(&ours) {
        Ordering::Equal => None,
        Ordering::Less => Some(format!("the node has not taken epoch {ours} yet, and is at {theirs}")),
        Ordering::Greater => {
            Some(format!("the node is at epoch {theirs}, above {ours}: this database is older than its node"))
        }
    }
}

impl VaultView {
    /// With what its state is worth now.
    fn aged(mut self, device: &DeviceRow, now: UnixSeconds) -> Self {
        let said = self.reported.as_deref().and_then(|at| humantime::parse_rfc3339(at).ok());
        let said = said.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
        let (Some(at), Some(state)) = (said, self.state.take()) else { return self };
        (self.state, self.state_now) = match word(device, at, now) {
            Word::Fresh => (Some(state.clone()), Some(state)),
            Word::Silent => (Some(state.clone()), Some(format!("{state}, {}", ago(at, now)))),
            Word::Superseded => {
                let since = format!("unknown since {} (was {state})", crate::clock::text(at));
                (Some("unknown".into()), Some(since))
            }
        };
        self
    }

    fn in_a_list(self) -> Self {
        Self { report: Value::Null, ..self }
    }
}

impl Operator {
    /// Devices by name.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_devices(&self, page: &Page, now: UnixSeconds) -> Result<Vec<DeviceView>, Refusal> {
        let rows = self.store.read(|tx| tx.devices(&self.project, page)).await?;
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
            self.store.read(|tx| Box::pin(stored(tx, &self.project, which))).await?;
        // Of one name, the one that is there comes before those that were.
        rows.sort_by_key(|row| row.standing == VaultStanding::Gone);
        let device = self.heard.newest(device);
        let vaults: Vec<_> = rows.iter().map(|row| explained(&view, row, now).aged(&device, now)).collect();
        let shown = DeviceView::of(device, now);
        let unlisted =
            shown.default_vaults.iter().filter(|vault| rows.iter().all(|row| row.id.to_string() != vault.id));
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
        let (rows, devices) = page.await?;
        let devices: HashMap<_, _> =
            devices.into_iter().map(|row| (row.id, self.heard.newest(row))).collect();
        let aged = |row: &VaultRow| match devices.get(&row.device) {
            Some(device) => VaultView::from(row).aged(device, now),
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
            policy: Some(row.policy),
            changed: crate::clock::text(row.changed_at),
        });
        Ok(shown.collect())
    }
}

/// A page of vaults, and the devices that they are of.
async fn vaults_and_devices(
    tx: &mut dyn Tx,
    project: &Project,
    after: Option<(DeviceId, VaultId)>,
    limit: u32,
) -> Result<(Vec<VaultRow>, Vec<DeviceRow>), Refusal> {
    let rows = tx.all_vaults(project, after, limit).await?;
    let mut devices: Vec<DeviceRow> = Vec::new();
    // In the order of their devices.
    for of in rows.chunk_by(|one, next| one.device == next.device).filter_map(<[_]>::first) {
        devices.extend(tx.device(of.device).await?);
    }
    Ok((rows, devices))
}

async fn stored(
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
) -> Result<(DeviceRow, Vec<VaultRow>, View), Refusal> {
    let device = find_device(tx, project, which).await?;
    let rows = tx.vaults(device.id).await?;
    let view = View::load(tx, device.clone()).await?;
    Ok((device, rows, view))
}

fn explained(view: &View, row: &VaultRow, now: UnixSeconds) -> VaultView {
    let key = view.vaults.iter().find(|held| held.row.id == row.id).map(|held| key_words(view, held, now));
    VaultView { key, ..row.into() }
}

fn key_words(view: &View, held: &Held, now: UnixSeconds) -> String {
    let session = view.stands.as_ref().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    match decide(&subject(held), &view.evidence(), &view.asking(session), now).ruling {
        Ruling::NotNeeded => "not needed: the TPM alone holds the key".into(),
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
    let fared = view.device.verdict.as_ref()?;
    let since = view.stands.as_ref().is_none_or(|stands| stands.row.at <= fared.at);
    (since && fared.outcome == "refused").then(|| fared.words.join("; "))
}
