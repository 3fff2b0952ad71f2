//! `evc escrow`: bundles in escrow, and how they and what is foreseen look in tables.

use cli::{age, aged};
use serde_json::{Value, json};

use super::args::EscrowAct;
use super::client::{Client, Rows};
use super::failed::Failed;
use super::rows::short;
use super::table::Row;
use super::told::Told;
use crate::api::calls::{DELETE_BUNDLE, DELETE_BUNDLES, DRILL, ESCROW, OFFER_BUNDLE, OFFER_NEWEST};
use crate::api::{Bundle, Confirmation, DeviceView, DrillState, DrillView, Foreseen, InEscrow};

pub(super) fn escrow(client: &Client, act: EscrowAct) -> Result<Told, Failed> {
    match act {
        EscrowAct::List { device: Some(device) } => {
            Told::list(Rows::<Bundle>::from(client.call(&ESCROW, &[&device])?))
        }
        EscrowAct::List { device: None } => Told::list(client.list::<DeviceView>()?.flat_map(newest)),
        EscrowAct::Drill { device } => Told::done(&client.call(&DRILL, &[&device])?),
        EscrowAct::Offer { device, bundle, .. } => Told::done(&match bundle {
            Some(bundle) => client.call(&OFFER_BUNDLE, &[&device, &bundle])?,
            None => client.call(&OFFER_NEWEST, &[&device])?,
        }),
        EscrowAct::Delete { device, generation, bundle, confirm } => {
            let how = Confirmation { confirm: Some(confirm) };
            Told::done(&match bundle {
                Some(bundle) => client.ask(&DELETE_BUNDLE, &[&device, &bundle], &how)?,
                None => {
                    let generation = generation.unwrap_or_default().to_string();
                    client.ask(&DELETE_BUNDLES, &[&device, &generation], &how)?
                }
            })
        }
    }
}

fn newest(device: DeviceView) -> Option<Bundle> {
    let InEscrow { generation, digest, received, drill, behind: over, .. } = device.escrow?;
    let (newest, drill) = (true, Some(drill.beside(&digest)));
    let (vaults, last_of, offered) = (Vec::new(), Vec::new(), false);
    let (device, device_name) = (device.id, device.name);
    Some(Bundle {
        device,
        device_name,
        generation,
        digest,
        received,
        newest,
        vaults,
        last_of,
        offered,
        over,
        drill,
    })
}

/// How drills stand, in a few words.
pub(super) fn drilled(drill: &DrillView) -> String {
    let made = drill.made.as_deref().map(age).unwrap_or_default();
    let due = drill.due.as_deref().map_or_else(|| "never".to_owned(), aged);
    let words = match drill.state {
        DrillState::Passed => format!("passed {made}"),
        DrillState::Failed => format!("FAILED {made}"),
        DrillState::Overdue => format!("overdue since {due}"),
        DrillState::None if drill.due.is_none() => "none made".to_owned(),
        DrillState::None => format!("none yet, due {due}"),
    };
    if drill.ordered.is_some() { format!("{words}; asked for") } else { words }
}

/// Names in a cell; none: nothing.
fn listed(names: &[String]) -> Value {
    json!((!names.is_empty()).then(|| names.join(", ")))
}

impl Row for Bundle {
    const COLUMNS: &'static [&'static str] =
        &["DEVICE", "GENERATION", "RECEIVED", "NEWEST", "BUNDLE", "OVER", "LAST OF", "OFFERED", "DRILL"];
    const OPTIONAL: &'static [&'static str] = &["OVER", "LAST OF", "OFFERED"];
    const WIDE: &'static [&'static str] =
        &["RECEIVED AT", "SHA-256", "VAULTS", "FAILED BECAUSE", "DEVICE ID"];

    fn cells(&self) -> Vec<Value> {
        let newest = self.newest.then_some("yes");
        let received = age(&self.received);
        vec![
            json!(self.device_name),
            json!(self.generation),
            json!(received),
            json!(newest),
            json!(short(&self.digest)),
            json!(self.over.map(|now| format!("opens nothing: its node is at generation {now}"))),
            listed(&self.last_of),
            json!(self.offered.then_some("yes")),
            json!(self.drill.as_ref().map(drilled)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        let failed = self.drill.as_ref().and_then(|drill| drill.failed.as_ref());
        let vaults = listed(&self.vaults);
        vec![json!(self.received), json!(self.digest), vaults, json!(failed), json!(self.device)]
    }

    fn name(&self) -> String {
        format!("bundle/{}/{}", self.device_name, short(&self.digest))
    }
}

impl Row for Foreseen {
    const COLUMNS: &'static [&'static str] = &["DEVICE", "VAULT", "OPENS", "BECAUSE", "WHAT TO DO"];
    const OPTIONAL: &'static [&'static str] = &["WHAT TO DO"];
    const WIDE: &'static [&'static str] = &["ID"];

    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.device_name),
            json!(self.name),
            json!(self.opens),
            json!(self.because),
            json!(self.advice),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        vec![json!(self.vault)]
    }

    fn name(&self) -> String {
        format!("vault/{}/{}", self.device_name, self.name)
    }
}
