//! The open connection: the TSS context, what is cached beside it, and the one place through which each command
//! goes, is counted, and has its error translated.

use std::collections::HashMap;

use tss_esapi::Context;
use tss_esapi::handles::{KeyHandle, PersistentTpmHandle};
use tss_esapi::interface_types::session_handles::AuthSession;

use crate::counts::Counts;
use crate::{CommandError, TpmError};

/// A context and what belongs to it. Lives on the worker's thread.
pub(crate) struct Shell {
    context: Context,
    counts: Counts,
    /// The EK that the caller pinned, loaded as a transient object; sessions are salted to it.
    pub(crate) ek: Option<KeyHandle>,
    keys: HashMap<u32, KeyHandle>,
}

impl Shell {
    pub(crate) fn new(context: Context, counts: Counts) -> Self {
        Self { context, counts, ek: None, keys: HashMap::new() }
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Runs one command without sessions.
    pub(crate) fn run<T>(
        &mut self,
        command: &'static str,
        f: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, CommandError> {
        self.run_with(command, None, f)
    }

    /// Runs one command authorised by an empty password: for what is not secret.
    pub(crate) fn run_open<T>(
        &mut self,
        command: &'static str,
        f: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, CommandError> {
        self.run_with(command, Some(AuthSession::Password), f)
    }

    /// Runs one command with `session`.
    pub(crate) fn run_with<T>(
        &mut self,
        command: &'static str,
        session: Option<AuthSession>,
        f: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, CommandError> {
        self.counts.call();
        self.context.execute_with_session(session, f).map_err(|error| CommandError::new(command, error))
    }

    /// The key kept at a persistent handle.
    pub(crate) fn key(&mut self, handle: u32) -> Result<KeyHandle, TpmError> {
        if let Some(key) = self.keys.get(&handle) {
            return Ok(*key);
        }
        let key = self.run("ReadPublic", |context| {
            context.tr_from_tpm_public(PersistentTpmHandle::new(handle)?.into()).map(KeyHandle::from)
        })?;
        self.keys.insert(handle, key);
        Ok(key)
    }
}
