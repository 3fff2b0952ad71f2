//! The recovery key of the one vault: made, replaced, taken away, used.

use super::*;

impl World {
    /// The vault at its place is the one that the recovery key opens: so the shell proves it.
    pub(super) fn is_recovered(&self) -> bool {
        let named = self.disk.copies.iter().flatten().find(|meta| meta.whole).map(|meta| meta.content);
        let there = match self.disk.place {
            MetaPlace::Vault { content, .. } => named.or(Some(content)),
            _ => named,
        };
        self.memory.recovered.is_some() && self.memory.recovered == there
    }

    pub(super) fn rescue(&self) -> Recovery {
        match self.disk.recovery {
            None => Recovery::Nothing,
            Some(Rescue { whole: false, .. }) => Recovery::Parts,
            Some(Rescue { used: true, hint, .. }) => Recovery::Used(hint),
            Some(Rescue { hint, .. }) => Recovery::Ready(hint),
        }
    }

    /// First the new one's parts lie beside what is there, which opens as before; then they take its place.
    pub(super) fn make_recovery(&mut self, hint: RecoveryHint, done: bool) {
        assert!(self.memory.held.is_some(), "the last way in is replaced");
        let content = self.held_content();
        self.disk.recovery = match (self.disk.recovery, done) {
            (_, true) => Some(Rescue { content, hint, whole: true, used: false }),
            (Some(there), false) => Some(Rescue { whole: false, ..there }),
            (None, false) => Some(Rescue { content, hint, whole: false, used: false }),
        };
    }

    pub(super) fn drop_recovery(&mut self, done: bool) {
        assert!(self.memory.held.is_some(), "the last way in is taken away");
        self.disk.recovery.iter_mut().for_each(|there| there.whole = false);
        if done {
            self.disk.recovery = None;
        }
    }

    /// Both copies, one after the other; then the protector's own key is at hand.
    pub(super) fn new_protector(&mut self, part: usize, wrapping: Wrapping) {
        let content = self.memory.recovered.expect("opened by its recovery key");
        assert!(self.keys().reach(wrapping), "wrapped under a key that is not at hand");
        self.wraps(wrapping, false);
        let (share, key) = (self.share_of(wrapping), self.key_of(wrapping));
        if part < 2 {
            self.disk.copies[part] = Some(Meta { content, wrapping, share, key, whole: true, lame: false });
            self.unopenable = false;
            return;
        }
        self.memory.held = Some((content, OpenedBy { first: Some(wrapping), second: Some(wrapping) }));
        self.memory.heart = self.disk.copies[0];
        (self.memory.held_by, self.memory.none_fits) = (self.memory.keys, false);
    }

    /// Whoever wants it locked is obeyed; else it opens, whatever of TPM and controller is there.
    pub(super) fn recover(&mut self) {
        self.memory.belief.orders().release(self.id);
        let Some(there) = self.disk.recovery.as_mut() else { return };
        there.used = true;
        let content = there.content;
        let may = match self.ask().0 {
            Wish::Keep(want) => !want.locked(),
            Wish::Leave => true,
            _ => false,
        };
        if !may {
            return;
        }
        (self.memory.recovered, self.memory.held, self.memory.none_fits) = (Some(content), None, false);
        self.memory.setbacks = Setbacks::default();
        let there = matches!(self.disk.place, MetaPlace::Vault { content: at, .. } if at == content);
        self.settle();
        let open = self.kernel.get(&content) == Some(&Key::Present);
        assert!(!there || open, "the recovery key did not open it: {:?} {:?}", self.ask(), self.seen());
    }

    /// Invariant 5: by the recovery key that lies there.
    pub(super) fn recovers(&self, content: u32) -> bool {
        self.disk.recovery.is_some_and(|there| there.content == content)
    }

    /// A section that was in force asked for it: no lost, restored or older one puts another in its place by itself.
    pub(super) fn recovery_as_asked(&self) {
        let Some(there) = self.disk.recovery else { return };
        assert!(self.recipients.contains(&there.hint.recipients), "encrypted to whom nobody asked for");
    }

    /// At rest under a live section, with nothing left to say: as it asks.
    pub(super) fn recovers_as_wanted(&self, want: &vault::wanted::Want) {
        let is = match self.rescue() {
            Recovery::Nothing => None,
            Recovery::Ready(hint) => Some(hint.recipients),
            Recovery::Used(_) | Recovery::Parts => panic!("at rest with a recovery key of before"),
        };
        assert_eq!(
            is,
            want.policy.recovery.digest(),
            "not the recovery key that the policy asks for: {:?} {:?}",
            self.ask(),
            self.seen()
        );
    }
}
