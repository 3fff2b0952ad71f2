//! The hash that a poll names, by which a controller knows what the device has (EVE's `configHash`). No node looks into it.

use ::attest::SessionKey;
use vault::draft::Draft;
use vault::ledger::Ledger;

use super::answer::Locks;
use crate::fleet::parts::Parts;
use crate::service::Controller;
use crate::store::DeviceRow;
use crate::words::evidence::demand;

impl Controller {
    /// Covers what a device would act on, the session, and the section that was sent last: a new session is answered in full, and so is a
    /// device that has a section of the same words which followed another one (it came late or again, or another copy of the database
    /// sent it), for by that it makes and re-keys nothing.
    pub(super) fn hash(
        &self,
        device: &DeviceRow,
        drawn: Option<(&Draft, &Ledger)>,
        session: Option<SessionKey>,
    ) -> String {
        let mut parts = Parts::default();
        parts.add(b"config v3");
        parts.add(device.id.0.as_bytes());
        parts.add(&self.incarnation.0);
        parts.add(self.authority.list_hash.as_bytes());
        parts.add_if_any(self.poll_every_s.map(u32::to_be_bytes).as_ref().map(|s| &s[..]));
        parts.add_if_any(session.as_ref().map(|session| &session.0[..]));
        parts.add(device.name.as_str().as_bytes());
        add_drawn(&mut parts, device.section_version, drawn);
        hex::encode(parts.digest())
    }
}

impl Controller {
    /// The same of a device that gets no section, and is to lock this.
    pub(super) fn hash_with(&self, device: &DeviceRow, session: SessionKey, locks: &Locks) -> String {
        let plain = self.hash(device, None, Some(session));
        let Some(as_of) = locks.as_of else { return plain };
        let mut parts = Parts::default();
        parts.add(b"orders of a lost device");
        parts.add(plain.as_bytes());
        parts.add(&as_of.incarnation.0);
        parts.add(&as_of.version.to_be_bytes());
        locks.orders.iter().for_each(|id| parts.add(id.0.as_bytes()));
        hex::encode(parts.digest())
    }
}

fn add_drawn(parts: &mut Parts, version: u64, drawn: Option<(&Draft, &Ledger)>) {
    let (draft, ledger) = drawn.unzip();
    let numbered = draft.and_then(|draft| draft.digest.as_ref());
    parts.add(&[u8::from(draft.is_some())]);
    parts.add_if_any(numbered.map(|_| version.to_be_bytes()).as_ref().map(|version| &version[..]));
    parts.add_if_any(numbered.map(|digest| &digest[..]));
    let last = ledger.and_then(|ledger| ledger.sent.last());
    parts.add_if_any(last.map(|sent| &sent.digest.0[..]));
    parts.add_if_any(draft.and_then(|draft| draft.lacks).map(|check| demand(check).as_bytes()));
}
