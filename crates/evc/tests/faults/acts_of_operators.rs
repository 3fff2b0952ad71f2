//! What operators ask, and what the controller does by itself.

use std::time::Duration;

use evc::api::calls::Method::{Delete, Get, Post};
use evc::clock::now;
use evc::service::Steady;
use serde_json::json;

use super::acts::{Act, Of};
use super::common::couriered::{body, nonce, parts, read};
use super::common::escrowed::id_of;
use super::common::{Answer, Device, Evc};
use super::fleet::{Fleet, HELD_TO, ORPHAN, POLICIES, vault};

const GRACE_S: u64 = 30 * 86_400;

pub(crate) fn all(evc: &Evc, fleet: &Fleet) -> Vec<Act> {
    let mut acts = looks();
    acts.extend(on_who_may_come(fleet));
    acts.extend(on_vaults());
    acts.extend(on_devices());
    acts.extend(on_escrow(evc));
    acts.extend(by_courier(evc, fleet));
    acts.push(Act {
        name: "the end of a grace".into(),
        of: Of::House,
        good: 200,
        in_parts: Some(200),
        say: Box::new(end_of_grace),
    });
    acts
}

fn looks() -> Vec<Act> {
    let get = |path: &str| Act::call(Get, path, "");
    let lists =
        ["/status", "/glance", "/knocks", "/onboarding", "/devices", "/devices/edge-1", "/deleted-devices"];
    let more = [
        "/devices/edge-1/vaults/payments/known",
        "/vaults",
        "/policies",
        "/rules",
        "/references",
        "/devices/sealed/escrow",
    ];
    lists.into_iter().chain(more).map(get).collect()
}

fn on_who_may_come(fleet: &Fleet) -> Vec<Act> {
    let away = &fleet.away;
    let allowance = format!("/onboarding/{}/{}", hex::encode(away.onboard.cert.digest().0), away.serial);
    let another = json!({ "cert_pem": Device::new("x").onboard.pem, "serial": "x", "name": "x" });
    vec![
        Act::call(Post, "/onboarding", another.to_string()),
        Act::call(Delete, allowance, ""),
        Act::call(Post, "/tokens", json!({ "sha256": "ab".repeat(32) }).to_string()),
        Act::call(Delete, "/tokens/others", ""),
    ]
}

fn on_vaults() -> Vec<Act> {
    let file = POLICIES.replace("unused", "more") + &vault("more", "edge-1") + &vault("old", "edge-1");
    let adopt = format!("/devices/sealed/vaults/{ORPHAN}/adopt");
    vec![
        Act::call(Post, "/apply", file),
        Act::call(Delete, "/devices/edge-1/vaults/payments", ""),
        Act::call(Delete, "/devices/edge-1/vaults/config", ""),
        Act::call(Post, "/devices/edge-1/vaults/payments/rotate", r#"{"force":true,"confirm":"payments"}"#),
        Act::call(Post, "/devices/edge-1/vaults/lost/recreate?confirm=lost", ""),
        Act::call(Delete, "/devices/edge-1/vaults/given-up/recreate", ""),
        Act::call(Post, "/devices/away/vaults/far/rehome", r#"{"to":"edge-1","confirm":"far"}"#),
        Act::call(Post, adopt, r#"{"policy":"tpm"}"#),
        Act::call(Delete, "/policies/unused", ""),
        Act::call(Delete, "/rules/of-a-rule", ""),
    ]
}

fn on_devices() -> Vec<Act> {
    vec![
        Act::call(Post, "/devices/edge-1/labels", r#"{"set":{"site":"berlin"}}"#),
        Act::call(Post, "/devices/edge-1/learn", ""),
        Act::call(Post, "/devices/edge-1/lost", ""),
        Act::call(Delete, "/devices/away/lost", ""),
        Act::call(Delete, "/devices/away/alarm?confirm=away", ""),
        Act::call(Delete, "/devices/away/attestation-key?confirm=away", ""),
        Act::call(Delete, "/devices/away?force=true&confirm=away", ""),
        Act::call(Delete, "/deleted-devices/gone?confirm=gone", ""),
        Act::call(
            Post,
            "/devices/elsewhere/identity",
            json!({ "id": HELD_TO, "confirm": "elsewhere" }).to_string(),
        ),
    ]
}

fn on_escrow(evc: &Evc) -> Vec<Act> {
    let approved = evc.act("GET", "/references?device=sealed", "")[0]["id"].clone();
    let older = format!("/devices/sealed/escrow/bundle/{}", hex::encode(id_of(1, b"of before").digest));
    let values = json!({ "pcrs": { "4": hex::encode([2; 32]) } });
    vec![
        Act::call(Post, "/devices/away/escrow/drill", ""),
        Act::call(Delete, "/devices/sealed/escrow/1?confirm=sealed", ""),
        Act::call(Delete, format!("{older}?confirm=sealed"), ""),
        Act::call(Post, format!("{older}/offer"), ""),
        Act::call(Delete, "/devices/sealed/escrow/offer", ""),
        Act::call(Post, "/devices/sealed/references", values.to_string()),
        Act::call(Get, format!("/devices/sealed/update?reference={approved}"), ""),
        Act::call(Post, "/references/1/approve", ""),
        Act::call(Post, "/references/1/reject", ""),
    ]
}

fn by_courier(evc: &Evc, fleet: &Fleet) -> Vec<Act> {
    let export = "/devices/edge-1/courier";
    let given = nonce(&read(evc, &evc.act("POST", export, "{}")));
    let brought = Act::call(Post, "/courier", body(&parts(&fleet.worker.0, given)));
    // CO-3: its evidence counts once, and is answered again from then on.
    vec![Act::call(Post, export, "{}"), Act { in_parts: Some(200), ..brought }]
}

/// A round of housekeeping when the grace is over.
fn end_of_grace(evc: &Evc) -> Answer {
    let at = now() + GRACE_S + 1;
    let kept = evc.wait(evc.app.keep_house(&mut Steady::since(at), at, Duration::ZERO));
    match kept {
        Ok(_) => Answer { status: 200, body: Vec::new() },
        Err(why) => Answer { status: 500, body: json!({ "error": why.to_string() }).to_string().into() },
    }
}
