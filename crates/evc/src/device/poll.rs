//! A device's poll, from the envelope on. One that says what it said when it was told that nothing is new is told so again, for as long as
//! nothing that the answer depends on was written, and within the times for which the same was decided: that costs one verification, and none
//! where it comes as it was signed then: the very same bytes were verified by the very same key.
//! Every other poll is looked at in a view of the store (`super::config`), and nothing of what is remembered goes into its answer.

use std::sync::{Mutex, PoisonError};

use vault::ids::DeviceId;
use wire::config::{ConfigRequest, ConfigResponse, VaultAsk};
use wire::envelope::{DeviceEnvelope, Verified};
use wire::{CertDigest, P256PublicKey};

use super::config::{Look, Seen};
use super::sender::{Found, find, verified_by};
use crate::fleet::settled::{KnownSender, Unchanged};
use crate::fleet::view::View;
use crate::service::{Controller, Refusal};
use crate::store::{AsOf, Tx, UnixSeconds};

/// What a poll is told.
pub enum Polled {
    /// Nothing is new.
    Unchanged,
    /// This.
    Changed(Box<ConfigResponse>),
}

/// A device as it was seen before, and what it asks now.
struct SeenBefore<'e> {
    as_of: AsOf,
    view: Box<View>,
    known: KnownSender,
    verified: Verified<'e>,
    hash: String,
    vault: VaultAsk,
}

/// A poll as it was looked at.
struct Looked {
    device: DeviceId,
    key: P256PublicKey,
    hash: String,
    look: Look,
    unchanged: Option<Unchanged>,
}

impl Controller {
    /// Answers a poll; `path` is the UUID under which it came, where it came under one.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was released.
    pub async fn poll(
        &self,
        envelope: &DeviceEnvelope,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Polled, Refusal> {
        let as_of = self.store.as_of();
        let known = self.settled.of(&envelope.sender());
        let before = known.and_then(|known| known.verified_before(envelope));
        let known = match (known, before) {
            (Some(known), Some(before)) => Some((known, before)),
            (Some(known), None) => Some((known, verified_by(envelope, &known.key)?)),
            (None, _) => None,
        };
        if let Some((known, verified)) = known
            && known.unchanged.is_some_and(|before| before.is_said_again(&verified, now))
            && self.is_still(&known)
        {
            self.heard_from(known.device, path, now)?;
            if before.is_none() {
                self.settled.signed_anew(envelope.sender(), &verified);
            }
            return Ok(Polled::Unchanged);
        }
        // In a box: whoever is told the same again has no use for the room that this takes.
        Box::pin(self.poll_anew(envelope, (as_of, known), path, now)).await
    }

    /// Looks at what was there at a moment before, or later.
    async fn poll_anew(
        &self,
        envelope: &DeviceEnvelope,
        (as_of, known): (AsOf, Option<(KnownSender, Verified<'_>)>),
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Polled, Refusal> {
        let seen = known.as_ref().and_then(|known| self.seen_before(envelope.sender(), known));
        let seen = match seen.map(|seen| self.by_heart(seen, path, now)) {
            Some(Ok(looked)) => {
                let (as_of, looked) = looked?;
                return self.ended(envelope.sender(), looked, as_of, now).await;
            }
            seen => Mutex::new(seen.and_then(Result::err)),
        };
        let known = known.map(|(known, verified)| (known.key, verified));
        let look = self.store.glance(|tx| {
            Box::pin(async {
                let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(seen) = seen
                    && let Some(looked) = self.look_in_part_at(tx, *seen, path, now).await?
                {
                    return Ok::<_, Refusal>(looked);
                }
                Ok((as_of, self.look_at(tx, envelope, known, path, now).await?))
            })
        });
        let (as_of, looked) = look.await?;
        self.ended(envelope.sender(), looked, as_of, now).await
    }

    /// Writes what is to be written of a look, and remembers what may be.
    async fn ended(
        &self,
        sender: CertDigest,
        Looked { device, key, hash, look, unchanged }: Looked,
        as_of: AsOf,
        now: UnixSeconds,
    ) -> Result<Polled, Refusal> {
        let keep =
            |as_of, unchanged| self.settled.keep(sender, KnownSender { key, device, as_of, unchanged });
        Ok(match look {
            Look::Unchanged { .. } => {
                keep(as_of, unchanged);
                Polled::Unchanged
            }
            // What was seen is as of a moment before; with what is written of it here, as of one after.
            Look::Accepted { changed, .. } => {
                let (after, seen) = self.accepted(as_of, device, changed).await?;
                keep(after.unwrap_or(as_of), after.and(unchanged));
                if let (Some(Seen(view)), Some(after)) = (seen, after) {
                    self.recall.rest(after, view);
                }
                Polled::Unchanged
            }
            Look::Said(answer, seen) => {
                keep(as_of, None);
                seen.into_iter().for_each(|Seen(view)| self.recall.keep(as_of, view));
                Polled::Changed(answer)
            }
            // Others read while this waits to write.
            Look::Changed(changed) => {
                keep(as_of, None);
                Polled::Changed(Box::new(self.answer(device, &hash, changed, as_of, now).await?))
            }
        })
    }

    /// What was seen of the device before, if it is so still: whoever signs by the certificate of its row is that device.
    fn seen_before<'e>(
        &self,
        sender: CertDigest,
        (known, verified): &(KnownSender, Verified<'e>),
    ) -> Option<Box<SeenBefore<'e>>> {
        let (as_of, view) = self.recall.take(known.device)?;
        let is_its = view.device.cert_digest == sender.0 && self.store.unchanged_since(as_of, known.device);
        let ask = ConfigRequest::decode(verified.payload()).ok().filter(|_| is_its)?;
        let (vault, hash) = (ask.vault?, ask.config_hash);
        Some(Box::new(SeenBefore { as_of, view, known: *known, verified: *verified, hash, vault }))
    }

    /// By that alone; or what was seen, where another look is needed.
    fn by_heart<'e>(
        &self,
        seen: Box<SeenBefore<'e>>,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Result<(AsOf, Looked), Refusal>, Box<SeenBefore<'e>>> {
        let SeenBefore { as_of, view, known, verified, hash, vault } = *seen;
        match self.look_by_heart(view, &hash, (&vault, now)) {
            Err(view) => Err(Box::new(SeenBefore { as_of, view, known, verified, hash, vault })),
            Ok(look) => Ok(look.and_then(|look| {
                self.heard_from(known.device, path, now)?;
                Ok((as_of, looked(known.device, known.key, &verified, hash, look, now)))
            })),
        }
    }

    /// By that, and by what is to be asked of the session in a view of now; none where that is not enough, or something was written meanwhile.
    async fn look_in_part_at(
        &self,
        tx: &mut dyn Tx,
        SeenBefore { as_of, view, known, verified, hash, vault }: SeenBefore<'_>,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Option<(AsOf, Looked)>, Refusal> {
        let look = self.look_in_part(tx, view, &hash, (&vault, now)).await?;
        // Asked last: what was read now is to be of the same device.
        let Some(look) = look.filter(|_| self.store.unchanged_since(as_of, known.device)) else {
            return Ok(None);
        };
        self.heard_from(known.device, path, now)?;
        Ok(Some((as_of, looked(known.device, known.key, &verified, hash, look, now))))
    }

    /// In the one view in which its sender is found.
    async fn look_at(
        &self,
        tx: &mut dyn Tx,
        envelope: &DeviceEnvelope,
        known: Option<(P256PublicKey, Verified<'_>)>,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Looked, Refusal> {
        let Found { row, key, verified } = find(tx, envelope, known).await?;
        self.names.learn(row.id, &row.name);
        self.heard_from(row.id, path, now)?;
        let ask = ConfigRequest::decode(verified.payload())?;
        let (device, look) = (row.id, self.look(tx, row, &ask, now).await?);
        Ok(looked(device, key, &verified, ask.config_hash, look, now))
    }
}

fn looked(
    device: DeviceId,
    key: P256PublicKey,
    verified: &Verified<'_>,
    hash: String,
    look: Look,
    now: UnixSeconds,
) -> Looked {
    let unchanged = match look {
        Look::Unchanged { until } | Look::Accepted { until, .. } => Some(Unchanged::of(verified, now..until)),
        Look::Said(..) | Look::Changed(_) => None,
    };
    Looked { device, key, hash, look, unchanged }
}
