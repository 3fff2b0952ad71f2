//! Makes kept.tar.gz: what a controller leaves in its data folder, with what a device in software got from it.
//! Kept for whoever wants to know how the files came about: as `crates/evc/tests/make.rs` of commit b641c2c it is run by
//! `KEPT=FILE cargo test -p evc --test make`.

mod common;

use std::process::Command;

use common::{Device, Evc, Key};
use serde_json::json;
use vault::section::Section;
use wire::Certificate;
use wire::sign::FileSigner;

const FILE: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n---\n\
                    kind: Vault\nname: archive\ndevice: edge-1\npolicy: p\n";

/// A device's key that can be written down: PKCS #8.
fn key() -> (Key, Vec<u8>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec![]).expect("params");
    params.distinguished_name.push(rcgen::DnType::CommonName, "EVE");
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2126, 1, 1);
    let pem = params.self_signed(&key).expect("signed").pem();
    let cert = Certificate::from_pem(pem.as_bytes()).expect("a certificate");
    let der = key.serialize_der();
    (Key { pem, cert, signer: FileSigner::from_der(&der).expect("a signer") }, der)
}

fn rotated(evc: &Evc, device: &mut Device, vault: &str, epoch: u64) -> Section {
    evc.act("POST", &format!("/devices/edge-1/vaults/{vault}/rotate"), "");
    let section = device.section(evc);
    device.report(evc, &section, epoch);
    section
}

#[test]
fn makes_it() {
    let evc = Evc::start();
    let (key, der) = key();
    let pem = key.pem.clone();
    let mut device = Device { key, ..Device::new("edge-1") };
    let allow = json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1" });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(&evc), 201);
    device.id = device.uuid(&evc).expect("known");
    evc.apply(FILE);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    rotated(&evc, &mut device, "payments", 2);
    let section = rotated(&evc, &mut device, "payments", 3);
    let keys = |vault: &str| {
        let (current, last) = device.keys(&section, vault).expect("released");
        json!({ "current": hex::encode(current), "last": hex::encode(last) })
    };
    let vaults = ["payments", "archive", "config", "image"].map(|vault| (vault.to_owned(), keys(vault)));
    let told = json!({
        "device": device.id.to_string(),
        "serial": device.serial,
        "key_pkcs8": hex::encode(der),
        "certificate": pem,
        "keys": serde_json::Map::from_iter(vaults),
    });
    let data = evc.stop();
    let root = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(root.path().join("evc")).expect("made");
    std::fs::rename(data.path(), root.path().join("evc/data")).expect("moved");
    std::fs::write(root.path().join("edge-1.json"), serde_json::to_string_pretty(&told).expect("JSON")).expect("written");
    let kept = std::env::var("KEPT").expect("KEPT names the file");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--numeric-owner", "--file", &kept, "--directory"]).arg(root.path());
    assert!(tar.args(["evc/data", "edge-1.json"]).status().expect("tar is there").success());
}
