//! Golden bytes made by EVE's and Adam's own code: messages, each read, written, and held against its description.
//! Envelopes and chains are in `golden_envelopes`; what is read by no test here is in [`NOT_HERE`].

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use wire::attest::{AttestRequest, AttestResponse};
use wire::certs::encode_list;
use wire::config::{ConfigRequest, ConfigResponse};
use wire::info::Info;
use wire::register::{Register, UuidResponse, decode_uuid_request, uuid_request};

use crate::common::{bytes_field, path, vector, vector_json};
use crate::described::assert_says;

/// What becomes of a golden message when it is read and written again.
enum Outcome {
    /// The same bytes.
    Same(Vec<u8>),
    /// It is read, and written without the fields that we do not speak.
    Read,
    /// It is refused, stricter than EVE; the reason.
    Refused(&'static str),
    /// It is of something that is not built yet.
    Later,
}

fn outcome(name: &str, bytes: &[u8]) -> Outcome {
    use Outcome::{Later, Read, Refused, Same};
    match name {
        "attestvolumekeydata-legacy" | "attestvolumekeydata-v1" => Later,
        "zattestreq-none" | "zattestresponse-none" => Refused("type 0 asks for nothing and answers nothing"),
        "zattestreq-quote" | "zattestreq-cert-attributes" => {
            AttestRequest::decode(bytes).unwrap();
            Read
        }
        "uuidrequest" => {
            decode_uuid_request(bytes).unwrap();
            Same(uuid_request())
        }
        "uuidresponse" => Same(UuidResponse::decode(bytes).unwrap().encode()),
        "edgedevconfig" => edge_dev_config(bytes),
        "zcontrollercert" => {
            let (signing, intermediate, ecdh) = ("controller-signing", "intermediate-ca", "controller-ecdh");
            let pem = |name| vector(&format!("keys/{name}.cert.pem"));
            Same(encode_list(&pem(signing), &[&pem(intermediate)], &[&pem(ecdh)]))
        }
        "zregistermsg" => Same(Register::decode(bytes).unwrap().encode()),
        _ if name.starts_with("configrequest") => Same(ConfigRequest::decode(bytes).unwrap().encode()),
        _ if name.starts_with("configresponse") => Same(ConfigResponse::decode(bytes).unwrap().encode()),
        _ if name.starts_with("zattestreq-") => Same(AttestRequest::decode(bytes).unwrap().encode()),
        _ if name.starts_with("zattestresponse-") => Same(AttestResponse::decode(bytes).unwrap().encode()),
        _ if name.starts_with("zinfomsg-") => {
            Info::decode(bytes).unwrap();
            Read
        }
        _ => panic!("{name}: no test for this golden message"),
    }
}

/// A configuration is only ever read inside its answer; there its bytes stay as they are.
fn edge_dev_config(bytes: &[u8]) -> Outcome {
    let answer = [bytes_field(1, bytes), bytes_field(2, b"hash")].concat();
    Outcome::Same(ConfigResponse::decode(&answer).unwrap().config.unwrap().bytes().to_vec())
}

/// The golden files of one folder, without their endings.
fn names(folder: &str) -> BTreeSet<String> {
    let files =
        std::fs::read_dir(path(folder)).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| file.strip_suffix(".bin").map(str::to_owned)).collect()
}

#[test]
fn every_golden_message_is_read_and_written_as_eve_does() {
    let mut same = 0;
    for name in names("messages") {
        let bytes = vector(&format!("messages/{name}.bin"));
        match outcome(&name, &bytes) {
            Outcome::Same(again) => {
                assert_eq!(hex::encode(again), hex::encode(&bytes), "{name}");
                same += 1;
            }
            Outcome::Refused(reason) => {
                let refused =
                    AttestRequest::decode(&bytes).is_err() && AttestResponse::decode(&bytes).is_err();
                assert!(refused, "{name}: {reason}");
            }
            Outcome::Read | Outcome::Later => {}
        }
    }
    assert_eq!(same, 25, "golden messages read and written");
}

/// Unknown fields of a config survive to the checkpoint; a section that is none is withheld, not fatal.
#[test]
fn what_is_not_understood_of_a_config_is_kept_and_hides_nothing() {
    let bytes = vector("messages/configresponse-unknown-field-50500.bin");
    let response = ConfigResponse::decode(&bytes).unwrap();
    let config = response.config.as_ref().unwrap();
    assert_eq!(config.device().unwrap().to_string(), "5d0767ee-0547-4569-b530-387e526f8cb9");
    assert_eq!(config.version(), "7");
    assert!(config.section().is_err(), "three bytes are no section");
    assert_eq!(response.encode(), bytes);

    let plain = ConfigResponse::decode(&vector("messages/configresponse.bin")).unwrap();
    assert_eq!(plain.config.unwrap().section(), Ok(None));
    let unchanged = ConfigResponse::decode(&vector("messages/configresponse-unchanged.bin")).unwrap();
    assert_eq!(unchanged.config, None);
    assert!(!unchanged.config_hash.is_empty());
}

/// A compatible device and controller: each golden message reads as its description says, field by field.
#[test]
fn every_golden_message_says_what_its_description_says() {
    for name in names("messages") {
        let (bytes, golden) =
            (vector(&format!("messages/{name}.bin")), vector_json(&format!("messages/{name}.json")));
        assert_eq!(golden["size"], bytes.len(), "{name}");
        assert_eq!(golden["sha256"], hex::encode(digest(&SHA256, &bytes)), "{name}");
        if !matches!(outcome(&name, &bytes), Outcome::Same(_) | Outcome::Read) {
            continue;
        }
        let said = match name.as_str() {
            // Described as the same with one field more.
            "configresponse-unknown-field-50500" => {
                vector_json("messages/configresponse.json")["json"].clone()
            }
            _ => golden["json"].clone(),
        };
        assert_says(golden["message"].as_str().unwrap(), &bytes, &said, &name);
    }
}

/// Go writes some fields in another order than their numbers'; both orders say the same.
#[test]
fn the_order_of_fields_says_nothing() {
    let mut reordered = 0;
    for name in names("messages") {
        if let Some(other) = vector_json(&format!("messages/{name}.json"))["hex_field_number_order"].as_str()
        {
            let (one, other) = (vector(&format!("messages/{name}.bin")), hex::decode(other).unwrap());
            assert_ne!(one, other, "{name}");
            assert_eq!(Info::decode(&one).unwrap(), Info::decode(&other).unwrap(), "{name}");
            reordered += 1;
        }
    }
    assert_eq!(reordered, 3);
}

/// Golden files that no test of this crate reads, and why.
const NOT_HERE: [(&str, &str); 7] = [
    ("cipher/", "later: encryption of objects is not built"),
    ("messages/attestvolumekeydata-", "later: escrow is not built"),
    ("tpm/vaultkey-escrow-tpm.", "later: escrow is not built"),
    ("tpm/sealed-disk-key.", "later: the key of stock EVE's vault is not taken over"),
    ("tpm/quote.", "read by the tests of `attest`"),
    ("fscrypt/", "read by the tests of `fscrypt`"),
    ("keys/", "what the others are made with"),
];

/// A golden file that is added and not read would show nothing.
#[test]
fn every_golden_file_is_read_or_left_for_a_reason() {
    let listed = |folder: &str, list: &str, name: &str| -> Vec<String> {
        let list = vector_json(&format!("{folder}/{list}"));
        let files = list[name].as_array().unwrap().iter().flat_map(|entry| {
            ["file", "request_body", "response_body"].into_iter().filter_map(|field| entry[field].as_str())
        });
        files.map(|file| format!("{folder}/{file}")).collect()
    };
    let whole = |folder: &str| -> Vec<String> {
        names(folder).into_iter().map(|name| format!("{folder}/{name}.bin")).collect()
    };
    let read: BTreeSet<String> = [
        whole("messages"),
        whole("authcontainer"),
        whole("extension"),
        listed("authcontainer/verdicts", "verdicts.json", "cases"),
        listed("authcontainer/chains", "chains.json", "cases"),
        listed("flow-soft", "flow.json", "steps"),
        vec!["tpm/authcontainer-signed-by-tpm.bin".to_owned()],
    ]
    .concat()
    .into_iter()
    .collect();
    let files = files_below("");
    assert!(read.iter().all(|file| files.contains(file)), "read, and not there");
    for (left, why) in NOT_HERE {
        assert!(files.iter().any(|file| file.starts_with(left)), "{left}: {why}, and not there");
    }
    for file in files.iter().filter(|file| file.ends_with(".bin")) {
        let left = NOT_HERE.iter().any(|(left, _)| file.starts_with(left));
        assert!(left || read.contains(file), "{file}: read by no test");
    }
}

/// All files of a folder of golden files, and of those in it.
fn files_below(folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path(folder)).unwrap().map(|entry| entry.unwrap());
    let below = |entry: std::fs::DirEntry| {
        let name = format!("{folder}{}", entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => files_below(&format!("{name}/")),
            false => BTreeSet::from([name]),
        }
    };
    entries.flat_map(below).collect()
}
