//! What operators ask, one module for each thing. Acts that change a vault's life ask [`vault::life`] whether they may, and write what it says.
//! Each asks as an [`Operator`], in the project of his token.

pub mod adopt;
mod again;
pub mod apply;
pub mod courier;
pub mod deletion;
pub mod devices;
mod differences;
mod elsewhere;
mod epochs;
pub mod escrow;
pub mod foresee;
pub(crate) mod glance;
pub mod identity;
mod key_words;
pub(crate) mod knocks;
pub mod labels;
mod lines;
pub mod onboarding;
pub mod operate;
pub mod references;
pub mod rotate;
pub mod show;
mod strays;
pub(crate) mod tokens;
mod turned;
mod views;

use std::ops::Deref;
use std::sync::Arc;

use vault::ids::{DeviceId, Project};

use crate::service::{Controller, NoToken, Refusal, find_device};

/// The controller, as who has a token meets it: within the token's project, and as if there were no other. Made by [`Operator::by_token`] alone.
#[derive(Clone)]
pub struct Operator {
    controller: Arc<Controller>,
    project: Project,
}

impl Deref for Operator {
    type Target = Controller;
    fn deref(&self) -> &Controller {
        &self.controller
    }
}

impl Operator {
    /// Who has the token of this hash. It is looked up by that: nothing of it is compared byte by byte.
    ///
    /// # Errors
    /// [`NoToken::Unknown`]: it is not known. Else the store's.
    pub async fn by_token(controller: Arc<Controller>, hash: &[u8; 32]) -> Result<Self, Refusal> {
        let token = controller.store.read(|tx| tx.token(hash)).await?;
        let project = token.ok_or(NoToken::Unknown)?.project;
        Ok(Self { controller, project })
    }

    /// Which device an operator means, at this moment. Whoever writes to it has its scope, and finds it again by this id: once the body runs,
    /// the name may be another's, which that scope does not cover.
    async fn meant(&self, device: &str) -> Result<DeviceId, Refusal> {
        Ok(self.store.read(|tx| Box::pin(find_device(tx, &self.project, device))).await?.id)
    }
}
