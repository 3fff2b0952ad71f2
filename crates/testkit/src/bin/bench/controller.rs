//! Processor time of `evc serve` for an unchanged poll and for an attestation, beside the cryptography that neither can do without.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use attest::SessionKey;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use testkit::Evc;
use vault::ids::{DeviceId, Epoch, VaultId};
use vault::secret::ControllerKey;
use vault::section::Custody;
use wire::release::{Purpose, SessionSecret, seal};

use super::device::Device;
use super::machine::cpu_time;
use super::report::Report;
use super::stats::{Samples, words};

const YAML: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: till\ndevice: bench\npolicy: p\n";
/// Other devices of the fleet, so that a look-up has something to look through.
const FLEET: usize = 20;

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let evc = Evc::quiet(&folder.join("evc"))?;
    for n in 0..FLEET {
        Device::onboarded(&evc, folder, &format!("other-{n}"))?;
    }
    let mut device = Device::onboarded(&evc, folder, "bench")?;
    evc.apply(YAML)?;
    ensure!(device.attest()? == 1, "the vault's key was not released");
    let (rounds, polls) = if quick { (3, 50) } else { (20, 500) };
    let (mut poll, mut attestation) = (Samples::default(), Samples::default());
    let mut floor = Floor::new()?;
    for _ in 0..rounds {
        poll.push(per_poll(&evc, &device, polls)?);
        attestation.push(per_attestation(&evc, &mut device, polls / 10)?);
        floor.measure()?;
    }
    tell(report, &poll, &attestation, &floor);
    Ok(())
}

fn tell(report: &mut Report, poll: &Samples, attestation: &Samples, floor: &Floor) {
    report.section(
        "Controller",
        "Processor time of all threads of `evc serve` (SQLite, TLS 1.3, one kept-alive connection) per request. The floor is \
         what must be computed whatever the program: for a poll one verification of the device's signature; for an \
         attestation (challenge, evidence, section with one vault whose two epochs are the same) three of those, one of the \
         quote, three signatures and one seal.",
    );
    let (poll_floor, attestation_floor) = (floor.poll(), floor.attestation());
    report.row("unchanged poll", &poll.words());
    report.row("unchanged poll: floor", &words(poll_floor));
    report.row("unchanged poll: times the floor", &ratio(poll, poll_floor));
    report.row("attestation", &attestation.words());
    report.row("attestation: floor", &words(attestation_floor));
    report.row("attestation: times the floor", &ratio(attestation, attestation_floor));
    report.row("one P-256 verification", &floor.verify.words());
    report.row("one P-256 signature", &floor.sign.words());
    report.row("one HPKE seal", &floor.seal.words());
}

fn ratio(of: &Samples, floor: Duration) -> String {
    format!("{:.1}", of.median().as_secs_f64() / floor.as_secs_f64())
}

fn per_poll(evc: &Evc, device: &Device, polls: u32) -> Result<Duration> {
    let body = device.poll_body()?;
    spent(evc, polls, || {
        ensure!(device.unchanged(&body)?, "a poll that should have brought nothing");
        Ok(())
    })
}

fn per_attestation(evc: &Evc, device: &mut Device, rounds: u32) -> Result<Duration> {
    spent(evc, rounds, || {
        ensure!(device.attest()? == 1, "the vault's key was not released");
        Ok(())
    })
}

/// The controller's processor time per call.
fn spent(evc: &Evc, calls: u32, mut call: impl FnMut() -> Result<()>) -> Result<Duration> {
    let pid = evc.pid().context("evc is down")?;
    let before = cpu_time(pid)?;
    for _ in 0..calls {
        call()?;
    }
    Ok((cpu_time(pid)? - before) / calls)
}

/// The unavoidable operations, by the same libraries.
struct Floor {
    key: EcdsaKeyPair,
    session: SessionKey,
    controller_key: ControllerKey,
    verify: Samples,
    sign: Samples,
    seal: Samples,
}

impl Floor {
    fn new() -> Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("a key")?;
        let session =
            SessionSecret::init(|bytes| aws_lc_rs::rand::fill(bytes)).context("randomness")?.session_key();
        let controller_key = ControllerKey::init(|key| {
            key.fill(7);
            Ok::<_, Infallible>(())
        })?;
        let (verify, sign, seal) = Default::default();
        Ok(Self { key, session, controller_key, verify, sign, seal })
    }

    fn measure(&mut self) -> Result<()> {
        let purpose = Purpose {
            device: DeviceId(uuid::Uuid::nil()),
            vault: VaultId(uuid::Uuid::nil()),
            custody: Custody::TpmAndController,
        };
        let message = [7; 400];
        let public =
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref().to_vec());
        for _ in 0..50 {
            let signature =
                self.sign.time(|| self.key.sign(&SystemRandom::new(), &message)).context("signing")?;
            self.verify.time(|| public.verify(&message, signature.as_ref())).context("verifying")?;
            self.seal.time(|| seal(&self.session, &purpose, Epoch(1), &self.controller_key))?;
        }
        Ok(())
    }

    fn poll(&self) -> Duration {
        self.verify.median()
    }

    fn attestation(&self) -> Duration {
        self.verify.median() * 4 + self.sign.median() * 3 + self.seal.median()
    }
}
