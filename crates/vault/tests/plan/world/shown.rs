//! What the plan is shown of the world: facts only.

use super::*;

impl World {
    pub(super) fn node(&self) -> Node {
        let tpm = match self.has_tpm {
            true if self.silent => TpmSeen::Unknown,
            true if self.table_lost => TpmSeen::Present { table: TableSeen::Lost, pcrs: self.pcrs },
            true => TpmSeen::Present { table: TableSeen::Open, pcrs: self.gives_pcrs() },
            false => TpmSeen::Absent,
        };
        let Disk { dropped, roots, .. } = &self.disk;
        let (others, rescued) = (roots.others.is_some(), self.memory.rescued);
        let past = Past { dropped: *dropped, others, rescued, next: self.upcoming(), ..Past::NOTHING };
        let (escrow, since_boot) = (Escrow::Nothing, self.now);
        Node { tpm, measured: true, past, escrow, since_boot, disk_went: false, table_lent: false }
    }

    fn upcoming(&self) -> Upcoming {
        match self.memory.upcoming {
            _ if !self.disk.roots.escrowed => Upcoming::Free,
            Some(made) if made.edition != self.disk.roots.edition => Upcoming::Unmade,
            Some(made) if made.held => Upcoming::Held,
            Some(_) => Upcoming::Made,
            None => Upcoming::Unmade,
        }
    }

    /// From the TPM, or from escrow.
    pub(super) fn gives_pcrs(&self) -> bool {
        self.pcrs || self.memory.rescued
    }

    pub(super) fn seen(&self) -> Seen {
        let named = self.disk.copies.iter().flatten().find(|meta| meta.whole).map(|meta| meta.content);
        let dir = match self.disk.place {
            MetaPlace::Nothing => Dir::Absent,
            MetaPlace::Empty => Dir::Empty,
            MetaPlace::Plain => Dir::Plain,
            MetaPlace::Stranger => Dir::Stranger,
            MetaPlace::Vault { content, .. } if named.is_none_or(|named| named == content) => {
                Dir::Vault(Encryption::Aes256Xts)
            }
            MetaPlace::Vault { .. } => Dir::OtherVault,
        };
        let staged = match self.disk.staged {
            MetaPlace::Nothing => Staged::Nothing,
            MetaPlace::Vault { .. } => Staged::Copy,
            _ => Staged::Plain,
        };
        let content = match self.disk.place {
            MetaPlace::Vault { content, .. } => named.or(Some(content)),
            _ => named,
        };
        let key = content.and_then(|content| self.kernel.get(&content)).copied().unwrap_or_default();
        let copy = |copy: Option<Meta>| match copy {
            None => MetaCopy::Absent,
            Some(meta) if meta.whole => MetaCopy::Good(Hint::of(meta.wrapping, None)),
            Some(_) => MetaCopy::Damaged,
        };
        let [first, second] = self.disk.copies.map(copy);
        let shares = BySeal::each(|seal| self.share(seal).map(|share| share.mark));
        let dropped = match self.has_tpm {
            true if self.disk.dropped => Dropped::Yes,
            true if self.silent || self.table_lost || self.disk.roots.others.is_some() => Dropped::Perhaps,
            _ => Dropped::None,
        };
        let (recovery, space) = (self.rescue(), self.disk.space);
        Seen { dir, staged, key, first, second, shares, dropped, recovery, space, ..Seen::default() }
    }

    /// As far as the table can be read.
    fn share(&self, seal: Seal) -> Option<Share> {
        self.disk.shares.of(seal).filter(|_| !self.silent && !self.table_lost)
    }

    pub(super) fn keys(&self) -> Keys {
        let key = |seal| match self.share(seal) {
            None | Some(Share { mark: Mark::Lost, .. }) => ShareKey::Nothing,
            Some(_) if seal == Seal::Pcrs && !self.gives_pcrs() => ShareKey::Closed,
            Some(_) => ShareKey::Open,
        };
        let ring = self.memory.keys;
        let same = |epoch| {
            let now = ring.and_then(|ring| ring.key(epoch))?;
            Some(self.memory.held_by.and_then(|ring| ring.key(epoch)) == Some(now))
        };
        Keys {
            shares: BySeal::each(key),
            current: ring.map(|ring| ring.current.0),
            last: ring.map(|ring| ring.last.0),
            marks: [None; 2],
            held: self.memory.held.map(|(_, held)| held.proved(same)),
            leased_until: self.memory.leases.until().get(&self.id).copied(),
            unknown_until: self.memory.leases.unknown_until(),
            none_fits: self.memory.none_fits,
            leads_to_damage: false,
            recovered: self.is_recovered(),
        }
    }

    pub(super) fn known(&self) -> Known {
        let setbacks = self.memory.setbacks;
        let mut known = Known { seen: self.seen(), keys: self.keys(), setbacks, unseen: false, hoped: false };
        (self.twist)(&mut known);
        known
    }

    pub(super) fn ask(&self) -> (Wish, Next) {
        one(self.memory.belief.desired(), self.id, &self.known(), &self.node())
    }
}
