//! What a lost device was ordered to lock is lifted once it is found, by what its node holds for true: the shipped function, told what the controller
//! answers (requirement AC-3).

mod common;

use common::copies::{checked, held_back};
use common::{Device, Evc, new_session, section};

const ONE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

/// What a node holds for true: the shipped function, told what the controller answers.
struct Node(vault::belief::Belief);

impl Node {
    fn of(device: &Device) -> Self {
        use vault::belief::{Belief, Heard, RecordFound, Roots};
        let mut node = Self(Belief::new(device.session.session_key()));
        node.hear(Heard::Tpm(Roots::NoTpm, Some(device.key.cert.public_key().name())));
        node.hear(Heard::RecordOpened(RecordFound::Nothing));
        node
    }

    fn hear(&mut self, heard: vault::belief::Heard) {
        for effect in self.0.hear(heard) {
            if let vault::belief::Effect::Save(kept) = effect {
                self.hear(vault::belief::Heard::Saved(kept));
            }
        }
    }

    fn told(&mut self, answer: &wire::config::ConfigResponse) {
        use vault::belief::{Beside, Heard, LockOrders, Said, Signed, SignedAnswer};
        let given = section(answer).zip(answer.config.as_ref().and_then(|config| config.section_digest()));
        let said = match (given, &answer.config) {
            (Some((section, digest)), _) => Said::Section(Box::new(section), digest),
            (None, Some(_)) => Said::NoSection,
            (None, None) => Said::Unchanged,
        };
        let orders = answer.control.as_ref().and_then(|control| {
            let vaults = control.orders.iter().filter_map(|order| match order {
                wire::control::Order::Lock(id) => Some(*id),
                _ => None,
            });
            let (device, session) = (control.device, control.session);
            Some(LockOrders {
                device,
                session,
                device_key: control.device_key?,
                at: control.as_of?,
                vaults: vaults.collect(),
            })
        });
        let (root, signed) = (vault::shares::RootPin([5; 32]), Signed { envelope: vec![1], certs: vec![] });
        let answer = SignedAnswer { root, said, beside: Beside { orders, lacks: None }, signed };
        self.hear(Heard::Answer(vault::wanted::Authority::Live, Box::new(answer)));
    }

    /// Polls until nothing is new.
    fn polls(&mut self, evc: &Evc, device: &mut Device) {
        for _ in 0..6 {
            if let Some(answer) = device.poll(evc) {
                self.told(&answer);
            }
        }
    }

    fn is_ordered_locked(&self) -> bool {
        !self.0.desired().ordered.is_empty()
    }
}

fn made(evc: &Evc) -> (Device, Node) {
    let mut device = Device::onboarded(evc, "edge-1");
    evc.apply(ONE);
    let section = device.attested(evc);
    device.report(evc, &section, 1);
    common::until_unchanged(evc, &mut device);
    let mut node = Node::of(&device);
    device.hash.clear();
    node.polls(evc, &mut device);
    (device, node)
}

/// The place of an order that is not numbered is after the section that the node has: that one, said again, does not lift it.
#[test]
fn what_a_lost_device_was_ordered_in_a_put_back_database_is_lifted_once_it_is_found() {
    let evc = Evc::start();
    let (mut device, mut node) = made(&evc);
    let evc = held_back(evc);
    node.polls(&evc, &mut device);
    for _ in 0..2 {
        evc.act("POST", "/devices/edge-1/lost", "");
        node.polls(&evc, &mut device);
        assert!(node.is_ordered_locked());
        evc.act("DELETE", "/devices/edge-1/lost", "");
    }
    let evc = checked(evc);
    node.polls(&evc, &mut device);
    assert!(!node.is_ordered_locked(), "{}", evc.act("GET", "/devices/edge-1", ""));
}

/// Twin of what is said of orders: without a put-back the next section lifts them.
#[test]
fn what_a_lost_device_was_ordered_is_lifted_once_it_is_found() {
    let evc = Evc::start();
    let (mut device, _) = made(&evc);
    device.session = new_session();
    let mut node = Node::of(&device);
    evc.act("POST", "/devices/edge-1/lost", "");
    node.polls(&evc, &mut device);
    assert!(node.is_ordered_locked(), "beside a challenge");
    evc.act("DELETE", "/devices/edge-1/lost", "");
    device.proves_itself(&evc);
    node.polls(&evc, &mut device);
    assert!(!node.is_ordered_locked());
}
