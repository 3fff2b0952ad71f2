//! The controller itself: what every request needs, how it starts, and how it refuses. What is asked of it lies in rooms beside this one:
//! [`crate::device`] for what devices ask, [`crate::operator`] for operators, [`crate::jobs`] for what is due by itself; all of them read a
//! device through [`crate::fleet`].
//! Every function takes the time; every error on the way to a release is a refusal.

pub(crate) mod first;
mod folder;
mod left_behind;
mod names;
mod over;
mod put_back;
mod refusal;
pub(crate) mod start;
mod unkept;

use std::sync::atomic::AtomicBool;

use vault::escrow::BundleId;
use vault::ids::{DeviceId, Incarnation, Project, VaultId};
use wire::control::PcrMask;

use crate::custody::authority::Authority;
use crate::custody::{Kek, Nonces};
use crate::store::{DeviceRow, Store, Tx};

pub use crate::device::certified::Certified;
pub use crate::device::courier::{COURIER_LIFE_S, CarriedAnswer};
pub use crate::fleet::again::Again;
pub use crate::fleet::heard::Heard;
pub use crate::fleet::lost_here::LostHere;
pub use crate::fleet::recall::Recall;
pub use crate::fleet::settled::Settled;
pub use crate::fleet::verdicts::Verdicts;
pub use crate::jobs::steady::Steady;
pub use crate::operator::glance::Glances;
pub use crate::operator::knocks::Knocks;
pub use crate::operator::tokens::{let_in, new_token};
use crate::repeats::{Once, Repeats};
pub use crate::store::DELETED_GRACE_S;
pub(crate) use folder::is_nobody_elses;
pub use left_behind::{LeftBehind, Whose, left_behind};
pub use names::Names;
pub use put_back::checked;
pub use refusal::{
    AtStake, BadRequest, Barred, Body, Fault, Form, InTheWay, Irrevocable, LifeRefusal, Message, NoToken,
    NotAdmitted, Refusal, Stale, Unknown, Unproved, Which,
};
pub(crate) use refusal::{chain, in_life, key_shut};
pub use start::{Settings, StartError, begin_anew, start, start_on, start_over, token_hash};
pub(crate) use unkept::Part;
pub use unkept::Unkept;

/// How long a challenge is good for, in seconds.
pub const NONCE_TTL_S: u32 = 60;
/// How often a device's escrow drill is made where nothing else is said, in seconds: a month.
pub const DRILL_EVERY_S: u64 = 30 * 24 * 3600;
/// PCRs that are quoted and appraised: EVE's sealing set, 0 to 4 and 6 to 14, of the SHA-256 bank.
pub const APPRAISED_PCRS: PcrMask = PcrMask(0b0111_1111_1101_1111);

/// The controller: what every request needs. Cheap to share, and holds nothing of worth of any device: when it was
/// heard, and what can be read again.
pub struct Controller {
    /// Where everything is kept.
    pub store: Store,
    /// Opens what is sealed in the store.
    pub kek: Kek,
    /// Makes nonces, and knows them again.
    pub nonces: Nonces,
    /// Certificates and working keys.
    pub authority: Authority,
    /// This life of the database.
    pub incarnation: Incarnation,
    /// Those that the database had before.
    pub past: Vec<Incarnation>,
    /// The database was put back from a copy, and nobody said yet that it was gone through: nothing is released.
    pub put_back: bool,
    /// `timer.config.interval` for devices, in seconds; theirs when none.
    pub poll_every_s: Option<u32>,
    /// How often a device's escrow drill is made, in seconds; 0: by order alone.
    pub drill_every_s: u64,
    /// For so long what was kept of a device stays after its deletion, in seconds.
    pub deleted_grace_s: u64,
    /// When devices were heard.
    pub heard: Heard,
    /// What they are called, for the log.
    pub names: Names,
    /// What was read of them, for as long as it is so.
    pub settled: Settled,
    /// The same of those that attest just now.
    pub recall: Recall,
    /// Numbers of what devices that went back were told.
    pub again: Again,
    /// What evidence was found to show.
    pub verdicts: Verdicts,
    /// Who wanted to register and may not.
    pub knocks: Knocks,
    /// The fleet as it was counted last.
    pub glances: Glances,
    /// What failed in the last round of housekeeping.
    pub unkept: Unkept,
    /// An act gave the database no new number yet.
    pub owes_number: AtomicBool,
    /// Devices that made their certificates anew.
    pub certified: Certified,
    /// Devices whose evidence was refused, as far as the log was told.
    pub refused: Repeats<DeviceId>,
    /// Devices of which an operator said that they are lost since this one was started.
    pub lost_here: LostHere,
    /// Vaults whose key does not open, as far as the log was told.
    pub unopened: Repeats<VaultId>,
    /// Bundles that do not, by device: the same.
    pub unopened_bundles: Once<(DeviceId, Option<BundleId>)>,
}

/// A device of the project, by its id alone: for a body whose scope is that device, whatever its name means by now.
pub(crate) async fn device_by_id(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
) -> Result<DeviceRow, Refusal> {
    let found = tx.device(id).await?.filter(|found| found.project == *project);
    found.ok_or_else(|| Unknown::Device { which: id.to_string() }.into())
}

/// Finds a device of a project by UUID or name. Another project's is not known.
pub(crate) async fn find_device(
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
) -> Result<DeviceRow, Refusal> {
    let by_id = match which.parse::<DeviceId>() {
        Ok(id) => tx.device(id).await?.filter(|found| found.project == *project),
        Err(_) => None,
    };
    let found = match by_id {
        Some(found) => Some(found),
        None => tx.device_by_name(project, which).await?,
    };
    found.ok_or_else(|| Unknown::Device { which: which.to_owned() }.into())
}
