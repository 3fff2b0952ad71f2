//! Where the controller is and who it is: what `config/` says by now, and the certificates that hang on the root there.

use std::io::ErrorKind;

use anyhow::Context;
use wire::{Certificate, ControllerCerts, Validity};

use super::{Identity, Zedagent};
use crate::agents::client::fetch_certs;
use crate::agents::ended::StartsAnew;
use crate::agents::failed::Failed;
use crate::http::{LineError, PlaceError};

impl Zedagent<'_> {
    /// Takes what `config/` says of the controller by now.
    ///
    /// # Errors
    /// The walls are older than one of these files: the next life reads it.
    pub(super) fn look_again(&mut self) -> Result<(), StartsAnew> {
        self.line.look_again(&self.root);
        self.tell_place();
        match self.line.config_error() {
            Some(PlaceError::Unreadable { file, why: ErrorKind::PermissionDenied }) => {
                self.walls.know_config(&self.root, *file)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn tell_place(&mut self) {
        self.status.server = self.line.server().to_owned();
        self.status.proxy = self.line.proxy();
    }

    /// The certificates that client fetched may hang on a root that is believed no more: then the controller is asked for its own.
    pub(super) fn identify(&mut self) -> Result<(), Failed> {
        let Some(onboarded) = self.onboarded.as_ref().filter(|_| self.identity.is_none()) else {
            return Ok(());
        };
        let cert = Certificate::from_pem(&onboarded.device_cert.0).context("the device certificate")?;
        let root = self.line.root_pem().map_err(LineError::from)?;
        let fetched = ControllerCerts::decode(&onboarded.certs.0).context("the controller's certificates")?;
        let certs = match fetched.verify(root, Validity::Ignored) {
            Ok(certs) => certs,
            Err(_) => fetch_certs(&self.line)?,
        };
        self.identity = Some(Identity { device: onboarded.device, cert, certs, uploaded: false });
        Ok(())
    }
}
