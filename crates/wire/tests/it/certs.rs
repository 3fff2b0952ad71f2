//! A controller's certificates against the installed root, at a time and at any time (TH-1).

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use wire::certs::{CertsError, OWN_ROOT, OWN_SIGNING, encode_list, open_answer};
use wire::envelope::seal_from_controller;
use wire::{ControllerCerts, FileSigner, TrustedCerts, Validity};

use crate::common::{IN_2027, bytes_field, number_field, vector};

/// 2001, before anything here is valid.
const IN_2001: u64 = 980_000_000;
/// 2005 and 2015, in seconds.
const IN_2005: u64 = 1_110_000_000;
const IN_2015: u64 = 1_430_000_000;

/// Years from and to which a certificate is valid.
type Years = (i32, i32);

/// A root, and a way to make leaves under it.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn params((from, to): Years) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params
}

impl Authority {
    fn new(years: Years) -> Self {
        Self::named("somebody's root", years)
    }

    fn named(name: &str, years: Years) -> Self {
        let mut params = params(years);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn leaf(&self, years: Years) -> (String, KeyPair) {
        self.leaf_named("a leaf", years)
    }

    fn leaf_named(&self, name: &str, years: Years) -> (String, KeyPair) {
        let mut params = params(years);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    fn list(&self, signing: Years, ecdh: Years) -> Vec<u8> {
        let (signing, ecdh) = (self.leaf(signing).0, self.leaf(ecdh).0);
        encode_list(signing.as_bytes(), &[], &[ecdh.as_bytes()])
    }
}

fn verify(list: &[u8], root: &str, validity: Validity) -> Result<TrustedCerts, CertsError> {
    ControllerCerts::decode(list)?.verify(root.as_bytes(), validity)
}

#[test]
fn expired_certificates_hold_only_for_a_reader_that_does_not_go_by_the_clock() {
    let root = Authority::new((2000, 2040));
    let list = root.list((2002, 2010), (2004, 2012));
    assert!(verify(&list, &root.pem, Validity::At(IN_2005)).is_ok());
    assert!(verify(&list, &root.pem, Validity::Ignored).is_ok());
    for time in [0, IN_2001, IN_2015, IN_2027, u64::from(u32::MAX) * 4] {
        let refused = verify(&list, &root.pem, Validity::At(time));
        assert!(matches!(refused, Err(CertsError::Chain(_))), "at {time}: {refused:?}");
    }
}

#[test]
fn certificates_that_were_never_valid_together_are_refused_at_any_time() {
    let root = Authority::new((2000, 2040));
    for (signing, ecdh) in [((2002, 2004), (2006, 2008)), ((2006, 2008), (2002, 2004))] {
        let list = root.list(signing, ecdh);
        assert!(verify(&list, &root.pem, Validity::Ignored).is_err(), "{signing:?} {ecdh:?}");
    }
    let short = Authority::new((2000, 2003));
    let list = short.list((2004, 2010), (2004, 2010));
    assert!(verify(&list, &short.pem, Validity::Ignored).is_err(), "after the root's end");
}

/// `webpki` takes a root at its word; EVE and we look at its dates too.
#[test]
fn an_expired_root_holds_nothing() {
    let root = Authority::new((2000, 2010));
    let list = root.list((2002, 2030), (2002, 2030));
    assert!(verify(&list, &root.pem, Validity::At(IN_2005)).is_ok());
    assert!(verify(&list, &root.pem, Validity::At(IN_2015)).is_err());
}

#[test]
fn another_root_is_refused_and_the_right_one_of_several_is_named() {
    let (ours, other) = (Authority::new((2000, 2040)), Authority::new((2000, 2040)));
    let list = ours.list((2002, 2040), (2002, 2040));
    assert!(verify(&list, &other.pem, Validity::Ignored).is_err());
    let alone = verify(&list, &ours.pem, Validity::At(IN_2027)).unwrap();
    let both = verify(&list, &(other.pem.clone() + &ours.pem), Validity::At(IN_2027)).unwrap();
    assert_eq!(both.root(), alone.root());
    let others = verify(&other.list((2002, 2040), (2002, 2040)), &other.pem, Validity::Ignored).unwrap();
    assert_ne!(others.root(), alone.root());
}

#[test]
fn an_unreadable_root_file_is_the_installer_s_fault() {
    let root = Authority::new((2000, 2040));
    let list = root.list((2002, 2040), (2002, 2040));
    let damaged = root.pem.replace("MII", "MIJ");
    for pem in ["", "no certificate", damaged.as_str()] {
        assert!(matches!(verify(&list, pem, Validity::Ignored), Err(CertsError::Root)), "{pem}");
    }
}

#[test]
fn a_leaf_that_is_an_authority_is_no_leaf() {
    let root = Authority::new((2000, 2040));
    let ecdh = root.leaf((2002, 2040)).0;
    let list = encode_list(root.pem.as_bytes(), &[], &[ecdh.as_bytes()]);
    assert!(verify(&list, &root.pem, Validity::Ignored).is_err());
}

/// The list is taken from an envelope that nobody verified yet: so it is verified by what it brings, once that is trusted.
#[test]
fn an_answer_of_certs_must_be_signed_by_its_own_signing_leaf() {
    let root = Authority::new((2000, 2040));
    let (signing, key) = root.leaf((2002, 2040));
    let (other, other_key) = root.leaf((2002, 2040));
    let list = encode_list(signing.as_bytes(), &[], &[other.as_bytes()]);
    let answer = |pem: &str, key: &KeyPair| {
        let signer = FileSigner::from_der(key.serialized_der()).unwrap();
        seal_from_controller(&list, pem.as_bytes(), &signer).unwrap()
    };
    let open = |answer: &[u8]| open_answer(answer, root.pem.as_bytes(), Validity::At(IN_2027));
    assert_eq!(open(&answer(&signing, &key)).unwrap().bytes(), list);
    assert!(matches!(open(&answer(&other, &other_key)), Err(CertsError::Envelope(_))));
    assert!(matches!(open(&answer(&signing, &other_key)), Err(CertsError::Envelope(_))));
}

/// TH-2: who holds another key of the controller, as a load balancer holds TLS's, signs no section: under the controller's own root
/// one leaf alone is for signing. Of other roots nothing is asked that EVE does not ask.
#[test]
fn under_our_own_root_only_the_signing_leaf_signs() {
    let years = (2000, 2040);
    for (what, root, leaf, accepted) in [
        ("ours", OWN_ROOT, OWN_SIGNING, true),
        ("TLS under our root", OWN_ROOT, "EVE Vault controller", false),
        ("objects under our root", OWN_ROOT, "EVE Vault controller objects", false),
        ("no name under our root", OWN_ROOT, "", false),
        ("any under another root", "ACME", "controller.example", true),
    ] {
        let root = Authority::named(root, years);
        let (leaf, objects) = (root.leaf_named(leaf, years).0, root.leaf(years).0);
        let list = encode_list(leaf.as_bytes(), &[], &[objects.as_bytes()]);
        for validity in [Validity::At(IN_2027), Validity::Ignored] {
            let verdict = verify(&list, &root.pem, validity).map(drop);
            assert_eq!(verdict, if accepted { Ok(()) } else { Err(CertsError::NotForSigning) }, "{what}");
        }
    }
}

#[test]
fn a_list_with_too_many_certificates_is_refused() {
    let root = Authority::new((2000, 2040));
    let (leaf, _) = root.leaf((2002, 2040));
    let many = vec![leaf.as_bytes(); 32];
    let refused = ControllerCerts::decode(&encode_list(leaf.as_bytes(), &[], &many)).unwrap_err();
    assert_eq!(refused.to_string(), "not a list of certificates");
    let bundle = root.pem.repeat(33);
    let list = encode_list(leaf.as_bytes(), &[bundle.as_bytes()], &[leaf.as_bytes()]);
    assert!(ControllerCerts::decode(&list).is_err());
}

#[test]
fn a_certificate_of_an_unknown_kind_is_refused() {
    let pem = vector("keys/controller-signing.cert.pem");
    for kind in [0, 4, 10, 11, 12, 13, 99] {
        let cert = [number_field(3, kind), bytes_field(4, &pem)].concat();
        let list = [root_list(), bytes_field(1, &cert)].concat();
        assert!(ControllerCerts::decode(&list).is_err(), "kind {kind}");
    }
    assert!(ControllerCerts::decode(&root_list()).is_ok());
}

fn root_list() -> Vec<u8> {
    let read = |name: &str| vector(&format!("keys/{name}.cert.pem"));
    encode_list(&read("controller-signing"), &[&read("intermediate-ca")], &[&read("controller-ecdh")])
}

#[test]
fn what_was_verified_can_be_verified_again_from_its_own_bytes() {
    let root = vector("keys/root-ca.cert.pem");
    let first = ControllerCerts::decode(&root_list()).unwrap().verify(&root, Validity::At(IN_2027)).unwrap();
    let again = ControllerCerts::decode(first.bytes()).unwrap().verify(&root, Validity::Ignored).unwrap();
    assert_eq!((first.signing_hash(), first.root()), (again.signing_hash(), again.root()));
    assert_eq!(first.ecdh()[0].name, again.ecdh()[0].name);
}
