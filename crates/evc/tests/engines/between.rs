//! An engine in memory that another writer comes before: what is put here is committed by "somebody else" as the next device's body begins,
//! so after whoever asks has read what it is about.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use evc::store::{Engine, Open, Scope, Stored};

use super::{Memory, World};

/// The engine, and what the other one commits.
#[derive(Clone, Default)]
pub(crate) struct Between(pub(crate) Memory, Arc<Mutex<Option<World>>>);

impl Between {
    /// Committed once, before the next body that has a device to itself.
    pub(crate) fn comes_before(&self, world: World) {
        *self.1.lock().expect("never poisoned") = Some(world);
    }

    /// Whether it came.
    pub(crate) fn came(&self) -> bool {
        self.1.lock().expect("never poisoned").is_none()
    }
}

#[async_trait]
impl Engine for Between {
    async fn read(&self) -> Stored<Box<dyn Open>> {
        self.0.read().await
    }
    async fn write(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        if matches!(scope, Scope::Device(_))
            && let Some(world) = self.1.lock().expect("never poisoned").take()
        {
            self.0.restore(&world);
        }
        self.0.write(scope).await
    }
    async fn close(&self) {}
}
