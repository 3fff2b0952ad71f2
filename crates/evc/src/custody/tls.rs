//! TLS of the listener: rustls with aws-lc, versions 1.2 and 1.3, no client certificates (devices sign their messages instead).

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};

use super::CustodyError;
use super::authority::Authority;

/// The listener's configuration.
///
/// # Errors
/// [`CustodyError::Tls`]: key and certificate do not belong together.
pub fn server_config(authority: &Authority) -> Result<Arc<ServerConfig>, CustodyError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(authority.tls_chain.clone(), authority.tls_key.clone_key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Who was here before needs no signature, however many others came since: the ticket is with the peer, its key, renewed
    // every six hours, in this memory alone.
    config.ticketer = Ticketer::new()?;
    Ok(Arc::new(config))
}
