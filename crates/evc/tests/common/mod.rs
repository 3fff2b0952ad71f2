//! A controller over real TLS in this process, and a device in software: keys of its own, messages by `wire`.

#![allow(dead_code, unused_imports)] // Each test file uses a part.

pub(crate) mod copies;
pub(crate) mod couriered;
mod device;
pub(crate) mod escrowed;
pub(crate) mod quoting;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use evc::api::Problem;
use evc::clock::now;
use evc::device::config::Look;
use evc::http::Listener;
use evc::operator::Operator;
use evc::service::{Controller, Refusal, Settings, StartError, Steady, start, start_over, token_hash};
use evc::store::{Engine, Running, Scope, Store, StoreError, Tx};
use tokio::sync::{mpsc, watch};
use ureq::Agent;
use ureq::tls::{Certificate as UreqCert, RootCerts, TlsConfig};
use vault::ids::DeviceId;
use wire::TrustedCerts;
use wire::certs::{Validity, open_answer};
use wire::config::{ConfigRequest, ConfigResponse};

pub(crate) use device::{Device, Key, id_in, new_session, section};

/// A running controller. Stops when it is dropped, with its runtime.
pub(crate) struct Evc {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) app: Arc<Controller>,
    pub(crate) url: String,
    pub(crate) agent: Agent,
    pub(crate) token: String,
    stop: watch::Sender<bool>,
    runtime: tokio::runtime::Runtime,
}

/// Readers that the store lets in at the same time.
const READERS: usize = 4;

/// A place in the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occupies {
    Writer,
    All,
}

/// A place that nobody else has.
pub(crate) struct Occupied {
    _go: watch::Sender<()>,
}

async fn held(app: Arc<Controller>, place: Occupies, told: mpsc::Sender<()>, gone: watch::Receiver<()>) {
    let (told, gone) = (&told, &gone);
    let hold = || async move {
        let _ = told.send(()).await;
        let _ = gone.clone().changed().await;
        Ok(())
    };
    let held: Result<(), StoreError> = match place {
        Occupies::Writer => app.store.write(Scope::Fleet, |_| Box::pin(hold())).await,
        Occupies::All => app.store.read(|_| Box::pin(hold())).await,
    };
    held.expect("held");
}

/// The longest that anything here may take; a loaded machine takes long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Waits for what must come, by looking: until a look returns it. Says what was waited for, and what was seen in its place.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let patience = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < patience, "waited in vain for: {what}; seen last: {seen}"),
        }
        std::thread::sleep(POLL);
    }
}

/// The same of something that is so or not.
pub(crate) fn until_so(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || if holds() { Ok(()) } else { Err("it is not so".to_owned()) });
}

/// What it is told, over a data folder.
pub(crate) fn settings(data: &Path) -> Settings {
    Settings {
        data: data.to_owned(),
        names: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        poll_every_s: None,
        drill_every_s: evc::service::DRILL_EVERY_S,
        deleted_grace_s: evc::service::DELETED_GRACE_S,
        clock_is_right: false,
    }
}

/// A child that another test starts holds the folder's lock for the moment before it is a program of its own.
async fn start_patiently(settings: &Settings) -> Result<Controller, StartError> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match start(settings, now()).await {
            Err(StartError::Taken { .. }) if Instant::now() < patience => tokio::time::sleep(POLL).await,
            ended => return ended,
        }
    }
}

/// A request that is not whole yet.
pub(crate) type Begun = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Evc {
    pub(crate) fn start() -> Self {
        Self::over(tempfile::tempdir().expect("a folder"))
    }

    /// Starts over a data folder that may have been used before.
    pub(crate) fn over(dir: tempfile::TempDir) -> Self {
        Self::of(dir, start_patiently)
    }

    /// Starts over an engine.
    pub(crate) fn over_engine(engine: impl Engine + 'static) -> Self {
        Self::over_engine_in(tempfile::tempdir().expect("a folder"), engine)
    }

    /// The same with the files that an earlier life left.
    pub(crate) fn over_engine_in(dir: tempfile::TempDir, engine: impl Engine + 'static) -> Self {
        let store = Store::over(engine);
        Self::of(dir, async |settings| start_over(&disk::Disk::linux(), store, settings, now()).await)
    }

    fn of(
        dir: tempfile::TempDir,
        start: impl AsyncFnOnce(&Settings) -> Result<Controller, StartError>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = settings(dir.path());
        let app = Arc::new(runtime.block_on(start(&settings)).expect("started"));
        let any = "127.0.0.1:0".parse().expect("an address");
        let listener = runtime.block_on(Listener::bind(any, app.clone())).expect("bound");
        let url = format!("https://{}", listener.address());
        let (stop, stopped) = watch::channel(false);
        runtime.spawn(listener.serve(stopped));
        let agent = agent(dir.path());
        let token = std::fs::read_to_string(dir.path().join("operator.token")).expect("a token");
        Self { dir, app, url, agent, token, stop, runtime }
    }

    /// Ends the controller; what is left is its data.
    pub(crate) fn stop(self) -> tempfile::TempDir {
        let Self { dir, app, stop, runtime, .. } = self;
        stop.send_replace(true);
        runtime.block_on(app.store.close());
        runtime.shutdown_timeout(Duration::from_secs(5));
        dir
    }

    /// Ends the controller and starts another over the same data.
    pub(crate) fn restart(self) -> Self {
        Self::over(self.stop())
    }

    /// Who has the token, past the network.
    pub(crate) fn as_operator(&self) -> Operator {
        self.wait(Operator::by_token(self.app.clone(), &token_hash(&self.token))).expect("its token is good")
    }

    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Answer {
        let path = format!("{}/api/v2/edgedevice{path}", self.url);
        let request = self.agent.post(path).header("content-type", "application/x-proto-binary");
        told(request.send(body).expect("an answer"))
    }

    pub(crate) fn operator(&self, method: &str, path: &str, body: &str, token: Option<&str>) -> Answer {
        self.call(method, &format!("/api/v1{path}"), body, token)
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &str, token: Option<&str>) -> Answer {
        let send = || {
            let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
            let request = token
                .into_iter()
                .fold(request, |request, token| request.header("authorization", format!("Bearer {token}")));
            self.agent.run(request.body(body.to_owned()).expect("a request"))
        };
        // Who was refused before its body had come finds the connection ended; what is sent into that was heard by nobody.
        let answer = match send() {
            Err(ureq::Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => send(),
            answer => answer,
        };
        told(answer.expect("an answer"))
    }

    /// An operator's act that must succeed.
    pub(crate) fn act(&self, method: &str, path: &str, body: &str) -> serde_json::Value {
        let answer = self.operator(method, path, body, Some(&self.token));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{method} {path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn apply(&self, yaml: &str) -> serde_json::Value {
        self.act("POST", "/apply", yaml)
    }

    /// The status of a request that announces a body of `length` bytes under `path` and sends none of it.
    pub(crate) fn announce(&self, path: &str, length: usize) -> u16 {
        status(self.begin(path, length)).expect("an answer")
    }

    /// A connection with a request on it that announces a body of `length` bytes, none of it sent yet.
    pub(crate) fn begin(&self, path: &str, length: usize) -> Begun {
        self.begin_from("127.0.0.1", path, length)
    }

    /// The same from another address of this machine.
    pub(crate) fn begin_from(&self, source: &str, path: &str, length: usize) -> Begun {
        let mut stream = self.connect_from(source);
        let token = &self.token;
        write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n").expect("sent");
        stream
    }

    /// A connection with nothing on it.
    pub(crate) fn connect_from(&self, source: &str) -> Begun {
        self.connect_as(self.tls_client(), source)
    }

    /// A TLS client that has not been here yet.
    pub(crate) fn tls_client(&self) -> Arc<rustls::ClientConfig> {
        let pem = std::fs::read(self.dir.path().join("root-certificate.pem")).expect("a root");
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(rustls_pki_types::pem::PemObject::from_pem_slice(&pem).expect("a certificate"))
            .expect("a root");
        Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }

    /// A connection of a TLS client that may have been here before.
    pub(crate) fn connect_as(&self, client: Arc<rustls::ClientConfig>, source: &str) -> Begun {
        let host: SocketAddr = self.url.strip_prefix("https://").expect("a URL").parse().expect("an address");
        let tcp = self.wait(async {
            let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
            socket.bind(SocketAddr::new(source.parse().expect("an address"), 0)).expect("bound");
            socket.connect(host).await.expect("connected").into_std().expect("a stream")
        });
        tcp.set_nonblocking(false).expect("set");
        tcp.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        let name = "127.0.0.1".try_into().expect("a name");
        let tls = rustls::ClientConnection::new(client, name).expect("a client");
        rustls::StreamOwned::new(tls, tcp)
    }

    /// A whole request from another address of this machine; its status, or nothing when it was cut off.
    pub(crate) fn post_from(&self, source: &str, path: &str, body: &[u8]) -> Option<u16> {
        let mut begun = self.begin_from(source, path, body.len());
        begun.write_all(body).and_then(|()| begun.flush()).ok()?;
        status(begun)
    }

    /// What a poll is answered at a time.
    pub(crate) fn config_at(
        &self,
        device: DeviceId,
        ask: &ConfigRequest,
        at: u64,
    ) -> Result<Option<ConfigResponse>, Refusal> {
        let app = &self.app;
        let as_of = app.store.as_of();
        let look = app.store.read(|tx| {
            Box::pin(async move {
                let row = tx.device(device).await?.expect("registered");
                app.look(tx, row, ask, at).await
            })
        });
        Ok(match self.wait(look)? {
            Look::Unchanged { .. } => None,
            Look::Said(answer, _) => Some(*answer),
            Look::Accepted { changed, .. } => {
                self.wait(app.accepted(as_of, device, changed))?;
                None
            }
            Look::Changed(of) => Some(self.wait(app.answer(device, &ask.config_hash, of, as_of, at))?),
        })
    }

    /// What the store says.
    pub(crate) fn stored<'e, T>(
        &self,
        ask: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, StoreError>,
    ) -> T {
        self.wait(self.app.store.read(ask)).expect("read")
    }

    /// Writes into the store, past the controller.
    pub(crate) fn meddle<'e, T>(
        &self,
        act: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, StoreError>,
    ) -> T {
        self.wait(self.app.store.write(Scope::Fleet, act)).expect("written")
    }

    /// Holds a writer's place, or all, until it is dropped. (A look at one device takes the writer's too.)
    pub(crate) fn occupy(&self, place: Occupies) -> Occupied {
        let (go, gone) = watch::channel(());
        let (told, mut here) = mpsc::channel(READERS);
        let count = if place == Occupies::Writer { 1 } else { READERS + 1 };
        for n in 0..count {
            let place = if n == 0 { Occupies::Writer } else { place };
            self.runtime.spawn(held(self.app.clone(), place, told.clone(), gone.clone()));
        }
        for _ in 0..count {
            self.wait(here.recv()).expect("a place");
        }
        Occupied { _go: go }
    }

    pub(crate) fn trusted(&self) -> TrustedCerts {
        let answer =
            told(self.agent.get(format!("{}/api/v2/edgedevice/certs", self.url)).call().expect("an answer"));
        let root = std::fs::read(self.dir.path().join("root-certificate.pem")).expect("a root");
        open_answer(&answer.body, &root, Validity::At(now())).expect("trusted")
    }
}

impl Answer {
    /// A refusal, as the API tells it.
    pub(crate) fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }
}

/// Ends the loops of others, whatever becomes of who has it.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Something is done while the device's poll, which is answered that nothing is new, is sent without end; then the status of the very
/// next one.
pub(crate) fn raced(evc: &Evc, device: &mut Device, act: impl FnOnce()) -> u16 {
    until_unchanged(evc, device);
    let (over, polls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let body = device.seal(&device.ask());
    let path = device.own("config");
    let poll = || evc.post(&path, &body).status;
    std::thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in (0..100_000).take_while(|_| !over.load(Ordering::SeqCst)) {
                    poll();
                    polls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until_so("it to be polled", || polls.load(Ordering::SeqCst) > 4);
        act();
        poll()
    })
}

/// Polls until it is told twice that nothing is new.
pub(crate) fn until_unchanged(evc: &Evc, device: &mut Device) {
    let told: Vec<_> = (0..8).map(|_| device.poll(evc)).collect();
    assert!(told[6..].iter().all(Option::is_none), "{told:?}");
}

/// A round of housekeeping now: graces that are over end.
pub(crate) fn settle_graces(evc: &Evc) {
    end_graces(evc, now());
}

/// A round of housekeeping at a time, by a clock that ran steadily until then. How many graces ended.
pub(crate) fn end_graces(evc: &Evc, at: u64) -> usize {
    evc.wait(evc.app.keep_house(&mut Steady::since(at), at, Duration::ZERO)).expect("kept")
}

/// The status of the answer on a connection.
pub(crate) fn status(stream: Begun) -> Option<u16> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    line.split(' ').nth(1)?.parse().ok()
}

/// Whoever can write the file, past the controller and its rules.
pub(crate) fn sql(data: &Path, statements: &[&str]) {
    let file = rusqlite::Connection::open(data.join("evc.db")).expect("opened");
    file.pragma_update(None, "foreign_keys", false).expect("set");
    for statement in statements {
        file.execute_batch(statement).expect(statement);
    }
}

/// Columns of a table, each with a value that its type lets in and nothing in this program writes.
pub(crate) fn damages(evc: &Evc, table: &str) -> Vec<(String, &'static str)> {
    let file = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    let mut columns = file.prepare(&format!("PRAGMA table_info({table})")).expect("asked");
    let columns = columns.query_map((), |row| Ok((row.get::<_, String>(1)?, row.get::<_, String>(2)?)));
    let damage = |kind: &str| match kind {
        "TEXT" => "CAST(x'ff21' AS TEXT)",
        "BLOB" => "x'00'",
        "INTEGER" => "-7",
        other => panic!("{other}: how is that damaged?"),
    };
    let columns = columns.expect("told").map(|column| column.expect("a column"));
    columns.map(|(name, kind)| (name, damage(&kind))).collect()
}

/// How many rows a table has.
pub(crate) fn count(data: &Path, table: &str) -> i64 {
    let file = rusqlite::Connection::open(data.join("evc.db")).expect("opened");
    file.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)).expect("counted")
}

/// A controller as a process; killed when dropped.
pub(crate) struct Serving(pub(crate) Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a start that is refused says.
pub(crate) fn refused(data: &Path) -> String {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_evc"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    let mut child = Serving(serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"));
    let mut line = String::new();
    BufReader::new(child.0.stdout.take().expect("piped")).read_line(&mut line).expect("read");
    assert_eq!(line, "", "not refused");
    let said = std::io::read_to_string(child.0.stderr.take().expect("piped")).expect("read");
    assert_eq!(child.0.wait().expect("ended").code(), Some(1), "{said}");
    said
}

pub(crate) fn serve(data: &Path) -> (Serving, String) {
    serve_at("127.0.0.1:0", data)
}

pub(crate) fn serve_at(address: &str, data: &Path) -> (Serving, String) {
    let mut serve = Command::new(env!("CARGO_BIN_EXE_evc"));
    serve.args(["serve", "--listen", address, "--data"]).arg(data);
    let child = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    announced(Serving(child))
}

/// Waits until it says where it listens.
pub(crate) fn announced(mut serving: Serving) -> (Serving, String) {
    let mut line = String::new();
    BufReader::new(serving.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim().strip_prefix("listening on ").expect("one clear line").to_owned();
    (serving, url)
}

/// Asks it to end: its exit code, and what it logged.
pub(crate) fn terminate(mut serving: Serving) -> (Option<i32>, String) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(serving.0.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("sent");
    let log = std::io::read_to_string(serving.0.stderr.take().expect("piped")).expect("a log");
    (serving.0.wait().expect("ended").code(), log)
}

fn told(mut answer: ureq::http::Response<ureq::Body>) -> Answer {
    Answer { status: answer.status().as_u16(), body: answer.body_mut().read_to_vec().expect("a body") }
}

pub(crate) fn agent(data: &Path) -> Agent {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let pem = std::fs::read(data.join("root-certificate.pem")).expect("a root");
    let root = UreqCert::from_pem(&pem).expect("a certificate");
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(vec![root]))).build();
    let config = Agent::config_builder().tls_config(tls).http_status_as_error(false).proxy(None);
    config.timeout_global(Some(Duration::from_secs(30))).build().into()
}
