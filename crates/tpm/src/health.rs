//! How the TPM is: lockout, room for objects, sessions and NV.

use tss_esapi::constants::CapabilityType;
use tss_esapi::constants::PropertyTag;
use tss_esapi::structures::CapabilityData;

use crate::shell::Shell;
use crate::{CommandError, TpmError};

/// First of the properties that change (TPM_PT_VAR).
const VARIABLE: u32 = 0x200;
/// How many of them exist.
const VARIABLE_COUNT: u32 = 0x20;
/// `inLockout` of TPMA_PERMANENT.
const IN_LOCKOUT: u32 = 1 << 9;

/// Figures that a TPM gives about itself; a figure it does not give is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Whether dictionary-attack lockout is on. Our own objects stay usable.
    pub in_lockout: bool,
    /// Failed authorisations counted towards lockout.
    pub lockout_counter: Option<u32>,
    /// Count at which lockout begins.
    pub max_auth_fail: Option<u32>,
    /// NV indices defined.
    pub nv_indices: Option<u32>,
    /// Sessions that can still be loaded at once.
    pub loaded_sessions_free: Option<u32>,
    /// Sessions that can still exist.
    pub sessions_free: Option<u32>,
    /// Transient objects that can still be loaded.
    pub transient_free: Option<u32>,
}

/// TPMA_PERMANENT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permanent(u32);

impl Permanent {
    pub(crate) fn owner_auth_set(self) -> bool {
        self.0 & 1 != 0
    }
    pub(crate) fn endorsement_auth_set(self) -> bool {
        self.0 & 2 != 0
    }
}

impl Shell {
    /// Asked anew each time: somebody may set a password while we run.
    pub(crate) fn permanent(&mut self) -> Result<Permanent, TpmError> {
        let mut all = self.variables()?.into_iter();
        let found = all.find(|(tag, _)| *tag == PropertyTag::Permanent);
        Ok(found.map(|(_, value)| Permanent(value)).ok_or(CommandError::malformed("GetCapability"))?)
    }

    pub(crate) fn health(&mut self) -> Result<Health, TpmError> {
        let mut health = Health::default();
        for (tag, value) in self.variables()? {
            health.note(tag, value);
        }
        Ok(health)
    }

    /// The properties that change.
    fn variables(&mut self) -> Result<Vec<(PropertyTag, u32)>, TpmError> {
        let (data, _) = self.run("GetCapability", |context| {
            context.get_capability(CapabilityType::TpmProperties, VARIABLE, VARIABLE_COUNT)
        })?;
        let CapabilityData::TpmProperties(properties) = data else {
            return Err(CommandError::malformed("GetCapability").into());
        };
        Ok(properties.into_iter().map(|property| (property.property(), property.value())).collect())
    }
}

impl Health {
    fn note(&mut self, property: PropertyTag, value: u32) {
        let figure = match property {
            PropertyTag::Permanent => {
                self.in_lockout = value & IN_LOCKOUT != 0;
                return;
            }
            PropertyTag::LockoutCounter => &mut self.lockout_counter,
            PropertyTag::MaxAuthFail => &mut self.max_auth_fail,
            PropertyTag::HrNvIndex => &mut self.nv_indices,
            PropertyTag::HrLoadedAvail => &mut self.loaded_sessions_free,
            PropertyTag::HrActiveAvail => &mut self.sessions_free,
            PropertyTag::HrTransientAvail => &mut self.transient_free,
            _ => return,
        };
        *figure = Some(value);
    }
}
