//! What the controller does on a request, between HTTP and the store: one module for each thing that is asked of it.
//! Every function takes the time; every error on the way to a release is a refusal.

pub mod apply;
pub mod attest;
pub mod config;
mod defaults;
mod error;
pub mod evidence;
pub mod info;
pub mod onboarding;
pub mod operate;
pub mod references;
pub mod register;
pub mod rotate;
mod section;
pub mod show;
mod start;
mod steady;
mod tokens;
mod view;

use std::sync::Arc;

use vault::ids::{DeviceId, Incarnation};
use wire::control::PcrMask;

use crate::custody::Kek;
use crate::custody::authority::Authority;
use crate::store::{DeviceRow, Store, Tx};

pub(crate) use error::chain;
pub use error::{Advice, Refusal};
pub use start::{Settings, StartError, start, start_on, token_hash};
pub use steady::Steady;
pub use tokens::new_token;

/// How long a challenge is good for, in seconds.
pub const NONCE_TTL_S: u32 = 60;
/// PCRs that are quoted and appraised: EVE's sealing set, 0 to 4 and 6 to 14, of the SHA-256 bank.
pub const APPRAISED_PCRS: PcrMask = PcrMask(0b0111_1111_1101_1111);

/// The controller: what every request needs. Cheap to share, and holds no state of any device.
pub struct Controller {
    /// Nobody else works on the data folder.
    _lock: std::fs::File,
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Opens what is sealed in the store.
    pub kek: Kek,
    /// Certificates and working keys.
    pub authority: Authority,
    /// This life of the database.
    pub incarnation: Incarnation,
    /// `timer.config.interval` for devices, in seconds; theirs when none.
    pub poll_every_s: Option<u32>,
}

/// Finds a device by UUID or name.
async fn find_device(tx: &mut dyn Tx, which: &str) -> Result<DeviceRow, Refusal> {
    let by_id = match which.parse::<DeviceId>() {
        Ok(id) => tx.device(id).await?,
        Err(_) => None,
    };
    let found = match by_id {
        Some(found) => Some(found),
        None => tx.device_by_name(which).await?,
    };
    found.ok_or_else(|| Refusal::NotFound {
        what: format!("device `{which}`"),
        advice: "`evc get devices` lists those that have registered".into(),
    })
}
