//! The roots of a generation in NV: made, read, taken away. Each step is whole or shown as not done, so a crash
//! anywhere leaves a slot that its state describes.

use std::thread;
use std::time::Duration;

use tss_esapi::handles::NvIndexHandle;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Digest, DigestList, MaxNvBuffer};

use crate::record;
use crate::session::Secret;
use crate::shell::Shell;
use crate::slots::NvSlot;
use crate::{
    DefineRootError, Generation, Meaning, PcrBank, PcrPolicy, PcrSelection, ReadRootError, Root, RootKind,
    RootPolicy, SlotSet, SlotState, TpmError,
};

/// How often a root bound to PCRs is read anew because some PCR was extended meanwhile.
const STEADY_ATTEMPTS: u32 = 10;
/// Pause before the second of them; then longer by as much each time.
const STEADY_PAUSE: Duration = Duration::from_millis(10);

/// Reads in an HMAC session or in a policy session.
type Read<'a> = (NvSlot, NvIndexHandle, Option<&'a PcrPolicy>);

impl Shell {
    /// Defines, writes and reads back one root. The list of PCR states comes first: without it a root of that kind
    /// can't be read.
    pub(crate) fn define_root(
        &mut self,
        generation: Generation,
        policy: RootPolicy<'_>,
        root: &Root,
    ) -> Result<(), DefineRootError> {
        self.require_free(generation, policy.kind())?;
        let written = self.write_root(generation, policy, root);
        if written.is_err() {
            // As far as the TPM lets us: what stays is seen as unwritten or damaged.
            let _ = self.undefine_root(generation.slot_set(), policy.kind());
        }
        written
    }

    /// The root's own slot is looked at first: while it is taken, nothing that it is read with is touched.
    fn require_free(&mut self, generation: Generation, kind: RootKind) -> Result<(), DefineRootError> {
        let set = generation.slot_set();
        for slot in slots_of(set, kind).into_iter().rev() {
            let state = self.slot_state(slot)?;
            let leftover = matches!(slot, NvSlot::Branches(_)) && state != SlotState::Foreign;
            match state {
                SlotState::Absent => {}
                _ if leftover => self.nv_undefine(slot)?,
                _ => return Err(DefineRootError::Occupied { generation, state }),
            }
        }
        Ok(())
    }

    fn write_root(
        &mut self,
        generation: Generation,
        policy: RootPolicy<'_>,
        root: &Root,
    ) -> Result<(), DefineRootError> {
        let (set, kind) = (generation.slot_set(), policy.kind());
        let full = |error| nv_full(generation, error);
        let states = match policy {
            RootPolicy::Tpm => None,
            RootPolicy::Pcrs(states) => Some(states),
        };
        if let Some(states) = states {
            let record = record::encode_branches(generation, states);
            self.nv_define_and_write(NvSlot::Branches(set), None, &record).map_err(full)?;
        }
        let record = record::encode_root(kind, generation, root);
        self.nv_define_and_write(NvSlot::Root(set, kind), states, &record).map_err(full)?;
        match states {
            Some(states) if states.is_nobody() => Ok(()),
            _ => self.read_back(generation, kind, &record),
        }
    }

    fn read_back(
        &mut self,
        generation: Generation,
        kind: RootKind,
        record: &[u8],
    ) -> Result<(), DefineRootError> {
        let fail = |source| DefineRootError::ReadBack { generation, source };
        let (found, root) =
            self.read_root(generation.slot_set(), kind).map_err(|error| fail(Some(Box::new(error))))?;
        // Both records are ours: nobody learns from the time that this takes.
        if *record::encode_root(kind, found, &root) == record { Ok(()) } else { Err(fail(None)) }
    }

    /// Reads one root, and the generation it is of.
    pub(crate) fn read_root(
        &mut self,
        set: SlotSet,
        kind: RootKind,
    ) -> Result<(Generation, Root), ReadRootError> {
        let states = match kind {
            RootKind::Tpm => None,
            RootKind::Pcrs => self.read_states(set)?,
        };
        let record = self.read_slot(NvSlot::Root(set, kind), states.as_ref().map(|(_, policy)| policy))?;
        let (generation, root) =
            record::decode_root(kind, &record).map_err(|what| ReadRootError::Damaged { what })?;
        if generation.slot_set() != set {
            return Err(ReadRootError::Damaged { what: "it is in the wrong slot" });
        }
        if let Some((_, policy)) = states.filter(|(other, _)| *other != generation) {
            // The list says of itself that it is another's, and P opened by it: so it is P's but for that. Where the TPM takes no write it is found each time.
            let _ = self.write_states_again(set, &record::encode_branches(generation, &policy));
        }
        Ok((generation, root))
    }

    /// The PCR states that may read P. Told apart from P's own absence: P without its list of them is bound to the state of now, or to another one.
    pub(crate) fn read_states(
        &mut self,
        set: SlotSet,
    ) -> Result<Option<(Generation, PcrPolicy)>, ReadRootError> {
        let slot = NvSlot::Root(set, RootKind::Pcrs);
        match self.read_slot(NvSlot::Branches(set), None) {
            Ok(record) => match record::decode_branches(&record) {
                Ok(states) if self.is_of_another_root(set, &states)? => {
                    self.states_again(set, "the list of its PCR states is another's").map(Some)
                }
                Ok(states) => Ok(Some(states)),
                Err(what) => self.states_again(set, what).map(Some),
            },
            Err(ReadRootError::Absent | ReadRootError::Unwritten) => match self.slot_state(slot)? {
                SlotState::Written => self.states_again(set, "the list of its PCR states is gone").map(Some),
                _ => self.absent_or_damaged(slot).map(|()| None),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether a list that reads is none of the P that is there: P's own policy is of other states.
    fn is_of_another_root(
        &mut self,
        set: SlotSet,
        (_, states): &(Generation, PcrPolicy),
    ) -> Result<bool, TpmError> {
        let (state, bound) = self.slot_policy(NvSlot::Root(set, RootKind::Pcrs))?;
        Ok(state == SlotState::Written && bound != states.digest().0)
    }

    /// The list is no secret: P's own policy tells whether the state of now is what it is bound to, and the TPM gives P by nothing less. The list
    /// is written anew then.
    fn states_again(
        &mut self,
        set: SlotSet,
        what: &'static str,
    ) -> Result<(Generation, PcrPolicy), ReadRootError> {
        let slot = NvSlot::Root(set, RootKind::Pcrs);
        let (state, bound) = self.slot_policy(slot)?;
        if state != SlotState::Written {
            return Err(ReadRootError::Damaged { what });
        }
        let policy = self.policies_of_now()?.into_iter().find(|policy| policy.digest().0[..] == bound[..]);
        let policy = policy.ok_or(ReadRootError::PcrsMoved)?;
        let record = self.read_slot(slot, Some(&policy))?;
        let (generation, _) =
            record::decode_root(RootKind::Pcrs, &record).map_err(|what| ReadRootError::Damaged { what })?;
        // Where the TPM takes no write it is found so each time.
        let _ = self.write_states_again(set, &record::encode_branches(generation, &policy));
        Ok((generation, policy))
    }

    /// The state of now as the one that a root is bound to, of each bank that there is.
    fn policies_of_now(&mut self) -> Result<Vec<PcrPolicy>, TpmError> {
        let mut policies = Vec::new();
        for bank in PcrBank::ALL {
            match self.read_pcrs(PcrSelection::EVE.in_bank(bank)) {
                Ok(values) => policies.extend(PcrPolicy::of_states(&[values])),
                Err(error) if error.meaning() == Some(Meaning::NoBank) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(policies)
    }

    fn write_states_again(&mut self, set: SlotSet, record: &[u8]) -> Result<(), TpmError> {
        let slot = NvSlot::Branches(set);
        match self.slot_state(slot)? {
            SlotState::Foreign => return Ok(()),
            SlotState::Absent => {}
            SlotState::Unwritten | SlotState::Written => self.nv_undefine(slot)?,
        }
        self.nv_define_and_write(slot, None, record)
    }

    fn absent_or_damaged(&mut self, slot: NvSlot) -> Result<(), ReadRootError> {
        match self.slot_state(slot)? {
            SlotState::Absent => Err(ReadRootError::Absent),
            SlotState::Unwritten => Err(ReadRootError::Unwritten),
            SlotState::Foreign => Err(ReadRootError::Damaged { what: "a foreign NV index lies there" }),
            SlotState::Written => Err(ReadRootError::Damaged { what: "the list of its PCR states is gone" }),
        }
    }

    fn read_slot(&mut self, slot: NvSlot, policy: Option<&PcrPolicy>) -> Result<MaxNvBuffer, ReadRootError> {
        match self.slot_state(slot)? {
            SlotState::Written => {}
            _ => self.absent_or_damaged(slot)?,
        }
        let handle = self.nv_open(slot)?.ok_or(ReadRootError::Absent)?;
        if matches!(slot, NvSlot::Root(..)) {
            self.counts().root_read();
        }
        let read = self.read_open_slot((slot, handle, policy));
        self.nv_close(handle)?;
        read
    }

    fn read_open_slot(&mut self, (slot, handle, policy): Read<'_>) -> Result<MaxNvBuffer, ReadRootError> {
        match policy {
            None => {
                self.in_session(Secret::FromTpm, |shell, session| Ok(shell.nv_read(slot, handle, session)?))
            }
            Some(policy) => self.read_in_state(slot, handle, policy),
        }
    }

    /// Reads under the PCR policy. An extend of any PCR between looking and reading, one outside the policy too, voids the session
    /// ([`Meaning::PcrsChanged`]): the kernel measures files and systemd its phases all through a boot. Then with a new session, again.
    fn read_in_state(
        &mut self,
        slot: NvSlot,
        handle: NvIndexHandle,
        policy: &PcrPolicy,
    ) -> Result<MaxNvBuffer, ReadRootError> {
        for attempt in 1..=STEADY_ATTEMPTS {
            let read = self.in_policy_session(Secret::FromTpm, |shell, session| {
                shell.satisfy(session, policy)?;
                shell.nv_read(slot, handle, AuthSession::PolicySession(session)).map_err(moved_or_failed)
            });
            match read {
                Err(ReadRootError::Tpm(error)) if error.meaning() == Some(Meaning::PcrsChanged) => {
                    thread::sleep(STEADY_PAUSE * attempt);
                }
                read => return read,
            }
        }
        Err(ReadRootError::Unsteady { attempts: STEADY_ATTEMPTS })
    }

    /// TPM2_PolicyPCR over what the PCRs hold now, then TPM2_PolicyOR over the states. The latter answers "value"
    /// when the present state is none of them.
    fn satisfy(&mut self, session: PolicySession, policy: &PcrPolicy) -> Result<(), ReadRootError> {
        self.run("PolicyPCR", |context| {
            context.policy_pcr(session, Digest::default(), policy.selection().to_tss()?)
        })?;
        let or = self.run("PolicyOR", |context| context.policy_or(session, digest_list(policy)?));
        or.map_err(|error| match error.meaning {
            Meaning::BadValue => ReadRootError::PcrsMoved,
            _ => error.into(),
        })
    }

    /// Takes a root away, its PCR states last. What is foreign stays.
    pub(crate) fn undefine_root(&mut self, set: SlotSet, kind: RootKind) -> Result<(), TpmError> {
        for slot in slots_of(set, kind).into_iter().rev() {
            if self.slot_state(slot)? != SlotState::Foreign {
                self.nv_undefine(slot)?;
            }
        }
        Ok(())
    }
}

/// The slots that a root needs, in the order of making them.
fn slots_of(set: SlotSet, kind: RootKind) -> Vec<NvSlot> {
    match kind {
        RootKind::Tpm => vec![NvSlot::Root(set, kind)],
        RootKind::Pcrs => vec![NvSlot::Branches(set), NvSlot::Root(set, kind)],
    }
}

fn digest_list(policy: &PcrPolicy) -> tss_esapi::Result<DigestList> {
    let mut list = DigestList::new();
    for branch in policy.or_list() {
        list.add(Digest::try_from(&branch.0[..])?)?;
    }
    Ok(list)
}

/// The policy that the session satisfies is not the index's.
fn moved_or_failed(error: crate::CommandError) -> ReadRootError {
    match error.meaning {
        Meaning::PolicyNotMet => ReadRootError::PcrsMoved,
        _ => error.into(),
    }
}

fn nv_full(generation: Generation, error: TpmError) -> DefineRootError {
    match error {
        TpmError::Command(source) if source.meaning == Meaning::NvFull => {
            DefineRootError::NvFull { generation, source }
        }
        other => other.into(),
    }
}
