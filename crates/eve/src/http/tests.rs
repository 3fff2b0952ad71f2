//! The TLS that a node speaks, with a server that shows what was offered and agreed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use rustls::{HandshakeKind, NamedGroup, ServerConfig, Stream};

use super::*;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-proto-binary\r\nContent-Length: 2\r\n\r\nhi";

/// What a handshake came to.
#[derive(Debug, PartialEq)]
struct Agreed {
    offered_first: NamedGroup,
    group: NamedGroup,
    kind: HandshakeKind,
}

/// A controller that answers once, and knows these groups.
struct Server {
    address: String,
    root_pem: String,
    agreed: JoinHandle<Agreed>,
}

impl Server {
    fn knowing(groups: Vec<&'static dyn SupportedKxGroup>) -> Self {
        let (root_pem, chain, key) = certificates();
        let mut provider = default_provider();
        provider.kx_groups = groups;
        let config = ServerConfig::builder_with_provider(Arc::new(provider));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key).expect("a certificate"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let agreed = thread::spawn(move || answer(listener.accept().expect("a node").0, config));
        Self { address, root_pem, agreed }
    }

    fn asked_by_a_node(self) -> Agreed {
        let root = tempfile::tempdir().expect("a folder");
        self.point(root.path());
        let answer = Line::new(root.path()).get("ping").expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hi".as_slice()));
        self.agreed.join().expect("a handshake")
    }

    fn point(&self, root: &Path) {
        fs::create_dir(root.join("config")).expect("a folder");
        fs::write(root.join("config/server"), &self.address).expect("written");
        fs::write(root.join("config/root-certificate.pem"), &self.root_pem).expect("written");
    }
}

fn certificates() -> (String, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    certificates_of(1975, 4096)
}

/// The leaf's dates are these years; the root is good at any time.
fn certificates_of(from: i32, until: i32) -> (String, Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let (root_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let mut root = CertificateParams::new(Vec::new()).expect("params");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).expect("signed").pem();
    let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("params");
    leaf.not_before = rcgen::date_time_ymd(from, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(until, 1, 1);
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).expect("signed");
    (root_pem, vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

fn answer(mut socket: TcpStream, config: Arc<ServerConfig>) -> Agreed {
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let mut acceptor = Acceptor::default();
    let accepted = loop {
        acceptor.read_tls(&mut socket).expect("a hello");
        if let Some(accepted) = acceptor.accept().expect("a good hello") {
            break accepted;
        }
    };
    let offered = accepted.client_hello().named_groups().expect("groups").to_vec();
    let mut tls = accepted.into_connection(config).expect("a handshake");
    let mut stream = Stream::new(&mut tls, &mut socket);
    assert_ne!(stream.read(&mut [0; 4096]).expect("a request"), 0);
    stream.write_all(ANSWER).expect("answered");
    let group = tls.negotiated_key_exchange_group().expect("a group").name();
    Agreed { offered_first: offered[0], group, kind: tls.handshake_kind().expect("done") }
}

/// What is recorded on the way is read by nobody later: the hybrid is offered first, and taken without another round.
#[test]
fn a_node_offers_the_post_quantum_hybrid_first() {
    let agreed = Server::knowing(default_provider().kx_groups).asked_by_a_node();
    let hybrid = NamedGroup::X25519MLKEM768;
    assert_eq!(agreed, Agreed { offered_first: hybrid, group: hybrid, kind: HandshakeKind::Full });
}

/// Issue 9, 10: a clock at 1970 or at 2100 keeps TLS from the controller, and the words name the clock and what it says: here the dates are
/// on the other side of it.
#[test]
fn a_clock_outside_the_certificates_dates_is_named() {
    for (from, until, words, judged) in
        [(2099, 2100, "is not valid yet", Judged::Early), (1971, 1972, "is not valid any more", Judged::Late)]
    {
        let (root_pem, chain, key) = certificates_of(from, until);
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let config = Arc::new(config.with_single_cert(chain, key).expect("a certificate"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let refused = thread::spawn(move || {
            let mut socket = listener.accept().expect("a node").0;
            let mut tls = rustls::ServerConnection::new(config).expect("a server");
            Stream::new(&mut tls, &mut socket).read(&mut [0; 1]).is_err()
        });
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("config")).expect("a folder");
        fs::write(root.path().join("config/server"), &address).expect("written");
        fs::write(root.path().join("config/root-certificate.pem"), root_pem).expect("written");
        let Err(error) = Line::new(root.path()).get("ping") else { panic!("believed, {from} to {until}") };
        assert!(refused.join().expect("it ends"), "the node went on");
        assert!(matches!(&error, LineError::Dates { judged: of, .. } if *of == judged), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(words) && told.contains("by this node's clock, which says 20"), "{told}");
    }
    let told = LineError::Dates { clock_unix_s: 0, judged: Judged::Early, source: ureq::Error::HostNotFound };
    assert!(told.to_string().contains("which says 1970-01-01T00:00:00Z"), "{told}");
}

/// A proxy or a controller of before; the part for X25519 is in the first message too.
#[test]
fn a_controller_without_it_is_reached_as_before() {
    let agreed = Server::knowing(vec![kx_group::X25519]).asked_by_a_node();
    assert_eq!((agreed.group, agreed.kind), (NamedGroup::X25519, HandshakeKind::Full));
    let agreed = Server::knowing(vec![kx_group::SECP256R1]).asked_by_a_node();
    assert_eq!(agreed.group, NamedGroup::secp256r1);
}
