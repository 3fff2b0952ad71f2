//! Holds our .proto files against the numbers that EVE API v2 has (`vectors/fields*.tsv`, from compiled descriptors):
//! every field's number, type and label, every enum's values; and the extension against the range set aside for it.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Where the extension sits, as `message number`. No other number of the range is used.
const HOSTS: [&str; 8] = [
    "org.lfedge.eve.attest.AttestStorageKeys 50580",
    "org.lfedge.eve.attest.ZAttestQuote 50560",
    "org.lfedge.eve.attest.ZAttestQuoteResp 50570",
    "org.lfedge.eve.config.ConfigRequest 50521",
    "org.lfedge.eve.config.ConfigResponse 50520",
    "org.lfedge.eve.config.EdgeDevConfig 50500",
    "org.lfedge.eve.info.VaultInfo 50540",
    "org.lfedge.eve.info.ZInfoDevice 50530",
];

/// Values of ours in EVE's enums. They travel only where a node's TPM has this bank and measures into no other.
const VALUES: [&str; 1] = ["TPM_HASH_ALGO_SHA384 50560"];

fn ours() -> Vec<FileDescriptorProto> {
    let set = include_bytes!(concat!(env!("OUT_DIR"), "/api.fds"));
    FileDescriptorSet::decode(set.as_slice()).unwrap().file
}

/// Rows as `package message field number type label`.
fn theirs() -> BTreeSet<String> {
    let text = |path: &str| String::from_utf8(crate::common::vector(path)).unwrap();
    let plain = text("fields.tsv").lines().skip(1).map(str::to_owned).collect::<BTreeSet<_>>();
    let newer = text("fields-newer.tsv");
    let newer = newer.lines().skip(1).map(|line| line.split_once('\t').unwrap().1.to_owned());
    plain.into_iter().chain(newer).collect()
}

fn is_extension(number: i32) -> bool {
    (50500..=50599).contains(&number)
}

fn type_of(field: &FieldDescriptorProto) -> String {
    let name = field.type_name().trim_start_matches('.');
    match field.r#type() {
        Type::Message => name.to_owned(),
        Type::Enum => format!("enum:{name}"),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    }
}

fn label_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    match field.oneof_index {
        Some(oneof) if !field.proto3_optional() => {
            format!("oneof {}", message.oneof_decl[oneof as usize].name())
        }
        _ if field.label() == Label::Repeated => "repeated".to_owned(),
        _ => "singular".to_owned(),
    }
}

fn field_rows(file: &FileDescriptorProto) -> Vec<String> {
    let row = |message: &DescriptorProto, field: &FieldDescriptorProto| {
        let (package, name, number) = (file.package(), field.name(), field.number());
        let (kind, label) = (type_of(field), label_of(message, field));
        format!("{package}\t{}\t{name}\t{number}\t{kind}\t{label}", message.name())
    };
    let fields = |message| {
        let own = |field: &&FieldDescriptorProto| !is_extension(field.number());
        let message: &DescriptorProto = message;
        message.field.iter().filter(own).map(|field| row(message, field)).collect::<Vec<_>>()
    };
    file.message_type.iter().flat_map(fields).collect()
}

fn enum_rows(file: &FileDescriptorProto) -> BTreeMap<String, BTreeSet<String>> {
    let rows = |list: &prost_types::EnumDescriptorProto| {
        let row = |value: &prost_types::EnumValueDescriptorProto| {
            format!(
                "{}\t{}\t{}\t{}\tenum_value\t-",
                file.package(),
                list.name(),
                value.name(),
                value.number()
            )
        };
        list.value.iter().filter(|value| !is_extension(value.number())).map(row).collect()
    };
    file.enum_type.iter().map(|list| (format!("{}\t{}\t", file.package(), list.name()), rows(list))).collect()
}

#[test]
fn every_field_of_ours_is_eves() {
    let theirs = theirs();
    let mut compared = 0;
    for file in ours().iter().filter(|file| file.package().starts_with("org.lfedge.eve.")) {
        for row in field_rows(file) {
            assert!(theirs.contains(&row), "not in EVE's API: {row}");
            compared += 1;
        }
    }
    assert!(compared > 80, "only {compared} fields compared");
}

/// A list that we read as closed must have all of EVE's values, or a good message of EVE's is refused.
#[test]
fn every_enum_of_ours_has_all_values_of_eves() {
    let theirs = theirs();
    let open = ["org.lfedge.eve.info\tZInfoTypes\t"]; // Compared as a number: other kinds are passed over.
    for file in ours().iter().filter(|file| file.package().starts_with("org.lfedge.eve.")) {
        for (list, rows) in enum_rows(file) {
            let all: BTreeSet<String> = theirs.iter().filter(|row| row.starts_with(&list)).cloned().collect();
            assert!(rows.is_subset(&all), "{list}: {:?}", rows.difference(&all));
            assert!(rows == all || open.contains(&list.as_str()), "{list}: {:?}", all.difference(&rows));
        }
    }
}

#[test]
fn the_extension_keeps_to_its_range_and_meets_nothing_of_eves() {
    let mut hosts = BTreeSet::new();
    let mut values = BTreeSet::new();
    for file in ours().iter().filter(|file| file.package().starts_with("org.lfedge.eve.")) {
        for list in &file.enum_type {
            for value in list.value.iter().filter(|value| is_extension(value.number())) {
                values.insert(format!("{} {}", value.name(), value.number()));
            }
        }
        for message in &file.message_type {
            for field in message.field.iter().filter(|field| is_extension(field.number())) {
                hosts.insert(format!("{}.{} {}", file.package(), message.name(), field.number()));
                let section = field.name() == "vault_section" && field.r#type() == Type::Bytes;
                assert!(section || field.type_name().starts_with(".org.evevault.v1."), "{}", field.name());
            }
        }
    }
    assert_eq!(hosts.iter().map(String::as_str).collect::<Vec<_>>(), HOSTS);
    assert_eq!(values.iter().map(String::as_str).collect::<Vec<_>>(), VALUES);
    let number = |row: &String| row.split('\t').nth(3).and_then(|number| number.parse::<i32>().ok());
    assert!(!theirs().iter().filter_map(number).any(is_extension), "EVE took a number of the range");
}
