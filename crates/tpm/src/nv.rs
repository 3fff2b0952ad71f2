//! NV indices: define, write, read, look at, undefine. Says how each of our slots must look.

use tss_esapi::attributes::{NvIndexAttributes, NvIndexAttributesBuilder};
use tss_esapi::handles::{NvIndexHandle, NvIndexTpmHandle, ObjectHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{NvAuth, Provision};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Digest, MaxNvBuffer, NvPublic};

use crate::record::{BRANCHES_SIZE, ROOT_SIZE};
use crate::session::Secret;
use crate::shell::Shell;
use crate::slots::NvSlot;
use crate::{CommandError, Meaning, PcrPolicy, RootKind, SlotState, TpmError};

impl NvSlot {
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Root(..) => ROOT_SIZE,
            Self::Branches(_) => BRANCHES_SIZE,
        }
    }

    /// Written by the owner; read by policy alone (P), or by whoever has the TPM (T and the list of states): their
    /// auth value is empty, and never by the owner. Outside dictionary-attack protection.
    fn attributes(self) -> NvIndexAttributesBuilder {
        let by_policy = matches!(self, Self::Root(_, RootKind::Pcrs));
        NvIndexAttributesBuilder::new()
            .with_owner_write(true)
            .with_no_da(true)
            .with_policy_read(by_policy)
            .with_auth_read(!by_policy)
    }

    fn public(self, policy: Option<&PcrPolicy>) -> tss_esapi::Result<NvPublic> {
        let policy = match policy {
            Some(policy) => Digest::try_from(&policy.digest().0[..])?,
            None => Digest::default(),
        };
        NvPublic::builder()
            .with_nv_index(NvIndexTpmHandle::new(self.index())?)
            .with_index_name_algorithm(HashingAlgorithm::Sha256)
            .with_index_attributes(self.attributes().build()?)
            .with_index_auth_policy(policy)
            .with_data_area_size(self.size())
            .build()
    }

    /// Whether an index looks as ours does. Its policy says which PCR states, so only its length is fixed.
    fn is_ours(self, public: &NvPublic) -> tss_esapi::Result<bool> {
        let expected = self.public(None)?;
        let by_policy = matches!(self, Self::Root(_, RootKind::Pcrs));
        Ok(same_but_written(public.attributes(), self.attributes())?
            && public.data_size() == expected.data_size()
            && public.name_algorithm() == expected.name_algorithm()
            && public.authorization_policy().len() == if by_policy { 32 } else { 0 })
    }
}

fn same_but_written(found: NvIndexAttributes, ours: NvIndexAttributesBuilder) -> tss_esapi::Result<bool> {
    let plain = ours.build()?;
    let written = ours.with_written(true).build()?;
    Ok(found == plain || found == written)
}

impl Shell {
    /// What a slot is, from its public area.
    pub(crate) fn slot_state(&mut self, slot: NvSlot) -> Result<SlotState, TpmError> {
        self.slot_policy(slot).map(|(state, _)| state)
    }

    /// The same, and the digest of the policy that it is read by.
    pub(crate) fn slot_policy(&mut self, slot: NvSlot) -> Result<(SlotState, Vec<u8>), TpmError> {
        let Some(handle) = self.nv_open(slot)? else { return Ok((SlotState::Absent, Vec::new())) };
        let public = self.run("NV_ReadPublic", |context| context.nv_read_public(handle));
        self.nv_close(handle)?;
        let (public, _) = public?;
        let ours = slot.is_ours(&public).map_err(|error| CommandError::new("NV_ReadPublic", error))?;
        let state = match (ours, public.attributes().written()) {
            (false, _) => SlotState::Foreign,
            (true, true) => SlotState::Written,
            (true, false) => SlotState::Unwritten,
        };
        Ok((state, public.authorization_policy().value().to_vec()))
    }

    /// Defines a slot and writes its record, in one session and one write.
    pub(crate) fn nv_define_and_write(
        &mut self,
        slot: NvSlot,
        policy: Option<&PcrPolicy>,
        record: &[u8],
    ) -> Result<(), TpmError> {
        self.owner_password()?;
        self.in_session(Secret::ToTpm, |shell, session| {
            let defined = shell.run_with("NV_DefineSpace", Some(session), |context| {
                context.nv_define_space(Provision::Owner, None, slot.public(policy)?)
            });
            let handle = defined.map_err(|error| shell.of_the_owner(error))?;
            let written = shell.run_with("NV_Write", Some(session), |context| {
                context.nv_write(NvAuth::Owner, handle, MaxNvBuffer::try_from(record)?, 0)
            });
            shell.nv_close(handle)?;
            Ok(written?)
        })
    }

    /// Defines a slot, and writes nothing.
    pub(crate) fn nv_define(&mut self, slot: NvSlot, policy: Option<&PcrPolicy>) -> Result<(), TpmError> {
        let public = slot.public(policy).map_err(|error| CommandError::new("NV_DefineSpace", error))?;
        let handle = self
            .run_owner("NV_DefineSpace", |context| context.nv_define_space(Provision::Owner, None, public))?;
        self.nv_close(handle)
    }

    /// Reads a slot's record with the authority that `session` has over the index.
    pub(crate) fn nv_read(
        &mut self,
        slot: NvSlot,
        handle: NvIndexHandle,
        session: AuthSession,
    ) -> Result<MaxNvBuffer, CommandError> {
        self.run_with("NV_Read", Some(session), |context| {
            context.nv_read(NvAuth::NvIndex(handle), handle, slot.size() as u16, 0)
        })
    }

    /// Undefines a slot; one that is absent is left alone.
    pub(crate) fn nv_undefine(&mut self, slot: NvSlot) -> Result<(), TpmError> {
        let Some(handle) = self.nv_open(slot)? else { return Ok(()) };
        let gone =
            self.run_owner("NV_UndefineSpace", |context| context.nv_undefine_space(Provision::Owner, handle));
        match gone {
            Err(error) => {
                self.nv_close(handle)?;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Looks a slot up; none if it is not defined.
    pub(crate) fn nv_open(&mut self, slot: NvSlot) -> Result<Option<NvIndexHandle>, TpmError> {
        let found = self.run("NV_ReadPublic", |context| {
            context.tr_from_tpm_public(NvIndexTpmHandle::new(slot.index())?.into())
        });
        match found {
            Ok(handle) => Ok(Some(handle.into())),
            Err(error) if error.meaning == Meaning::NoSuchHandle => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets an index. Nothing goes to the TPM.
    pub(crate) fn nv_close(&mut self, handle: NvIndexHandle) -> Result<(), TpmError> {
        let mut handle = ObjectHandle::from(handle);
        Ok(self.run("NV_ReadPublic", |context| context.tr_close(&mut handle))?)
    }
}
