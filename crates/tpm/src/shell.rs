//! The open connection: the TSS context, what is cached beside it, and the one place through which each command
//! goes, is counted, and has its error translated.

use std::collections::HashMap;
use std::sync::Arc;

use tss_esapi::Context;
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::session_handles::AuthSession;

use crate::counts::Counts;
use crate::owner::OwnerAuth;
use crate::session::Secret;
use crate::{AuthLack, CommandError, Meaning, TpmError};

/// A context and what belongs to it. Lives on the worker's thread.
pub(crate) struct Shell {
    context: Context,
    counts: Counts,
    /// The EK that the caller pinned, loaded as a transient object; sessions are salted to it.
    pub(crate) ek: Option<KeyHandle>,
    /// Our keys by their own handles, wherever they lie.
    keys: HashMap<u32, KeyHandle>,
    /// The owner's password, if one was given.
    owner: Option<Arc<OwnerAuth>>,
}

impl Shell {
    pub(crate) fn new(context: Context, counts: Counts, owner: Option<Arc<OwnerAuth>>) -> Self {
        Self { context, counts, ek: None, keys: HashMap::new(), owner }
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

    /// Runs one command by the owner's authority. A password goes out only within a session's HMAC, and no command is tried with one
    /// that is not known or was refused before.
    pub(crate) fn run_owner<T>(
        &mut self,
        command: &'static str,
        f: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
    ) -> Result<T, TpmError> {
        if self.owner_password()? {
            self.in_session(Secret::Neither, |shell, session| {
                let done = shell.run_with(command, Some(session), f);
                done.map_err(|error| shell.of_the_owner(error))
            })
        } else {
            Ok(self.run_open(command, f)?)
        }
    }

    /// Gets the owner's password ready, if the owner has one. Says whether.
    pub(crate) fn owner_password(&mut self) -> Result<bool, TpmError> {
        if !self.permanent()?.owner_auth_set() {
            return Ok(false);
        }
        let lacks = |lack| TpmError::HierarchyAuth { hierarchy: "owner", lack };
        let owner = self.owner.clone().ok_or(lacks(AuthLack::NotGiven))?;
        if owner.was_refused() {
            return Err(lacks(AuthLack::Refused));
        }
        self.run("TR_SetAuth", |context| context.tr_set_auth(ObjectHandle::Owner, owner.to_tss()?))?;
        Ok(true)
    }

    /// The owner's password was refused: that is remembered.
    pub(crate) fn of_the_owner(&self, error: CommandError) -> TpmError {
        match (&self.owner, error.meaning) {
            (Some(owner), Meaning::AuthRefused) => {
                owner.refuse();
                TpmError::HierarchyAuth { hierarchy: "owner", lack: AuthLack::Refused }
            }
            _ => error.into(),
        }
    }

    pub(crate) fn known_key(&self, handle: u32) -> Option<KeyHandle> {
        self.keys.get(&handle).copied()
    }

    pub(crate) fn know_key(&mut self, handle: u32, key: KeyHandle) {
        self.keys.insert(handle, key);
    }
}
