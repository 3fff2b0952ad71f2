//! A device's poll, from the envelope on. One that says what it said when it was told that nothing is new is told so again, for as long as
//! nothing that the answer depends on was written, and within the times for which the same was decided: that costs one verification.
//! Every other poll is looked at in a view of the store (`super::config`), and nothing of what is remembered goes into its answer.

use vault::ids::DeviceId;
use wire::config::{ConfigRequest, ConfigResponse};
use wire::envelope::DeviceEnvelope;
use wire::{CertDigest, P256PublicKey};

use super::config::{Look, Seen};
use super::sender::{Found, find};
use crate::fleet::settled::{KnownSender, Unchanged};
use crate::service::{Controller, Refusal};
use crate::store::{AsOf, Tx, UnixSeconds};

/// What a poll is told.
pub enum Polled {
    /// Nothing is new.
    Unchanged,
    /// This.
    Changed(Box<ConfigResponse>),
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
        let known = self.verified(envelope)?;
        if let Some((known, payload)) = known
            && known.unchanged.is_some_and(|before| before.is_said_again(payload, now))
            && self.is_still(&known)
        {
            self.heard_from(known.device, path, now)?;
            return Ok(Polled::Unchanged);
        }
        // In a box: whoever is told the same again has no use for the room that this takes.
        Box::pin(self.poll_anew(envelope, (as_of, known), path, now)).await
    }

    /// Looks at what was there at a moment before, or later.
    async fn poll_anew(
        &self,
        envelope: &DeviceEnvelope,
        (as_of, known): (AsOf, Option<(KnownSender, &[u8])>),
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Polled, Refusal> {
        let by_heart = known.as_ref().and_then(|known| self.by_heart(envelope.sender(), known, now));
        let (as_of, looked) = match by_heart {
            Some((as_of, looked)) => {
                let looked = looked?;
                self.heard_from(looked.device, path, now)?;
                (as_of, looked)
            }
            None => {
                let known = known.map(|(known, payload)| (known.key, payload));
                let look = self.store.glance(|tx| Box::pin(self.look_at(tx, envelope, known, path, now)));
                (as_of, look.await?)
            }
        };
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
                let after = self.accepted(as_of, device, changed).await?;
                keep(after.unwrap_or(as_of), after.and(unchanged));
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

    /// By what was seen of the device before, if it is so still: whoever signs by the certificate of its row is that device.
    fn by_heart(
        &self,
        sender: CertDigest,
        (known, payload): &(KnownSender, &[u8]),
        now: UnixSeconds,
    ) -> Option<(AsOf, Result<Looked, Refusal>)> {
        let (as_of, view) = self.recall.take(known.device)?;
        let is_its = view.device.cert_digest == sender.0 && self.store.unchanged_since(as_of, known.device);
        let ask = ConfigRequest::decode(payload).ok().filter(|_| is_its)?;
        let look = self.look_by_heart(view, &ask.config_hash, ask.vault.as_ref()?, now)?;
        Some((as_of, look.map(|look| looked(known.device, known.key, payload, ask.config_hash, look, now))))
    }

    /// In the one view in which its sender is found.
    async fn look_at(
        &self,
        tx: &mut dyn Tx,
        envelope: &DeviceEnvelope,
        known: Option<(P256PublicKey, &[u8])>,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Looked, Refusal> {
        let Found { row, key, payload } = find(tx, envelope, known).await?;
        self.names.learn(row.id, &row.name);
        self.heard_from(row.id, path, now)?;
        let ask = ConfigRequest::decode(payload)?;
        let (device, look) = (row.id, self.look(tx, row, &ask, now).await?);
        Ok(looked(device, key, payload, ask.config_hash, look, now))
    }
}

fn looked(
    device: DeviceId,
    key: P256PublicKey,
    payload: &[u8],
    hash: String,
    look: Look,
    now: UnixSeconds,
) -> Looked {
    let unchanged = match look {
        Look::Unchanged { until } | Look::Accepted { until, .. } => Some(Unchanged::of(payload, now..until)),
        Look::Said(..) | Look::Changed(_) => None,
    };
    Looked { device, key, hash, look, unchanged }
}
