//! The compiled messages of `proto/`. Raw: no other crate sees them.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)] // Generated.

include!(concat!(env!("OUT_DIR"), "/api.rs"));

pub(crate) use google::protobuf::Timestamp;
pub(crate) use org::evevault::v1 as vault;
pub(crate) use org::lfedge::eve::{attest, auth, certs, common, config, info, register, uuid};
