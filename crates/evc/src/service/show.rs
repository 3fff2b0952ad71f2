//! Devices, vaults and policies as the operator sees them. Explains every refusal in full. Holds no secret.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vault::decide::{Ruling, decide};
use vault::ids::{DeviceId, VaultId};
use vault::report::VaultReport;
use wire::info::DeviceInfo;

use ::attest::SessionKey;

use super::section::subject;
use super::view::{Held, View};
use super::{Controller, Refusal, find_device};
use crate::store::{DeviceRow, Page, Tpm, Tx, UnixSeconds, VaultRow, VaultStanding};

/// A device, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceView {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its serial.
    pub serial: String,
    /// `unknown`, `present` or `absent`.
    pub tpm: Tpm,
    /// When it registered.
    pub registered: String,
    /// When it was last heard.
    pub last_seen: Option<String>,
    /// The same, counted from now.
    pub seen: Option<String>,
    /// `lost since`, `ahead of this database`, `may be two`, `online` or `silent`: what an operator looks at first.
    pub condition: String,
    /// Why, and what to do.
    pub alarm: Option<String>,
    /// The version of its vault section.
    pub section_version: u64,
    /// How its last evidence fared.
    pub attestation: Value,
    /// What it last reported of itself. Only when described.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub report: Value,
    /// Its default vaults as it reported them: those that no operator gave a policy have no row of their own.
    pub default_vaults: Vec<VaultView>,
}

/// A vault, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VaultView {
    /// Its device's identity.
    pub device: String,
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its policy; none: the default.
    pub policy: Option<String>,
    /// `active`, `removing` or `gone`.
    pub standing: VaultStanding,
    /// When its grace ends.
    pub delete_at: Option<String>,
    /// The node reported it made.
    pub created: bool,
    /// The newest epoch.
    pub current_epoch: u64,
    /// The one before it.
    pub last_epoch: u64,
    /// The one that the node reported.
    pub reported_epoch: Option<u64>,
    /// The node's word on its state.
    pub state: Option<String>,
    /// What the controller does about its key: `released`, `not needed`, or why it is withheld. Only when described.
    pub key: Option<String>,
    /// The node's last report. Only when described.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub report: Value,
    /// When that came.
    pub reported: Option<String>,
}

fn value(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

impl DeviceView {
    fn of(row: DeviceRow, now: UnixSeconds) -> Self {
        let mut attestation = value(row.verdict.as_deref());
        if let Some(at) = attestation.get("at").and_then(Value::as_u64) {
            attestation["at"] = crate::clock::text(at).into();
        }
        let report = value(row.report.as_deref());
        Self {
            default_vaults: default_vaults(&row, &report),
            condition: condition(&row, now),
            id: row.id.to_string(),
            name: row.name.to_string(),
            serial: row.serial,
            tpm: row.tpm,
            registered: crate::clock::text(row.registered_at),
            seen: row.last_seen.map(|at| ago(at, now)),
            last_seen: row.last_seen.map(crate::clock::text),
            alarm: row.older.map(|older| format!("{older}; {}", super::chain::WHAT_TO_DO)).or(row.alarm),
            section_version: row.section_version,
            attestation,
            report,
        }
    }
}

/// Silent for longer than this, in seconds, a device is not said to be there. Nodes poll every minute, and stock EVE too.
const SILENT_AFTER_S: u64 = 5 * 60;

fn condition(row: &DeviceRow, now: UnixSeconds) -> String {
    match row {
        DeviceRow { lost_at: Some(at), .. } => format!("lost since {}", crate::clock::text(*at)),
        DeviceRow { older: Some(_), .. } => "ahead of this database: `evc describe device`".into(),
        DeviceRow { alarm: Some(_), .. } => "may be two: `evc describe device`".into(),
        DeviceRow { last_seen: Some(at), .. } if at.saturating_add(SILENT_AFTER_S) > now => "online".into(),
        DeviceRow { last_seen, .. } => {
            let since = last_seen.unwrap_or(row.registered_at);
            format!("silent since {}", crate::clock::text(since))
        }
    }
}

/// How long before now, in its greatest unit.
fn ago(at: UnixSeconds, now: UnixSeconds) -> String {
    let passed_s = now.saturating_sub(at);
    let (count, unit) = match passed_s {
        0..120 => (passed_s, "s"),
        120..7200 => (passed_s / 60, "m"),
        7200..172_800 => (passed_s / 3600, "h"),
        _ => (passed_s / 86_400, "d"),
    };
    format!("{count}{unit} ago")
}

fn default_vaults(row: &DeviceRow, report: &Value) -> Vec<VaultView> {
    let reported = report["vaults"].as_array().into_iter().flatten();
    let parsed = reported.filter_map(|vault| serde_json::from_value::<VaultReport>(vault.clone()).ok());
    parsed.filter(|vault| vault.id.is_default()).map(|vault| as_reported(row, vault, report)).collect()
}

/// A default vault under its default policy, by the node's word alone.
fn as_reported(row: &DeviceRow, vault: VaultReport, report: &Value) -> VaultView {
    VaultView {
        device: row.id.to_string(),
        id: vault.id.to_string(),
        name: vault.name.to_string(),
        policy: None,
        standing: VaultStanding::Active,
        delete_at: None,
        created: vault.created,
        current_epoch: 0,
        last_epoch: 0,
        reported_epoch: vault.epoch.map(|epoch| epoch.0),
        state: json!(vault.state).as_str().map(str::to_owned),
        key: Some("not needed: its default policy".into()),
        report: json!(vault),
        reported: report["received"].as_str().map(str::to_owned),
    }
}

impl From<&VaultRow> for VaultView {
    fn from(row: &VaultRow) -> Self {
        let report = value(row.report.as_deref());
        Self {
            device: row.device.to_string(),
            id: row.id.to_string(),
            name: row.name.to_string(),
            policy: row.policy.as_ref().map(ToString::to_string),
            standing: row.standing,
            delete_at: row.delete_at.map(crate::clock::text),
            created: row.created,
            current_epoch: row.current_epoch.0,
            last_epoch: row.last_epoch.0,
            reported_epoch: row.reported_epoch.map(|epoch| epoch.0),
            state: report.get("state").and_then(Value::as_str).map(str::to_owned),
            key: None,
            report,
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

impl VaultView {
    fn in_a_list(self) -> Self {
        Self { report: Value::Null, ..self }
    }
}

impl Controller {
    /// Devices by name.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_devices(&self, page: &Page, now: UnixSeconds) -> Result<Vec<DeviceView>, Refusal> {
        let rows = self.store.read(|tx| tx.devices(page)).await?;
        Ok(rows.into_iter().map(|row| DeviceView::of(row, now).in_a_list()).collect())
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
        let (device, mut rows, view) = self.store.read(|tx| Box::pin(stored(tx, which))).await?;
        // Of one name, the one that is there comes before those that were.
        rows.sort_by_key(|row| row.standing == VaultStanding::Gone);
        let vaults = rows.iter().map(|row| explained(&view, row, now));
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
    ) -> Result<Vec<VaultView>, Refusal> {
        let rows = self.store.read(|tx| tx.all_vaults(after, limit)).await?;
        Ok(rows.iter().map(|row| VaultView::from(row).in_a_list()).collect())
    }

    /// Policies by name, in their canonical form.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_policies(&self, page: &Page) -> Result<Vec<Value>, Refusal> {
        let rows = self.store.read(|tx| tx.policies(page)).await?;
        Ok(rows.iter().map(|row| json!({ "name": row.name, "changed": crate::clock::text(row.changed_at), "policy": value(Some(&row.canonical)) })).collect())
    }
}

async fn stored(tx: &mut dyn Tx, which: &str) -> Result<(DeviceRow, Vec<VaultRow>, View), Refusal> {
    let device = find_device(tx, which).await?;
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
        Ruling::Release(_) => "released to the present session".into(),
        Ruling::Withhold(why) => format!("withheld: {}", why.explain()),
    }
}

/// Longest part of a report that speaks of vaults without a row here.
const MAX_STRAYS: usize = 64 << 10;

/// What a device reported of itself, as kept. What it says of a vault is kept in that vault's row; here are its default vaults and
/// those that no row is kept of.
pub(super) fn node_json(info: &DeviceInfo, rows: &[VaultRow], now: UnixSeconds) -> String {
    let has_row = |report: &&VaultReport| rows.iter().any(|row| row.id == report.id);
    let reports = info.vaults.iter().filter_map(|line| line.report.as_ref());
    let (defaults, others): (Vec<_>, Vec<_>) = reports.partition(|report| report.id.is_default());
    let strays = others.into_iter().filter(|report| !has_row(report));
    let mut room = MAX_STRAYS;
    let vaults = defaults.into_iter().chain(strays).map(|report| json!(report)).take_while(|report| {
        let length = report.to_string().len();
        room = room.saturating_sub(length);
        room > 0
    });
    let vaults: Vec<Value> = vaults.collect();
    let node = info.node.as_ref();
    let accepted = node
        .and_then(|node| node.accepted)
        .map(|at| json!({ "incarnation": hex::encode(at.incarnation.0), "version": at.version }));
    json!({
        "received": crate::clock::text(now),
        "tpm": format!("{:?}", info.tpm).to_lowercase(),
        "tpm_info": info.tpm_info,
        "attestation": format!("{:?}", info.attestation),
        "attestation_error": info.attestation_error,
        "accepted": accepted,
        "notes": node.map(|node| node.notes.clone()).unwrap_or_default(),
        "vaults": vaults,
    })
    .to_string()
}
