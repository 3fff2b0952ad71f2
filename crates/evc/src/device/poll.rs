//! A device's poll, from the envelope on. One that says what it said when it was told that nothing is new is told so again, for as long as
//! nothing that the answer depends on was written, and within the times for which the same was decided: that costs one verification.
//! Every other poll is looked at in a view of the store (`super::config`), and nothing of what is remembered goes into its answer.

use vault::ids::DeviceId;
use wire::P256PublicKey;
use wire::config::{ConfigRequest, ConfigResponse};
use wire::envelope::DeviceEnvelope;

use super::config::Look;
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
        let known = known.map(|(known, payload)| (known.key, payload));
        // In a box: whoever is told the same again has no use for the room that this takes.
        Box::pin(self.poll_anew(envelope, (as_of, known), path, now)).await
    }

    /// Looks at what was there at a moment before, or later.
    async fn poll_anew(
        &self,
        envelope: &DeviceEnvelope,
        (as_of, known): (AsOf, Option<(P256PublicKey, &[u8])>),
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Polled, Refusal> {
        let looked = self.store.glance(|tx| Box::pin(self.look_at(tx, envelope, known, path, now))).await?;
        let Looked { device, key, hash, look, unchanged } = looked;
        // What was seen is as of a moment before; with what is written of it here, as of one after.
        let after = match &look {
            Look::Accepted { ask, .. } => self.accepted(as_of, device, ask).await?,
            _ => Some(as_of),
        };
        let known = after.map_or((as_of, None), |after| (after, unchanged));
        self.settled.keep(envelope.sender(), KnownSender { key, device, as_of: known.0, unchanged: known.1 });
        Ok(match look {
            Look::Unchanged { .. } | Look::Accepted { .. } => Polled::Unchanged,
            Look::Said(answer) => Polled::Changed(answer),
            // Others read while this waits to write.
            Look::Changed(changed) => {
                Polled::Changed(Box::new(self.answer(device, &hash, changed, as_of, now).await?))
            }
        })
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
        self.heard_from(row.id, path, now)?;
        let ask = ConfigRequest::decode(payload)?;
        let (device, look) = (row.id, self.look(tx, row, &ask, now).await?);
        let unchanged = match look {
            Look::Unchanged { until } | Look::Accepted { until, .. } => {
                Some(Unchanged::of(payload, now..until))
            }
            _ => None,
        };
        Ok(Looked { device, key, hash: ask.config_hash, look, unchanged })
    }
}
