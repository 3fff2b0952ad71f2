//! The accept loop: TLS, at most so many connections, and a time for everything a peer can be slow at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::shares::{Share, Shares, Source};
use crate::custody::{CustodyError, server_config};
use crate::service::Controller;

/// Connections at the same time; further ones wait in the kernel.
pub const CONNECTIONS: usize = 4096;
/// For the TLS handshake, and for the head of each request; an idle connection ends after it too.
const SLOW: Duration = Duration::from_secs(15);
/// For requests in flight when the controller stops.
const FAREWELL: Duration = Duration::from_secs(10);

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address.
    #[error("can't listen on {address}")]
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

/// A bound listener, not serving yet.
pub struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: TlsAcceptor,
    router: Router,
}

impl Listener {
    /// Binds. With port 0 the system chooses one: see [`Self::address`].
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(address: SocketAddr, controller: Arc<Controller>) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address, source };
        let tls = TlsAcceptor::from(server_config(&controller.authority)?);
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        Ok(Self { tcp, address, tls, router: super::router(controller) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is true, then lets requests in flight end.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        let (room, sources) = (Arc::new(Semaphore::new(CONNECTIONS)), Shares::of(CONNECTIONS));
        loop {
            let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            let theirs = stop.clone();
            tokio::select! {
                accepted = self.tcp.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Its source has its share: closed at once.
                        let Some(share) = sources.take(Source::of(peer.ip())) else { continue };
                        self.spawn(stream, Source::of(peer.ip()), (permit, share), theirs);
                    }
                    // Out of descriptors, or a peer that went: neither is mended by spinning.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                () = told(&mut stop) => break,
            }
        }
        let all = u32::try_from(CONNECTIONS).expect("a small number");
        let _ = tokio::time::timeout(FAREWELL, room.acquire_many(all)).await;
    }

    fn spawn(
        &self,
        stream: TcpStream,
        source: Source,
        room: (OwnedSemaphorePermit, Share<Source>),
        stop: watch::Receiver<bool>,
    ) {
        let (tls, router) = (self.tls.clone(), self.router.clone());
        tokio::spawn(async move {
            connection(stream, tls, (router, source), stop).await;
            drop(room);
        });
    }
}

/// Waits until it is told to stop; a teller that is gone tells so too.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(
    stream: TcpStream,
    tls: TlsAcceptor,
    (router, source): (Router, Source),
    mut stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(SLOW, tls.accept(stream)).await else { return };
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SLOW).max_buf_size(64 << 10);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(source);
        router.call(request)
    });
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        _ = serving.as_mut() => return,
        () = told(&mut stop) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}
