//! What comes to the node from outside: sections, withholding, boots, damage.

use super::*;

impl World {
    pub(super) fn live(&mut self, section: Section) {
        if section.restored {
            (self.incarnation, self.version) = (self.incarnation + 1, 0);
        }
        self.version += 1;
        self.epoch += u64::from(section.rotate);
        let given = if section.replayed { self.version.saturating_sub(2) } else { self.version };
        let listing = self.listing(section, given);
        self.accept(listing, section);
    }

    pub(super) fn listing(&self, section: Section, version: u64) -> Listing {
        let (current, last) = (Epoch(self.epoch), Epoch(self.epoch.saturating_sub(1).max(1)));
        let released = match section.custody {
            Custody::Tpm => Released::NotNeeded,
            _ if section.withheld => Released::Withheld("the PCRs differ".to_owned()),
            _ => Released::Keys { current, last },
        };
        let want = Want {
            name: name(),
            policy: NodePolicy {
                encryption: Encryption::Aes256Xts,
                custody: section.custody,
                seal: section.seal,
            },
            operation: section.operation,
            standing: section.standing,
            created: self.reported && !section.forgot,
            recreate: section.recreate,
            released,
            authority: Authority::Live,
        };
        let vaults = section.listed.then_some((self.id, want)).into_iter().collect();
        let version = SectionVersion { incarnation: Incarnation([self.incarnation; 16]), version };
        let device = DeviceId(uuid::Uuid::from_u128(0xd));
        Listing { authority: Authority::Live, device, version, vaults }
    }

    /// As the shell does: the record is written before the section is acted on; an unreadable one is never overwritten.
    pub(super) fn accept(&mut self, listing: Listing, section: Section) {
        if self.record_readable {
            let before = self.disk.record.as_ref();
            let all = before.map(|record| &record.accepted).into_iter();
            let Ok(accepted) = Accepted::after(all, &listing) else { return };
            self.disk.record = Some(Record::after(before, accepted, &listing));
            let newest = self.accepted.entry(self.incarnation).or_default();
            assert!(listing.version.version >= *newest, "an older section was accepted");
            *newest = listing.version.version;
        }
        if self.record_readable && section.listed {
            self.ever_listed.insert(self.incarnation);
        }
        let held_none = self.memory.held.is_none();
        self.memory.keys = listing.vaults.values().find_map(|want| match want.released {
            Released::Keys { current, last } => Some((current, last)),
            _ => None,
        });
        self.memory.none_fits &= !held_none;
        self.memory.setbacks = Setbacks::default();
        let keep = section.listed || self.id.is_default();
        let order = section.listed && section.recreate;
        let absent = !keep && self.record_readable && self.ever_listed.contains(&self.incarnation);
        self.order = match (order, absent) {
            (true, _) => Order::Recreate,
            (_, true) => Order::Delete,
            _ => Order::Nothing,
        };
        self.widen(&listing);
        self.checkpoint = Some(listing.clone());
        self.memory.listing = Some(listing);
    }

    pub(super) fn widen(&mut self, listing: &Listing) {
        let asked = listing.vaults.get(&self.id).map(|want| want.policy.clone());
        let current = self.memory.keys.map(|(current, _)| current);
        self.allowed.extend(Wrapping::of(&asked.unwrap_or_else(|| default_policy(&self.node())), current));
    }

    pub(super) fn withhold(&mut self) {
        self.memory.listing = self.memory.listing.take().map(Listing::kept);
        self.memory.keys = None;
        self.order = Order::Nothing;
    }

    pub(super) fn boot(&mut self, pcrs: bool) {
        self.kernel.clear();
        self.pcrs = pcrs;
        self.record_readable = true;
        self.restart();
    }

    pub(super) fn restart(&mut self) {
        self.memory = Memory::default();
        (self.order, self.held) = (Order::Nothing, None);
        self.memory.listing = self.checkpoint.clone().map(Listing::kept);
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
        let ours = |place| matches!(place, Place::Vault { content, .. } if content != ANOTHER);
        let Disk { place, away, .. } = &mut self.disk;
        if let Moved::Back = moved {
            if *away != Place::Nothing && !place.holds_ours() {
                *place = std::mem::replace(away, Place::Nothing);
            }
            return;
        }
        if *away == Place::Nothing && ours(*place) {
            *away = match moved {
                Moved::ForAStranger => std::mem::replace(place, Place::Stranger),
                Moved::ForAnotherVault => {
                    std::mem::replace(place, Place::Vault { content: ANOTHER, data: true })
                }
                Moved::Away | Moved::Back => std::mem::replace(place, Place::Nothing),
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
    }

    /// A vault that the disk shows is entered as lost.
    pub(super) fn table_begun(&mut self) {
        if !self.has_tpm || !self.table_lost || self.id.is_default() {
            return;
        }
        let shown = self.disk.copies.iter().flatten().next().is_some() || self.disk.place != Place::Nothing;
        let lost = shown.then_some(Share { id: 0, mark: Mark::Lost });
        self.begin_table(lost);
    }

    pub(super) fn begin_table(&mut self, lost: Option<Share>) {
        self.unopenable |= self.disk.shares.all().iter().flatten().next().is_some();
        self.disk.shares = BySeal { tpm: lost, pcrs: None };
        self.table_lost = false;
    }

    pub(super) fn order_recreate(&mut self) {
        let before = self.order;
        if before == Order::Nothing {
            self.order = Order::Recreate;
        }
        self.recreate = true;
        self.memory.setbacks = Setbacks::default();
        self.settle();
        (self.recreate, self.order) = (false, before);
    }
}
