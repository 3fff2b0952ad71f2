//! What devices and operators may not do: each refused with the code that EVE knows and words that help.

mod common;

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use common::{Device, Evc, Key};
use evc::api::{Code, calls};
use vault::section::Release;
use wire::envelope::seal_from_device;

#[test]
fn registration_follows_the_protocol() {
    let evc = Evc::start();
    let device = Device::new("edge-1");
    assert_eq!(device.register(&evc), 403, "not allowed yet");
    assert_eq!(device.uuid(&evc), None, "not known");
    let device = Device::onboarded(&evc, "edge-1");
    assert_eq!(device.register(&evc), 200, "the same again");
    let clone = Device { key: Key::new("EVE"), ..device };
    assert_eq!(clone.register(&evc), 409, "the same serial by another key");
    let expired = Device { onboard: Key::until("onboard", 2001), ..Device::new("edge-2") };
    let allow = serde_json::json!({ "cert_pem": expired.onboard.pem, "serial": expired.serial });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(expired.register(&evc), 403, "expired onboarding certificate");
    let mut mixed = Device::new("edge-3");
    mixed.onboard.signer = Key::new("another").signer;
    assert_eq!(mixed.register(&evc), 401, "signed by another key than the certificate's");
}

#[test]
fn messages_that_are_not_a_known_devices_own_are_refused() {
    let evc = Evc::start();
    let one = Device::onboarded(&evc, "edge-1");
    let two = Device::onboarded(&evc, "edge-2");
    let good = one.seal(&one.ask());
    let mut forged = seal_from_device(&one.ask(), &one.key.cert, &two.key.signer).expect("sealed");
    assert_eq!(evc.post(&one.own("config"), &forged).status, 401, "another key's signature");
    let stranger = Key::new("EVE");
    forged = seal_from_device(&one.ask(), &stranger.cert, &stranger.signer).expect("sealed");
    assert_eq!(evc.post(&one.own("config"), &forged).status, 401, "an unknown certificate");
    for what in ["config", "attest", "info", "metrics", "newlogs"] {
        assert_eq!(evc.post(&two.own(what), &good).status, 403, "{what} under another device's UUID");
        assert_eq!(evc.post(&format!("/id/nonsense/{what}"), &good).status, 403, "{what} under no UUID");
        assert_eq!(evc.post(&one.own(what), b"garbage").status, 400, "{what} of garbage");
        assert_eq!(evc.post(&one.own(what), &[]).status, 400, "{what} of nothing");
    }
    for what in ["config", "attest", "info"] {
        assert_eq!(
            evc.post(&one.own(what), &one.seal(b"\xff\xff\xff")).status,
            400,
            "{what}: signed garbage"
        );
    }
    assert_eq!(evc.post(&one.own("metrics"), &one.seal(b"anything")).status, 201);
    let path = format!("/api/v2/edgedevice{}", one.own("config"));
    assert_eq!(evc.announce(&path, wire::MAX_MESSAGE + 1), 413, "too large");
    assert_eq!(evc.post(&one.own("config"), &good).status, 200, "still served");
}

/// Every file of the data folder but the public ones is its owner's alone (invariant 3).
#[test]
fn key_files_token_and_database_are_private() {
    let evc = Evc::start();
    for name in ["kek", "operator.token", "evc.db"] {
        let mode = std::fs::metadata(evc.dir.path().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn operators_without_the_token_are_refused_and_errors_help() {
    let evc = Evc::start();
    for token in [None, Some(""), Some("wrong"), Some(&*"x".repeat(5000))] {
        for (method, path) in
            [("GET", "/devices"), ("POST", "/apply"), ("DELETE", "/devices/d/vaults/v"), ("GET", "/nothing")]
        {
            let answer = evc.operator(method, path, "", token);
            assert_eq!(answer.status, 401, "{method} {path} with {token:?}");
            assert_eq!(answer.problem().code, Code::TokenBad);
        }
    }
    let token = evc.token.clone();
    for (method, path, body, expected, says) in [
        (
            "POST",
            "/apply",
            "kind: VaultPolicy\nname: p\ncustody: cloud\n",
            (400, Code::FileInvalid, Some((3, 10))),
            "line 3, column 10: `cloud` is not a custody",
        ),
        (
            "POST",
            "/apply",
            "kind: Vault\nname: v\ndevice: none\npolicy: p\n",
            (400, Code::DeviceUnknown, Some((2, 7))),
            "line 2, column 7: device `none` is not known",
        ),
        ("POST", "/apply", ": [", (400, Code::FileInvalid, Some((1, 1))), "mend the YAML"),
        ("GET", "/devices/none", "", (404, Code::DeviceUnknown, None), "evc get devices"),
        ("POST", "/devices/none/vaults/v/rotate", "", (404, Code::DeviceUnknown, None), "device `none`"),
        ("POST", "/references/7/approve", "", (404, Code::ReferenceUnknown, None), "evc reference list"),
        ("DELETE", "/policies/none", "", (404, Code::PolicyUnknown, None), "evc get policies"),
        ("POST", "/onboarding", "{}", (400, Code::RequestUnreadable, None), "cert_pem"),
        ("GET", "/nothing", "", (404, Code::PathUnknown, None), "this path"),
    ] {
        let answer = evc.operator(method, path, body, Some(&token));
        let told = answer.problem();
        let place = told.place.map(|place| (place.line, place.column));
        assert_eq!((answer.status, told.code, place), expected, "{method} {path}: {told:?}");
        let words = format!("{}; {}", told.error, told.advice);
        assert!(words.contains(says) && !told.advice.is_empty(), "{method} {path}: {told:?}");
    }
}

/// Whatever is wrong with a request, also what no handler of ours sees, the answer says what and what to do.
#[test]
fn every_refusal_has_the_promised_form() {
    let evc = Evc::start();
    let operator = |path: &str| format!("/api/v1{path}");
    let device = |path: &str| format!("/api/v2/edgedevice{path}");
    for (method, path, body, code) in [
        ("GET", operator("/devices?limit=many"), "", 400),
        ("GET", operator("/references?after=abc"), "", 400),
        ("GET", operator("/onboarding?after=abc"), "", 400),
        ("GET", operator("/onboarding?after=zz/S1"), "", 400),
        ("POST", operator("/references/abc/approve"), "", 400),
        ("POST", operator("/apply?dry_run=perhaps"), "", 400),
        // A word that is not known is not left out: what it was to soften would be done in full.
        ("POST", operator("/apply?dryrun=true"), "kind: VaultPolicy\nname: p\ncustody: tpm\n", 400),
        ("DELETE", operator("/devices/edge-1/vaults/v?delete-after=3600"), "", 400),
        ("DELETE", operator("/devices/edge-1?forced=true"), "", 400),
        ("POST", operator("/devices/edge-1/vaults/v/recreate?newdisk=true"), "", 400),
        ("GET", operator("/vaults?devices=edge-1"), "", 400),
        ("PUT", operator("/devices"), "", 405),
        ("GET", "/nothing".to_owned(), "", 404),
        ("GET", device("/nothing"), "", 404),
        ("GET", device("/register"), "", 405),
        ("POST", device("/register"), "x", 400),
    ] {
        let answer = evc.call(method, &path, body, Some(&evc.token));
        let told = answer.problem();
        assert_eq!(answer.status, code, "{method} {path}: {told:?}");
        assert_eq!(told.code.status(), code, "the code has the same one: {method} {path}: {told:?}");
        assert!(!told.error.is_empty() && !told.advice.is_empty(), "{method} {path}: {told:?}");
    }
    assert_eq!(evc.act("GET", "/policies", ""), serde_json::json!([]), "nothing was applied");
    let mut text = String::new();
    let _ = evc.begin("/api/v1/apply", 2 << 20).read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    assert!(text.contains("1052672 bytes") && text.contains(r#""advice":"split it"#), "{text}");
    assert_eq!(evc.act("GET", "/references?after=7&limit=5", ""), serde_json::json!([]));
}

/// What the command line may call is there: the server routes all that the table has.
#[test]
fn every_call_of_the_table_is_answered() {
    let evc = Evc::start();
    for (method, path) in calls::ALL {
        let path = path.replace(['{', '}'], "");
        let method = format!("{method:?}").to_uppercase();
        let answer = evc.operator(&method, &path, "", Some(&evc.token));
        let missing = answer.status != 200
            && [Code::PathUnknown, Code::MethodNotAllowed].contains(&answer.problem().code);
        assert!(!missing, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    }
}

/// `onboard list` goes on where a page ends, whatever the serials are like.
#[test]
fn allowances_are_listed_page_by_page() {
    let evc = Evc::start();
    let key = Key::new("onboard");
    let serials = ["*", "a b", "a/b", "z%20"];
    for serial in serials {
        let allow = serde_json::json!({ "cert_pem": key.pem, "serial": serial });
        evc.act("POST", "/onboarding", &allow.to_string());
    }
    let digest = hex::encode(key.cert.digest().0);
    let page = |after: &str| -> Vec<String> {
        let page = evc.act("GET", &format!("/onboarding?limit=2&after={after}"), "");
        let rows = page.as_array().expect("a list").iter();
        rows.map(|row| row["serial"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(page(""), ["*", "a b"]);
    assert_eq!(page(&format!("{digest}/a%20b")), ["a/b", "z%20"]);
    assert_eq!(page(&format!("{digest}/a%2Fb")), ["z%20"]);
}

/// Applying is all or nothing, repeatable, and a dry run keeps nothing.
#[test]
fn apply_is_idempotent_and_whole() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let file = "kind: Vault\nname: v\ndevice: edge-1\npolicy: p\n---\nkind: VaultPolicy\nname: p\ncustody: controller\n";
    let outcomes = |value: serde_json::Value| -> Vec<String> {
        value
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["outcome"].as_str().expect("text").to_owned())
            .collect()
    };
    assert_eq!(outcomes(evc.act("POST", "/apply?dry_run=true", file)), ["created", "created"]);
    assert_eq!(
        evc.act("GET", "/policies", "").as_array().expect("a list").len(),
        0,
        "a dry run keeps nothing"
    );
    assert_eq!(outcomes(evc.apply(file)), ["created", "created"]);
    assert_eq!(outcomes(evc.apply(file)), ["unchanged", "unchanged"]);
    assert_eq!(
        outcomes(evc.apply(&file.replace("custody: controller", "custody: controller\noperation: lock"))),
        ["changed", "unchanged"]
    );
    let broken = format!(
        "{file}---\nkind: VaultPolicy\nname: q\ncustody: tpm\n---\nkind: Vault\nname: w\ndevice: edge-1\npolicy: none\n"
    );
    assert_eq!(evc.operator("POST", "/apply", &broken, Some(&evc.token)).status, 400);
    assert_eq!(
        evc.act("GET", "/policies", "").as_array().expect("a list").len(),
        1,
        "nothing of a broken file is applied"
    );
    device.attested(&evc);
    let tpm = "kind: VaultPolicy\nname: t\ncustody: tpm+controller\n---\nkind: Vault\nname: x\ndevice: edge-1\npolicy: t\n";
    let answer = evc.operator("POST", "/apply", tpm, Some(&evc.token));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 400, "{text}");
    assert!(text.contains("device `edge-1` has no TPM"), "an impossible policy: {text}");
}

/// An error in the middle of a decision is a refusal, of what it is about: here the sealed epoch of one vault was damaged in the store.
#[test]
fn a_damaged_key_row_releases_nothing() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: v\ndevice: edge-1\npolicy: p\n");
    let nonce = device.challenged(&evc);
    let quote = device.evidence(nonce, device.session.session_key());
    device.attest(&evc, &wire::attest::AttestRequest::Quote(Box::new(quote)));
    let id = device.id;
    evc.meddle(|tx| {
        Box::pin(async move {
            let rows = tx.vaults(id).await?;
            let row = rows.iter().find(|row| row.name.as_str() == "v").expect("there");
            let mut epoch = tx.epoch(row.device, row.id, row.current_epoch).await?.expect("there");
            tx.drop_epochs(row.device, row.id).await?;
            epoch.sealed[20] ^= 1;
            tx.add_epoch(&epoch).await
        })
    });
    let section = device.section(&evc);
    let entry = section.vaults.iter().find(|entry| entry.name.as_str() == "v").expect("listed");
    let Release::Withheld { reason } = &entry.release else { panic!("{:?}", entry.release) };
    assert_eq!(*reason, vault::cause::Cause::KeyUnopened);
}

/// Whoever sends slowly keeps nobody off: more such requests than are worked on at once, known devices or not, take no place.
#[test]
fn slow_requests_take_no_place_from_others() {
    use std::io::Write as _;
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let slow: Vec<_> = (0..160)
        .map(|n| {
            let path = ["/api/v2/edgedevice/register", "/api/v1/apply"][n % 2];
            let mut begun = evc.begin(path, 4096);
            begun.write_all(b"x").expect("sent");
            begun
        })
        .collect();
    assert!(device.poll(&evc).is_some(), "answered all the same");
    assert!(evc.act("GET", "/devices", "").is_array());
    drop(slow);
}

/// A rotation that is cut short between its steps leaves a token that is good; an allowance that was withdrawn lets nobody in.
#[test]
fn what_is_withdrawn_ends_and_nothing_else() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    let next = Device::new("edge-2");
    let allow = serde_json::json!({ "cert_pem": next.onboard.pem, "serial": next.serial });
    evc.act("POST", "/onboarding", &allow.to_string());
    let digest = hex::encode(next.onboard.cert.digest().0);
    let gone = evc.operator("DELETE", &format!("/onboarding/{digest}/another"), "", Some(&evc.token));
    assert_eq!((gone.status, gone.problem().code), (404, Code::AllowanceUnknown), "never allowed");
    evc.act("DELETE", &format!("/onboarding/{digest}/{}", next.serial), "");
    assert_eq!(next.register(&evc), 403);
    let used = hex::encode(device.onboard.cert.digest().0);
    let told = evc.act("DELETE", &format!("/onboarding/{used}/{}", device.serial), "").to_string();
    assert!(told.contains("stays registered"), "{told}");
    assert_eq!(device.uuid(&evc), Some(device.id));

    let hash = hex::encode(evc::service::token_hash("another"));
    let status = |token: &str| evc.operator("GET", "/devices", "", Some(token)).status;
    assert_eq!(status("another"), 401);
    evc.act("POST", "/tokens", &serde_json::json!({ "sha256": hash }).to_string());
    assert_eq!((status(&evc.token), status("another")), (200, 200), "cut short here, both are good");
    let let_in = evc.as_operator();
    assert_eq!(evc.operator("DELETE", "/tokens/others", "", Some("another")).status, 200);
    assert_eq!((status(&evc.token), status("another")), (401, 200));
    // Two at once: who was let in by a token that was ended meanwhile ends no other.
    let ended = evc.wait(let_in.end_other_tokens(&evc::service::token_hash(&evc.token)));
    assert!(ended.is_err_and(|e| e.to_string().contains("ended by another one")));
    assert_eq!(status("another"), 200, "somebody stays in");
}

/// Two controllers on one folder would each believe in nonces and versions that the other spends.
#[test]
fn a_second_controller_on_one_folder_is_refused_until_the_first_ends() {
    let evc = Evc::start();
    let settings = common::settings(evc.dir.path());
    let second = evc.wait(evc::service::start(&settings, evc::clock::now()));
    let error = second.err().expect("refused").to_string();
    assert!(error.contains("another evc works on") && error.contains("--data"), "{error}");
    drop(evc.restart());
}

/// Keys are kept in no folder that others may put files into.
#[test]
fn a_folder_that_others_may_write_into_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = common::settings(dir.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for mode in [0o777, 0o720] {
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(mode))
            .expect("chmod");
        let error = runtime
            .block_on(evc::service::start(&settings, evc::clock::now()))
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("chmod go-w"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0, "nothing was made in it");
    }
}

/// TH-2: whoever holds TLS's key, as a load balancer would, can't have its leaf taken for the one that signs sections.
#[test]
fn nodes_take_no_other_leaf_of_ours_for_the_signing_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let settings = common::settings(dir.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = runtime.block_on(evc::service::start(&settings, evc::clock::now())).expect("started");
    let root = app.authority.root_pem.as_bytes();
    let trust = |list: &[u8]| wire::ControllerCerts::decode(list)?.verify(root, wire::Validity::Ignored);
    let good = trust(&app.authority.list).expect("our own list");
    let objects = pem(good.ecdh()[0].certificate.der());
    for (what, leaf) in [("TLS", pem(&app.authority.tls_chain[0])), ("objects", objects.clone())] {
        let list = wire::certs::encode_list(leaf.as_bytes(), &[], &[objects.as_bytes()]);
        let refused = trust(&list).map(drop);
        assert_eq!(refused, Err(wire::certs::CertsError::NotForSigning), "{what}");
    }
}

fn pem(der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Seen-by-users 2: a device that knocks and may not come in is seen, until it may; what it says of itself moves no terminal.
#[test]
fn who_knocks_and_may_not_come_in_is_listed_until_he_may() {
    let evc = Evc::start();
    let mut device = Device::new("edge-9");
    device.serial = "SN-9".into();
    assert_eq!(device.register(&evc), 403);
    assert_eq!(device.register(&evc), 403);
    let listed = evc.act("GET", "/knocks", "");
    assert_eq!((&listed[0]["serial"], &listed[0]["times"]), (&"SN-9".into(), &2.into()), "{listed}");
    assert_eq!(listed[0]["from"], "127.0.0.1");
    assert_eq!(listed[0]["certificate"], hex::encode(device.onboard.cert.digest().0));
    let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(evc.act("GET", "/knocks", ""), serde_json::json!([]));
    assert_eq!(evc.operator("GET", "/knocks", "", None).status, 401, "for operators alone");
}
