//! The TPM and the name of the endorsement key that this node was installed with. Where that does not match, identity is served
//! and roots are refused. A connection that hung is opened anew.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tpm::{
    AuthLack, Digest32, EkName, Generation, Identity, Meaning, OPEN_PATIENCE, OwnerAuth, PcrPolicy,
    PcrSelection, PcrValues, ProvisionError, ReadRootError, Root, RootKind, RootPolicy, SlotSet, Tcti, Tpm,
    TpmError,
};
use vault::secret::RootSecret;

use super::super::keep;
use super::boot;
use crate::bus::BusRoot;
use crate::bus::messages::{
    Bytes, DefineRoots, Proof, RootSet, RootSlot, Roots, TpmHealth, TpmIdentity, TpmStatus,
};

const OTHER_TPM: &str = "this is not the TPM that this node was installed with (config/ek.pub): no root is read or written; bring the node's own TPM back, or reinstall";

/// How the TPM is reached, and what the node's files say of it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(super) tcti: Tcti,
    /// Its owner's password, where the installer gave one.
    pub(super) owner: Option<Arc<OwnerAuth>>,
    /// The point of the device key that this node's certificate is of; none at first.
    pub(super) certified: Option<[u8; 65]>,
    /// Where the boot that P is bound to is kept.
    pub(super) boot: Arc<File>,
}

impl Place {
    fn open(&self) -> Result<Tpm, tpm::OpenError> {
        Tpm::open_as(&self.tcti, OPEN_PATIENCE, self.owner.clone())
    }
}

pub(crate) struct Hardware {
    place: Place,
    tpm: Tpm,
    pinned: Option<EkName>,
    identity: TpmIdentity,
    measured: bool,
    /// Why the TPM can't be used, while it can't.
    failing: Option<String>,
}

impl Hardware {
    pub(super) fn open(place: &Place, pin: &File) -> anyhow::Result<Self> {
        let mut tpm = place.open()?;
        let identity = tpm.provision()?;
        let pinned_before = !keep::read(pin).context("config/ek.pub")?.is_empty();
        let expected = pin_of(pin, &identity.ek.name)?;
        let own = expected == identity.ek.name;
        if own {
            tpm.pin_ek(&expected)?;
        } else {
            tracing::error!("{OTHER_TPM}");
        }
        let measured = measured(&mut tpm)?;
        // The endorsement seed outlives TPM2_Clear, the owner's, which the device key is of, does not. Where the pin is new, nothing
        // tells a cleared TPM from another one.
        let cleared =
            own && pinned_before && place.certified.is_some_and(|point| point != identity.device.sec1);
        let identity = TpmIdentity { cleared, ..public(&identity, !own) };
        let (place, pinned) = (place.clone(), own.then_some(expected));
        Ok(Self { place, tpm, pinned, identity, measured, failing: None })
    }

    pub(super) fn status(&self) -> TpmStatus {
        match &self.failing {
            Some(why) => TpmStatus::Failing { why: why.clone() },
            None => TpmStatus::Ready { measured: self.measured, identity: Box::new(self.identity.clone()) },
        }
    }

    /// Does something with the TPM. Where it failed to answer, it is opened anew for the next.
    pub(super) fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let done = work(self);
        if let Err(error) = &done
            && let Some(error) = error.chain().find_map(|error| error.downcast_ref::<TpmError>())
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
        self.failing.iter().for_each(|why| tracing::error!("{why}"));
    }

    /// Opens a TPM anew that failed, and could not be opened since.
    pub(super) fn again(&mut self) -> anyhow::Result<()> {
        if self.failing.is_some() {
            self.open_anew()?;
            self.failing = None;
            tracing::info!("the TPM answers again");
        }
        Ok(())
    }

    fn open_anew(&mut self) -> anyhow::Result<()> {
        let mut tpm = self.place.open()?;
        if let Some(pinned) = self.pinned {
            tpm.pin_ek(&pinned)?;
        }
        self.measured = measured(&mut tpm)?;
        self.tpm = tpm;
        Ok(())
    }

    pub(super) fn sign(&mut self, digest: &Digest32) -> anyhow::Result<Vec<u8>> {
        let first = self.tpm.sign(digest);
        let signature = match first {
            Err(error) => {
                self.mend(&error);
                self.tpm.sign(digest)?
            }
            Ok(signature) => signature,
        };
        Ok(signature.to_fixed().to_vec())
    }

    pub(super) fn quote(&mut self, qualifying: &[u8; 32], selection: PcrSelection) -> anyhow::Result<Proof> {
        let quote = self.tpm.quote(qualifying, selection)?;
        let pcrs = quote.pcr_values.map(|values| values.as_slice().to_vec()).unwrap_or_default();
        Ok(Proof::Quote { signature: Bytes(quote.signature.to_der()), attest: Bytes(quote.attest), pcrs })
    }

    fn own(&self) -> anyhow::Result<()> {
        ensure!(self.pinned.is_some(), OTHER_TPM);
        Ok(())
    }

    pub(super) fn read_roots(&mut self) -> anyhow::Result<Roots> {
        self.own()?;
        let sets: anyhow::Result<Vec<_>> = SlotSet::ALL.into_iter().map(|set| self.read_set(set)).collect();
        Ok(Roots { sets: sets?.into_iter().flatten().collect() })
    }

    fn read_set(&mut self, set: SlotSet) -> anyhow::Result<Option<RootSet>> {
        let (said_t, tpm) = self.read(set, RootKind::Tpm)?;
        let (said_p, pcrs) = self.read(set, RootKind::Pcrs)?;
        if matches!((&tpm, &pcrs), (RootSlot::Absent, RootSlot::Absent)) {
            return Ok(None);
        }
        let place = if set == SlotSet::Odd { Generation(1) } else { Generation(2) };
        let said = said_t.or(said_p).unwrap_or(place);
        Ok(Some(RootSet { generation: vault::ids::Generation(said.0), tpm, pcrs }))
    }

    fn read(&mut self, set: SlotSet, kind: RootKind) -> anyhow::Result<(Option<Generation>, RootSlot)> {
        Ok(match self.tpm.read_root(set, kind) {
            Ok((generation, root)) => {
                self.keep_boot(set, kind);
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
    fn keep_boot(&mut self, set: SlotSet, kind: RootKind) {
        let boots = if kind == RootKind::Pcrs { self.boots(set) } else { None };
        if let Some((policy, now)) = boots
            && let Err(error) = boot::keep_values(&self.place.boot, &policy, &now)
        {
            tracing::warn!("{error:#}");
        }
    }

    pub(super) fn define_roots(&mut self, ask: &DefineRoots) -> anyhow::Result<()> {
        self.own()?;
        let generation = Generation(ask.generation.0);
        let selection = match ask.selection {
            None => PcrSelection::EVE,
            Some(mask) => {
                let [a, b, c, _] = mask.0.to_le_bytes();
                PcrSelection::from_bitmap([a, b, c])?
            }
        };
        let states = match self.tpm.read_pcrs(selection) {
            Ok(values) => PcrPolicy::of_states(&[values])?,
            Err(error) if error.meaning() == Some(Meaning::NoBank) => PcrPolicy::nobody(selection),
            Err(error) => return Err(error.into()),
        };
        self.tpm.define_and_write(generation, RootPolicy::Tpm, &root(&ask.tpm)?)?;
        self.tpm
            .define_and_write(generation, RootPolicy::Pcrs(&states), &root(&ask.pcrs)?)
            .context("the root bound to PCRs")?;
        self.keep_boot(generation.slot_set(), RootKind::Pcrs);
        Ok(())
    }

    pub(super) fn undefine_roots(&mut self, generation: vault::ids::Generation) -> anyhow::Result<()> {
        self.own()?;
        let set = Generation(generation.0).slot_set();
        // T first: without it nothing opens, whatever happens next.
        for kind in RootKind::ALL {
            self.tpm.undefine(set, kind)?;
        }
        Ok(())
    }

    pub(super) fn health(&mut self) -> anyhow::Result<TpmHealth> {
        let health = self.tpm.health()?;
        Ok(TpmHealth {
            in_lockout: health.in_lockout,
            lockout_counter: health.lockout_counter,
            sessions_free: health.sessions_free,
            commands: format!("{:?}", self.tpm.commands()),
        })
    }
}

/// Firmware measured the boot: PCRs 0 and 4 do not stand at their reset value. A TPM without the bank can't show it.
fn measured(tpm: &mut Tpm) -> anyhow::Result<bool> {
    let pcrs = match tpm.read_pcrs(PcrSelection::new([0, 4])?) {
        Err(error) if error.meaning() == Some(Meaning::NoBank) => return Ok(false),
        pcrs => pcrs?,
    };
    Ok(!pcrs.as_slice().iter().any(|(pcr, value)| attest::at_reset(*pcr, value)))
}

/// Why a TPM can't be used, and what to do.
pub(super) fn failing(error: &anyhow::Error) -> String {
    format!("{error:#}; {}", advice(error))
}

fn advice(error: &anyhow::Error) -> &'static str {
    let mut chain = error.chain();
    let lack = chain.find_map(|error| match error.downcast_ref::<TpmError>() {
        Some(TpmError::HierarchyAuth { hierarchy, lack }) => Some((*hierarchy, *lack)),
        _ => None,
    });
    match (lack, error.downcast_ref::<ProvisionError>()) {
        (Some(("owner", AuthLack::NotGiven)), _) => {
            "write it into config/tpm-owner-auth (0600) and start eve again, or take it away (`tpm2_changeauth -c o -p PASSWORD`)"
        }
        (Some(("owner", AuthLack::Refused)), _) => "mend config/tpm-owner-auth and start eve again",
        (Some(_), _) => {
            "endorsement keys can't be made under one: take it away (`tpm2_changeauth -c e -p PASSWORD`); it is looked at again all the time"
        }
        (None, Some(ProvisionError::Unexpected { .. })) => "it is looked at again all the time",
        (None, Some(ProvisionError::NoEk)) => {
            "this TPM can't be used: for a new node write `none` into config/tcti to do without"
        }
        _ => {
            "see that the TPM is there and config/tcti names it, or reset it by a reboot; it is tried again all the time"
        }
    }
}

fn root(root: &BusRoot) -> anyhow::Result<Root> {
    Root::init(|bytes| {
        bytes.copy_from_slice(root.0.expose_root_secret());
        Ok(())
    })
}

/// The name that was written at first boot; written now if there is none, or if a power cut left only the beginning of it.
fn pin_of(file: &File, now: &EkName) -> anyhow::Result<EkName> {
    let written = keep::read(file).context("config/ek.pub")?;
    let line = format!("{}\n", hex::encode(now.as_bytes()));
    // Zeros are what some filesystems show of bytes that did not reach the disk.
    let text = written.trim_ascii_end();
    let text = &text[..text.iter().position(|byte| *byte == 0).unwrap_or(text.len())];
    if line.as_bytes().starts_with(text) {
        if *written != line.as_bytes() {
            keep::write(file, line.as_bytes()).context("config/ek.pub")?;
        }
        return Ok(*now);
    }
    let bytes = hex::decode(text).context("config/ek.pub is damaged; restore it")?;
    EkName::from_bytes(&bytes).context("config/ek.pub is damaged; restore it")
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
mod tests {
    use super::*;

    fn place(tpm: &testkit::swtpm::Swtpm, dir: &std::path::Path) -> Place {
        let boot = Arc::new(keep::open(&dir.join("boot-pcrs")).expect("opens"));
        Place { tcti: tpm.tcti().parse().expect("a TCTI"), owner: None, certified: None, boot }
    }

    fn opened(tpm: &testkit::swtpm::Swtpm, dir: &std::path::Path) -> anyhow::Result<Hardware> {
        Hardware::open(&place(tpm, dir), &keep::open(&dir.join("ek.pub"))?)
    }

    /// DF-5, invariant 8: a TPM that stops answering is not shown as ready, and is when it answers again.
    #[test]
    fn a_tpm_that_fails_says_so_and_comes_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
        let mut tpm = opened(&swtpm, dir.path()).expect("opens");
        let ready = tpm.status();
        assert!(matches!(ready, TpmStatus::Ready { .. }));
        let sign = |tpm: &mut Hardware| tpm.attempt(|tpm| tpm.sign(&Digest32::of(b"x")));
        swtpm.stop();
        sign(&mut tpm).expect_err("there is none");
        let TpmStatus::Failing { why } = tpm.status() else { panic!("still ready") };
        assert!(why.contains("config/tcti"), "what to do: {why}");
        tpm.attempt(Hardware::again).expect_err("there is none yet");
        assert!(matches!(tpm.status(), TpmStatus::Failing { .. }));
        swtpm.start().expect("starts");
        tpm.attempt(Hardware::again).expect("is back");
        assert_eq!(tpm.status(), ready);
        sign(&mut tpm).expect("signs");
        assert!(!tpm.health().expect("answers").in_lockout);
    }

    /// Seen-by-users 0.6: a TPM whose owner has a password says what to write where, and works with it; neither way it is guessed at.
    #[test]
    fn a_tpm_with_an_owners_password_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
        swtpm.tool("tpm2_changeauth", &["-c", "o", "owned"]).expect("changes");
        let refused = failing(&opened(&swtpm, dir.path()).err().expect("is refused"));
        assert!(refused.contains("config/tpm-owner-auth (0600)"), "{refused}");
        let auth = |password: &str| OwnerAuth::new(password.as_bytes().to_vec().into()).expect("fits");
        let place = |password| Place { owner: Some(Arc::new(auth(password))), ..place(&swtpm, dir.path()) };
        let pin = keep::open(&dir.path().join("ek.pub")).expect("opens");
        let refused = failing(&Hardware::open(&place("wrong"), &pin).err().expect("is refused"));
        assert!(refused.contains("mend config/tpm-owner-auth"), "{refused}");
        Hardware::open(&place("owned"), &pin).expect("opens");
        opened(&swtpm, dir.path()).expect("what is there needs no owner");
    }

    /// Seen-by-users 0.6: without a SHA-256 bank roots are made and read, nothing is measured, and evidence is a quote all the same.
    #[test]
    fn a_tpm_without_our_bank_is_ready_and_not_measured() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
        swtpm.tool("tpm2_pcrallocate", &["sha1:all+sha256:none"]).expect("allocates");
        swtpm.reset_clean().expect("resets");
        let mut tpm = opened(&swtpm, dir.path()).expect("opens");
        assert!(matches!(tpm.status(), TpmStatus::Ready { measured: false, .. }));
        let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
        let generation = vault::ids::Generation(1);
        let ask = DefineRoots { generation, tpm: root(), pcrs: root(), selection: None };
        tpm.define_roots(&ask).expect("defines");
        let roots = tpm.read_roots().expect("reads").sets;
        let [RootSet { tpm: RootSlot::Root(_), pcrs: RootSlot::PcrsMoved { .. }, .. }] = roots.as_slice()
        else {
            panic!("T alone is to be had: {roots:?}")
        };
        let Proof::Quote { pcrs, .. } = tpm.quote(&[1; 32], PcrSelection::EVE).expect("quotes") else {
            panic!("no quote")
        };
        assert!(pcrs.is_empty());
    }

    /// Facts-node, fault 6: a TPM that was cleared is told as that, and not as another one; another one not as cleared.
    #[test]
    fn a_cleared_tpm_is_told_as_cleared() {
        let dir = tempfile::tempdir().expect("a directory");
        let make = |name: &str| testkit::swtpm::Swtpm::new(&dir.path().join(name), name).expect("a TPM");
        let (own, other) = (make("own"), make("other"));
        let first = opened(&own, dir.path()).expect("opens").identity.device_key;
        let pin = keep::open(&dir.path().join("ek.pub")).expect("opens");
        let words = |tpm: &testkit::swtpm::Swtpm| {
            let certified = Some(first.clone().try_into().expect("a point"));
            let place = Place { certified, ..place(tpm, dir.path()) };
            Hardware::open(&place, &pin).expect("opens").status().words()
        };
        assert!(words(&own).starts_with("ready"), "{}", words(&own));
        assert!(words(&other).starts_with("NOT the one"), "{}", words(&other));
        own.tool("tpm2_clear", &["-c", "l"]).expect("clears");
        keep::write(&pin, b"").expect("as if somebody had removed it");
        assert!(words(&other).starts_with("ready"), "not known which: {}", words(&other));
        keep::write(&pin, b"").expect("as if somebody had removed it");
        Hardware::open(&place(&own, dir.path()), &pin).expect("pins it");
        let told = words(&own);
        assert!(told.starts_with("CLEARED") && told.contains("config/device.cert.pem"), "{told}");
    }

    /// Seen-by-users 0.18: after a boot that measured something else the PCR is named, in P's slot.
    #[test]
    fn the_pcr_that_moved_is_named() {
        use testkit::swtpm::BootState;
        let dir = tempfile::tempdir().expect("a directory");
        let mut swtpm = testkit::swtpm::Swtpm::new(&dir.path().join("tpm"), "test").expect("a TPM");
        swtpm.extend_boot_state(&BootState::named("good")).expect("measures");
        let root = || BusRoot(RootSecret::copied_from(&[3; 32]));
        let generation = vault::ids::Generation(1);
        let ask = DefineRoots { generation, tpm: root(), pcrs: root(), selection: None };
        opened(&swtpm, dir.path()).expect("opens").define_roots(&ask).expect("defines");
        swtpm.reset_clean().expect("resets");
        let changed =
            BootState::named("good").with_change(4, "another loader").with_change(9, "another initrd");
        swtpm.extend_boot_state(&changed).expect("measures");
        let roots = opened(&swtpm, dir.path()).expect("opens").read_roots().expect("reads").sets;
        let [RootSet { pcrs: RootSlot::PcrsMoved { differ }, .. }] = roots.as_slice() else {
            panic!("not moved: {roots:?}")
        };
        assert_eq!(differ, &[4, 9]);
    }

    fn name(first: u8) -> EkName {
        EkName::from_bytes(&[&[0, 0x0c, first][..], &[7; 47]].concat()).expect("a SHA-384 name")
    }

    fn pinned(written: &[u8], now: &EkName) -> anyhow::Result<EkName> {
        let dir = tempfile::tempdir()?;
        let file = keep::open(&dir.path().join("ek.pub"))?;
        keep::write(&file, written)?;
        let pinned = pin_of(&file, now)?;
        let again = pin_of(&file, &name(9))?;
        assert_eq!(again, pinned, "what was pinned stays");
        Ok(pinned)
    }

    /// Invariant 5, and the TPM's pin: whatever a power cut leaves of the first pin, the next boot needs no hand; and neither that nor
    /// damage ever pins another TPM.
    #[test]
    fn a_pin_that_was_cut_short_is_written_anew_and_no_other_is_replaced() {
        let own = name(1);
        let whole = format!("{}\n", hex::encode(own.as_bytes()));
        for cut in 0..=whole.len() {
            assert_eq!(pinned(&whole.as_bytes()[..cut], &own).expect("mends"), own, "cut at {cut}");
        }
        assert_eq!(pinned(&[0; 101], &own).expect("mends"), own, "zeros");
        assert_eq!(pinned(whole.as_bytes(), &name(2)).expect("reads"), own, "another TPM is told by it");
        for damaged in [&whole.as_bytes()[..60], b"nonsense"] {
            let words = format!("{:#}", pinned(damaged, &name(2)).expect_err("is refused"));
            assert!(words.contains("restore it"), "{words}");
        }
    }
}
