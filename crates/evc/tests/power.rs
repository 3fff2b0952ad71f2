//! The power is cut at the controller: what was committed ahead, and not yet made durable by what was built on it, is gone. Evidence is
//! such (decision 21). No key is out on evidence that a cut can take away, and the device whose evidence is gone attests again.

mod common;
mod engines;

use common::{Device, Evc, section};
use engines::{Memory, World};

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

struct Scene {
    evc: Evc,
    memory: Memory,
    device: Device,
}

impl Scene {
    fn new() -> Self {
        let memory = Memory::default();
        let evc = Evc::over_engine(memory.clone());
        let device = Device::onboarded(&evc, "edge-1");
        evc.apply(VAULT);
        Self { evc, memory, device }
    }

    /// Evidence that is taken.
    fn attest(&mut self) {
        let nonce = self.device.challenged(&self.evc);
        let quote = self.device.evidence(nonce, self.device.session.session_key());
        let request = wire::attest::AttestRequest::Quote(Box::new(quote));
        let wire::attest::AttestResponse::Quote(told) = self.device.attest(&self.evc, &request) else {
            panic!("not on evidence")
        };
        assert_eq!(told.verdict, Some(wire::attest::EvidenceAnswer::Accepted));
    }

    /// A poll that gives keys; at that moment the evidence for them is what a cut would leave.
    fn released(&mut self, when: &str) {
        let given = self.device.section(&self.evc);
        assert!(self.device.keys(&given, "payments").is_some(), "{when}: {given:?}");
        let stands = self.memory.world().standing(self.device.id);
        assert!(stands.is_some(), "{when}");
        assert_eq!(self.memory.durable().standing(self.device.id), stands, "{when}: keys are out");
    }

    /// The machine goes, and comes again with that.
    fn cut(self, left: &World) -> Self {
        let Self { evc, memory, device } = self;
        let files = evc.stop();
        memory.restore(left);
        Self { evc: Evc::over_engine_in(files, memory.clone()), memory, device }
    }
}

/// Between the evidence and the section the cut takes the evidence: nothing goes out on it, and the device attests again.
#[test]
fn evidence_that_a_cut_took_releases_nothing_and_is_given_again() {
    let mut scene = Scene::new();
    scene.attest();
    let left = scene.memory.durable();
    assert!(scene.memory.world().standing(scene.device.id).is_some(), "it stood");
    assert_eq!(left.standing(scene.device.id), None, "and was not durable");
    let mut scene = scene.cut(&left);
    scene.device.hash.clear();
    let answer = scene.device.poll(&scene.evc).expect("an answer");
    assert!(section(&answer).is_none(), "a list of vaults on evidence that is gone");
    assert!(answer.control.expect("control").challenge.is_some(), "it is asked anew");
    scene.attest();
    scene.released("given again");
}

/// Whenever keys went out, the evidence for them stands after a cut: the first time, for another session, and where it was renewed.
#[test]
fn whatever_was_released_on_evidence_keeps_it() {
    let mut scene = Scene::new();
    scene.attest();
    scene.released("the first");
    let left = scene.memory.durable();
    let mut scene = scene.cut(&left);
    scene.device.hash.clear();
    scene.released("after a cut, with no evidence but that");
    scene.device.session = common::new_session();
    scene.attest();
    scene.released("another session");
    scene.evc.act("POST", "/devices/edge-1/learn", "");
    scene.attest();
    let answer = scene.device.poll(&scene.evc);
    let stands = scene.memory.world().standing(scene.device.id);
    if answer.and_then(|answer| section(&answer)).is_some() {
        assert_eq!(scene.memory.durable().standing(scene.device.id), stands, "renewed: keys are out");
    }
    scene.device.hash.clear();
    scene.released("renewed");
}
