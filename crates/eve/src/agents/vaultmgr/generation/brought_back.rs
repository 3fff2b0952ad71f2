//! Files that came back with the escrow bundle, written where both copies were gone: the share table, and key files of vaults. What is to be
//! written back is judged in [`vault::escrow::restore`]; how the bundle was asked for and opened is not looked at here.

use std::collections::{BTreeMap, BTreeSet};

use vault::belief::Heard;
use vault::condition::{Escrow, Node};
use vault::escrow::hope::{Back, Hopes, Which};
use vault::escrow::restore::{
    DirKey, is_in_escrow_alone, is_of_another_disk, key_files, lacking, made_since,
};
use vault::escrow::{Bundle, VaultFiles};
use vault::ids::VaultId;
use vault::plan::Known;
use vault::section::BySeal;
use vault::shares::Table;

use crate::agents::vaultmgr::generation::errands::Errand;
use crate::agents::vaultmgr::generation::files::{keep_aside, write};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::{Crypt, Found, MetaPlace};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;
use crate::agents::vaultmgr::vault::execute::StepError;

/// What is said where an older bundle came, and something is lacking still.
const NEWER_IS_HELD: &str = "the bundle that came back from escrow is an older one, and does not bring back all that this node lacks; the controller holds a newer one: `evc escrow offer` with --newest has that given back";

impl ShareStore {
    /// The bundle's share table, where it is of the roots that this TPM gives.
    fn table_of(&self, bundle: &Bundle) -> Option<Table> {
        self.keys.as_ref().and_then(|keys| bundle.table_for(keys.generation, &keys.table).ok())
    }

    /// Puts the bundle's share table in place of the lost one, whose files are kept aside. After an error it is still lost. What it stands
    /// beside in the TPM is to be read next, and until then it is not changed.
    pub(crate) fn bring_back(
        &mut self,
        paths: &Paths,
        bundle: &Bundle,
        known: &BTreeMap<VaultId, Known>,
    ) -> Result<(), SharesError> {
        let keys = self.keys.as_ref().filter(|_| self.table.is_none()).ok_or(SharesError::NoRoot)?;
        let mut table = bundle.table_for(keys.generation, &keys.table)?;
        made_since(bundle, &table, known).into_iter().try_for_each(|id| table.add_lost(id))?;
        let aside = keep_aside(paths, keys.generation)?;
        table.follow(table.edition().max(aside));
        write(paths, &mut table, keys)?;
        (self.table, self.lent) = (Some(table), true);
        Ok(())
    }

    /// Takes over what the bundle's table has of vaults that the one in force has no line of; those that the bundle knows nothing of are entered as lost.
    fn bring_back_lines(
        &mut self,
        paths: &Paths,
        bundle: &Bundle,
        known: &BTreeMap<VaultId, Known>,
    ) -> Result<(), SharesError> {
        self.change(paths, |table, keys| {
            let newer = bundle.table_for(keys.generation, &keys.table)?;
            for id in known.keys() {
                table.take_line(*id, &newer);
            }
            let lost = made_since(bundle, table, known);
            Ok(lost.into_iter().try_for_each(|id| table.add_lost(id))?)
        })
    }
}

impl<C: Crypt> Manager<C> {
    /// Whether the bundle is to be asked back for files.
    pub(crate) fn asks_for_files(&self) -> bool {
        self.hopes(&self.node()).asks_for_files(&self.hoped_for()) || !self.lineless().is_empty()
    }

    /// Vaults whose share the table has no line of, and a bundle may: the table is older than they are. Closely only where it has none.
    fn lineless(&self) -> BTreeMap<VaultId, Known> {
        let node = self.node();
        let hopes = self.hopes(&node);
        let own = self.shares.as_ref().filter(|shares| shares.is_open() && !shares.stands_in());
        let Some(shares) = own else { return BTreeMap::new() };
        let bare = self.slots.iter().filter(|(id, _)| shares.seen(**id) == BySeal::default());
        let known = bare.map(|(id, slot)| (*id, slot.glance(), self.known(*id)));
        let may = known.filter(|(id, glance, known)| hopes.may_have_line(*id, *glance, known));
        may.map(|(id, _, known)| (id, known)).collect()
    }

    /// Whether a bundle that is made now may take the place of one that has what is lacking here.
    pub(crate) fn may_be_in_escrow_alone(&self) -> bool {
        self.escrow.back() != Some(Back::NoneHeld)
            && (!self.lineless().is_empty()
                || !self.lacking().is_empty()
                || self.slots.keys().any(|id| self.is_in_escrow_alone(*id)))
    }

    /// Whether nothing of a vault is here, so that what an older bundle has of it is all that this node can have back, and no other is made. Before the first
    /// bundle there is none.
    pub(crate) fn is_in_escrow_alone(&self, id: VaultId) -> bool {
        let bare = self.slots.get(&id).is_some_and(|slot| self.hopeless.leaves_hope(id, slot.glance()));
        if !bare || self.escrow.back() == Some(Back::NoneHeld) {
            return false;
        }
        let node = self.node();
        node.escrow != Escrow::Nothing
            && is_in_escrow_alone(id, &self.known(id), self.belief.desired(), &node)
    }

    /// By what hopes are judged; `node` is what the node is seen to be now.
    pub(crate) fn hopes<'a>(&'a self, node: &'a Node) -> Hopes<'a> {
        Hopes {
            desired: self.belief.desired(),
            node,
            gives_root: self.gives_root(),
            hopeless: &self.hopeless,
            back: self.escrow.back(),
        }
    }

    /// Without the TPM's own root nothing of a bundle is believed.
    fn gives_root(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| shares.keys.is_some())
    }

    /// Vaults that a bundle may still help. Asked at each word to the controller, so by what was seen last, and closely only where that shows no
    /// key files.
    fn hoped_for(&self) -> BTreeMap<VaultId, Known> {
        let node = self.node();
        let hopes = self.hopes(&node);
        let bare = self.slots.iter().filter(|(id, slot)| hopes.is_hoped_for(**id, slot.glance()));
        bare.map(|(id, _)| (*id, self.known(*id))).collect()
    }

    /// Whether a bundle may have better key files of a vault than what lies there.
    pub(crate) fn can_help(&self, id: VaultId) -> bool {
        self.hopes(&self.node()).can_help(id, &self.known(id))
    }

    /// Vaults without key files that a bundle may still have: one that is made now would lack them.
    pub(crate) fn lacking(&self) -> Vec<VaultId> {
        lacking(self.belief.desired(), &self.hoped_for(), &self.node())
    }

    /// Writes back what the bundle has of files that are gone. What the newest does not have is not asked for again.
    pub(crate) fn bring_back(&mut self, bundle: &Bundle, which: Which) {
        if self.crypt.is_away() {
            // Another disk's share table may stand at the path.
            return;
        }
        if self.node().table_lost() {
            if self.desk.is_out() {
                // It is asked for again, when it is known what the TPM says.
                return;
            }
            if self.reads_what_is_back() {
                // What it lacks then is asked for again.
                return;
            }
            self.bring_back_table(bundle, which);
        }
        self.bring_back_lines(bundle, which);
        let (due, failed) = self.bring_back_key_files(bundle);
        due.into_iter().for_each(|id| self.look_again(id));
        let lacking = self.lacking();
        self.hopeless.came(which, lacking, &failed);
        if which == Which::Older && self.asks_for_files() {
            self.notes.tell(vault::belief::About::Escrow, NEWER_IS_HELD.to_owned());
        }
        // One of another disk is asked for again and again, and nothing is learned by it.
        if !self.escrow.elsewhere {
            self.start_afresh();
        }
    }

    /// What the bundle has no line of either it is not asked for again.
    fn bring_back_lines(&mut self, bundle: &Bundle, which: Which) {
        let lineless = self.lineless();
        let Some(shares) = self.shares.as_mut().filter(|_| !lineless.is_empty()) else { return };
        match shares.bring_back_lines(&self.paths, bundle, &lineless) {
            Ok(()) => tracing::info!("lines of the share table came back from escrow"),
            Err(SharesError::OtherTable(_)) => {}
            // It is asked for again.
            Err(error) => {
                return self.notes.tell(vault::belief::About::Roots, crate::agents::vaultmgr::chain(&error));
            }
        }
        lineless.keys().for_each(|id| self.look_again(*id));
        let without = self.lineless();
        self.hopeless.has_no_line(which, without.into_keys());
    }

    fn bring_back_table(&mut self, bundle: &Bundle, which: Which) {
        self.escrow.elsewhere = self.is_elsewhere(bundle);
        let all = self.everything().into_iter().map(|id| (id, self.known(id))).collect();
        let Some(shares) = &mut self.shares else { return };
        let back = if self.escrow.elsewhere {
            Err(SharesError::OtherDisk)
        } else {
            shares.bring_back(&self.paths, bundle, &all)
        };
        match back {
            Ok(()) => {
                tracing::info!("the share table came back from escrow");
                self.send(Errand::Roots);
            }
            Err(error) => {
                // That it is of another disk is what it looks like, and nothing is given up by looks.
                self.hopeless.set_table(which, matches!(error, SharesError::OtherTable(_)));
                let words = crate::agents::vaultmgr::chain(&error);
                self.notes.tell(vault::belief::About::Roots, words);
            }
        }
        self.hear(Heard::Tpm(self.roots(), None));
        self.everything().into_iter().for_each(|id| self.look(id));
    }

    /// Whether a table of the roots that this TPM gives is, as it seems, of another disk. Key files here may be newer than those in the bundle, all of
    /// them: then its shares open them still.
    fn is_elsewhere(&mut self, bundle: &Bundle) -> bool {
        let Some(table) = self.shares.as_ref().and_then(|shares| shares.table_of(bundle)) else {
            return false;
        };
        is_of_another_disk(bundle, |id| self.dir_key(id)) && !self.opens_here(bundle, table)
    }

    /// Whether shares of this table open key files that lie here.
    fn opens_here(&mut self, bundle: &Bundle, table: Table) -> bool {
        self.try_table(Some(table));
        let opens = bundle.vaults().keys().any(|id| self.opens_by_a_share(*id));
        self.try_table(None);
        opens
    }

    /// Until the next of these it counts as the one in force. What a key proves meanwhile is as good as if it had been proved before.
    fn try_table(&mut self, table: Option<Table>) {
        self.shares.iter_mut().for_each(|shares| shares.table.clone_from(&table));
    }

    fn opens_by_a_share(&mut self, id: VaultId) -> bool {
        let by_share = self.known(id).keys.candidates().into_iter().filter(|one| one.seal().is_some());
        let secrets: Vec<_> = by_share.filter_map(|one| self.secret(id, one).ok()).collect();
        let places = [MetaPlace::First, MetaPlace::Second];
        let mut tried = places.iter().flat_map(|place| secrets.iter().map(move |secret| (*place, secret)));
        tried.any(|(place, secret)| matches!(self.crypt.unwrap(id, place, secret), Ok(Some(_))))
    }

    /// Says of which vaults the bundle has them, and of which of these they could not be written now.
    fn bring_back_key_files(&mut self, bundle: &Bundle) -> (Vec<VaultId>, BTreeSet<VaultId>) {
        let dir_key = |id| self.dir_key(id);
        let due = key_files(bundle, &self.lacking(), dir_key);
        let mut failed = BTreeMap::new();
        for (id, files) in &due {
            match self.bring_back_one(*id, files) {
                Ok(true) => tracing::info!(vault = %id, "its key files came back from escrow"),
                Ok(false) => {
                    tracing::warn!(vault = %id, "its key files did not come back from escrow: no key at hand opens those in the bundle either");
                }
                Err(error) => drop(failed.insert(*id, error)),
            }
        }
        self.not_brought_back(&failed);
        (due.into_iter().map(|(id, _)| id).collect(), failed.into_keys().collect())
    }

    /// In one note: of several, one after the other, each would be new each time that the bundle comes.
    fn not_brought_back(&mut self, failed: &BTreeMap<VaultId, StepError>) {
        let one = |(id, error): (&VaultId, &StepError)| {
            let (name, why) = (self.belief.desired().name(*id), crate::agents::vaultmgr::chain(error));
            format!(
                "the key files of vault {name} did not come back from escrow; it is tried again by itself: {why}"
            )
        };
        let words: Vec<String> = failed.iter().map(one).collect();
        if !words.is_empty() {
            self.notes.tell(vault::belief::About::Escrow, words.join("; "));
        }
    }

    /// Over copies that read, and are damaged in what a key opens, nothing is written but what a key at hand opens. Whether one did.
    fn bring_back_one(&mut self, id: VaultId, files: &VaultFiles) -> Result<bool, StepError> {
        let known = self.known(id);
        if !known.seen.has_metadata() {
            self.crypt.bring_back(id, files)?;
            return Ok(true);
        }
        for wrapping in known.keys.candidates() {
            let secret = self.secret(id, wrapping)?;
            if self.crypt.put_back(id, files, &secret)? {
                self.slots.entry(id).or_default().none_fits = false;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn dir_key(&self, id: VaultId) -> Option<DirKey> {
        match self.crypt.find(&self.paths.vault(id)) {
            Ok(Found::Policy { key, .. }) => Some(key.0),
            _ => None,
        }
    }
}
