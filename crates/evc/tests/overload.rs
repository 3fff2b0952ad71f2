//! One peer does what it can to keep the controller from all others: none of them notices.

mod common;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use common::{Device, Evc, Occupies, until_so};
use rustls::HandshakeKind;
use wire::envelope::{seal_from_device, seal_registration};
use wire::register::Register;

const INFO: &str = "/api/v2/edgedevice/id/00000000-0000-0000-0000-000000000001/info";
const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n";

/// A device that was given its section, and is polling.
fn polling(evc: &Evc, name: &str) -> Device {
    let mut device = Device::onboarded(evc, name);
    device.attested(evc);
    assert!(device.poll(evc).is_none(), "unchanged");
    device
}

/// Bodies that stop just before their end fill their own source's part of the memory, and nobody else's.
#[test]
fn stalled_bodies_of_one_source_leave_room_for_devices_and_operators() {
    let evc = Evc::start();
    let mut device = polling(&evc, "edge-1");
    let body = vec![b'x'; wire::MAX_MESSAGE];
    let taken = |length| evc.post_from("127.0.0.2", INFO, &body[..length]) == Some(400);
    let stall = |length: usize| {
        let mut begun = evc.begin_from("127.0.0.2", INFO, body.len());
        let _ = begun.write_all(&body[1..length]).and_then(|()| begun.flush());
        begun
    };
    let mut stalled = Vec::new();
    // Until the controller takes no more from there, not even little. From the long ones on in each round: where this takes long, the
    // first of them are over by the time that the last bytes are filled.
    until_so("memory is bounded", || {
        stalled.extend((0..16).map(|_| stall(body.len())));
        for length in [256 << 10, 16 << 10, 1 << 10, 64] {
            stalled.extend((0..20).take_while(|_| taken(length)).map(|_| stall(length)));
        }
        !taken(64)
    });
    assert!(device.poll(&evc).is_none(), "a poll from elsewhere is answered");
    assert!(evc.apply(POLICY).is_array(), "an operator too");
    drop(stalled);
    until_so("given back", || taken(body.len()));
}

/// An operator's body is not taken in before the token was seen, and what is short by nature is not taken in long.
#[test]
fn bodies_are_bounded_by_what_they_are_for_and_need_the_token_first() {
    let evc = Evc::start();
    for path in ["register", "uuid", "config", "certs", "id/x/config"] {
        let path = format!("/api/v2/edgedevice/{path}");
        assert_eq!(evc.announce(&path, (256 << 10) + 1), 413, "{path}");
    }
    // A bundle for escrow may be in it.
    for uuid in ["x", "5b4ba3b8-31ae-4b4b-9a08-1b1b8a4e4f11"] {
        let path = format!("/api/v2/edgedevice/id/{uuid}/attest");
        assert_eq!(evc.announce(&path, (2 << 20) + (256 << 10) + 1), 413, "{path}");
    }
    for token in ["", "authorization: Bearer wrong\r\n"] {
        let mut begun = evc.connect_from("127.0.0.1");
        write!(begun, "POST /api/v1/apply HTTP/1.1\r\nhost: x\r\n{token}content-length: 100\r\n\r\n")
            .expect("sent");
        assert_eq!(common::status(begun), Some(401), "none of the body was sent");
    }
    let short = vec![b'x'; 256 << 10];
    assert_eq!(evc.post("/register", &short).status, 400, "as long as is taken: read, and not understood");
}

/// A device that posts as much as it can while the database is slow: the next device's polls are answered, each of them.
#[test]
fn one_device_with_many_requests_leaves_the_places_to_others() {
    let evc = Evc::start();
    let greedy = Device::onboarded(&evc, "greedy");
    let mut other = polling(&evc, "other");
    let slow = evc.occupy(Occupies::Writer);
    let post = || evc.post(&greedy.own("info"), &greedy.seal(&info(&greedy))).status;
    std::thread::scope(|scope| {
        let posts: Vec<_> = (0..140).map(|_| scope.spawn(post)).collect();
        until_so("some are told to come back", || posts.iter().any(|post| post.is_finished()));
        for _ in 0..20 {
            assert!(other.poll(&evc).is_none(), "answered");
        }
        drop(slow);
        let told: Vec<u16> = posts.into_iter().map(|post| post.join().expect("ended")).collect();
        assert!(told.iter().all(|code| [201, 503].contains(code)), "{told:?}");
    });
    assert_eq!(post(), 201, "one by one they are taken");
}

/// The same by a stranger who has an onboarding key for any serial, so that its registrations wait for the database: from another
/// address everything goes on.
#[test]
fn one_source_with_many_requests_leaves_the_places_to_others() {
    let evc = Evc::start();
    let mut other = polling(&evc, "other");
    let stranger = Device::new("stranger");
    let register = Register::new(stranger.key.pem.as_bytes(), &stranger.serial, "").expect("a registration");
    let onboard = &stranger.onboard;
    let envelope =
        seal_registration(&register.encode(), onboard.pem.as_bytes(), &onboard.signer).expect("sealed");
    let allow = serde_json::json!({ "cert_pem": onboard.pem, "serial": "*" });
    evc.act("POST", "/onboarding", &allow.to_string());
    let slow = evc.occupy(Occupies::Writer);
    let post = || evc.post_from("127.0.0.2", "/api/v2/edgedevice/register", &envelope);
    std::thread::scope(|scope| {
        let posts: Vec<_> = (0..140).map(|_| scope.spawn(post)).collect();
        until_so("some are told to come back", || posts.iter().any(|post| post.is_finished()));
        for _ in 0..20 {
            assert!(other.poll(&evc).is_none(), "answered");
        }
        drop(slow);
        let told: Vec<_> = posts.into_iter().map(|post| post.join().expect("ended")).collect();
        assert!(told.iter().all(|code| [Some(200), Some(201), Some(503)].contains(code)), "{told:?}");
        assert!(told.contains(&Some(201)), "those that waited are taken: {told:?}");
        assert!(told.contains(&Some(503)), "and the others were told to come back: {told:?}");
    });
    assert_eq!(post(), Some(200), "one by one they are taken");
}

/// Nobody elsewhere uses up a device's requests by naming it.
#[test]
fn messages_in_a_devices_name_take_none_of_its_places() {
    let evc = Evc::start();
    let device = polling(&evc, "edge-1");
    let forger = Device::new("forger");
    let forged = seal_from_device(&device.ask(), &device.key.cert, &forger.key.signer).expect("sealed");
    let path = format!("/api/v2/edgedevice{}", device.own("config"));
    let own = device.seal(&device.ask());
    // Of one that is remembered a forged message is refused at once, and its own is answered.
    evc.app.settled.forget();
    evc.app.recall.forget();
    let slow = evc.occupy(Occupies::All);
    std::thread::scope(|scope| {
        let forged: Vec<_> =
            (0..5).map(|_| scope.spawn(|| evc.post_from("127.0.0.2", &path, &forged))).collect();
        until_so("the forger has all that it may", || forged.iter().any(|post| post.is_finished()));
        let own: Vec<_> = (0..5).map(|_| scope.spawn(|| evc.post_from("127.0.0.1", &path, &own))).collect();
        until_so("the device has all that it may", || own.iter().any(|post| post.is_finished()));
        drop(slow);
        let told: Vec<_> = own.into_iter().map(|post| post.join().expect("ended")).collect();
        assert_eq!(told.iter().filter(|code| **code == Some(304)).count(), 4, "{told:?}");
        let told: Vec<_> = forged.into_iter().map(|post| post.join().expect("ended")).collect();
        assert_eq!(told.iter().filter(|code| **code == Some(401)).count(), 4, "{told:?}");
    });
}

fn info(device: &Device) -> Vec<u8> {
    wire::info::DeviceInfo {
        device: device.id,
        at_unix_s: evc::clock::now(),
        tpm: wire::info::TpmPresence::NotFound,
        tpm_info: String::new(),
        attestation: wire::info::AttestationState::None,
        attestation_error: None,
        vaults: Vec::new(),
        node: None,
    }
    .encode()
}

/// A device that comes back shows its ticket: no handshake in full, however many others came in between.
#[test]
fn who_was_here_before_needs_no_full_handshake() {
    let evc = Evc::start();
    let kind = |client: &Arc<rustls::ClientConfig>| {
        let mut begun = evc.connect_as(client.clone(), "127.0.0.1");
        write!(begun, "GET /api/v2/edgedevice/ping HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("sent");
        let mut answer = String::new();
        begun.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        begun.conn.handshake_kind().expect("done")
    };
    let first = evc.tls_client();
    assert_eq!(kind(&first), HandshakeKind::Full);
    for _ in 0..300 {
        assert_eq!(kind(&evc.tls_client()), HandshakeKind::Full);
    }
    assert_eq!(kind(&first), HandshakeKind::Resumed);
}

/// Lets this process have as many sockets as it may.
fn many_sockets() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("set");
}

/// TCP connections from this machine's own address on which nothing is said, more than there is room for.
fn crowd(evc: &Evc) -> Vec<std::net::TcpStream> {
    let host = evc.url.strip_prefix("https://").expect("a URL");
    (0..600).map(|_| std::net::TcpStream::connect(host).expect("connected")).collect()
}

/// Whether an operator's request is answered on a connection, which stays.
fn is_answered(evc: &Evc, begun: &mut common::Begun) -> bool {
    let token = &evc.token;
    let asked =
        write!(begun, "GET /api/v1/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut bytes = [0; 4096];
    let told = asked.and_then(|()| begun.flush()).and_then(|()| begun.read(&mut bytes));
    told.is_ok_and(|length| bytes[..length].starts_with(b"HTTP/1.1 200"))
}

/// Threats, Controller: a crowd behind a proxy on the controller's machine, or a process there, keeps neither its operator out nor devices.
#[test]
fn a_crowd_from_this_machine_leaves_room_for_operators_and_devices() {
    many_sockets();
    let evc = Evc::start();
    let mut device = polling(&evc, "edge-1");
    let mut operator = evc.connect_from("127.0.0.1");
    assert!(is_answered(&evc, &mut operator));
    let crowds = [crowd(&evc), crowd(&evc)];
    assert!(is_answered(&evc, &mut operator), "who was there stays");
    assert!(is_answered(&evc, &mut evc.connect_from("127.0.0.1")), "who comes is let in");
    assert!(device.poll(&evc).is_none(), "so is a device");
    drop(crowds);
}

/// Threats, Controller: clients that ask for more than the kernel keeps, and read nothing of it.
#[test]
fn who_reads_no_answer_takes_no_room_from_others() {
    many_sockets();
    let evc = Evc::start();
    let mut device = polling(&evc, "edge-1");
    let client = evc.tls_client();
    let asks = "GET /api/v2/edgedevice/certs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(400);
    let deaf: Vec<_> = (0..300)
        .map(|_| {
            let mut begun = evc.connect_as(client.clone(), "127.0.0.1");
            begun.sock.set_write_timeout(Some(Duration::from_millis(200))).expect("set");
            let _ = begun.write_all(asks.as_bytes()).and_then(|()| begun.flush());
            begun
        })
        .collect();
    assert!(device.poll(&evc).is_none(), "a device is answered");
    assert!(is_answered(&evc, &mut evc.connect_from("127.0.0.1")), "an operator who comes too");
    drop(deaf);
}

/// Threats, Controller: strangers who ask with wrong tokens, from an operator's own address, take none of his places.
#[test]
fn wrong_tokens_take_no_place_of_an_operators() {
    let evc = Evc::start();
    assert!(evc.apply(POLICY).is_array(), "his token is known from then on");
    let slow = evc.occupy(Occupies::All);
    let status = |token: &str| {
        let mut begun = evc.connect_from("127.0.0.1");
        write!(begun, "GET /api/v1/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n")
            .expect("sent");
        common::status(begun)
    };
    std::thread::scope(|scope| {
        let wrong: Vec<_> = (0..17).map(|_| scope.spawn(|| status("wrong"))).collect();
        until_so("strangers have all that they may", || wrong.iter().any(|asks| asks.is_finished()));
        let own = scope.spawn(|| status(&evc.token));
        std::thread::sleep(Duration::from_millis(200));
        drop(slow);
        assert_eq!(own.join().expect("ended"), Some(200));
        let told: Vec<_> = wrong.into_iter().map(|asks| asks.join().expect("ended")).collect();
        assert!(told.contains(&Some(503)) && told.contains(&Some(401)), "{told:?}");
    });
}
