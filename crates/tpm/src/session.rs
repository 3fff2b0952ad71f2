//! Sessions: salted to the pinned EK, AES-128-CFB parameter encryption, flushed whatever happens.
//! A session that says nothing secret is not opened at all.

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::SessionHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::SymmetricDefinition;

use crate::shell::Shell;
use crate::{CommandError, TpmError};

/// Which way parameters are encrypted. A command whose first parameter (or response's) is no sized buffer refuses
/// the flag for that way (TPM_RC_ATTRIBUTES, 0x982).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Secret {
    /// In the command: `decrypt` is set.
    ToTpm,
    /// In the response: `encrypt` is set.
    FromTpm,
    /// Neither way: the session authorises only.
    Neither,
}

impl Shell {
    /// Runs `f` in an HMAC session.
    pub(crate) fn in_session<T, E: From<TpmError>>(
        &mut self,
        secret: Secret,
        f: impl FnOnce(&mut Self, AuthSession) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.start(SessionType::Hmac, secret)?;
        self.and_flush(session, f)
    }

    /// Runs `f` in a policy session.
    pub(crate) fn in_policy_session<T, E: From<TpmError>>(
        &mut self,
        secret: Secret,
        f: impl FnOnce(&mut Self, PolicySession) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.start(SessionType::Policy, secret)?;
        self.and_flush(session, |shell, session| match session {
            AuthSession::PolicySession(policy) => f(shell, policy),
            _ => Err(malformed().into()),
        })
    }

    fn start(&mut self, kind: SessionType, secret: Secret) -> Result<AuthSession, TpmError> {
        let ek = self.ek.ok_or(TpmError::NotPinned)?;
        let (cipher, hash) = (SymmetricDefinition::AES_128_CFB, HashingAlgorithm::Sha256);
        let session = self
            .run("StartAuthSession", |context| {
                context.start_auth_session(Some(ek), None, None, kind, cipher, hash)
            })?
            .ok_or_else(malformed)?;
        match self.set_attributes(session, secret) {
            Ok(()) => Ok(session),
            Err(error) => self.and_flush(session, |_, _| Err(error)),
        }
    }

    fn set_attributes(&mut self, session: AuthSession, secret: Secret) -> Result<(), TpmError> {
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_continue_session(true)
            .with_decrypt(matches!(secret, Secret::ToTpm))
            .with_encrypt(matches!(secret, Secret::FromTpm))
            .build();
        // Nothing goes to the TPM here: the attributes travel with each command.
        Ok(self
            .run("StartAuthSession", |context| context.tr_sess_set_attributes(session, attributes, mask))?)
    }

    /// Runs `f`, then flushes; the first error wins.
    fn and_flush<T, E: From<TpmError>>(
        &mut self,
        session: AuthSession,
        f: impl FnOnce(&mut Self, AuthSession) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = f(self, session);
        let handle = SessionHandle::from(session).into();
        let flushed = self.run("FlushContext", |context| context.flush_context(handle));
        let value = result?;
        flushed.map_err(TpmError::from)?;
        Ok(value)
    }
}

fn malformed() -> TpmError {
    CommandError::malformed("StartAuthSession").into()
}
