//! Compiles `proto/*.proto` to Rust, without `protoc`, and writes two more files from the same descriptors:
//! `shapes.rs` (which fields of which message may occur once, and which often) and `api.fds` (the descriptors, for the tests).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::field_descriptor_proto::Label;
use prost_types::{DescriptorProto, FileDescriptorSet};

const FILES: [&str; 8] = [
    "common.proto",
    "auth.proto",
    "certs.proto",
    "register.proto",
    "uuid.proto",
    "config.proto",
    "attest.proto",
    "info.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let set = protox::compile(FILES, [&root])?;
    fs::write(out.join("api.fds"), set.encode_to_vec())?;
    fs::write(out.join("shapes.rs"), shapes(&set))?;
    prost_build::Config::new()
        .compile_well_known_types()
        .enable_type_names()
        .include_file("api.rs")
        .compile_fds(set)?;
    Ok(())
}

/// A table of all messages: name, fields that occur at most once, fields that may repeat, oneofs, and fields that hold another message.
fn shapes(set: &FileDescriptorSet) -> String {
    let messages: Vec<(String, &DescriptorProto)> = set
        .file
        .iter()
        .flat_map(|file| file.message_type.iter().map(|m| (format!("{}.{}", file.package(), m.name()), m)))
        .collect();
    let places: HashMap<String, usize> =
        messages.iter().enumerate().map(|(place, (name, _))| (format!(".{name}"), place)).collect();
    let mut text = String::from("pub(crate) static SHAPES: &[Shape] = &[\n");
    for (name, message) in &messages {
        let single: Vec<i32> =
            message.field.iter().filter(|f| f.label() != Label::Repeated).map(|f| f.number()).collect();
        let repeated: Vec<i32> =
            message.field.iter().filter(|f| f.label() == Label::Repeated).map(|f| f.number()).collect();
        let oneofs: Vec<Vec<i32>> = (0..message.oneof_decl.len() as i32)
            .map(|o| message.field.iter().filter(|f| f.oneof_index == Some(o)).map(|f| f.number()).collect())
            .collect();
        let inner: Vec<(i32, usize)> = message
            .field
            .iter()
            .filter_map(|f| places.get(f.type_name()).map(|place| (f.number(), *place)))
            .collect();
        let oneofs = format!("{oneofs:?}").replace('[', "&[");
        writeln!(
            text,
            "    Shape {{ name: {name:?}, single: &{single:?}, repeated: &{repeated:?}, oneofs: {oneofs}, inner: &{inner:?} }},"
        )
        .expect("writing to a string does not fail");
    }
    text + "];\n"
}
