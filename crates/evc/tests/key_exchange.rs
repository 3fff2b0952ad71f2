//! The key exchange of the listener: what is recorded on the way today is read by nobody later, and who does not know the
//! post-quantum hybrid gets in as before.

mod common;

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use common::Evc;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, NamedGroup, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;

/// A client that knows these groups, the one that it likes best first, and this version.
fn client(
    evc: &Evc,
    groups: &[&'static dyn SupportedKxGroup],
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let mut provider = default_provider();
    provider.kx_groups = groups.to_vec();
    let pem = std::fs::read(evc.dir.path().join("root-certificate.pem")).expect("a root");
    let mut roots = RootCertStore::empty();
    roots
        .add(rustls_pki_types::CertificateDer::from_pem_slice(&pem).expect("a certificate"))
        .expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[version]);
    Arc::new(config.expect("a version").with_root_certificates(roots).with_no_client_auth())
}

/// The group that a ping was sent under, and whether it took a second round.
fn pinged(evc: &Evc, client: Arc<ClientConfig>) -> (NamedGroup, HandshakeKind) {
    let mut begun = evc.connect_as(client, "127.0.0.1");
    write!(begun, "GET /api/v2/edgedevice/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    begun.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let group = begun.conn.negotiated_key_exchange_group().expect("a group").name();
    (group, begun.conn.handshake_kind().expect("done"))
}

#[test]
fn a_client_that_knows_the_hybrid_gets_it() {
    let evc = Evc::start();
    let client = client(&evc, &default_provider().kx_groups, &TLS13);
    assert_eq!(pinged(&evc, client), (NamedGroup::X25519MLKEM768, HandshakeKind::Full));
    // Also one that has it last, as builds of before: what it began with is good enough, and no round is lost.
    let later = self::client(&evc, &[kx_group::X25519, kx_group::X25519MLKEM768], &TLS13);
    assert_eq!(pinged(&evc, later), (NamedGroup::X25519, HandshakeKind::Full));
}

#[test]
fn a_client_without_it_gets_in_as_before() {
    let evc = Evc::start();
    for (groups, version, agreed) in [
        ([kx_group::X25519], &TLS13, NamedGroup::X25519),
        ([kx_group::SECP256R1], &TLS13, NamedGroup::secp256r1),
        ([kx_group::X25519], &TLS12, NamedGroup::X25519),
    ] {
        assert_eq!(
            pinged(&evc, client(&evc, &groups, version)),
            (agreed, HandshakeKind::Full),
            "{version:?}"
        );
    }
}
