//! What was refused or withheld over and over, and is over: how often it was, where no line has counted it.

use super::Controller;
use crate::repeats::{Over, UNTOLD};
use crate::store::UnixSeconds;

impl Controller {
    /// Tells it in the log; with no `now`, as at the end of the program, of all.
    pub(crate) fn tell_over(&self, now: Option<UnixSeconds>) {
        let Over { runs, others } = self.refused.over(now);
        for (device, repeated) in runs {
            let name = self.names.of(device);
            tracing::info!(%device, name, repeated, "evidence refused: {UNTOLD}");
        }
        if others > 0 {
            tracing::info!(others, "evidence refused: {UNTOLD}");
        }
        let Over { runs, others } = self.unopened.over(now);
        for (vault, repeated) in runs {
            tracing::info!(%vault, repeated, "a vault's key is withheld: {UNTOLD}");
        }
        if others > 0 {
            tracing::info!(others, "keys of vaults are withheld: {UNTOLD}");
        }
    }
}
