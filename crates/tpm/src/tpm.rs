//! [`Tpm`]: the open TPM and all that can be asked of it. Only waits and passes on; the work is in the modules beside.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tss_esapi::Context;
use tss_esapi::tcti_ldr::TctiNameConf;

use crate::counts::Counts;
use crate::keys::EK_KINDS;
use crate::presence;
use crate::room::NvRoom;
use crate::shell::Shell;
use crate::slots::NvSlot;
use crate::worker::Worker;
use crate::{
    CommandError, Commands, DefineRootError, Digest32, EcdsaSignature, EkName, Generation, Health, Identity,
    OpenError, OwnerAuth, PcrPolicy, PcrSelection, PcrValues, PinError, ProvisionError, Quote, QuoteError,
    ReadRootError, Root, RootKind, RootPolicy, SlotSet, SlotState, Tcti, TpmError,
};

/// How long [`Tpm::open`] waits for a TPM that is busy or just starting.
pub const OPEN_PATIENCE: Duration = Duration::from_secs(10);

/// How long any other operation may take. Making keys is the longest: seconds on slow hardware.
const PATIENCE: Duration = Duration::from_secs(60);

/// The open TPM. One client holds it at a time; dropping it frees the TPM before the drop returns.
pub struct Tpm {
    worker: Worker,
    counts: Counts,
}

impl Tpm {
    /// Opens the TPM and flushes what a killed predecessor left in it. Waits at most [`OPEN_PATIENCE`].
    ///
    /// # Errors
    /// [`OpenError`]; none of its variants means that the node has no TPM.
    pub fn open(tcti: &Tcti) -> Result<Self, OpenError> {
        Self::open_within(tcti, OPEN_PATIENCE)
    }

    /// The same with a patience of one's own.
    ///
    /// # Errors
    /// As [`Tpm::open`].
    pub fn open_within(tcti: &Tcti, patience: Duration) -> Result<Self, OpenError> {
        Self::open_as(tcti, patience, None)
    }

    /// The same with the owner hierarchy's password, for a TPM whose owner has one.
    ///
    /// # Errors
    /// As [`Tpm::open`].
    pub fn open_as(
        tcti: &Tcti,
        patience: Duration,
        owner: Option<Arc<OwnerAuth>>,
    ) -> Result<Self, OpenError> {
        let start = Instant::now();
        presence::clean(tcti, patience)?;
        let counts = Counts::default();
        let (name, shared) = (tcti.to_string(), counts.clone());
        let left = patience.saturating_sub(start.elapsed()).max(Duration::from_millis(100));
        let worker =
            Worker::start(move || connect(&name, shared, owner), left).map_err(|error| match error {
                None => OpenError::Busy { tcti: tcti.clone(), waited: patience },
                Some(error) => OpenError::Failing { tcti: tcti.clone(), why: error.meaning, rc: error.rc },
            })?;
        Ok(Self { worker, counts })
    }

    /// Makes the identity keys where they are missing, and says what they are. Safe to repeat.
    ///
    /// # Errors
    /// [`ProvisionError::Unexpected`]: a handle holds something else, which is left as it is.
    pub fn provision(&mut self) -> Result<Identity, ProvisionError> {
        self.worker.run(PATIENCE, Shell::provision)
    }

    /// From now on sessions are salted to this EK. Until it succeeds nothing secret is said to the TPM.
    ///
    /// # Errors
    /// [`PinError::OtherEk`]: this TPM has another EK, or somebody on the bus plays it.
    pub fn pin_ek(&mut self, expected: &EkName) -> Result<(), PinError> {
        let expected = *expected;
        self.worker.run(PATIENCE, move |shell| shell.pin_ek(&expected))
    }

    /// Signs a digest with the device key.
    ///
    /// # Errors
    /// [`TpmError`]; with meaning `NoSuchHandle` if [`Tpm::provision`] never ran on this TPM.
    pub fn sign(&mut self, digest: &Digest32) -> Result<EcdsaSignature, TpmError> {
        let digest = *digest;
        self.worker.run(PATIENCE, move |shell| shell.sign(&digest))
    }

    /// Quotes `selection` with the AK over `qualifying_data`.
    ///
    /// # Errors
    /// [`QuoteError::Unsteady`]: PCRs kept moving; retry later.
    pub fn quote(
        &mut self,
        qualifying_data: &[u8; 32],
        selection: PcrSelection,
    ) -> Result<Quote, QuoteError> {
        let qualifying_data = *qualifying_data;
        self.worker.run(PATIENCE, move |shell| shell.quote(&qualifying_data, selection))
    }

    /// Reads PCRs, all at one moment.
    ///
    /// # Errors
    /// [`TpmError`]; with meaning `NoBank` where the TPM does not have this bank.
    pub fn read_pcrs(&mut self, selection: PcrSelection) -> Result<PcrValues, TpmError> {
        self.worker.run(PATIENCE, move |shell| shell.read_pcrs(selection))
    }

    /// Defines the NV slot of one root of `generation`, writes it and reads it back. Needs a pinned EK.
    ///
    /// With [`RootPolicy::Pcrs`] the present state must be one of the policy's, else it can't be read back.
    ///
    /// # Errors
    /// [`DefineRootError`]; then the slot is as free as before, as far as the TPM let us.
    pub fn define_and_write(
        &mut self,
        generation: Generation,
        policy: RootPolicy<'_>,
        root: &Root,
    ) -> Result<(), DefineRootError> {
        let states = match policy {
            RootPolicy::Tpm => None,
            RootPolicy::Pcrs(states) => Some(states.clone()),
        };
        let root = Root::init(|bytes| {
            bytes.copy_from_slice(root.expose_root());
            Ok::<_, TpmError>(())
        })?;
        self.worker.run(PATIENCE, move |shell| {
            let policy = states.as_ref().map_or(RootPolicy::Tpm, RootPolicy::Pcrs);
            shell.define_root(generation, policy, &root)
        })
    }

    /// Reads one root and says which generation it is of. Needs a pinned EK.
    ///
    /// # Errors
    /// [`ReadRootError`], which tells absence, an unfinished change, moved PCRs and damage apart.
    pub fn read_root(&mut self, set: SlotSet, kind: RootKind) -> Result<(Generation, Root), ReadRootError> {
        self.worker.run(PATIENCE, move |shell| shell.read_root(set, kind))
    }

    /// The PCR states that may read the root P of a slot set, and its generation: readable in any state.
    ///
    /// # Errors
    /// As [`Tpm::read_root`]; [`ReadRootError::PcrsMoved`] only where the list of them is lost, and is not that of now.
    pub fn read_pcr_policy(&mut self, set: SlotSet) -> Result<(Generation, PcrPolicy), ReadRootError> {
        self.worker.run(PATIENCE, move |shell| shell.read_states(set)?.ok_or(ReadRootError::Absent))
    }

    /// What a root's NV slot is, in any PCR state.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn slot_state(&mut self, set: SlotSet, kind: RootKind) -> Result<SlotState, TpmError> {
        self.worker.run(PATIENCE, move |shell| shell.slot_state(NvSlot::Root(set, kind)))
    }

    /// Destroys one root. An absent one is fine; what is not ours is left alone.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn undefine(&mut self, set: SlotSet, kind: RootKind) -> Result<(), TpmError> {
        self.worker.run(PATIENCE, move |shell| shell.undefine_root(set, kind))
    }

    /// How the TPM is.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn health(&mut self) -> Result<Health, TpmError> {
        self.worker.run(PATIENCE, Shell::health)
    }

    /// Whether the NV indices of two generations fit: those that are absent are defined for the moment. Nobody else may use the TPM meanwhile.
    ///
    /// # Errors
    /// [`TpmError`]; what was defined for the moment is taken away, as far as the TPM let us, and counts as absent where it did not.
    pub fn nv_room(&mut self) -> Result<NvRoom, TpmError> {
        self.worker.run(PATIENCE, Shell::nv_room)
    }

    /// Whether a certificate of an endorsement key lies in NV and can be read by whoever has the TPM.
    ///
    /// # Errors
    /// [`TpmError`] of a TPM that fails.
    pub fn has_ek_certificate(&mut self) -> Result<bool, TpmError> {
        self.worker.run(PATIENCE, |shell| {
            let mut all = EK_KINDS.iter();
            all.try_fold(false, |found, kind| Ok(found || shell.ek_certificate(kind.certificate)?.is_some()))
        })
    }

    /// What was asked of the TPM since it was opened.
    #[must_use]
    pub fn commands(&self) -> Commands {
        self.counts.read()
    }
}

fn connect(tcti: &str, counts: Counts, owner: Option<Arc<OwnerAuth>>) -> Result<Shell, CommandError> {
    let open = || tcti.parse::<TctiNameConf>().and_then(Context::new);
    open()
        .map(|context| Shell::new(context, counts, owner))
        .map_err(|error| CommandError::new("opening the TCTI", error))
}
