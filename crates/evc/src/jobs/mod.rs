//! What is due by itself, whether anybody asks or not: graces that end, and what is noted now and then.

pub(crate) mod graces;
pub mod steady;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock::now;
use crate::service::Controller;
use steady::Steady;

/// How often ended graces are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(15);

/// Does what is due until it is told to stop. What fails is due again in the next round.
pub(crate) async fn housekeeping(
    controller: Arc<Controller>,
    mut clock: Steady,
    mut stop: watch::Receiver<bool>,
) {
    let mut looked = Instant::now();
    loop {
        // At once: what begins by the clock of now is not to be moved with a jump of before.
        let passed = looked.elapsed();
        looked += passed;
        // It is logged there too.
        let _ = controller.kek.is_kept();
        // What failed is logged there, part by part.
        let _ = controller.keep_house(&mut clock, now(), passed).await;
        if let Err(error) = controller.write_heard(now()).await {
            tracing::warn!(%error, "when devices were heard is not written");
        }
        tokio::select! {
            () = tokio::time::sleep(HOUSEKEEPING) => {}
            _ = stop.wait_for(|stop| *stop) => return controller.tell_over(None),
        }
        controller.tell_over(Some(now()));
    }
}
