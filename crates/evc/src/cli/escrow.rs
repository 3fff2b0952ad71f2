//! `evc escrow`: bundles in escrow, and how they and what is foreseen look in tables.

use serde_json::{Value, json};

use super::args::EscrowAct;
use super::ask::said_twice;
use super::client::Client;
use super::failed::Failed;
use super::rows::{passed, short};
use super::table::Row;
use super::told::Told;
use crate::api::calls::{DELETE_BUNDLES, ESCROW};
use crate::api::{Bundle, DeviceView, Foreseen, InEscrow};

pub(super) fn escrow(client: &Client, act: EscrowAct) -> Result<Told, Failed> {
    match act {
        EscrowAct::List { device: Some(device) } => Told::list(&client.call(&ESCROW, &[&device])?),
        EscrowAct::List { device: None } => {
            Told::list(&client.list::<DeviceView>()?.into_iter().filter_map(newest).collect::<Vec<_>>())
        }
        EscrowAct::Delete { device, generation, confirm } => {
            said_twice(&device, &confirm, || {
                "what is forgotten can't be given back any more; give the device twice".into()
            })?;
            Told::done(&client.call(&DELETE_BUNDLES, &[&device, &generation.to_string()])?)
        }
    }
}

fn newest(device: DeviceView) -> Option<Bundle> {
    let InEscrow { generation, digest, received, .. } = device.escrow?;
    Some(Bundle { device: device.id, device_name: device.name, generation, digest, received, newest: true })
}

impl Row for Bundle {
    const COLUMNS: &'static [&'static str] = &["DEVICE", "GENERATION", "RECEIVED", "NEWEST", "BUNDLE"];
    const WIDE: &'static [&'static str] = &["RECEIVED AT", "SHA-256", "DEVICE ID"];

    fn cells(&self) -> Vec<Value> {
        let newest = self.newest.then_some("yes");
        let received = passed(&self.received);
        vec![
            json!(self.device_name),
            json!(self.generation),
            json!(received),
            json!(newest),
            json!(short(&self.digest)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        vec![json!(self.received), json!(self.digest), json!(self.device)]
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
