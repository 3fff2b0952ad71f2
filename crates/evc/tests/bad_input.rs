//! The device API under every wrong input that its protocol knows by name: status, what is wrong, what to do.

mod common;

use attest::SessionKey;
use common::{Answer, Device, Evc, Key};
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EvidenceAnswer, Quote, QuoteCode,
};
use wire::envelope::{seal_from_device, seal_registration};
use wire::register::Register;

/// What a device would sign on to register.
fn registration(device: &Device, serial: &str) -> Vec<u8> {
    Register::new(device.key.pem.as_bytes(), serial, "").expect("a registration").encode()
}

fn sealed(device: &Device, payload: &[u8]) -> Vec<u8> {
    seal_registration(payload, device.onboard.pem.as_bytes(), &device.onboard.signer).expect("sealed")
}

fn allow(evc: &Evc, device: &Device) {
    let body = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial });
    evc.act("POST", "/onboarding", &body.to_string());
}

/// One wrong request: what it is, path and body, and what must be answered.
type Row = (&'static str, String, Vec<u8>, u16, &'static str, &'static str);

fn refused(evc: &Evc, rows: Vec<Row>) {
    for (what, path, body, status, error, advice) in rows {
        let answer = evc.post(&path, &body);
        let told = answer.problem();
        assert_eq!((answer.status, told.code.status()), (status, status), "{what}: {told:?}");
        assert!(told.error.contains(error) && told.advice.contains(advice), "{what}: {told:?}");
    }
}

/// TH-2: who does not prove to be a device that is known here, or speaks for another, is told what a device does about it.
#[test]
fn messages_of_devices_are_refused_in_words() {
    let evc = Evc::start();
    let (one, two) = (Device::onboarded(&evc, "edge-1"), Device::onboarded(&evc, "edge-2"));
    let stranger = Key::new("EVE");
    let forged = seal_from_device(&one.ask(), &one.key.cert, &two.key.signer).expect("sealed");
    let unknown = seal_from_device(&one.ask(), &stranger.cert, &stranger.signer).expect("sealed");
    let cut = one.seal(&one.ask()).split_last().expect("bytes").1.to_vec();
    let (own, software) = ("the certificate that is sent or was registered", "the device's software");
    let mut rows = Vec::new();
    for what in ["config", "attest", "info", "metrics", "newlogs"] {
        let path = one.own(what);
        rows.extend::<[Row; 6]>([
            ("another key's signature", path.clone(), forged.clone(), 401, "does not verify", own),
            ("an unknown certificate", path.clone(), unknown.clone(), 401, "no device is registered", own),
            ("another device's UUID", two.own(what), one.seal(&one.ask()), 403, "UUID in the path", "/uuid"),
            ("no UUID", format!("/id/none/{what}"), one.seal(&one.ask()), 403, "UUID in the path", "/uuid"),
            ("no envelope", path.clone(), b"garbage".to_vec(), 400, "not an envelope", software),
            ("half an envelope", path, cut.clone(), 400, "not an envelope", software),
        ]);
    }
    for what in ["config", "attest", "info"] {
        rows.push(("signed garbage", one.own(what), one.seal(b"\xff\xff\xff"), 400, "", software));
    }
    rows.push((
        "an unknown device asks who it is",
        "/uuid".into(),
        unknown,
        401,
        "no device is registered",
        own,
    ));
    let foreign =
        DeviceCert::new(DeviceCertKind::Attestation, one.key.pem.clone().into_bytes(), Some(vec![1; 9]));
    let certs = AttestRequest::Certs(vec![foreign]).encode();
    rows.push(("no attestation key", one.own("attest"), one.seal(&certs), 400, "public area", software));
    refused(&evc, rows);
    assert_eq!(evc.post(&one.own("config"), &one.seal(&one.ask())).status, 200, "the twin");
}

/// Registrations: by what is not allowed, out of its time, or not what it says it is.
#[test]
fn registrations_are_refused_in_words() {
    let evc = Evc::start();
    let of = |name: &str, change: &dyn Fn(&mut Device)| {
        let mut device = Device::new(name);
        change(&mut device);
        allow(&evc, &device);
        sealed(&device, &registration(&device, &device.serial))
    };
    let known = Device::onboarded(&evc, "edge-1");
    let other = Device { key: Key::new("EVE"), onboard: Key::new("onboard"), ..Device::new("edge-2") };
    let elsewhere = Device { key: Key::claiming(&known.key), ..Device::new("edge-3") };
    allow(&evc, &elsewhere);
    let path = || "/register".to_owned();
    let (clocks, own) = ("the clocks are right", "sign with the key");
    let early = "is not valid at this time";
    refused(
        &evc,
        vec![
            (
                "not allowed",
                path(),
                sealed(&other, &registration(&other, "S")),
                403,
                "may not onboard",
                "evc onboard add",
            ),
            (
                "another serial",
                path(),
                sealed(&known, &registration(&known, "S")),
                403,
                "may not onboard",
                "evc onboard add",
            ),
            (
                "an onboarding certificate that expired",
                path(),
                of("a", &|d| d.onboard = Key::until("o", 2001)),
                403,
                early,
                clocks,
            ),
            (
                "one that is not valid yet",
                path(),
                of("b", &|d| d.onboard = Key::from("o", 2090)),
                403,
                early,
                clocks,
            ),
            (
                "a device certificate that expired",
                path(),
                of("c", &|d| d.key = Key::until("EVE", 2001)),
                403,
                early,
                clocks,
            ),
            (
                "one that is not valid yet",
                path(),
                of("d", &|d| d.key = Key::from("EVE", 2090)),
                403,
                early,
                clocks,
            ),
            (
                "another key than the certificate's",
                path(),
                of("e", &|d| d.onboard.signer = Key::new("o").signer),
                401,
                "does not verify",
                own,
            ),
            (
                "a key that is not its maker's",
                path(),
                sealed(&elsewhere, &registration(&elsewhere, &elsewhere.serial)),
                401,
                "not signed by its own key",
                own,
            ),
            (
                "another device's serial",
                path(),
                {
                    let clone = Device { key: Key::new("EVE"), ..known };
                    sealed(&clone, &registration(&clone, &clone.serial))
                },
                409,
                "a device with another key",
                "allow another serial",
            ),
            ("signed garbage", path(), sealed(&other, b"\xff\xff"), 400, "", "the device's software"),
            ("garbage", path(), b"garbage".to_vec(), 400, "not an envelope", "the device's software"),
        ],
    );
    assert_eq!(evc.post("/register", &of("f", &|_| {})).status, 201, "the twin");
}

/// AC-3: evidence with a nonce that is not of this moment, this device and this once.
#[test]
fn evidence_is_refused_in_words() {
    let evc = Evc::start();
    let (mut one, mut two) = (Device::onboarded(&evc, "edge-1"), Device::onboarded(&evc, "edge-2"));
    let (session, good) = (one.session.session_key(), one.challenged(&evc));
    let id = one.id;
    let told = |quote: Quote, at: u64| {
        let request = AttestRequest::Quote(Box::new(quote));
        match evc.wait(evc.app.attest(id, request, at)).expect("answered") {
            AttestResponse::Quote(answer) => (answer.code, answer.verdict),
            other => panic!("{other:?}"),
        }
    };
    let foreign = two.challenged(&evc);
    let now = evc::clock::now();
    let (nonce, unsigned) = ("the nonce is not one", "the device's signature is not good");
    for (what, quote, at, code, says) in [
        ("invented", one.evidence([7; 32], session), now, QuoteCode::NonceMismatch, nonce),
        ("foreign", one.evidence(foreign, session), now, QuoteCode::NonceMismatch, nonce),
        ("stale", one.evidence(good, session), now + 61, QuoteCode::NonceMismatch, nonce),
        (
            "of a clock that was set back",
            one.evidence(good, session),
            now - 3600,
            QuoteCode::NonceMismatch,
            nonce,
        ),
        ("for another session", forged(&one, good), now, QuoteCode::QuoteFailed, unsigned),
        ("reused", one.evidence(good, session), now, QuoteCode::NonceMismatch, nonce),
        ("bound to no session", Quote::default(), now, QuoteCode::QuoteFailed, "bound to a session"),
    ] {
        let (given, verdict) = told(quote, at);
        assert_eq!(given, code, "{what}");
        assert!(
            matches!(&verdict, Some(EvidenceAnswer::Refused(why)) if why.contains(says)),
            "{what}: {verdict:?}"
        );
    }
    let nonce = one.challenged(&evc);
    assert_eq!(
        told(one.evidence(nonce, session), now),
        (QuoteCode::Success, Some(EvidenceAnswer::Accepted)),
        "the twin"
    );
}

fn forged(device: &Device, nonce: [u8; 32]) -> Quote {
    let mut quote = device.evidence(nonce, device.session.session_key());
    quote.binding.as_mut().expect("bound").session = SessionKey([9; 32]);
    quote
}

/// A ping needs no device; it is answered as EVE asks it, and no other way.
#[test]
fn a_ping_is_answered_to_anybody() {
    let evc = Evc::start();
    let url = format!("{}/api/v2/edgedevice/ping", evc.url);
    assert_eq!(evc.agent.get(url).call().expect("an answer").status().as_u16(), 200);
    let Answer { status, body } = evc.post("/ping", b"");
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(status == 405 && text.contains("advice"), "{status} {text}");
}

/// Without a token an operator reads about tokens, and a device about registering: never of the other.
#[test]
fn operators_are_told_of_tokens_and_devices_of_registering() {
    let evc = Evc::start();
    for token in [None, Some("wrong")] {
        let Answer { status, body } = evc.operator("GET", "/devices", "", token);
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(status == 401 && text.contains("EVC_TOKEN_FILE") && !text.contains("register"), "{text}");
    }
    let body = evc.post("/uuid", &Device::new("edge-1").seal(b"")).body;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(text.contains("registers first") && !text.contains("TOKEN"), "{text}");
}
