//! Onboarding of a device: an allowed certificate and serial, once; who the device is.

use std::net::IpAddr;

use vault::ids::{DeviceId, Name};
use vault::labels::Labels;
use wire::Certificate;
use wire::envelope::{DeviceEnvelope, EnvelopeError};
use wire::register::Register;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::added::{add, said, serial};
use crate::custody::Kek;
use crate::fleet::deleted::{GivenBack, Kept, give_back, itself, kept};
use crate::fleet::placed::{follow, newly_named};
use crate::service::{Controller, Message, NotAdmitted, Refusal, Unproved, Which};
use crate::store::{DeviceRow, OnboardRow, RemovedRow, Scope, StoreError, Tx, UnixSeconds};

/// Any serial, in an allowance.
pub const ANY_SERIAL: &str = "*";

/// Devices that one allowance for any serial lets in: who has its key makes no more rows than that.
const MOST_BY_ONE: u64 = 4096;

/// Certificates that a device's key had before, by which it is known too: the newest so many.
const CERTS_BEFORE: u32 = 64;

/// How a registration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// A new device.
    New,
    /// The same device again: the same key, if not the same certificate.
    Again,
}

impl Controller {
    /// Registers a device.
    ///
    /// # Errors
    /// [`Refusal`]: malformed, not allowed, expired, a key that is not its holder's, the serial is another device's, or it makes its
    /// certificate anew too often. `from` is where it came from.
    pub async fn register(
        &self,
        envelope: DeviceEnvelope,
        from: IpAddr,
        now: UnixSeconds,
    ) -> Result<Registered, Refusal> {
        let (onboard, payload) = envelope.verify_registration().map_err(unverified)?;
        let register = Register::decode(&payload)?;
        valid(&onboard, now, Which::Onboarding)?;
        valid(register.certificate(), now, Which::Device)?;
        proves_its_key(register.certificate())?;
        // Anybody can sign with an onboarding certificate of his own: only what is allowed waits for the writer.
        // And who comes again as before changes nothing, so that nothing that is remembered of others is read anew for it.
        let Some(scope) = self.store.read(|tx| Box::pin(to_change(tx, &onboard, &register))).await? else {
            return Ok(Registered::Again);
        };
        let told = match scope {
            Scope::Device(device) => self.certified.may(device, from, now)?,
            _ => true,
        };
        let taken_in =
            self.store.write(scope, |tx| Box::pin(take_in(tx, &self.kek, scope, (&onboard, &register), now)));
        Ok(match taken_in.await? {
            TakenIn::New((device, name), back, not_given) => {
                self.names.learn(device, &name);
                let name = Some(name.to_string());
                tracing::info!(%device, name, serial = said(&register), "device registered");
                tell((device, &name), &back);
                for (rule, why) in not_given {
                    tracing::warn!(%device, name, %rule, %why, "a rule names it, and its vault can't be on it");
                }
                Registered::New
            }
            TakenIn::Certified(device) if told => {
                tracing::info!(%device, name = self.names.of(device), "device registered again with a new certificate of its key");
                Registered::Again
            }
            TakenIn::Certified(_) | TakenIn::AsBefore => Registered::Again,
        })
    }
}

fn tell((device, name): (DeviceId, &Option<String>), GivenBack { vaults, bundles, left }: &GivenBack) {
    if vaults + bundles > 0 {
        tracing::info!(%device, name, vaults, bundles, "it was deleted, and what was kept of it is its own again");
    }
    for what in left {
        tracing::error!(%device, name, %what, "what was kept of it since it was deleted can't be given back, and stays kept: see `evc device deleted`");
    }
}

/// What it would change, if anything; refused as it would be in the end where no allowance is found.
async fn to_change(
    tx: &mut dyn Tx,
    onboard: &Certificate,
    register: &Register,
) -> Result<Option<Scope>, Refusal> {
    let allowed = allowance(tx, onboard, register).await?;
    match of_key(tx, register).await? {
        Some(known) if is_used(&allowed, &known) => {
            let had = tx.device_by_cert(&register.certificate().digest().0).await?.is_some();
            Ok((!had).then_some(Scope::Device(known.id)))
        }
        Some(_) => Ok(Some(Scope::Onboarding)),
        // Vaults that its labels give it are of the fleet, and so is what was kept of it.
        None if allowed.labels.is_empty() && !was_deleted(tx, register).await? => Ok(Some(Scope::Onboarding)),
        None => Ok(Some(Scope::Fleet)),
    }
}

/// Whether a device came in by an allowance, or by one for any serial.
fn is_used(allowed: &OnboardRow, known: &DeviceRow) -> bool {
    allowed.project == known.project && (allowed.serial == ANY_SERIAL || allowed.device == Some(known.id))
}

/// What a registration changed.
enum TakenIn {
    /// With what it got back of before its deletion, and the rules whose vaults it can't have, with the reason.
    New((DeviceId, Name), GivenBack, Vec<(Name, Refusal)>),
    Certified(DeviceId),
    AsBefore,
}

/// In the transaction that has `scope` to itself. What was changed since that was chosen needs another: the device comes again.
async fn take_in(
    tx: &mut dyn Tx,
    kek: &Kek,
    scope: Scope,
    (onboard, register): (&Certificate, &Register),
    now: UnixSeconds,
) -> Result<TakenIn, Refusal> {
    let allowed = allowance(tx, onboard, register).await?;
    if let Some(known) = of_key(tx, register).await? {
        let alone = scope == Scope::Device(known.id);
        if alone != is_used(&allowed, &known) {
            return Err(Refusal::Busy);
        }
        come_again(tx, &allowed, &known, register).await?;
        return certify(tx, &known, register.certificate()).await;
    }
    let in_fleet = !allowed.labels.is_empty() || was_deleted(tx, register).await?;
    if scope != Scope::Fleet && (scope != Scope::Onboarding || in_fleet) {
        return Err(Refusal::Busy);
    }
    let removed = not_removed(tx, &allowed, register).await?;
    if allowed.device.is_some() && allowed.serial != ANY_SERIAL {
        return Err(NotAdmitted::OthersSerial.into());
    }
    has_room(tx, &allowed).await?;
    let kept = to_give_back(tx, &allowed, register).await?;
    let device = add(tx, (&allowed, itself(&kept.all)), register, now).await?;
    tx.use_onboarding(&allowed.cert_digest, &allowed.serial, device).await?;
    if let Some(removed) = removed {
        marked_as_before(tx, device, &removed).await?;
    }
    tx.forget_removal(&key(register.certificate())).await?;
    let row = tx.device(device).await?.ok_or(Refusal::Busy)?;
    let back = give_back(tx, kek, &row, kept, now).await?;
    let not_given = follow_rules(tx, kek, device, now).await?;
    Ok(TakenIn::New((device, row.name), back, not_given))
}

/// What is kept of it and comes back: nothing, where its allowance does not say so.
async fn to_give_back(tx: &mut dyn Tx, allowed: &OnboardRow, register: &Register) -> Result<Kept, Refusal> {
    if !allowed.give_back {
        return Ok(Kept::default());
    }
    kept(tx, &key(register.certificate()), &allowed.project).await
}

/// Whether something is kept of a device with this key, in whichever project.
async fn was_deleted(tx: &mut dyn Tx, register: &Register) -> Result<bool, Refusal> {
    Ok(!tx.deleted_by_key(&key(register.certificate())).await?.is_empty())
}

/// Gives a new device the vaults of the rules that name it. One that can't be there keeps nobody from registering.
async fn follow_rules(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: DeviceId,
    now: UnixSeconds,
) -> Result<Vec<(Name, Refusal)>, Refusal> {
    let device = tx.device(device).await?.ok_or(Refusal::Busy)?;
    let mut not_given = Vec::new();
    for rule in newly_named(tx, &device, &Labels::default()).await? {
        match follow(tx, kek, &device, &rule, now).await {
            Ok(_) => {}
            // Of what is damaged lists say so; the rule is followed once it is mended, and applied again.
            Err(why @ (Refusal::InTheWay(_) | Refusal::Life(_) | Refusal::Store(StoreError::Damaged(_)))) => {
                not_given.push((rule.name, why))
            }
            Err(failed) => return Err(failed),
        }
    }
    Ok(not_given)
}

/// A device that an operator removed comes again only by an allowance of the serial that it had. Those of before went with it.
async fn not_removed(
    tx: &mut dyn Tx,
    allowed: &OnboardRow,
    register: &Register,
) -> Result<Option<RemovedRow>, Refusal> {
    let certificate = register.certificate();
    let removed = tx.removed_device(&certificate.digest().0, &key(certificate)).await?;
    let Some(removed) = removed else { return Ok(None) };
    let is_own = removed.serial.as_ref().is_none_or(|had| *had == allowed.serial);
    if is_own && allowed.serial != ANY_SERIAL {
        return Ok(Some(removed));
    }
    let RemovedRow { name, serial: had, .. } = removed;
    Err(NotAdmitted::Removed { name, serial: had.unwrap_or_else(|| said(register).to_owned()) }.into())
}

/// What was said of a device holds for whoever has its key, also once it was deleted: an operator takes it back, and nothing else does.
async fn marked_as_before(tx: &mut dyn Tx, device: DeviceId, removed: &RemovedRow) -> Result<(), Refusal> {
    if removed.lost_at.is_some() {
        tx.set_lost(device, removed.lost_at).await?;
    }
    if let Some(alarm) = &removed.alarm {
        tx.set_alarm(device, Some(alarm)).await?;
    }
    Ok(())
}

async fn has_room(tx: &mut dyn Tx, allowed: &OnboardRow) -> Result<(), Refusal> {
    if allowed.serial == ANY_SERIAL && tx.let_in_by(&allowed.cert_digest).await? >= MOST_BY_ONE {
        return Err(NotAdmitted::Full { most: MOST_BY_ONE }.into());
    }
    Ok(())
}

/// SHA-256 of its SubjectPublicKeyInfo.
pub(super) fn key(certificate: &Certificate) -> [u8; 32] {
    certificate.public_key().name().0
}

fn unverified(error: EnvelopeError) -> Refusal {
    match error {
        EnvelopeError::BadSignature => Unproved::Signature.into(),
        EnvelopeError::UnknownSender => Unproved::OtherCertificate.into(),
        other => other.into(),
    }
}

/// A certificate is good only in its own time.
fn valid(certificate: &Certificate, now: UnixSeconds, which: Which) -> Result<(), Refusal> {
    let read = X509Certificate::from_der(certificate.der());
    let (_, x509) = read.map_err(|_| Message::Certificate(which))?;
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = x509.validity();
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(NotAdmitted::OutOfTime(which).into());
    }
    Ok(())
}

/// A device's certificate is signed by its own key, as EVE makes it: so whoever names a key here has it.
fn proves_its_key(certificate: &Certificate) -> Result<(), Unproved> {
    if certificate.signs_itself() { Ok(()) } else { Err(Unproved::KeyNotShown) }
}

async fn allowance(
    tx: &mut dyn Tx,
    onboard: &Certificate,
    register: &Register,
) -> Result<OnboardRow, Refusal> {
    for serial in [register.serial(), register.soft_serial(), ANY_SERIAL] {
        if let Some(allowed) = tx.onboarding(&onboard.digest().0, serial).await? {
            return Ok(allowed);
        }
    }
    Err(NotAdmitted::Serial { serial: register.serial().to_owned() }.into())
}

/// One key is one device, whichever certificate it makes of it, and with any serial: so what an operator says of the device, that it is lost,
/// holds for whoever has its key.
async fn of_key(tx: &mut dyn Tx, register: &Register) -> Result<Option<DeviceRow>, Refusal> {
    // Of before keys were kept there may be two of one key, each with a certificate.
    if let Some(known) = tx.device_by_cert(&register.certificate().digest().0).await? {
        return Ok(Some(known));
    }
    Ok(tx.device_by_key(&key(register.certificate())).await?)
}

/// The same device under the same allowance is the same registration, said twice. One that its serial was given anew it uses.
async fn come_again(
    tx: &mut dyn Tx,
    allowed: &OnboardRow,
    known: &DeviceRow,
    register: &Register,
) -> Result<(), Refusal> {
    match allowed.device {
        _ if is_used(allowed, known) => Ok(()),
        // A device stays in its project.
        None if allowed.project == known.project && known.serial == serial(allowed, register) => {
            Ok(tx.use_onboarding(&allowed.cert_digest, &allowed.serial, known.id).await?)
        }
        _ => Err(NotAdmitted::RegisteredOtherwise.into()),
    }
}

/// A certificate that was lost and made anew becomes the present one. Those that the key had before stay good: what was recorded of a
/// registration, and is sent again by who has no key, changes nothing.
async fn certify(tx: &mut dyn Tx, known: &DeviceRow, certificate: &Certificate) -> Result<TakenIn, Refusal> {
    let digest = certificate.digest().0;
    if tx.device_by_cert(&digest).await?.is_some() {
        return Ok(TakenIn::AsBefore);
    }
    tx.certify_device(known.id, &digest, certificate.der(), CERTS_BEFORE).await?;
    Ok(TakenIn::Certified(known.id))
}
