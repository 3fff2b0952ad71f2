//! The TPM and the name of the endorsement key that this node was installed with. Where that does not match, identity is served
//! and roots are refused. A connection that hung is opened anew.

use attest::SessionKey;
use tpm::{
    Digest32, EkName, Generation, Identity, Meaning, NvRoom, PcrPolicy, PcrSelection, PcrValues,
    ReadRootError, Root, RootKind, RootPolicy, SlotSet, Tpm, TpmError,
};
use vault::secret::RootSecret;

use super::super::keep::Kept;
use super::super::repeats::Repeats;
use super::boot;
use super::failure::TpmFailure;
use super::measured::Measured;
use super::place::{TpmConfig, failing};
use super::shown::Shown;
use crate::bus::BusRoot;
use crate::bus::messages::{
    Bytes, DefineRoots, Proof, RootSet, RootSlot, Roots, TpmCommands, TpmHealth, TpmIdentity, TpmRefusal,
    TpmRoom, TpmStatus,
};

pub(crate) struct Hardware {
    place: TpmConfig,
    tpm: Tpm,
    pinned: Option<EkName>,
    identity: TpmIdentity,
    measured: Measured,
    /// Why the TPM can't be used, while it can't.
    failing: Option<String>,
    told: Repeats,
    /// Whose P was read, and its boot not looked at yet.
    boot_of: Option<SlotSet>,
    shown: Shown,
}

impl Hardware {
    pub(super) fn open(place: &TpmConfig, pin: &Kept) -> Result<Self, TpmFailure> {
        let mut tpm = place.open()?;
        let identity = tpm.provision()?;
        let pinned_before = pin.read().is_ok_and(|pin| !pin.is_empty());
        let certified = place.certified.is_some_and(|point| point == identity.device.sec1);
        let own = is_own(pin, &identity.ek.name, certified)?;
        if own {
            tpm.pin_ek(&identity.ek.name)?;
        } else {
            tracing::error!("{}", TpmRefusal::OtherTpm);
        }
        let measured = Measured::by(&mut tpm)?;
        // The endorsement seed outlives TPM2_Clear, the owner's, which the device key is of, does not. Where the pin is new, nothing
        // tells a cleared TPM from another one. And where a root is left it is the certificate that is another's.
        let cleared = own && pinned_before && place.certified.is_some() && !certified && !has_roots(&mut tpm);
        let name = identity.ek.name;
        let identity = TpmIdentity { cleared, ..public(&identity, !own) };
        let (place, pinned) = (place.clone(), own.then_some(name));
        Ok(Self {
            place,
            tpm,
            pinned,
            identity,
            measured,
            failing: None,
            told: Repeats::default(),
            boot_of: None,
            shown: Shown::default(),
        })
    }

    pub(super) fn status(&self) -> TpmStatus {
        match &self.failing {
            Some(why) => TpmStatus::Failing { why: why.clone() },
            None => {
                TpmStatus::Ready { measured: self.measured.boot, identity: Box::new(self.identity.clone()) }
            }
        }
    }

    /// Does something with the TPM. Where it failed to answer, it is opened anew for the next.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, TpmFailure>,
    ) -> Result<T, TpmFailure> {
        // To a connection that broke nothing more is said: what it answered would tell of the connection alone.
        if self.failing.is_some() {
            self.revive()?;
        }
        let done = work(self);
        if let Err(failure) = &done
            && self.failing.is_none()
            && let Some(error) = failure.command()
        {
            self.mend(error);
        }
        done
    }

    /// Opens the TPM anew after a command hung or failed: the connection may be of no more use.
    fn mend(&mut self, error: &TpmError) {
        if matches!(error, TpmError::NotPinned | TpmError::HierarchyAuth { .. }) {
            return;
        }
        tracing::warn!(%error, "opening the TPM anew");
        self.failing = self.open_anew().err().map(|error| failing(&error));
        self.tell();
    }

    /// Tries a TPM again that failed.
    fn revive(&mut self) -> Result<(), TpmFailure> {
        if let Err(error) = self.open_anew() {
            self.failing = Some(failing(&error));
            self.tell();
            return Err(error);
        }
        let times = self.told.end();
        tracing::info!(times, "the TPM answers again, after as many failures");
        self.failing = None;
        Ok(())
    }

    fn tell(&mut self) {
        let Some(why) = &self.failing else { return };
        if let Some(times) = self.told.count(why) {
            tracing::error!(times, "{why}");
        }
    }

    /// Does what nobody waits for, once the TPM answers: keeps the boot that P was read in.
    pub(super) fn idle(&mut self) -> Result<(), TpmFailure> {
        self.boot_of.take().into_iter().for_each(|set| self.keep_boot(set));
        Ok(())
    }

    /// Whether [`Hardware::idle`] has something to do.
    pub(super) fn has_to_do(&self) -> bool {
        self.failing.is_some() || self.boot_of.is_some()
    }

    fn open_anew(&mut self) -> Result<(), TpmFailure> {
        let mut tpm = self.place.open()?;
        if let Some(pinned) = self.pinned {
            tpm.pin_ek(&pinned)?;
        }
        self.measured = Measured::by(&mut tpm)?;
        self.tpm = tpm;
        Ok(())
    }

    pub(super) fn sign(&mut self, digest: &Digest32) -> Result<Vec<u8>, TpmFailure> {
        let first = self.tpm.sign(digest);
        let signature = match first {
            Err(error) => {
                self.mend(&error);
                if self.failing.is_some() {
                    return Err(error.into());
                }
                self.tpm.sign(digest)?
            }
            Ok(signature) => signature,
        };
        Ok(signature.to_fixed().to_vec())
    }

    /// A quote for this session.
    pub(super) fn quote(
        &mut self,
        session: SessionKey,
        qualifying: &[u8; 32],
        selection: PcrSelection,
    ) -> Result<Proof, TpmFailure> {
        let quote = self.tpm.quote(qualifying, selection.in_bank(self.measured.bank))?;
        self.shown.quoted(session, quote.pcr_values.as_ref());
        let values = quote.pcr_values.iter().flat_map(PcrValues::as_slice);
        let pcrs = values.map(|(pcr, value)| (*pcr, Bytes(value.clone()))).collect();
        let bank = self.measured.appraised_as();
        let (attest, signature) = (Bytes(quote.attest), Bytes(quote.signature.to_der()));
        Ok(Proof::Quote { attest, signature, bank, pcrs })
    }

    fn own(&self) -> Result<(), TpmFailure> {
        self.pinned.map(drop).ok_or(TpmFailure::Refused(TpmRefusal::OtherTpm))
    }

    pub(super) fn read_roots(&mut self) -> Result<Roots, TpmFailure> {
        self.own()?;
        let sets: Result<Vec<_>, TpmFailure> =
            SlotSet::ALL.into_iter().map(|set| self.read_set(set)).collect();
        Ok(Roots { sets: sets?.into_iter().flatten().collect() })
    }

    fn read_set(&mut self, set: SlotSet) -> Result<Option<RootSet>, TpmFailure> {
        let (said_t, tpm) = self.read(set, RootKind::Tpm)?;
        let (said_p, pcrs) = self.read(set, RootKind::Pcrs)?;
        if matches!((&tpm, &pcrs), (RootSlot::Absent, RootSlot::Absent)) {
            return Ok(None);
        }
        let place = if set == SlotSet::Odd { Generation(1) } else { Generation(2) };
        let said = said_t.or(said_p).unwrap_or(place);
        Ok(Some(RootSet { generation: vault::ids::Generation(said.0), tpm, pcrs }))
    }

    fn read(&mut self, set: SlotSet, kind: RootKind) -> Result<(Option<Generation>, RootSlot), TpmFailure> {
        Ok(match self.tpm.read_root(set, kind) {
            Ok((generation, root)) => {
                if kind == RootKind::Pcrs {
                    // Later: every vault with a share waits for the roots.
                    self.boot_of = Some(set);
                }
                let root = RootSecret::copied_from(root.expose_root());
                (Some(generation), RootSlot::Root(BusRoot(root)))
            }
            Err(ReadRootError::Absent) => (None, RootSlot::Absent),
            Err(ReadRootError::Unwritten) => (None, RootSlot::Unwritten),
            Err(ReadRootError::PcrsMoved) => (None, RootSlot::PcrsMoved { differ: self.differing(set) }),
            Err(ReadRootError::Unsteady { .. }) => (None, RootSlot::Unsteady),
            Err(ReadRootError::Damaged { .. }) => (None, RootSlot::Damaged),
            Err(error @ ReadRootError::Tpm(_)) => return Err(error.into()),
        })
    }

    /// What P is bound to, and the PCRs of now.
    fn boots(&mut self, set: SlotSet) -> Option<(PcrPolicy, PcrValues)> {
        let (_, policy) = self.tpm.read_pcr_policy(set).ok()?;
        let now = self.tpm.read_pcrs(policy.selection()).ok()?;
        Some((policy, now))
    }

    /// Which PCRs moved, as far as that is known: it is only told.
    fn differing(&mut self, set: SlotSet) -> Vec<u8> {
        let boots = self.boots(set);
        boots.map_or(Vec::new(), |(policy, now)| boot::differing(&self.place.boot, &policy, &now))
    }

    /// P reads: this is its boot. That it could not be written down keeps nothing shut.
    fn keep_boot(&mut self, set: SlotSet) {
        if let Some((policy, now)) = self.boots(set)
            && let Err(error) = boot::keep_values(&self.place.boot, &policy, &now)
        {
            tracing::warn!("{error:#}");
        }
    }

    pub(super) fn define_roots(&mut self, ask: &DefineRoots) -> Result<(), TpmFailure> {
        self.own()?;
        let generation = Generation(ask.generation.0);
        let selection = match ask.selection {
            None => PcrSelection::EVE,
            Some(mask) => {
                let [a, b, c, _] = mask.0.to_le_bytes();
                PcrSelection::from_bitmap([a, b, c])?
            }
        };
        let states = self.states(selection, ask.as_shown)?;
        self.tpm.define_and_write(generation, RootPolicy::Tpm, &root(&ask.tpm)?)?;
        self.tpm
            .define_and_write(generation, RootPolicy::Pcrs(&states), &root(&ask.pcrs)?)
            .map_err(TpmFailure::PcrsRoot)?;
        self.keep_boot(generation.slot_set());
        Ok(())
    }

    /// The PCRs of now, as a policy. These very values are what is held against what was shown: P is bound to no others.
    fn states(
        &mut self,
        selection: PcrSelection,
        as_shown: Option<SessionKey>,
    ) -> Result<PcrPolicy, TpmFailure> {
        let selection = selection.in_bank(self.measured.bank);
        let values = match self.tpm.read_pcrs(selection) {
            Ok(values) => values,
            Err(error) if error.meaning() == Some(Meaning::NoBank) => {
                return Ok(PcrPolicy::nobody(selection));
            }
            Err(error) => return Err(error.into()),
        };
        if as_shown.is_some_and(|session| !self.shown.has(session, &values)) {
            return Err(TpmRefusal::NotShown.into());
        }
        Ok(PcrPolicy::of_states(&[values])?)
    }

    pub(super) fn room(&mut self, as_shown: Option<SessionKey>) -> Result<TpmRoom, TpmFailure> {
        self.own()?;
        if as_shown.is_some() {
            self.states(PcrSelection::EVE, as_shown)?;
        }
        let room = self.tpm.nv_room()?;
        Ok(match (room.foreign, room.all()) {
            (0, NvRoom::IN_A_CHANGE..) => TpmRoom::Enough,
            (0, fit) => TpmRoom::Full { fit, wanted: NvRoom::IN_A_CHANGE },
            (foreign, _) => TpmRoom::Taken { foreign },
        })
    }

    pub(super) fn undefine_roots(&mut self, generation: vault::ids::Generation) -> Result<(), TpmFailure> {
        self.own()?;
        let set = Generation(generation.0).slot_set();
        // T first: without it nothing opens, whatever happens next.
        for kind in RootKind::ALL {
            self.tpm.undefine(set, kind)?;
        }
        Ok(())
    }

    pub(super) fn health(&mut self) -> Result<TpmHealth, TpmFailure> {
        let (health, commands) = (self.tpm.health()?, self.tpm.commands());
        Ok(TpmHealth {
            in_lockout: health.in_lockout,
            lockout_counter: health.lockout_counter,
            sessions_free: health.sessions_free,
            commands: TpmCommands { calls: commands.calls, root_reads: commands.root_reads },
        })
    }
}

/// Whether a root is there: a clear takes all of them. An error shows no clear.
fn has_roots(tpm: &mut Tpm) -> bool {
    let absent = |set| matches!(tpm.read_root(set, RootKind::Tpm), Err(ReadRootError::Absent));
    !SlotSet::ALL.into_iter().all(absent)
}

fn root(root: &BusRoot) -> Result<Root, TpmFailure> {
    Root::init(|bytes| {
        bytes.copy_from_slice(root.0.expose_root_secret());
        Ok(())
    })
}

/// Whether this TPM is the one that the node was installed with. A name of it that says otherwise, or nothing, or does not read, is written anew where the
/// node's certificate is of a key that this TPM alone has (`certified`): then it is the file that is wrong, and no less where it can't be mended.
fn is_own(file: &Kept, now: &EkName, certified: bool) -> Result<bool, TpmFailure> {
    let expected = pin_of(file, now);
    if !certified || expected.as_ref().is_ok_and(|expected| expected == now) {
        return Ok(expected? == *now);
    }
    tracing::warn!(
        "config/ek.pub names another TPM, or can't be read, and config/device.cert.pem names this one: it is written anew"
    );
    if let Err(error) = file.write(line(now).as_bytes()) {
        tracing::warn!(%error, "config/ek.pub is wrong still, and can't be written; this node goes by its certificate");
    }
    Ok(true)
}

fn line(name: &EkName) -> String {
    format!("{}\n", hex::encode(name.as_bytes()))
}

/// The name that was written at first boot; written now if there is none, or if a power cut left only the beginning of it. One that lacks the end
/// of its line alone is whole: whoever put it there by hand may have left that out, on a disk that can't be written.
fn pin_of(file: &Kept, now: &EkName) -> Result<EkName, TpmFailure> {
    let written = file.read().map_err(TpmFailure::PinFile)?;
    let line = line(now);
    // Zeros are what some filesystems show of bytes that did not reach the disk.
    let text = written.trim_ascii_end();
    let text = &text[..text.iter().position(|byte| *byte == 0).unwrap_or(text.len())];
    if line.as_bytes().starts_with(text) {
        if text != line.trim_end().as_bytes() {
            file.write(line.as_bytes()).map_err(TpmFailure::PinFile)?;
        }
        return Ok(*now);
    }
    let bytes = hex::decode(text).map_err(|_| TpmFailure::PinDamaged)?;
    EkName::from_bytes(&bytes).ok_or(TpmFailure::PinDamaged)
}

fn public(identity: &Identity, other_tpm: bool) -> TpmIdentity {
    TpmIdentity {
        device_key: identity.device.sec1.to_vec(),
        ak: identity.ak.sec1.to_vec(),
        ak_public: Bytes(identity.ak.tpmt_public.clone()),
        ecdh: identity.ecdh.sec1.to_vec(),
        ek_public: Bytes(identity.ek.tpmt_public.clone()),
        ek_cert: identity.ek_cert_der.clone().map(Bytes),
        other_tpm,
        cleared: false,
    }
}

#[cfg(test)]
mod tests;
