//! The accept loop: TLS, at most so many connections, and a time for everything a peer can be slow at.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::at_once::at_once;
use super::front::Front;
use super::log;
use super::pace::{PATIENCE, Pace, Paced, TooLong};
use super::sources::{Seat, Sources};
use crate::custody::{CustodyError, server_config};
use crate::service::Controller;

/// Connections at the same time; further ones wait in the kernel.
pub const CONNECTIONS: usize = 4096;
/// For the TLS handshake; and, where connections are scarce, for the head of each request, from the end of the one before on.
const SLOW: Duration = Duration::from_secs(15);
/// The same where there are plenty, and of each source for so many ([`LONG_IDLE`]): longer than devices usually take from one poll to
/// the next, so that a poll costs no handshake. Who is slow with a head gains nothing by it over who is idle.
const IDLE: Duration = Duration::from_secs(120);
/// A connection that comes while its source has more guests than these is not idle for long: the rest of its share is for who comes and
/// goes.
const LONG_IDLE: usize = CONNECTIONS / 16;
/// Bytes that the kernel keeps of what a peer does not take (it doubles this); by itself it would let each have megabytes.
const SEND_BUFFER: u32 = 64 << 10;
/// Connections that may wait in the kernel.
const BACKLOG: u32 = 1024;
/// For requests in flight when the controller stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error("can't listen on {address}: {}", instead(.source.kind()))]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// TLS.
    #[error("TLS can't be set up")]
    Tls(#[from] CustodyError),
}

/// What to do about an address that can't be listened on.
fn instead(why: ErrorKind) -> &'static str {
    match why {
        ErrorKind::AddrInUse => "another program listens there; end it, or give another port to --listen",
        ErrorKind::PermissionDenied => {
            "ports below 1024 are root's; give another one to --listen, or allow it (CAP_NET_BIND_SERVICE)"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; give one of its own to --listen, or 0.0.0.0"
        }
        _ => "give another address to --listen",
    }
}

/// A bound listener, not serving yet.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    front: Front,
}

impl Listener {
    /// Binds. With port 0 the system chooses one: see [`Self::address`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(address: SocketAddr, controller: Arc<Controller>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address, source };
        let tls = TlsAcceptor::from(server_config(&controller.authority)?);
        let tcp = bound(address).map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address, tls, front: super::front(controller) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is true, then lets requests in flight end.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let (room, sources) = (Arc::new(Semaphore::new(CONNECTIONS)), Sources::new());
        let (end, ended) = watch::channel(false);
        let telling = self.front.app().map(|app| tokio::spawn(log::tell_over(app, ended)));
        loop {
            let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            let theirs = stop.clone();
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Too many come at once: closed.
                        let Some(place) = sources.take(peer.ip()).map(Arc::new) else { continue };
                        let idle = idle(room.available_permits(), place.held());
                        self.spawn(stream, (permit, place), idle, theirs);
                    }
                    // Out of descriptors, or a peer that went: neither is mended by spinning.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                () = told(&mut stop) => break,
            }
        }
        let all = u32::try_from(CONNECTIONS).expect("a small number");
        let _ = tokio::time::timeout(FAREWELL, room.acquire_many(all)).await;
        // Of what was refused until now no more is told than what was counted.
        end.send_replace(true);
        if let Some(telling) = telling {
            let _ = telling.await;
        }
    }

    fn spawn(
        &self,
        stream: TcpStream,
        (permit, place): (OwnedSemaphorePermit, Arc<Seat>),
        idle: Duration,
        stop: watch::Receiver<bool>,
    ) {
        let (tls, front) = (self.tls.clone(), self.front.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            at_once(kept(connection(stream, tls, (front, &place), idle, stop), &place)).await;
            drop(permit);
        });
    }
}

/// A listener whose connections, which take this over from it, keep little of what nobody reads, and not for ever: neither while they
/// are served nor when they were closed.
fn bound(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    setsockopt(&socket, TcpUserTimeout, &u32::try_from(IDLE.as_millis()).unwrap_or(u32::MAX))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Waits until it is told to stop; a teller that is gone tells so too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How long a connection may be idle that leaves room for `left` more, and with which its source has `held` guests: half of all are for who
/// comes and goes. Once for its life.
fn idle(left: usize, held: usize) -> Duration {
    if left >= CONNECTIONS / 2 && held <= LONG_IDLE { IDLE } else { SLOW }
}

/// Serves a connection until it ends, or its place is another's.
async fn kept(connection: impl Future<Output = ()>, place: &Seat) {
    tokio::select! {
        () = connection => {}
        () = place.pushed_out() => {}
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    tls: TlsAcceptor,
    (front, place): (Front, &Arc<Seat>),
    idle: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(Ok(stream)) = tokio::time::timeout(SLOW, tls.accept(stream)).await else { return };
    let (pace, front) = (Pace::of(idle), &front);
    let (pace, mut is_last) = (&pace, false);
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(64 << 10);
    let service = service_fn(|request: Request<Incoming>| async move {
        let answer = pin!(front.answer(place, request, pace));
        Ok::<_, Infallible>(pace.work(answer).await)
    });
    let serving = http.serve_connection(Paced { stream: TokioIo::new(stream), pace }, service);
    let timer = tokio::time::sleep(idle.min(PATIENCE));
    tokio::pin!(serving, timer);
    loop {
        tokio::select! {
            _ = serving.as_mut() => return,
            () = told(&mut stop), if !is_last => {
                serving.as_mut().graceful_shutdown();
                is_last = true;
            }
            // A request that took too long is told so when it is polled next, which is now.
            over = pace.too_long(timer.as_mut()) => if over == TooLong::Idle { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::task::JoinHandle;
    use tokio::time::error::Elapsed;
    use tokio::time::{sleep, timeout};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;

    const POLL: Duration = Duration::from_secs(60);
    /// More than the kernel keeps of an answer.
    const LARGE: usize = 8 << 20;
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A client, over a pipe, of a connection that may be idle for so long.
    async fn client(idle: Duration) -> (TlsStream<DuplexStream>, watch::Sender<bool>) {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (client, _, stop) = client_over(ours, theirs, idle).await;
        (client, stop)
    }

    /// The same over TCP, by what the listener sets; with the connection as it is served.
    async fn client_by_tcp(idle: Duration) -> (TlsStream<TcpStream>, JoinHandle<()>, watch::Sender<bool>) {
        let listener = bound("127.0.0.1:0".parse().expect("an address")).expect("listens");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 << 10).expect("set");
        let ours = socket.connect(listener.local_addr().expect("an address")).await.expect("connects");
        let (theirs, _) = listener.accept().await.expect("accepts");
        client_over(ours, theirs, idle).await
    }

    async fn client_over<S, C>(
        ours: C,
        theirs: S,
        idle: Duration,
    ) -> (TlsStream<C>, JoinHandle<()>, watch::Sender<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let key = rcgen::generate_simple_self_signed(["x".to_owned()]).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider.clone());
        let server = server.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let private = rustls_pki_types::PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
        let server = server.with_single_cert(vec![key.cert.der().clone()], private.into()).expect("a server");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(key.cert.der().clone()).expect("a root");
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let router = Router::new().route("/", get(|| async { "here" }));
        let router = router.route("/large", get(|| async { vec![b'x'; LARGE] }));
        let (stop, stopped) = watch::channel(false);
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let serving = tokio::spawn(async move {
            let place = Sources::new().take("192.0.2.1".parse().expect("an address"));
            let place = Arc::new(place.expect("let in"));
            connection(theirs, acceptor, (Front::alone(router), &place), idle, stopped).await;
        });
        let name = "x".try_into().expect("a name");
        let client = TlsConnector::from(Arc::new(config)).connect(name, ours).await.expect("connected");
        (client, serving, stop)
    }

    /// What comes within a time; nothing when the connection has ended, or an error when it goes on in silence.
    async fn told(client: &mut TlsStream<DuplexStream>, within: Duration) -> Result<String, Elapsed> {
        let mut bytes = [0; 4096];
        let length = timeout(within, client.read(&mut bytes)).await?.unwrap_or(0);
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    async fn is_answered(client: &mut TlsStream<DuplexStream>) -> bool {
        let _ = client.write_all(REQUEST).await;
        told(client, SLOW).await.is_ok_and(|text| text.ends_with("here"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_each_minute_stays_on_its_connection() {
        let (mut client, _stop) = client(idle(CONNECTIONS - 1, 1)).await;
        for _ in 0..3 {
            assert!(is_answered(&mut client).await);
            sleep(POLL + SLOW).await;
        }
        assert_eq!(told(&mut client, IDLE).await.as_deref(), Ok(""), "not for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_ends_its_connection() {
        let (mut client, _stop) = client(IDLE).await;
        for byte in REQUEST.iter().take(3) {
            let _ = client.write_all(&[*byte]).await;
            sleep(IDLE / 4).await;
        }
        assert_eq!(told(&mut client, IDLE / 2).await.as_deref(), Ok(""));
    }

    #[tokio::test(start_paused = true)]
    async fn where_connections_are_scarce_none_stays_long() {
        let (mut client, _stop) = client(idle(CONNECTIONS / 2 - 1, 1)).await;
        assert!(is_answered(&mut client).await);
        assert_eq!(told(&mut client, POLL).await.as_deref(), Ok(""));
    }

    /// A connection whose client asks for a large answer, over TCP, and takes none of it yet.
    async fn unread() -> (TlsStream<TcpStream>, JoinHandle<()>, watch::Sender<bool>) {
        let mut unread = client_by_tcp(IDLE).await;
        unread.0.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        // The kernel's buffers are full when the client's has something and the server does not go on.
        unread.0.get_ref().0.readable().await.expect("something came");
        tokio::time::pause();
        unread
    }

    /// Threats, Controller: whoever reads no answer holds a connection, and what the kernel keeps for it, only for a while.
    #[tokio::test]
    async fn who_reads_no_answer_is_not_waited_for_for_ever() {
        let (_client, serving, _stop) = unread().await;
        let began = tokio::time::Instant::now();
        assert!(timeout(IDLE * 3, serving).await.is_ok(), "its connection ends");
        assert!(began.elapsed() >= IDLE - SLOW, "and not at once: {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn who_asks_on_and_reads_nothing_is_not_waited_for_for_ever() {
        let (mut client, serving, _stop) = client_by_tcp(IDLE).await;
        tokio::time::pause();
        let asks = async { while client.write_all(REQUEST).await.is_ok() {} };
        assert!(timeout(IDLE * 3, asks).await.is_ok());
        assert!(serving.is_finished());
    }

    /// A slow reader is no idle one.
    #[tokio::test]
    async fn who_reads_slowly_has_the_whole_answer() {
        let (mut client, _serving, _stop) = unread().await;
        let (mut came, mut part) = (0, vec![0; LARGE / 8]);
        while came < LARGE {
            sleep(IDLE / 2).await;
            let length = client.read_exact(&mut part).await.expect("it goes on");
            came += length;
        }
    }

    /// What the listener was told holds for its connections.
    #[tokio::test]
    async fn the_kernel_keeps_little_of_what_nobody_reads_and_not_for_ever() {
        use nix::sys::socket::{getsockopt, sockopt::SndBuf};
        let listener = bound("127.0.0.1:0".parse().expect("an address")).expect("listens");
        let _peer = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connects");
        let (stream, _) = listener.accept().await.expect("accepts");
        assert_eq!(getsockopt(&stream, SndBuf).ok(), Some(2 * SEND_BUFFER as usize));
        assert_eq!(getsockopt(&stream, TcpUserTimeout).map(u128::from), Ok(IDLE.as_millis()));
    }
}
