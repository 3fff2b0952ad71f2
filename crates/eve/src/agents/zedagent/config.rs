//! The configuration, polled: what an answer says of this session's evidence is noted here, and the signed bytes go on to vaultmgr unchanged.

use std::time::Instant;

use anyhow::Context as _;
use attest::SessionKey;
use wire::config::{ConfigRequest, SignedConfig as Verified, VaultAsk};
use wire::control::{Control, Order};

use super::pace::Poll;
use super::sealed::SealedPoll;
use super::{ACCEPTED, Zedagent};
use crate::agents::client::fetch_certs;
use crate::agents::failed::Failed;
use crate::agents::signer::BusSigner;
use crate::bus::messages::{Bytes, EvidenceWanted, SignedConfig, SignedWord, Source};

impl Zedagent<'_> {
    pub(super) fn poll_config(&mut self, poll: Poll) -> Result<(), Failed> {
        let accepted = self.vaults.head;
        let session = self.session;
        let (held, rescue) = self.escrow.ask(Instant::now());
        let vault = session.map(|session| VaultAsk {
            session: session.key,
            held,
            rescue,
            accepted,
            ordered: self.vaults.ordered,
            lease: session.lease,
            drills: true,
            series: true,
        });
        let ask = ConfigRequest { config_hash: self.known_hash(), integrity_token: Vec::new(), vault };
        let before = self.polled.take();
        let sealed = SealedPoll::of(before, ask.encode(), &self.known()?.cert, &BusSigner(self.bus))?;
        let answer = self.send("config", sealed.body())?;
        self.polled = Some(sealed);
        match answer.status {
            304 => Ok(()),
            _ => {
                let said = self.take_config(answer.body, poll)?;
                said.iter().for_each(|signed| self.bus.publish(signed));
                Ok(())
            }
        }
    }

    /// By what the controller leaves out what it said before. What did not count is asked for in full until it does: what vaultmgr held it against may
    /// be mended by now.
    pub(super) fn known_hash(&self) -> String {
        if self.vaults.unheard { String::new() } else { self.config_hash.clone() }
    }

    /// What an answer says of vaults, for vaultmgr. One without a configuration says at most what stands beside one, and takes the place of none that
    /// does; one without a section leaves the checkpoint as it is.
    pub(super) fn take_config(&mut self, body: Vec<u8>, poll: Poll) -> Result<Option<SignedConfig>, Failed> {
        let verified = self.verify(&body)?;
        let response = verified.response();
        self.config_hash.clone_from(&response.config_hash);
        let control = response.control.as_ref();
        let session = self.session;
        let for_us = control.filter(|control| session.is_some_and(|session| session.key == control.session));
        let others = for_us.map_or(0, |control| {
            control.orders.iter().filter(|order| !matches!(order, Order::Lock(_))).count()
        });
        if others > 0 {
            tracing::warn!(
                orders = others,
                "the controller gave orders that this program does not carry out"
            );
        }
        let lacks = for_us.map(|control| control.lacks.clone());
        let word = for_us.is_some_and(is_word);
        if for_us.is_some_and(|control| self.escrow.heard(control)) {
            self.pace.at_once(Instant::now());
        }
        let asked = for_us.filter(|_| poll.takes_challenge());
        if let Some((session, question)) = asked.and_then(|by| Some((by.session, by.challenge.clone()?))) {
            self.asked = Some(question.nonce);
            self.bus.publish(&EvidenceWanted { session, question });
        }
        let config = response.config.clone();
        lacks.into_iter().for_each(|lacks| self.judged(lacks));
        let certs = Bytes(self.known()?.certs.bytes().to_vec());
        let Some(config) = config else {
            if word {
                self.bus.publish(&SignedWord { envelope: Bytes(body), certs });
            }
            return Ok(None);
        };
        let section = config.section().ok().flatten();
        let signed = SignedConfig { source: Source::Live, envelope: Bytes(body), certs };
        if let Some(section) = section {
            self.attested_by(section.session);
            self.unsaved = Some(signed.clone());
        }
        // Who asks before it hears of the session asks nothing of vaults, and is told nothing of them.
        Ok(session.is_some().then_some(signed))
    }

    /// What the evidence of this session was worth, beside that it was good: coarsely, as the controller says.
    pub(super) fn judged(&mut self, lacks: String) {
        let before = std::mem::replace(&mut self.lacks, Some(lacks).filter(|lacks| !lacks.is_empty()));
        if before != self.lacks {
            self.accepted();
        }
    }

    /// The evidence was good.
    pub(super) fn accepted(&mut self) {
        self.escrow.attested();
        self.status.attested = self.lacks.is_none();
        self.status.attestation = Some(match &self.lacks {
            None => ACCEPTED.to_owned(),
            Some(lacks) => format!("{ACCEPTED}, but satisfies no policy: {lacks}"),
        });
    }

    /// A section for this session comes only to one whose evidence was good: that is known, too, after a life that posted it and
    /// heard the verdict.
    pub(super) fn attested_by(&mut self, section: SessionKey) {
        if self.session.is_some_and(|session| session.key == section) && self.status.attestation.is_none() {
            self.accepted();
        }
    }

    pub(super) fn verify(&mut self, body: &[u8]) -> Result<Verified, Failed> {
        if let Ok(verified) = Verified::verify(body, &self.known()?.certs) {
            return Ok(verified);
        }
        // The controller's certificates may have changed.
        let certs = fetch_certs(&self.line)?;
        let verified = Verified::verify(body, &certs).context("the controller's answer")?;
        self.identity.iter_mut().for_each(|identity| identity.certs = certs.clone());
        Ok(verified)
    }
}

/// Whether it says something that counts without a configuration: of the escrow, or orders to lock.
pub(super) fn is_word(control: &Control) -> bool {
    let of_bundle = control.held_bundle.is_some() || control.send_again || control.drill.is_some();
    let given_back = control.rescue.is_some() || control.no_rescue.is_some();
    !control.orders.is_empty() || of_bundle || given_back
}
