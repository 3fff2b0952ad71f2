//! `evc escrow`: bundles in escrow, and how they and what is foreseen look in tables.

use serde_json::{Value, json};

use super::args::EscrowAct;
use super::ask::said_twice;
use super::client::Client;
use super::failed::Failed;
use super::rows::{passed, short};
use super::table::Row;
use super::told::Told;
use crate::api::calls::{DELETE_BUNDLES, DRILL, ESCROW};
use crate::api::{Bundle, DeviceView, DrillState, DrillView, Foreseen, InEscrow};

pub(super) fn escrow(client: &Client, act: EscrowAct) -> Result<Told, Failed> {
    match act {
        EscrowAct::List { device: Some(device) } => Told::list(&client.call(&ESCROW, &[&device])?),
        EscrowAct::List { device: None } => {
            Told::list(&client.list::<DeviceView>()?.into_iter().filter_map(newest).collect::<Vec<_>>())
        }
        EscrowAct::Drill { device } => Told::done(&client.call(&DRILL, &[&device])?),
        EscrowAct::Delete { device, generation, confirm } => {
            said_twice(&device, &confirm, || {
                "what is forgotten can't be given back any more; give the device twice".into()
            })?;
            Told::done(&client.call(&DELETE_BUNDLES, &[&device, &generation.to_string()])?)
        }
    }
}

fn newest(device: DeviceView) -> Option<Bundle> {
    let InEscrow { generation, digest, received, drill, .. } = device.escrow?;
    let (newest, drill) = (true, Some(drill));
    Some(Bundle { device: device.id, device_name: device.name, generation, digest, received, newest, drill })
}

/// How drills stand, in a few words.
pub(super) fn drilled(drill: &DrillView) -> String {
    let made = drill.made.as_deref().map(passed).unwrap_or_default();
    let due = drill.due.as_deref().unwrap_or("never");
    let words = match drill.state {
        DrillState::Passed => format!("passed {made}"),
        DrillState::Failed => format!("FAILED {made}"),
        DrillState::Overdue => format!("overdue since {due}"),
        DrillState::None if drill.due.is_none() => "none made".to_owned(),
        DrillState::None => format!("none yet, due {due}"),
    };
    if drill.ordered.is_some() { format!("{words}; asked for") } else { words }
}

impl Row for Bundle {
    const COLUMNS: &'static [&'static str] =
        &["DEVICE", "GENERATION", "RECEIVED", "NEWEST", "BUNDLE", "DRILL"];
    const WIDE: &'static [&'static str] = &["RECEIVED AT", "SHA-256", "FAILED BECAUSE", "DEVICE ID"];

    fn cells(&self) -> Vec<Value> {
        let newest = self.newest.then_some("yes");
        let received = passed(&self.received);
        vec![
            json!(self.device_name),
            json!(self.generation),
            json!(received),
            json!(newest),
            json!(short(&self.digest)),
            json!(self.drill.as_ref().map(drilled)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        let failed = self.drill.as_ref().and_then(|drill| drill.failed.as_ref());
        vec![json!(self.received), json!(self.digest), json!(failed), json!(self.device)]
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
