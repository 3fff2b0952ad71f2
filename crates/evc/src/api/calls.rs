//! The calls of the operator's API, one line each: how it is called, what is asked, and what is answered. The server routes by this table and
//! the command line calls by it, so neither has a path or a type that the other has not.

use std::marker::PhantomData;

use super::requests::{
    Adoption, Allow, Applying, Deletion, List, NewToken, Recreation, Rehoming, Rotation, Yaml,
};
use super::{Allowance, Applied, Described, DeviceView, Done, PolicyView, Reference, VaultView};

/// A call: `P` is what stands in its query, `B` its body, `A` its answer.
pub struct Call<P, B, A> {
    /// How it is called.
    pub method: Method,
    /// Under `/api/v1`; with `{name}` for each part that is named by who calls.
    pub path: &'static str,
    types: PhantomData<fn(P, B) -> A>,
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Changes nothing.
    Get,
    /// Makes or changes something.
    Post,
    /// Takes something away.
    Delete,
}

impl<P, B, A> Call<P, B, A> {
    const fn get(path: &'static str) -> Self {
        Self { method: Method::Get, path, types: PhantomData }
    }

    const fn post(path: &'static str) -> Self {
        Self { method: Method::Post, path, types: PhantomData }
    }

    const fn delete(path: &'static str) -> Self {
        Self { method: Method::Delete, path, types: PhantomData }
    }

    /// The path with its parts, in their order.
    #[must_use]
    pub fn path_of(&self, parts: &[&str]) -> String {
        let mut parts = parts.iter();
        let part = |piece: &str| match piece.starts_with('{') {
            true => encoded(parts.next().copied().unwrap_or_default()),
            false => piece.to_owned(),
        };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }
}

/// As a part of a URL: what is not plain is written as %XX.
#[must_use]
pub fn encoded(part: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let write = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    part.bytes().map(write).collect()
}

/// What stands in a query.
pub trait Query {
    /// Names and values, those that are said.
    fn pairs(&self) -> Vec<(&'static str, String)>;

    /// The query of a URL, with its question mark; nothing where nothing is said.
    fn text(&self) -> String {
        let pairs: Vec<String> =
            self.pairs().iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }
}

/// Allows a certificate and serial to onboard.
pub const ALLOW: Call<(), Allow, Allowance> = Call::post("/onboarding");
/// Lists what is allowed, after `CERTIFICATE/SERIAL`.
pub const ALLOWANCES: Call<List, (), Vec<Allowance>> = Call::get("/onboarding");
/// Withdraws it.
pub const DISALLOW: Call<(), (), Done> = Call::delete("/onboarding/{certificate}/{serial}");
/// Lets a token in, beside the one that asks.
pub const ADD_TOKEN: Call<(), NewToken, Done> = Call::post("/tokens");
/// Ends all tokens but the one that asks.
pub const END_OTHER_TOKENS: Call<(), (), Done> = Call::delete("/tokens/others");
/// Makes policies and vaults as a file says.
pub const APPLY: Call<Applying, Yaml, Vec<Applied>> = Call::post("/apply");
/// Lists devices, after a name.
pub const DEVICES: Call<List, (), Vec<DeviceView>> = Call::get("/devices");
/// Shows one with its vaults.
pub const DEVICE: Call<(), (), Described> = Call::get("/devices/{device}");
/// Forgets one.
pub const DELETE_DEVICE: Call<Deletion, (), Done> = Call::delete("/devices/{device}");
/// Marks one as lost.
pub const LOSE: Call<(), (), Done> = Call::post("/devices/{device}/lost");
/// Takes the mark off.
pub const FIND: Call<(), (), Done> = Call::delete("/devices/{device}/lost");
/// Settles its alarm.
pub const SETTLE: Call<(), (), Done> = Call::delete("/devices/{device}/alarm");
/// Learns its next good quote.
pub const LEARN: Call<(), (), Done> = Call::post("/devices/{device}/learn");
/// Deletes a vault.
pub const DELETE_VAULT: Call<(), (), Done> = Call::delete("/devices/{device}/vaults/{vault}");
/// Makes a new key current.
pub const ROTATE: Call<(), Rotation, Done> = Call::post("/devices/{device}/vaults/{vault}/rotate");
/// Orders a missing vault to be made anew.
pub const RECREATE: Call<Recreation, (), Done> = Call::post("/devices/{device}/vaults/{vault}/recreate");
/// Moves a vault to another device.
pub const REHOME: Call<(), Rehoming, Done> = Call::post("/devices/{device}/vaults/{vault}/rehome");
/// Takes in an orphan.
pub const ADOPT: Call<(), Adoption, Done> = Call::post("/devices/{device}/vaults/{vault}/adopt");
/// Lists vaults, of one device or of all, after `DEVICE/VAULT`.
pub const VAULTS: Call<List, (), Vec<VaultView>> = Call::get("/vaults");
/// Lists policies, after a name.
pub const POLICIES: Call<List, (), Vec<PolicyView>> = Call::get("/policies");
/// Deletes one.
pub const DELETE_POLICY: Call<(), (), Done> = Call::delete("/policies/{policy}");
/// Lists reference values, of one device or of all, after a number.
pub const REFERENCES: Call<List, (), Vec<Reference>> = Call::get("/references");
/// Says that one is good.
pub const APPROVE: Call<(), (), Done> = Call::post("/references/{id}/approve");
/// Says that one is not.
pub const REJECT: Call<(), (), Done> = Call::post("/references/{id}/reject");

#[cfg(test)]
mod tests {
    use super::*;

    /// A name with a slash, a space or a sign of a URL's names nothing else than it says.
    #[test]
    fn a_part_of_a_path_stays_one() {
        assert_eq!(DISALLOW.path_of(&["ab", "a/b c%3f?"]), "/onboarding/ab/a%2Fb%20c%253f%3F");
        assert_eq!(DEVICES.path_of(&[]), "/devices");
        assert_eq!(ROTATE.path_of(&["d", "../v"]), "/devices/d/vaults/..%2Fv/rotate");
    }
}
