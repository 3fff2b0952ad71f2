//! Another disk than the node's own is in at a boot: an empty one, or one whose share table came back from a bundle. The right one lies in a drawer
//! meanwhile, with all that it was when it went there, and may be put back.

use super::*;

/// The right disk, and the world's own memory of what is on it.
#[derive(Debug, Clone)]
pub(super) struct Drawer {
    disk: Disk,
    table_lost: bool,
    had_data: bool,
    /// The vault on it opens no more, or was to be removed, when the disk went.
    hopeless: bool,
    wrapped: Option<(Option<Incarnation>, Epoch)>,
    recorded: BTreeMap<Incarnation, u64>,
    ever_listed: BTreeSet<Incarnation>,
    /// What its copies may be wrapped under.
    allowed: Vec<Wrapping>,
    /// An order gave up since what may come back.
    given_up: bool,
}

impl World {
    /// Nothing of the node's is on the disk that is in now, but for the table, where that came back from escrow.
    pub(super) fn wrong_disk(&mut self, table: bool) {
        if self.drawer.is_none() {
            let place = MetaPlace::Nothing;
            let (copies, record, recovery) = ([None, None], None, None);
            let wrong =
                Disk { place, staged: place, away: place, copies, record, recovery, ..self.disk.clone() };
            self.drawer = Some(Drawer {
                disk: std::mem::replace(&mut self.disk, wrong),
                table_lost: self.table_lost,
                had_data: std::mem::take(&mut self.had_data),
                hopeless: std::mem::take(&mut self.unopenable) | std::mem::take(&mut self.doomed),
                wrapped: self.wrapped.take(),
                recorded: std::mem::take(&mut self.recorded),
                ever_listed: std::mem::take(&mut self.ever_listed),
                allowed: self.allowed.clone(),
                given_up: false,
            });
            self.table_lost |= !table && self.has_tpm;
        }
        self.boot(self.pcrs);
    }

    /// What the TPM holds stayed in the node. What was sealed on the other disk lies there, and this one is told of its own.
    pub(super) fn right_disk(&mut self) {
        if let Some(right) = self.drawer.take() {
            let mut roots = self.disk.roots.clone();
            if roots.generation == right.disk.roots.generation {
                roots.in_force.clone_from(&right.disk.roots.in_force);
            }
            self.disk = Disk { roots, ..right.disk };
            (self.table_lost, self.had_data, self.doomed) = (right.table_lost, right.had_data, false);
            self.unopenable = right.hopeless || right.given_up;
            self.allowed.extend(right.allowed);
            (self.wrapped, self.recorded, self.ever_listed) =
                (right.wrapped, right.recorded, right.ever_listed);
        }
        self.boot(self.pcrs);
    }

    pub(super) fn give_up_drawer(&mut self) {
        self.drawer.iter_mut().for_each(|right| right.given_up = true);
    }

    /// Whether the vault was made, lies on the disk in the drawer, opens by a share of this generation, and nobody gave that up.
    pub(super) fn is_in_drawer(&self) -> bool {
        self.drawer.as_ref().is_some_and(|right| {
            let there = [right.disk.place, right.disk.away].into_iter().any(MetaPlace::holds_ours);
            let made = right.disk.shares.all().iter().flatten().any(|share| share.mark == Mark::Made);
            there && made && !right.hopeless && !right.given_up
        })
    }
}
