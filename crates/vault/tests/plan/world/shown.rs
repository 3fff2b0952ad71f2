//! What the plan is shown of the world: facts only.

use super::*;

impl World {
    pub(super) fn node(&self) -> Node {
        let tpm = match self.has_tpm {
            true if self.silent => Tpm::Unknown,
            true if self.table_lost => Tpm::Present { table: TableSeen::Lost, pcrs: self.pcrs },
            true => Tpm::Present { table: TableSeen::Open, pcrs: self.pcrs },
            false => Tpm::Absent,
        };
        Node { tpm, measured: true }
    }

    pub(super) fn seen(&self) -> Seen {
        let named = self.disk.copies.iter().flatten().find(|meta| meta.whole).map(|meta| meta.content);
        let dir = match self.disk.place {
            Place::Nothing => Dir::Absent,
            Place::Empty => Dir::Empty,
            Place::Plain => Dir::Plain,
            Place::Stranger => Dir::Stranger,
            Place::Vault { content, .. } if named.is_none_or(|named| named == content) => {
                Dir::Vault(Encryption::Aes256Xts)
            }
            Place::Vault { .. } => Dir::OtherVault,
        };
        let staged = match self.disk.staged {
            Place::Nothing => Staged::Nothing,
            Place::Vault { .. } => Staged::Copy,
            _ => Staged::Plain,
        };
        let content = match self.disk.place {
            Place::Vault { content, .. } => named.or(Some(content)),
            _ => named,
        };
        let key = content.and_then(|content| self.kernel.get(&content)).copied().unwrap_or_default();
        let copy = |copy: Option<Meta>| match copy {
            None => MetaCopy::Absent,
            Some(meta) if meta.whole => MetaCopy::Good(Hint::of(meta.wrapping)),
            Some(_) => MetaCopy::Damaged,
        };
        let [first, second] = self.disk.copies.map(copy);
        let shares = BySeal::each(|seal| self.share(seal).map(|share| share.mark));
        Seen { dir, staged, key, first, second, shares }
    }

    /// As far as the table can be read.
    fn share(&self, seal: Seal) -> Option<Share> {
        self.disk.shares.of(seal).filter(|_| !self.silent && !self.table_lost)
    }

    pub(super) fn keys(&self) -> Keys {
        let key = |seal| match self.share(seal) {
            None | Some(Share { mark: Mark::Lost, .. }) => ShareKey::Nothing,
            Some(_) if seal == Seal::Pcrs && !self.pcrs => ShareKey::Closed,
            Some(_) => ShareKey::Open,
        };
        Keys {
            shares: BySeal::each(key),
            current: self.memory.keys.map(|(current, _)| current),
            last: self.memory.keys.map(|(_, last)| last),
            held: self.memory.held.map(|(_, held)| held),
            none_fits: self.memory.none_fits,
        }
    }

    pub(super) fn ask(&self) -> (Wish, Next) {
        let record = match (&self.disk.record, self.record_readable) {
            (_, false) => RecordSeen::Unreadable,
            (None, true) => RecordSeen::Nothing,
            (Some(record), true) => RecordSeen::Read(record.clone()),
        };
        let held = self.held.map(|operation| (self.id, operation)).into_iter().collect();
        let recreate = self.recreate.then_some(self.id).into_iter().collect();
        let desired = Desired { listing: self.memory.listing.clone(), record, held, recreate };
        let (seen, keys, node) = (self.seen(), self.keys(), self.node());
        let wish = desired.wish(self.id, &node, seen.is_nothing());
        let view = View {
            id: self.id,
            wish: &wish,
            seen: &seen,
            keys: &keys,
            node: &node,
            setbacks: self.memory.setbacks,
        };
        let next = next(&view);
        (wish, next)
    }
}
