//! What the controller does on a request, between HTTP and the store: one module for each thing that is asked of it.
//! Every function takes the time; every error on the way to a release is a refusal.

pub mod adopt;
pub mod apply;
pub mod attest;
mod chain;
pub mod config;
mod defaults;
pub mod devices;
mod differences;
mod doubled;
mod error;
pub mod evidence;
mod first;
mod heard;
pub mod info;
mod life;
pub mod onboarding;
pub mod operate;
pub mod references;
pub mod register;
mod reported;
pub mod rotate;
mod section;
pub mod show;
mod start;
mod steady;
mod tokens;
mod view;
mod words;

use vault::ids::{DeviceId, Incarnation};
use wire::control::PcrMask;

use crate::custody::Kek;
use crate::custody::authority::Authority;
use crate::store::{DeviceRow, Scope, Store, Tx};

pub(crate) use error::chain;
pub use error::{Advice, Refusal};
pub use heard::Heard;
pub use start::{Settings, StartError, begin_anew, start, start_on, start_over, token_hash};
pub use steady::Steady;
pub use tokens::{let_in, new_token};
pub use vault::life::{NotAdopted, Refused};
pub use words::LifeRefusal;

/// How long a challenge is good for, in seconds.
pub const NONCE_TTL_S: u32 = 60;
/// PCRs that are quoted and appraised: EVE's sealing set, 0 to 4 and 6 to 14, of the SHA-256 bank.
pub const APPRAISED_PCRS: PcrMask = PcrMask(0b0111_1111_1101_1111);

/// The controller: what every request needs. Cheap to share, and holds nothing of any device but when it was heard.
pub struct Controller {
    /// Where everything is kept.
    pub store: Store,
    /// Opens what is sealed in the store.
    pub kek: Kek,
    /// Certificates and working keys.
    pub authority: Authority,
    /// This life of the database.
    pub incarnation: Incarnation,
    /// Those that the database had before.
    pub past: Vec<Incarnation>,
    /// `timer.config.interval` for devices, in seconds; theirs when none.
    pub poll_every_s: Option<u32>,
    /// When devices were heard.
    pub heard: Heard,
}

impl Controller {
    /// What a body that writes to a device's rows has to itself.
    async fn scope_of(&self, device: &str) -> Result<Scope, Refusal> {
        let found = self.store.read(|tx| Box::pin(find_device(tx, device))).await?;
        Ok(Scope::Device(found.id))
    }
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
