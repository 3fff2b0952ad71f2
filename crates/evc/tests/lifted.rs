//! What a lost device was ordered to lock is lifted once it is found, by what its node holds for true: the shipped function, told what the controller
//! answers (requirement AC-3).

mod common;

use common::copies::{checked, held_back, snapshot};
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
            device.ordered = self.0.own_ordered_at();
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
    assert!(!conditions(&evc).contains("ahead"), "its own orders: {}", conditions(&evc));
}

fn conditions(evc: &Evc) -> String {
    evc.act("GET", "/devices", "").to_string()
}

/// Decision 111: another copy of the database ordered a lock, which is no link of the chain. The one that comes back notices it by the place of the
/// orders, gives nothing until an operator settled it, and then takes them back.
#[test]
fn what_another_copy_ordered_is_noticed_and_lifted_once_it_is_settled() {
    let evc = Evc::start();
    let (mut device, _) = made(&evc);
    let folder = evc.stop();
    let newest = snapshot(&folder);
    let copy = Evc::over(folder);
    device.session = new_session();
    let mut node = Node::of(&device);
    copy.act("POST", "/devices/edge-1/lost", "");
    node.polls(&copy, &mut device);
    assert!(node.is_ordered_locked(), "beside a challenge, in the copy");
    drop(copy.stop());
    let evc = Evc::over(newest);
    node.polls(&evc, &mut device);
    assert!(conditions(&evc).contains("ahead of this database"), "{}", conditions(&evc));
    let shown = evc.act("GET", "/devices/edge-1", "").to_string();
    assert!(shown.contains("ordered to lock at place") && shown.contains("evc device settle"), "{shown}");
    assert!(node.is_ordered_locked(), "nothing is said to it meanwhile");
    evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    device.ordered = node.0.own_ordered_at();
    device.hash.clear();
    device.proves_itself(&evc);
    node.polls(&evc, &mut device);
    assert!(!node.is_ordered_locked() && !conditions(&evc).contains("ahead"), "{}", conditions(&evc));
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
