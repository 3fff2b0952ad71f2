//! The calls of the operator's API, one line each: how it is called, what is asked, and what is answered. The server routes by this table and
//! the command line calls by it, so neither has a path or a type that the other has not.

use std::marker::PhantomData;

use super::requests::{
    Adoption, Allow, Applying, Confirmation, Deletion, Labelling, List, NewIdentity, NewToken, Recreation,
    Rehoming, Rotation, VaultDeletion, Yaml,
};
use super::{
    Allowance, Applied, Bundle, CourierFile, DeletedDevice, Described, DeviceView, Done, Exporting, Foreseen,
    Glance, Importing, Knock, Known, Listed, NewReference, PolicyView, Reference, RuleView, ServerStatus,
    Update, VaultView,
};

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

    /// As it stands in [`ALL`].
    #[must_use]
    pub const fn how(&self) -> (Method, &'static str) {
        (self.method, self.path)
    }

    /// The path with its parts, in their order.
    #[must_use]
    pub fn path_of(&self, parts: &[&str]) -> String {
        let mut parts = parts.iter();
        let part = |piece: &str| {
            if piece.starts_with('{') {
                encoded(parts.next().copied().unwrap_or_default())
            } else {
                piece.to_owned()
            }
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

/// Writes a constant for each call, and the list of all.
macro_rules! calls {
    ($($(#[$doc:meta])+ $name:ident: $make:ident $path:literal $query:ty, $body:ty => $answer:ty;)+) => {
        $($(#[$doc])+ pub const $name: Call<$query, $body, $answer> = Call::$make($path);)+

        /// How each is called.
        pub const ALL: &[(Method, &str)] = &[$($name.how()),+];
    };
}

calls! {
    /// Shows the controller at a glance.
    STATUS: get "/status" (), () => ServerStatus;
    /// Counts the fleet, and says what needs somebody.
    GLANCE: get "/glance" (), () => Glance;
    /// Lists who wanted to register and may not.
    KNOCKS: get "/knocks" (), () => Vec<Knock>;
    /// Allows a certificate and serial to onboard.
    ALLOW: post "/onboarding" (), Allow => Allowance;
    /// Lists what is allowed, after `CERTIFICATE/SERIAL`.
    ALLOWANCES: get "/onboarding" List, () => Vec<Listed<Allowance>>;
    /// Withdraws it.
    DISALLOW: delete "/onboarding/{certificate}/{serial}" (), () => Done;
    /// Lets a token in, beside the one that asks.
    ADD_TOKEN: post "/tokens" (), NewToken => Done;
    /// Ends all tokens but the one that asks.
    END_OTHER_TOKENS: delete "/tokens/others" (), () => Done;
    /// Makes policies and vaults as a file says.
    APPLY: post "/apply" Applying, Yaml => Vec<Applied>;
    /// Lists devices, after a name.
    DEVICES: get "/devices" List, () => Vec<Listed<DeviceView>>;
    /// Shows one with its vaults.
    DEVICE: get "/devices/{device}" (), () => Described;
    /// Forgets one.
    DELETE_DEVICE: delete "/devices/{device}" Deletion, () => Done;
    /// Lists deleted ones of which something is kept.
    DELETED_DEVICES: get "/deleted-devices" (), () => Vec<Listed<DeletedDevice>>;
    /// Forgets what is kept of one.
    FORGET_DEVICE: delete "/deleted-devices/{device}" Confirmation, () => Done;
    /// Marks one as lost.
    LOSE: post "/devices/{device}/lost" (), () => Done;
    /// Takes the mark off.
    FIND: delete "/devices/{device}/lost" (), () => Done;
    /// Settles its alarm.
    SETTLE: delete "/devices/{device}/alarm" Confirmation, () => Done;
    /// Forgets the attestation key that is pinned of it.
    REPIN: delete "/devices/{device}/attestation-key" Confirmation, () => Done;
    /// Lets it in as the one whose lists its node holds to.
    IDENTIFY: post "/devices/{device}/identity" (), NewIdentity => Done;
    /// Sets its labels, and takes some away.
    LABEL: post "/devices/{device}/labels" (), Labelling => Done;
    /// Learns its next good quote.
    LEARN: post "/devices/{device}/learn" (), () => Done;
    /// Says whether a vault is known of a device, or was.
    KNOWN_VAULT: get "/devices/{device}/vaults/{vault}/known" (), () => Known;
    /// Deletes a vault.
    DELETE_VAULT: delete "/devices/{device}/vaults/{vault}" VaultDeletion, () => Done;
    /// Makes a new key current.
    ROTATE: post "/devices/{device}/vaults/{vault}/rotate" (), Rotation => Done;
    /// Orders a missing vault to be made anew.
    RECREATE: post "/devices/{device}/vaults/{vault}/recreate" Recreation, () => Done;
    /// Takes that order back.
    WITHDRAW: delete "/devices/{device}/vaults/{vault}/recreate" (), () => Done;
    /// Moves a vault to another device.
    REHOME: post "/devices/{device}/vaults/{vault}/rehome" (), Rehoming => Done;
    /// Takes in an orphan.
    ADOPT: post "/devices/{device}/vaults/{vault}/adopt" (), Adoption => Done;
    /// Lists vaults, of one device or of all, after `DEVICE/VAULT`.
    VAULTS: get "/vaults" List, () => Vec<Listed<VaultView>>;
    /// Lists policies, after a name.
    POLICIES: get "/policies" List, () => Vec<Listed<PolicyView>>;
    /// Deletes one.
    DELETE_POLICY: delete "/policies/{policy}" (), () => Done;
    /// Lists rules, after a name.
    RULES: get "/rules" List, () => Vec<Listed<RuleView>>;
    /// Deletes one.
    DELETE_RULE: delete "/rules/{rule}" (), () => Done;
    /// Lists reference values, of one device or of all, after a number.
    REFERENCES: get "/references" List, () => Vec<Listed<Reference>>;
    /// Gives one before a boot shows it, to be approved.
    ADD_REFERENCE: post "/devices/{device}/references" (), NewReference => Reference;
    /// Gives a device's answer for a courier.
    EXPORT: post "/devices/{device}/courier" (), Exporting => CourierFile;
    /// Takes what a courier brings of a device, and gives the answer.
    IMPORT: post "/courier" (), Importing => CourierFile;
    /// Lists a device's bundles in escrow, the newest first.
    ESCROW: get "/devices/{device}/escrow" (), () => Vec<Listed<Bundle>>;
    /// Asks for a drill.
    DRILL: post "/devices/{device}/escrow/drill" (), () => Done;
    /// Forgets those of a generation that is over.
    DELETE_BUNDLES: delete "/devices/{device}/escrow/{generation}" Confirmation, () => Done;
    /// Forgets one that is not the newest, named by the beginning of its SHA-256.
    DELETE_BUNDLE: delete "/devices/{device}/escrow/bundle/{digest}" Confirmation, () => Done;
    /// Has one given back before newer ones.
    OFFER_BUNDLE: post "/devices/{device}/escrow/bundle/{digest}/offer" (), () => Done;
    /// Has the newest given back again.
    OFFER_NEWEST: delete "/devices/{device}/escrow/offer" (), () => Done;
    /// Says of each vault of a device whether it opens after an update.
    FORESEE: get "/devices/{device}/update" Update, () => Vec<Foreseen>;
    /// Says that one is good.
    APPROVE: post "/references/{id}/approve" (), () => Done;
    /// Says that one is not.
    REJECT: post "/references/{id}/reject" (), () => Done;
}

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
