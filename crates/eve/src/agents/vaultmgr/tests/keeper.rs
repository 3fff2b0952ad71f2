//! A controller that keeps a node's bundle and answers it: what is sent is opened and kept, what is held is named, and what is asked back, or to be
//! tried, goes out sealed to the session. Signed with the golden keys, as the sections of the tests are.

use std::collections::BTreeMap;

use vault::cause::Cause;
use vault::escrow::drill::{DrillAnswer, DrillNonce, Proof};
use vault::escrow::{Bundle, BundleId};
use vault::ids::Generation;
use wire::FileSigner;
use wire::config::ConfigResponse;
use wire::control::{Control, Drill};
use wire::envelope::seal_from_controller;
use wire::escrow::{SealedBundle, open_up, seal_down};

use super::controller::{DEVICE, KEY, certs, golden};
use super::node::Node;
use crate::bus::messages::EscrowUpload;

/// The controller.
#[derive(Clone, Default)]
pub(super) struct Keeper {
    /// The newest bundle that came.
    pub(super) held: Option<(BundleId, Vec<u8>)>,
    /// The newest of each generation, as the controller keeps them: one of the next pushes none out of that in force.
    pub(super) kept: BTreeMap<Generation, (BundleId, Vec<u8>)>,
    /// How many came.
    pub(super) came: usize,
    /// What it says once: a drill by this nonce.
    pub(super) drill: Option<DrillNonce>,
    /// What it says once: another bundle is to be sent.
    pub(super) send_again: bool,
    /// What it gives to be tried under the name of what it holds.
    pub(super) gives: Option<Vec<u8>>,
    /// What it gives back in place of the newest: an operator chose it.
    pub(super) offers: Option<(BundleId, Vec<u8>)>,
    /// Why it does not give back what is asked for.
    pub(super) withholds: Option<Cause>,
    /// It does not answer.
    pub(super) away: bool,
}

impl Keeper {
    /// Answers once, as a poll is answered. What came before is kept, whatever becomes of the answer.
    pub(super) fn answers(&mut self, node: &mut Node) {
        let wish = node.manager().escrow_wish();
        if self.away {
            return;
        }
        wish.upload.into_iter().for_each(|sent| self.keeps(sent));
        let session = node.manager().session_key();
        let sealed =
            |(id, bytes): &(BundleId, Vec<u8>)| seal_down(&session, DEVICE, *id, bytes).expect("seals");
        let asked = |held: &&(BundleId, Vec<u8>)| Some(held.0.generation) == wish.rescue;
        let nonce = self.drill.take().filter(|_| self.held.is_some());
        let send_again = std::mem::take(&mut self.send_again);
        let named = self.held.as_ref().map(|held| held.0).filter(|id| Some(*id) != wish.held && !send_again);
        let of_before = || self.held.as_ref().and_then(|_| self.kept.get(&wish.rescue?));
        let rescue = self
            .offers
            .as_ref()
            .or(self.held.as_ref())
            .filter(asked)
            .or_else(of_before)
            .filter(|_| self.withholds.is_none())
            .map(sealed);
        let refused = wish.rescue.filter(|_| rescue.is_none());
        let no_rescue = refused.map(|_| self.withholds.clone().unwrap_or(Cause::NoBundle));
        let control = Control {
            device: DEVICE,
            session,
            challenge: None,
            device_key: Some(KEY),
            orders: vec![],
            as_of: None,
            lacks: String::new(),
            held_bundle: named,
            rescue,
            no_rescue,
            keeps_bundles: true,
            drill: nonce.map(|nonce| Drill { nonce, bundle: self.to_try(&session) }),
            send_again,
        };
        let response = ConfigResponse { config_hash: "1".into(), config: None, control: Some(control) };
        let signer = FileSigner::from_pem(&golden("controller-signing.key.pem")).expect("a key");
        let cert = golden("controller-signing.cert.pem");
        let word = seal_from_controller(&response.encode(), &cert, &signer).expect("signs");
        node.manager().hear_word(&word, &certs());
        node.manager().settle_all();
    }

    fn to_try(&self, session: &attest::SessionKey) -> SealedBundle {
        let (id, bytes) = self.held.as_ref().expect("held");
        seal_down(session, DEVICE, *id, self.gives.as_ref().unwrap_or(bytes)).expect("seals")
    }

    fn keeps(&mut self, EscrowUpload { id, place, enc, ciphertext }: EscrowUpload) {
        let sent = SealedBundle { id, place: Some(place), enc: enc.0, ciphertext: ciphertext.0 };
        let pem = golden("controller-ecdh.key.pem");
        let key = der(&pem);
        let bytes = open_up(&key, DEVICE, &sent).expect("sealed to this controller");
        self.kept.insert(id.generation, (id, bytes.to_vec()));
        self.held = Some((id, bytes.to_vec()));
        self.came += 1;
    }

    /// Answers until nothing more is to be said: an upload, that it is held, and what follows from that.
    pub(super) fn settles(&mut self, node: &mut Node) {
        (0..4).for_each(|_| self.answers(node));
    }

    /// The bundle that is held.
    pub(super) fn bundle(&self) -> Bundle {
        Bundle::decode(&self.held.as_ref().expect("held").1).expect("reads")
    }

    /// A drill, made, and what the node says of it; nothing where it says nothing.
    pub(super) fn drills(&mut self, node: &mut Node, nonce: u8) -> Option<Result<(), String>> {
        self.drill = Some(DrillNonce([nonce; 32]));
        self.answers(node);
        self.heard(node, nonce)
    }

    /// What the node says of it.
    pub(super) fn heard(&self, node: &mut Node, nonce: u8) -> Option<Result<(), String>> {
        let DrillAnswer { nonce: of, bundle, outcome } = node.manager().vault_status().drill?;
        let (id, bytes) = self.held.as_ref().expect("held");
        if of != DrillNonce([nonce; 32]) {
            return None;
        }
        assert_eq!(bundle, *id);
        let proof = Proof::of(of, &node.manager().session_key().0, id.generation, bytes);
        Some(outcome.map(|said| assert_eq!(said, proof)))
    }
}

/// The DER in a PEM file of a key.
fn der(pem: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let text = std::str::from_utf8(pem).expect("text");
    let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(lines).expect("base64")
}
