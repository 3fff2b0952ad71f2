//! What devices send.

use vault::ids::Generation;
use vault::report::State;
use wire::attest::{AttestRequest, DeviceCert, DeviceCertKind, StoreKeys};
use wire::envelope::seal_registration;
use wire::register::{Register, uuid_request};

use super::acts::{Act, Message};
use super::common::escrowed::sealed;
use super::common::quoting::{pcrs, quote};
use super::common::{Device, Evc};
use super::fleet::{Fleet, nonce};

pub(crate) fn all(evc: &Evc, fleet: &Fleet) -> Vec<Act> {
    let mut acts = vec![first_registration(evc), registration("register of who was deleted", &fleet.gone)];
    acts.extend(polls(fleet));
    acts.extend(posts_to_attest(evc, fleet));
    acts.extend(reports(fleet));
    acts
}

fn first_registration(evc: &Evc) -> Act {
    let device = Device::new("edge-3");
    let allow =
        serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-3" });
    evc.act("POST", "/onboarding", &allow.to_string());
    registration("register", &device)
}

fn registration(name: &str, device: &Device) -> Act {
    let register = Register::new(device.key.pem.as_bytes(), &device.serial, "").expect("a registration");
    let onboard = device.onboard.pem.as_bytes();
    let envelope = seal_registration(&register.encode(), onboard, &device.onboard.signer).expect("sealed");
    Act::message((name, 201), Message::Register, ("/register", envelope))
}

fn polls(fleet: &Fleet) -> Vec<Act> {
    let (worker, unattested) = (&fleet.worker.0, &fleet.unattested);
    let poll = |name, kind, device: &Device| {
        Act::message((name, 200), kind, (device.own("config"), device.seal(&device.ask())))
    };
    vec![
        Act::message(("uuid", 200), Message::Uuid, ("/uuid", worker.seal(&uuid_request()))),
        poll("poll", Message::Poll, worker),
        poll("poll of who gave no evidence", Message::Poll, unattested),
        asking_back(&fleet.sealed.0),
    ]
}

/// What comes back is asked for by a poll in full, which names the bundle's generation.
fn asking_back(device: &Device) -> Act {
    let ask = wire::config::ConfigRequest::decode(&device.ask()).expect("a question");
    let vault = ask.vault.map(|ask| wire::config::VaultAsk { rescue: Some(Generation(1)), ..ask });
    let ask = wire::config::ConfigRequest { vault, ..ask }.encode();
    Act::message(("asking back", 200), Message::AskingBack, (device.own("config"), device.seal(&ask)))
}

fn posts_to_attest(evc: &Evc, fleet: &Fleet) -> Vec<Act> {
    let (worker, sealing) = (&fleet.worker.0, &fleet.sealed.0);
    let post = |name, device: &Device, request: &AttestRequest| {
        let body = device.seal(&request.encode());
        Act::message((name, 201), Message::of(request), (device.own("attest"), body))
    };
    let evidence = |device: &Device| {
        let quote = device.evidence(nonce(evc, device), device.session.session_key());
        AttestRequest::Quote(Box::new(quote))
    };
    let quoted = quote(sealing, &fleet.sealed.1, nonce(evc, sealing), &pcrs(2));
    let cert = DeviceCert::new(DeviceCertKind::Ecdh, worker.key.pem.clone().into_bytes(), None);
    let bundle = Some(sealed(evc, sealing, 3, b"the next"));
    let keys = StoreKeys { integrity_token: vec![], keys: vec![], bundle };
    vec![
        post("certs", worker, &AttestRequest::Certs(vec![cert])),
        post("nonce", &fleet.unasked, &AttestRequest::Nonce),
        post("evidence", worker, &evidence(worker)),
        post("first evidence", &fleet.unattested, &evidence(&fleet.unattested)),
        post("a TPM's evidence", sealing, &AttestRequest::Quote(Box::new(quoted))),
        post("bundle", sealing, &AttestRequest::StoreKeys(keys)),
    ]
}

fn reports(fleet: &Fleet) -> Vec<Act> {
    let ((worker, section), (sealing, _, listed)) = (&fleet.worker, &fleet.sealed);
    let mut drilled = sealing.info(listed, 1);
    drilled.node.as_mut().expect("ours").drill = Some(fleet.drilled.clone());
    let report =
        |name, kind, device: &Device, body| Act::message((name, 201), kind, (device.own("info"), body));
    vec![
        report("info", Message::Info, worker, worker.reported(section, 2, |_| State::Unlocked)),
        report("drill answer", Message::DrillAnswer, sealing, sealing.seal(&drilled.encode())),
    ]
}
