//! What an installer writes into `config/`, takes away and changes, while the node runs too.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use eve_vault_tests::Scene;
use serde_json::Value;
use testkit::node::{Parts, Power};

use super::CONTROLLER;
use super::told::{copy, has, until_text, until_told};
use super::who_is_who::PLAIN;

fn reachable(controller: &Value) -> bool {
    controller["reachable"] == true
}

/// Puts a file in the place of another, as editors and installers do.
fn replace(path: &Path, text: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// Seen-by-users 0b.8: a device that is registered needs neither onboarding key nor certificate, whichever is gone; where they are
/// needed again the status says which, and they are taken as soon as they are there.
#[test]
fn the_onboarding_key_can_be_taken_off_a_registered_node() {
    [false, true].into_iter().for_each(the_onboarding_key_is_taken_off);
}

fn the_onboarding_key_is_taken_off(tpm: bool) {
    let mut scene = Scene::prepared(Parts { tpm, ..Parts::default() }).unwrap();
    let (data, backup) = (scene.evc.data(), scene.dir().join("backup"));
    scene.evc.stop().unwrap();
    copy(&data, &backup);
    scene.evc.start().unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", &format!("{CONTROLLER}\n{PLAIN}")).unwrap();
    let config = scene.node.root().join("config");
    let kept = ["onboard.key.pem", "onboard.cert.pem"].map(|name| {
        let bytes = fs::read(config.join(name)).unwrap();
        fs::remove_file(config.join(name)).unwrap();
        scene.node.reboot(Power::Clean).unwrap();
        scene.node.until_vault("till", "unlocked").unwrap();
        assert!(scene.has_data("till"), "without {name}");
        (name, bytes)
    });
    let device = until_told(&scene, "device", Value::is_string);
    // It is to register again, and can't.
    scene.evc.stop().unwrap();
    copy(&backup, &data);
    scene.evc.start().unwrap();
    let words = until_told(&scene, "onboarding", has("onboard.cert.pem can't be read"));
    assert!(has("config/onboard.key.pem there")(&words), "what to do: {words}");
    for (name, bytes) in &kept {
        fs::write(config.join(name), bytes).unwrap();
    }
    until_told(&scene, "device", |now| now.is_string() && *now != device);
}

/// Seen-by-users 0.14: address and root are taken as they are by now, written in place or anew.
#[test]
fn a_changed_address_and_root_are_taken_while_the_node_runs() {
    let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
    let config = scene.node.root().join("config");
    let (server, root) = (config.join("server"), config.join("root-certificate.pem"));
    let (good_server, good_root) = (fs::read(&server).unwrap(), fs::read(&root).unwrap());
    fs::write(&server, "127.0.0.1:1").unwrap();
    scene.node.start().unwrap();
    let words = until_told(&scene, "onboarding", has("can't be reached"));
    assert!(has("config/server")(&words), "what to look at: {words}");
    fs::write(&server, &good_server).unwrap();
    until_told(&scene, "controller", reachable);
    // zedagent is onboarded from here on; another file stands there, which its walls do not know.
    let fails = |words: &'static str| {
        move |controller: &Value| !reachable(controller) && controller.to_string().contains(words)
    };
    replace(&server, b"127.0.0.1:1");
    scene.evc.stop().unwrap();
    until_told(&scene, "controller", fails("\"server\":\"127.0.0.1:1\""));
    scene.evc.start().unwrap();
    let stranger = rcgen_root(scene.dir());
    replace(&root, &stranger);
    replace(&server, &good_server);
    until_told(&scene, "controller", fails("TLS certificate is not good under config/root-certificate.pem"));
    replace(&root, &good_root);
    until_told(&scene, "controller", reachable);
    fs::remove_file(&server).unwrap();
    scene.evc.stop().unwrap();
    until_told(&scene, "controller", fails("config/server can't be read"));
    scene.evc.start().unwrap();
    fs::write(&server, &good_server).unwrap();
    until_told(&scene, "controller", reachable);
}

/// A root of somebody else's: another controller's.
fn rcgen_root(dir: &Path) -> Vec<u8> {
    let other = testkit::Evc::new(&dir.join("other-evc")).unwrap();
    fs::read(other.data().join("root-certificate.pem")).unwrap()
}

/// A proxy that knows ways alone: from what it is asked for, as `host:port`, to where that is. Counts how often it was asked.
pub(super) fn proxy(
    ways: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let (counts, ways) = (Arc::clone(&asked), Arc::new(ways));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            counts.fetch_add(1, Ordering::SeqCst);
            let ways = Arc::clone(&ways);
            // Whoever hangs up meanwhile wants no more of it.
            thread::spawn(move || pass_through(client, &*ways));
        }
    });
    (port, asked)
}

fn pass_through(mut client: TcpStream, ways: &impl Fn(&str) -> Option<String>) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request);
    let asked = request.strip_prefix("CONNECT ").and_then(|rest| rest.split_once(" HTTP/1.1\r\n"));
    let way = asked.and_then(|(asked, _)| ways(asked));
    let Some(server) = way.and_then(|way| TcpStream::connect(way).ok()) else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut up, mut down) = ((client.try_clone()?, server.try_clone()?), (server, client));
    thread::spawn(move || io::copy(&mut up.0, &mut up.1));
    io::copy(&mut down.0, &mut down.1).map(drop)
}

/// Seen-by-users 0.19: where there is no other way the controller is reached through the proxy that `config/proxy` names, at an
/// address that the proxy alone can make something of. The status says so.
#[test]
fn the_controller_is_reached_through_the_proxy_that_is_written() {
    let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
    let config = scene.node.root().join("config");
    let port = scene.evc.server().rsplit(':').next().unwrap().to_owned();
    let (proxy_port, asked) =
        proxy(move |asked| (asked == "localhost:1").then(|| format!("127.0.0.1:{port}")));
    fs::write(config.join("server"), "localhost:1").unwrap();
    fs::write(config.join("proxy"), "socks5://127.0.0.1:1").unwrap();
    scene.node.start().unwrap();
    until_told(&scene, "onboarding", has("write http://HOST:PORT"));
    replace(&config.join("proxy"), format!("http://user:secret@127.0.0.1:{proxy_port}\n").as_bytes());
    let told = until_told(&scene, "controller", reachable);
    assert_eq!(told["proxy"], format!("127.0.0.1:{proxy_port}"), "without its password");
    assert!(asked.load(Ordering::SeqCst) > 0);
    let by_proxy = format!("answers by the proxy 127.0.0.1:{proxy_port}");
    let text = until_text(&scene, &by_proxy);
    assert!(!text.contains("secret"), "{text}");
}

/// A link that leads nowhere stands in the place of `boot-pcrs`, which only informs: that shuts no vault, and nothing is made where it leads.
#[test]
fn a_file_that_only_informs_shuts_nothing() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", super::TPM).unwrap();
    scene.node.stop(Power::Clean).unwrap();
    let file = scene.node.root().join("config/boot-pcrs");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("nowhere", &file).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    let open = scene.node.until_vault("till", "unlocked");
    open.unwrap_or_else(|error| panic!("{error}: {}", scene.node.status().unwrap()));
    assert!(scene.has_data("till"));
    assert!(file.is_symlink() && !file.exists());
}
