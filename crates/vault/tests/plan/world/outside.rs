//! What comes to the node from outside: sections, withholding, boots, damage.

use super::*;
use vault::belief::Heard;
use vault::generations::{GenerationState, Pair, Root, TableFacts, judge};
use vault::ids::Generation;

impl World {
    pub(super) fn boot(&mut self, pcrs: bool) {
        self.kernel.clear();
        self.end_leases();
        self.pcrs = pcrs;
        self.record_readable = true;
        self.restart();
    }

    pub(super) fn restart(&mut self) {
        self.memory = Memory::new(self.session);
        self.begin_leases();
        self.judge_generations();
        self.hear_tpm();
        self.open_record();
    }

    /// NV and disk are judged as a node judges them at start: what is in force, and what is left of a change that was cut short.
    fn judge_generations(&mut self) {
        if !self.has_tpm || self.silent {
            return;
        }
        let Roots { generation, others, .. } = &self.disk.roots;
        let own = Generation(generation + 1);
        let before = others.as_ref().map(|_| Generation(*generation));
        let Ok(standing) = judge(self.pairs(own, before), || Ok::<_, std::convert::Infallible>(true));
        match standing {
            GenerationState::InForce { generation, left } => {
                assert_eq!((generation, left), (own, before.into_iter().collect()));
                self.table_lost = false;
            }
            GenerationState::Lost(lost) => {
                assert!(lost.undefine.is_empty() && lost.complete.is_some(), "whole roots go: {lost:?}");
                self.table_lost = true;
            }
            GenerationState::Begin(_) => panic!("begun over what was made"),
        }
    }

    /// The table of before is there as long as its roots are.
    fn pairs(&self, own: Generation, before: Option<Generation>) -> Vec<Pair> {
        let Disk { shares, roots, generation, follows, .. } = &self.disk;
        let opens = !self.table_lost && *generation == roots.generation;
        let barren = !shares.all().into_iter().flatten().any(|share| share.mark != Mark::Lost);
        let table = opens.then_some(TableFacts { barren, follows: *follows });
        let pcrs = if self.pcrs { Root::Read } else { Root::Shut };
        let pair = |generation| Pair { generation, tpm: Root::Read, pcrs, table };
        std::iter::once(own).chain(before).map(pair).collect()
    }

    /// Only a boot closes the Config Vault, and the vault's own key goes with it.
    pub(super) fn start_unread(&mut self) {
        self.kernel.clear();
        self.end_leases();
        self.memory = Memory::new(self.session);
        self.begin_leases();
        self.record_readable = false;
        self.hear_tpm();
        self.hear(Heard::RecordClosed);
    }

    pub(super) fn record_opened(&mut self) {
        if !std::mem::replace(&mut self.record_readable, true) {
            self.open_record();
        }
    }

    pub(super) fn power_cut(&mut self, steps: usize, half: usize) {
        self.run(steps);
        self.half_step(half);
        self.boot(true);
    }

    pub(super) fn kill(&mut self, steps: usize, half: usize) {
        self.run(steps);
        self.half_step(half);
        self.restart();
    }

    /// Damages one copy while the other is whole: two damaged copies are not ours to survive.
    pub(super) fn damage(&mut self, first: bool) {
        let (hurt, other) = if first { (0, 1) } else { (1, 0) };
        if self.disk.copies[other].is_some_and(|meta| meta.whole && self.opens_somehow(&meta)) {
            self.disk.copies[hurt].iter_mut().for_each(|meta| meta.whole = false);
        }
    }

    pub(super) fn damage_both(&mut self, unreadable: bool) {
        let copies = self.disk.copies.iter_mut().flatten();
        copies.for_each(|meta| if unreadable { meta.whole = false } else { meta.lame = true });
        self.unopenable = true;
    }

    pub(super) fn moved(&mut self, moved: Moved) {
        let ours = |place| matches!(place, MetaPlace::Vault { content, .. } if content != ANOTHER);
        let Disk { place, away, .. } = &mut self.disk;
        if let Moved::Back = moved {
            if *away != MetaPlace::Nothing && !place.holds_ours() {
                *place = std::mem::replace(away, MetaPlace::Nothing);
            }
            return;
        }
        if *away == MetaPlace::Nothing && ours(*place) {
            *away = match moved {
                Moved::ForAStranger => std::mem::replace(place, MetaPlace::Stranger),
                Moved::ForAnotherVault => {
                    std::mem::replace(place, MetaPlace::Vault { content: ANOTHER, data: true })
                }
                Moved::Away | Moved::Back => std::mem::replace(place, MetaPlace::Nothing),
            };
        }
    }

    pub(super) fn lose_table(&mut self, lost: bool) {
        self.table_lost = lost && self.has_tpm;
        self.restart();
    }

    /// With the TPM heard again there are keys that were not tried.
    pub(super) fn silence(&mut self, silent: bool) {
        self.silent = silent && self.has_tpm;
        self.memory.none_fits = false;
        self.hear_tpm();
    }

    /// A vault that the disk shows is entered as lost.
    pub(super) fn table_begun(&mut self) {
        if !self.has_tpm || !self.table_lost || self.id.is_default() {
            return;
        }
        let shown =
            self.disk.copies.iter().flatten().next().is_some() || self.disk.place != MetaPlace::Nothing;
        let lost = shown.then_some(Share { id: 0, mark: Mark::Lost });
        self.begin_table(lost);
    }

    pub(super) fn begin_table(&mut self, lost: Option<Share>) {
        self.unopenable |= self.disk.shares.all().iter().flatten().next().is_some();
        self.give_up_drawer();
        self.disk.shares = BySeal { tpm: lost, pcrs: None };
        self.disk.pin = None;
        self.disk.dropped = true;
        (self.disk.generation, self.disk.follows) = (self.disk.roots.generation, false);
        (self.disk.roots.escrowed, self.memory.upcoming) = (false, None);
        self.table_lost = false;
        self.hear_tpm();
    }

    /// That one may be in escrow is written down before it goes out.
    pub(super) fn escrowed(&mut self) {
        if !self.has_tpm || self.silent || self.table_lost || !self.gives_pcrs() {
            return;
        }
        let Roots { generation, drawn, edition, escrowed, .. } = &mut self.disk.roots;
        *escrowed = true;
        match &mut self.memory.upcoming {
            Some(made) if made.edition == *edition => {
                made.held = true;
                self.held.insert(*generation + 1, made.drawn);
            }
            _ => drop(self.held.insert(*generation, *drawn)),
        }
    }

    pub(super) fn rescued(&mut self) {
        let there = self.has_tpm && !self.silent && !self.table_lost;
        self.memory.rescued |=
            there && !self.pcrs && self.held.get(&self.disk.roots.generation) == Some(&self.disk.roots.drawn);
        self.memory.none_fits &= !self.memory.rescued;
    }

    pub(super) fn order_recreate(&mut self) {
        self.ordered_here = true;
        self.memory.belief.orders().recreate(self.id);
        self.memory.setbacks = Setbacks::default();
        self.settle();
        self.memory.belief.orders().leave(self.id);
        self.ordered_here = false;
    }
}
