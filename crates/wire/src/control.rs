//! What a controller says beside the configuration (ConfigResponse 50520): a challenge, orders, the bundle it holds.
//! Bound to one session of one device. Signed with the answer that carries it.

use attest::SessionKey;
use serde::{Deserialize, Serialize};
use vault::cause::Cause;
pub use vault::escrow::BundleId;
use vault::escrow::drill::DrillNonce;
use vault::ids::{DeviceId, DeviceKey, Generation, SectionVersion, VaultId};
pub use vault::section::MAX_ORDERS;

use crate::cause::{cause_if_any, cause_to};
use crate::error::DecodeError;
use crate::escrow::{self, SealedBundle};
use crate::limits::{MAX_WORDS, at_most, exactly, present, text, uuid};
use crate::pb::vault as pb;
use crate::section;

/// Longest life of a challenge, in seconds.
pub const MAX_CHALLENGE_TTL_S: u32 = 3600;

/// What a controller says beside the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The device it is for.
    pub device: DeviceId,
    /// The session it is for; another session disregards it.
    pub session: SessionKey,
    /// A challenge to answer with evidence (AC-1).
    pub challenge: Option<Challenge>,
    /// The key of that device's certificate: a session is no secret, and default vaults have the same identity on every node. There where
    /// there are orders.
    pub device_key: Option<DeviceKey>,
    /// Orders, to be obeyed although the vault section is withheld. At most [`MAX_ORDERS`].
    pub orders: Vec<Order>,
    /// Their place among the sections of the device: a later section says what of them holds. There where there are orders; a controller of
    /// before this field names none, and is not obeyed.
    pub as_of: Option<SectionVersion>,
    /// Which demand the session's evidence does not meet, coarsely, while it satisfies no policy; else empty. At most 1024 bytes.
    pub lacks: String,
    /// The newest escrow bundle that the controller holds; there where the node did not say that it knows.
    pub held_bundle: Option<BundleId>,
    /// That bundle, sealed to the session, where it was asked for and may go out.
    pub rescue: Option<SealedBundle>,
    /// Why it does not go out, coarsely, where it was asked for.
    pub no_rescue: Option<Cause>,
    /// A bundle that is sent is kept. A controller of before this field keeps none.
    pub keeps_bundles: bool,
    /// The newest bundle, to be tried: only to a node that answers drills.
    pub drill: Option<Drill>,
    /// The bundle that the node says is held failed a drill, and none was sent since: it is to be sent again.
    pub send_again: bool,
}

/// A bundle to be opened, and dropped again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// By which the answer is known.
    pub nonce: DrillNonce,
    /// Sealed to the session.
    pub bundle: SealedBundle,
}

/// PCRs, of the bank that the node measures its boot into: bit n is PCR n, 0 to 23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PcrMask(pub u32);

/// A controller's question, single use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Random, for one piece of evidence.
    pub nonce: [u8; 32],
    /// How long it is good for, in seconds from when it was made; 1 to [`MAX_CHALLENGE_TTL_S`].
    pub ttl_s: u32,
    /// Which PCRs to quote.
    pub pcrs: PcrMask,
    /// A quote is asked for. A node without TPM signs with its device key.
    pub wants_quote: bool,
    /// The location is asked for among the claims.
    pub wants_location: bool,
}

/// An operator's order. Each takes away, and none gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Order {
    /// Lock it now.
    Lock(VaultId),
    /// Erase its keys: it never opens again. Given and carried out by nobody yet.
    Erase(VaultId),
    /// Of a kind that came later, by its number: left alone, and told. Whoever gave it knows what this program speaks, and can withhold
    /// what must not go out meanwhile.
    NotUnderstood(i32),
}

impl From<&Control> for pb::Control {
    fn from(control: &Control) -> Self {
        let (no_rescue_cause, no_rescue) = control.no_rescue.as_ref().map(cause_to).unwrap_or_default();
        Self {
            device: control.device.0.as_bytes().to_vec(),
            session: control.session.0.to_vec(),
            device_key: control.device_key.map(|key| key.0.to_vec()).unwrap_or_default(),
            challenge: control.challenge.as_ref().map(Into::into),
            orders: control.orders.iter().map(Into::into).collect(),
            as_of: control.as_of.as_ref().map(Into::into),
            lacks: control.lacks.clone(),
            held: control.held_bundle.as_ref().map(Into::into),
            rescue: control.rescue.as_ref().map(|bundle| escrow::raw(bundle, crate::suite::X25519)),
            no_rescue,
            no_rescue_cause,
            keeps_bundles: control.keeps_bundles,
            drill: control.drill.as_ref().map(Into::into),
            send_again: control.send_again,
        }
    }
}

impl From<&Drill> for pb::Drill {
    fn from(drill: &Drill) -> Self {
        Self { nonce: drill.nonce.0.to_vec(), bundle: Some(escrow::raw(&drill.bundle, crate::suite::X25519)) }
    }
}

impl From<&Challenge> for pb::Challenge {
    fn from(challenge: &Challenge) -> Self {
        Self {
            nonce: challenge.nonce.to_vec(),
            ttl_s: challenge.ttl_s,
            pcrs: challenge.pcrs.0,
            wants_quote: challenge.wants_quote,
            wants_location: challenge.wants_location,
        }
    }
}

impl From<&Order> for pb::Order {
    fn from(order: &Order) -> Self {
        let of = |kind: pb::OrderKind, vault: &VaultId| (kind.into(), vault.0.as_bytes().to_vec());
        let (kind, vault) = match order {
            Order::Lock(vault) => of(pb::OrderKind::Lock, vault),
            Order::Erase(vault) => of(pb::OrderKind::Erase, vault),
            Order::NotUnderstood(kind) => (*kind, Vec::new()),
        };
        Self { kind, vault }
    }
}

impl From<&BundleId> for pb::BundleId {
    fn from(bundle: &BundleId) -> Self {
        Self { generation: bundle.generation.0, digest: bundle.digest.to_vec() }
    }
}

/// Checks what stands beside a configuration.
pub(crate) fn control(raw: pb::Control) -> Result<Control, DecodeError> {
    at_most("orders", raw.orders.len(), MAX_ORDERS)?;
    let device_key = (!raw.device_key.is_empty()).then(|| exactly("device key", &raw.device_key));
    if device_key.is_none() && !raw.orders.is_empty() {
        return Err(DecodeError::Missing { field: "device key" });
    }
    Ok(Control {
        device: section::device("device", &raw.device)?,
        session: section::session("session", &raw.session)?,
        device_key: device_key.transpose()?.map(DeviceKey),
        challenge: raw.challenge.map(challenge).transpose()?,
        orders: raw.orders.into_iter().map(order).collect::<Result<_, _>>()?,
        as_of: raw.as_of.map(section::version).transpose()?,
        lacks: text("lacks", raw.lacks, MAX_WORDS)?,
        held_bundle: raw.held.map(bundle).transpose()?,
        rescue: raw.rescue.map(|raw| escrow::sealed(raw, crate::suite::X25519)).transpose()?,
        no_rescue: cause_if_any("no_rescue", raw.no_rescue_cause, raw.no_rescue)?,
        keeps_bundles: raw.keeps_bundles,
        drill: raw.drill.map(drill).transpose()?,
        send_again: raw.send_again,
    })
}

fn drill(raw: pb::Drill) -> Result<Drill, DecodeError> {
    Ok(Drill {
        nonce: DrillNonce(exactly("drill's nonce", &raw.nonce)?),
        bundle: escrow::sealed(present("drill's bundle", raw.bundle)?, crate::suite::X25519)?,
    })
}

fn challenge(raw: pb::Challenge) -> Result<Challenge, DecodeError> {
    if !(1..=MAX_CHALLENGE_TTL_S).contains(&raw.ttl_s) {
        return Err(DecodeError::Invalid { field: "ttl_s", why: "is out of bounds" });
    }
    if raw.pcrs >> 24 != 0 {
        return Err(DecodeError::Invalid { field: "pcrs", why: "names a PCR above 23" });
    }
    if raw.wants_quote && raw.pcrs == 0 {
        return Err(DecodeError::Invalid { field: "pcrs", why: "is empty though a quote is asked for" });
    }
    Ok(Challenge {
        nonce: exactly("nonce", &raw.nonce)?,
        ttl_s: raw.ttl_s,
        pcrs: PcrMask(raw.pcrs),
        wants_quote: raw.wants_quote,
        wants_location: raw.wants_location,
    })
}

fn order(raw: pb::Order) -> Result<Order, DecodeError> {
    let vault = || uuid("order's vault", &raw.vault).map(VaultId);
    match pb::OrderKind::try_from(raw.kind) {
        Ok(pb::OrderKind::Lock) => Ok(Order::Lock(vault()?)),
        Ok(pb::OrderKind::Erase) => Ok(Order::Erase(vault()?)),
        // No order at all.
        Ok(pb::OrderKind::Unspecified) => Err(DecodeError::Missing { field: "order" }),
        Err(_) => Ok(Order::NotUnderstood(raw.kind)),
    }
}

pub(crate) fn bundle(raw: pb::BundleId) -> Result<BundleId, DecodeError> {
    if raw.generation < Generation::FIRST.0 {
        return Err(DecodeError::Invalid { field: "generation", why: "is zero" });
    }
    Ok(BundleId { generation: Generation(raw.generation), digest: exactly("digest", &raw.digest)? })
}
