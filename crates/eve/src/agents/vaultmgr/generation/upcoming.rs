//! The generation after the one in force, whole in memory: its roots, its keys, its table. So its bundle can be put in escrow before anything of it
//! is on the disk or in the TPM, and a controller that can't be reached keeps nothing waiting but the end of the generation in force. A table that
//! is changed meanwhile makes it stale, and a life that ends forgets it: both cost a bundle that nobody needs.

use std::sync::Arc;

use vault::condition;
use vault::escrow::rescue::{Hanging, Lack};
use vault::escrow::{Bundle, VaultFiles};
use vault::ids::{DeviceKey, VaultId};
use vault::roots::{PcrsRoot, TpmRoot, Vsk};
use vault::secret::RootSecret;
use vault::section::{BySeal, Seal};
use vault::shares::{Nonce, Table};

use crate::agents::vaultmgr::generation::roots::{NoPcrs, RootKeys};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError, nonce, random};
use crate::agents::vaultmgr::paths::Paths;

/// Key files by vault.
pub(crate) type Files = std::collections::BTreeMap<VaultId, VaultFiles>;

/// All of it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(super) tpm: TpmRoot,
    pub(super) pcrs: PcrsRoot,
    pub(super) keys: RootKeys,
    /// As it is to be written, but for its edition.
    pub(super) table: Table,
    /// Of the table that it was made from.
    from_edition: u64,
}

impl ShareStore {
    /// Makes it, of the table as it is now.
    pub(crate) fn prepare(&mut self) -> Result<(), SharesError> {
        self.upcoming = Some(Arc::new(self.make_upcoming()?));
        Ok(())
    }

    pub(super) fn make_upcoming(&self) -> Result<Made, SharesError> {
        let (Some(keys), Some(table)) = (&self.keys, &self.table) else { return Err(SharesError::NoRoot) };
        let (tpm, pcrs) = (TpmRoot(RootSecret::init(random)?), PcrsRoot(RootSecret::init(random)?));
        let new = [tpm.vsk(), pcrs.vsk()];
        let old = both(keys, table, &new[1])?;
        let nonces = (0..table.share_count()).map(|_| nonce()).collect::<Result<Vec<Nonce>, _>>()?;
        let next = table.next(old, BySeal { tpm: &new[0], pcrs: &new[1] }, nonces)?;
        let keys = RootKeys::of(next.generation(), &tpm, Ok(&pcrs));
        Ok(Made { tpm, pcrs, keys, table: next, from_edition: table.edition() })
    }

    /// Whether it is made of the table as it is.
    pub(super) fn is_next(&self, made: &Made) -> bool {
        let of = |table: &Table| (table.generation().after(), table.edition());
        self.table.as_ref().map(of) == Some((Some(made.keys.generation), made.from_edition))
    }

    /// Whether it is made of the table as it is, and waits.
    pub(crate) fn how_far_is_made(&self) -> bool {
        self.how_far() == condition::Upcoming::Made
    }

    /// How far it is, but for what the controller holds.
    pub(super) fn how_far(&self) -> condition::Upcoming {
        match (&self.table, &self.upcoming) {
            (Some(table), _) if !table.is_escrowed() => condition::Upcoming::Free,
            (_, Some(made)) if self.is_next(made) => condition::Upcoming::Made,
            _ => condition::Upcoming::Unmade,
        }
    }

    /// The bundle of the generation in force; none while the root that is bound to PCRs is there and not at hand: without it the bundle would take
    /// the place of a better one.
    pub(crate) fn bundle(&self, device: DeviceKey, files: Files) -> Option<Bundle> {
        let (keys, table) = (self.keys.as_ref()?, self.table.as_ref()?);
        let pcrs = match &keys.pcrs {
            Ok(pcrs) => Some(&**pcrs),
            Err(NoPcrs::Gone | NoPcrs::Unreadable) if !table.has_any(Seal::Pcrs) => None,
            Err(_) => return None,
        };
        let of = (device, keys.generation);
        Some(Bundle::new(&keys.escrow, pcrs, of, table.encode(&keys.table), files))
    }

    /// That of the next one, while it is made.
    pub(crate) fn upcoming_bundle(&self, device: DeviceKey, files: Files) -> Option<Bundle> {
        let made = self.upcoming.as_ref().filter(|made| self.is_next(made))?;
        let mut table = made.table.clone();
        // As it is written: see `files::write`.
        table.follow(table.edition());
        let pcrs = made.keys.pcrs.as_deref().ok();
        let of = (device, made.keys.generation);
        Some(Bundle::new(&made.keys.escrow, pcrs, of, table.encode(&made.keys.table), files))
    }

    /// Says in the table that a bundle may be in escrow, before the first byte of one goes out.
    pub(crate) fn begin_escrow(&mut self, paths: &Paths) -> Result<(), SharesError> {
        if self.table.as_ref().is_some_and(Table::is_escrowed) {
            return Ok(());
        }
        self.change(paths, |table, _| {
            table.set_escrowed();
            Ok(())
        })
    }

    /// Whether one may be.
    pub(crate) fn is_escrowed(&self) -> bool {
        self.table.as_ref().is_some_and(Table::is_escrowed)
    }

    /// Why the root that is bound to PCRs is not at hand, and what hangs on it; nothing while it is at hand, or the table is lost. What hangs on it
    /// takes a look at all lines, and this is asked with each plan of each vault: so only where there is a lack.
    pub(crate) fn lack(&self) -> Option<(Lack, Hanging)> {
        let table = self.table.as_ref()?;
        let lack = match self.without_pcrs()? {
            NoPcrs::Moved(_) => Lack::Moved,
            NoPcrs::Unsteady => Lack::Unsteady,
            NoPcrs::Gone => Lack::Gone,
            NoPcrs::Unreadable => Lack::Unreadable,
        };
        Some((lack, Hanging { dropped: table.has_dropped(), shares: table.has_any(Seal::Pcrs) }))
    }

    /// Takes it back: what it sealed opens, and it is bound to this boot with the next generation.
    pub(crate) fn rescue(&mut self, pcrs: &PcrsRoot) {
        if let Some(keys) = &mut self.keys {
            keys.pcrs = Ok(pcrs.vsk().into());
            self.rescued = true;
        }
    }

    /// The keys of the TPM's roots, with the table open or lost.
    pub(crate) fn root_keys(&self) -> Option<&RootKeys> {
        self.keys.as_ref()
    }

    /// Which table it is, by generation and edition.
    pub(crate) fn edition(&self) -> Option<(vault::ids::Generation, u64)> {
        self.table.as_ref().map(|table| (table.generation(), table.edition()))
    }
}

/// The keys that open the table's shares. Where none is sealed to PCRs no key opens any there, and `any` does.
fn both<'a>(keys: &'a RootKeys, table: &Table, any: &'a Vsk) -> Result<BySeal<&'a Vsk>, SharesError> {
    let pcrs = match keys.pcrs.as_deref() {
        Err(_) if !table.has_any(Seal::Pcrs) => any,
        pcrs => pcrs.map_err(|_| SharesError::NoRoot)?,
    };
    Ok(BySeal { tpm: &keys.tpm, pcrs })
}
