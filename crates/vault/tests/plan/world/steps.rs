//! Each step, in the parts that a power cut can fall between.

use super::*;

impl World {
    pub(super) fn part(&mut self, step: Step, part: usize, fresh: u32) {
        match (step, part) {
            (Step::MakeShare { seal, mark }, 0) => self.make_share(seal, Share { id: fresh, mark }),
            (Step::MakeMetadata { wrapping, .. }, 0 | 1) => self.write(part, fresh, wrapping),
            (Step::Rewrap(wrapping), 0 | 1) => self.rewrap(part, wrapping),
            (Step::Rewrap(wrapping), 2) => self.rewrapped(wrapping),
            (Step::RepairCopy { from }, 0) => self.repair(from),
            (Step::Unwrap, 0) => self.unwrap(),
            (Step::AddKey, 0) => self.add_key(),
            (Step::MakeDir, 0) => (self.disk.place, self.disk.space) = (MetaPlace::Empty, KEPT),
            (Step::Bound(_), 0) => self.disk.space.project = Project::Own,
            (Step::Bound(limit), 1) => self.disk.space.limit = limit,
            (Step::Count, 0) => self.disk.space.uncounted = false,
            (Step::SetPolicy(_), 0) => {
                self.disk.place = MetaPlace::Vault { content: self.held_content(), data: false }
            }
            (Step::MoveIn(_), 0) => {
                assert_eq!(self.disk.staged, MetaPlace::Nothing, "copied over what stands beside");
                self.disk.staged = MetaPlace::Vault { content: self.held_content(), data: true }
            }
            (Step::MoveIn(_), 1) => {
                std::mem::swap(&mut self.disk.staged, &mut self.disk.place);
                self.disk.space = Space { project: Project::Own, ..KEPT };
            }
            (Step::DropCopy, 0) => self.drop_copy(),
            (Step::DropStaged { open }, 0) => self.drop_originals(open),
            (Step::WriteByHeart, 0 | 1) => self.write_by_heart(part),
            (Step::MarkMade, 0) => self.mark_made(),
            (Step::Lock, 0) => self.lock(),
            (Step::ForgetMetadata, 0 | 1) => self.forget(part),
            (Step::DeleteDir, 0) => self.delete_dir(),
            (Step::DropShare(seal), 0) => self.drop_share(seal),
            (Step::RecordRemoved, 0) => self.record_removed(),
            (Step::MakeRecovery(hint), 0 | 1) => self.make_recovery(hint, part == 1),
            (Step::DropRecovery, 0 | 1) => self.drop_recovery(part == 1),
            (Step::NewProtector(wrapping), 0..=2) => self.new_protector(part, wrapping),
            _ => {}
        }
    }

    pub(super) fn share_of(&self, wrapping: Wrapping) -> Option<u32> {
        wrapping.seal().map(|seal| self.disk.shares.of(seal).expect("a share for the wrapping").id)
    }

    pub(super) fn key_of(&self, wrapping: Wrapping) -> Option<u32> {
        wrapping.epoch().and_then(|epoch| self.memory.keys.and_then(|ring| ring.key(epoch)))
    }

    fn place_of(&mut self, seal: Seal) -> &mut Option<Share> {
        let BySeal { tpm, pcrs } = &mut self.disk.shares;
        if seal == Seal::Tpm { tpm } else { pcrs }
    }

    fn make_share(&mut self, seal: Seal, share: Share) {
        assert!(self.node().can_seal(seal), "sealed under a root that can't be read");
        let place = self.place_of(seal);
        assert!(place.is_none_or(|there| there.mark == Mark::Lost), "a share is overwritten");
        *place = Some(share);
        assert!(self.disk.roots.others.is_none(), "the table is changed before the roots of before are gone");
        self.disk.roots.in_force.insert(share.id);
        self.disk.roots.edition += 1;
    }

    fn drop_share(&mut self, seal: Seal) {
        *self.place_of(seal) = None;
        self.disk.dropped = true;
        if self.order() != Order::Nothing {
            self.give_up_drawer();
        }
        self.disk.roots.edition += 1;
    }

    fn mark_made(&mut self) {
        self.disk.roots.edition += 1;
        let there = Seal::ALL.into_iter().filter(|seal| self.disk.shares.of(*seal).is_some());
        there.collect::<Vec<_>>().into_iter().for_each(|seal| {
            self.place_of(seal)
                .iter_mut()
                .filter(|s| s.mark == Mark::Begun)
                .for_each(|s| s.mark = Mark::Made);
        });
    }

    fn drop_copy(&mut self) {
        assert!(
            matches!(self.disk.staged, MetaPlace::Vault { .. }),
            "originals go as a copy: {:?}",
            self.disk
        );
        self.disk.staged = MetaPlace::Nothing;
    }

    fn drop_originals(&mut self, open: bool) {
        let at_hand = self.seen().key == Key::Present;
        assert!(at_hand || !open, "held against what can't be read: {:?}", self.disk);
        assert!(self.disk.place.holds_ours(), "wiped, and no vault has them: {:?}", self.disk);
        self.disk.staged = MetaPlace::Nothing;
    }

    /// As they were when a key opened them.
    fn write_by_heart(&mut self, part: usize) {
        let there = self.disk.copies.iter().flatten().filter(|meta| meta.whole).count();
        assert_eq!(there, part, "written over key files that read: {:?}", self.disk);
        self.disk.copies[part] = self.memory.heart;
        self.unopenable &= !self.memory.heart.is_some_and(|meta| self.opens_somehow(&meta));
    }

    fn delete_dir(&mut self) {
        (self.disk.place, self.disk.staged) = (MetaPlace::Nothing, MetaPlace::Nothing);
    }

    fn record_removed(&mut self) {
        let bare = self.disk.shares.all().iter().flatten().next().is_none() || self.table_lost;
        assert!(bare, "a removed vault leaves its share");
        // Without a record that can be read the step fails, and is tried again.
        let Some(kept) = self.memory.belief.without(self.id) else {
            return self.memory.setbacks.insert(StepKind::RecordRemoved);
        };
        self.save(kept);
        self.give_up_drawer();
        self.reported = false;
    }

    /// A part of the node's own step. That the table of the next generation is on the disk changes nothing yet.
    pub(super) fn node_part(&mut self, step: &NodeStep, part: usize) {
        match (step, part) {
            (NodeStep::BeginTable { lost }, 0) => self.begin_ordered(lost),
            (NodeStep::PrepareGeneration, 0) => self.prepare_next(),
            (NodeStep::NextGeneration, 1) => self.define_next(),
            (NodeStep::NextGeneration, 2) | (NodeStep::DropGenerations, 0) => self.disk.roots.others = None,
            _ => {}
        }
    }

    /// This vault's line in the new table is as the plan says.
    fn begin_ordered(&mut self, lost: &[VaultId]) {
        assert!(self.table_lost && self.order() == Order::Recreate, "a table is begun without an order");
        let lost = lost.contains(&self.id).then_some(Share { id: 0, mark: Mark::Lost });
        self.begin_table(lost);
    }

    /// In memory alone: nothing on the disk or in the TPM changes.
    fn prepare_next(&mut self) {
        assert!(self.gives_pcrs() && !self.silent && !self.table_lost, "what can't be carried over is made");
        self.fresh += 1;
        let (edition, drawn) = (self.disk.roots.edition, self.fresh);
        self.memory.upcoming = Some(Made { edition, drawn, held: false });
    }

    /// Where a bundle may be in escrow, the one of the roots that come into force is, at this instant: what the controller holds opens under roots
    /// that are there, always.
    fn begin_next(&mut self) {
        self.fresh += 1;
        let made = self.memory.upcoming.take().map_or(self.fresh, |made| made.drawn);
        let roots = &mut self.disk.roots;
        (roots.generation, roots.drawn) = (roots.generation + 1, made);
        let held = self.held.get(&roots.generation) == Some(&made);
        assert!(held || !roots.escrowed, "the roots go that the only bundle opens under");
        // Sealed to the boot of now.
        (self.pcrs, self.memory.rescued) = (true, false);
    }

    /// Every share that is there opens under the new roots; one that can't be read is not in their table.
    fn define_next(&mut self) {
        assert!(self.disk.roots.others.is_none(), "there are two places in a TPM");
        let there: BTreeSet<u32> = self.disk.shares.all().iter().flatten().map(|share| share.id).collect();
        assert!(self.gives_pcrs() && !self.silent && !self.table_lost, "a share is left behind");
        let lost = self.disk.shares.all().iter().flatten().any(|share| share.mark == Mark::Lost);
        assert!(!lost, "a lost share is lost for ever");
        let may = self.order() != Order::Nothing || self.doomed || self.unopenable;
        let made = self.disk.shares.all().iter().flatten().any(|share| share.mark == Mark::Made);
        let stands = matches!(self.disk.place, MetaPlace::Vault { content, .. } if content != ANOTHER);
        let away = made && self.disk.away.holds_ours() && !stands;
        assert!(may || !away, "the generation ends while the vault is away: {:?}", self.disk);
        let elsewhere = self.is_in_drawer() && self.order() == Order::Nothing;
        assert!(!elsewhere, "the generation ends while the vault lies on another disk: {:?}", self.drawer);
        let before = std::mem::replace(&mut self.disk.roots.in_force, there);
        (self.disk.roots.others, self.disk.dropped) = (Some(before), false);
        self.begin_next();
        (self.disk.generation, self.disk.follows) = (self.disk.roots.generation, true);
    }

    pub(super) fn write(&mut self, part: usize, content: u32, wrapping: Wrapping) {
        assert!(self.keys().reach(wrapping), "wrapped under a key that is not at hand");
        let abandons = self.disk.away.holds_ours();
        let may = self.order() != Order::Nothing || self.doomed || self.unopenable;
        if self.order() != Order::Nothing {
            self.give_up_drawer();
        }
        assert!(!abandons || may, "made anew without an order, while its directory is away: {:?}", self.disk);
        self.had_data &= !abandons;
        self.disk.away = MetaPlace::Nothing;
        (self.doomed, self.unopenable) = (false, false);
        self.wraps(wrapping, true);
        let (share, key) = (self.share_of(wrapping), self.key_of(wrapping));
        self.disk.copies[part] = Some(Meta { content, wrapping, share, key, whole: true, lame: false });
        let held = OpenedBy { first: Some(wrapping), second: Some(wrapping) };
        self.memory.held = (part == 1).then_some((content, held));
        self.memory.heart = self.disk.copies[part];
        self.memory.held_by = self.memory.keys;
    }

    pub(super) fn rewrap(&mut self, part: usize, wrapping: Wrapping) {
        let (content, _) = self.memory.held.expect("re-wraps what it holds");
        assert!(!self.memory.belief.waits_for_record(), "re-keyed by a section that nothing proves yet");
        self.wraps(wrapping, false);
        assert!(self.keys().reach(wrapping), "wrapped under a key that is not at hand");
        let (share, key) = (self.share_of(wrapping), self.key_of(wrapping));
        self.disk.copies[part] = Some(Meta { content, wrapping, share, key, whole: true, lame: false });
        self.unopenable = false;
    }

    pub(super) fn rewrapped(&mut self, wrapping: Wrapping) {
        let (content, _) = self.memory.held.expect("re-wraps what it holds");
        self.memory.held = Some((content, OpenedBy { first: Some(wrapping), second: Some(wrapping) }));
        self.memory.held_by = self.memory.keys;
        self.memory.heart = self.disk.copies[0];
    }

    pub(super) fn repair(&mut self, from: CopyPlace) {
        let good = self.disk.copies[from as usize];
        assert!(
            good.is_some_and(|meta| meta.whole),
            "repaired from a copy that is not whole: {:?}",
            self.disk
        );
        let held = self.memory.held.map(|(content, held)| {
            let one = [held.first, held.second][from as usize];
            (content, OpenedBy { first: one, second: one })
        });
        self.disk.copies = [good, good];
        self.memory.held = held;
    }

    pub(super) fn unwrap(&mut self) {
        let mut tried = Tried::<u32, ()>::of(&self.seen());
        for wrapping in self.keys().candidates() {
            let opens = |meta: &Meta| meta.whole && !meta.lame && self.fits(meta, wrapping);
            let content = |place: vault::condition::MetaPlace| {
                self.disk.copies[place as usize].filter(opens).map(|meta| meta.content)
            };
            tried.with(wrapping, |()| false, |place| Ok(content(place)));
        }
        match tried.ended() {
            Ended::Opened(content, held) => {
                self.memory.held = Some((content, held));
                self.memory.heart = self.disk.copies[usize::from(held.first.is_none())];
                self.memory.held_by = self.memory.keys;
            }
            Ended::NoneFits | Ended::Failed { .. } => self.memory.none_fits = true,
        }
    }

    pub(super) fn fits(&self, meta: &Meta, wrapping: Wrapping) -> bool {
        meta.wrapping == wrapping
            && meta.key == self.key_of(wrapping)
            && meta.share == wrapping.seal().and_then(|seal| self.disk.shares.of(seal)).map(|share| share.id)
    }

    pub(super) fn held_content(&self) -> u32 {
        let recovered = || self.memory.recovered.expect("uses the key that it holds");
        self.memory.held.map_or_else(recovered, |(content, _)| content)
    }

    pub(super) fn add_key(&mut self) {
        self.kernel.insert(self.held_content(), Key::Present);
    }

    pub(super) fn lock(&mut self) {
        let after = if self.busy { Key::Incomplete } else { Key::Absent };
        self.kernel.values_mut().for_each(|key| *key = after);
        if self.busy {
            self.memory.setbacks.insert(StepKind::Lock);
        }
        (self.memory.held, self.memory.recovered, self.memory.none_fits) = (None, None, false);
    }

    pub(super) fn forget(&mut self, part: usize) {
        // By its metadata alone a vault's directory is told from another's, which would be deleted next.
        let told = part == 0 && self.disk.copies.iter().flatten().any(|meta| meta.whole);
        let another = matches!(self.disk.place, MetaPlace::Vault { content: ANOTHER, .. });
        assert!(!(another && told), "another vault's directory is taken for this one's");
        let holds_data = [self.disk.place, self.disk.away].into_iter().any(MetaPlace::holds_ours);
        assert!(
            self.may_destroy() || self.doomed || !holds_data || self.unopenable || self.counts_as_not_made(),
            "the metadata of a vault is gone without an order"
        );
        self.doomed |= holds_data;
        self.disk.copies[part] = None;
        // What is left of it names no policy any more.
        self.disk.recovery = None;
        (self.memory.held, self.memory.recovered, self.memory.none_fits) = (None, None, false);
        self.kernel.retain(|_, key| *key == Key::Present);
    }
}
