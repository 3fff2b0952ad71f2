//! How the keys of one answer are sealed to a session: each by itself, or sharing one encapsulation, where the node opens such (decision 110).

use ::attest::SessionKey;
use vault::ids::Epoch;
use vault::secret::ControllerKey;
use vault::section::SealedKey;
use wire::config::VaultAsk;
use wire::release::{Purpose, SealError, Series, seal};

/// How keys are sealed to a session. All of one [`Releases`] go to one session, so a series is of that alone.
pub enum Sealing {
    /// Each by itself: what any node opens.
    Apart,
    /// Sharing an encapsulation, that of the first that is sealed.
    InSeries(Option<Series>),
}

impl Sealing {
    /// As the node that asks can open it.
    #[must_use]
    pub fn of(ask: &VaultAsk) -> Self {
        if ask.series { Self::InSeries(None) } else { Self::Apart }
    }

    pub(super) fn seal(
        &mut self,
        session: &SessionKey,
        purpose: &Purpose,
        epoch: Epoch,
        key: &ControllerKey,
    ) -> Result<SealedKey, SealError> {
        match self {
            Self::Apart => seal(session, purpose, epoch, key),
            Self::InSeries(Some(series)) => series.seal(purpose, epoch, key),
            Self::InSeries(begun) => begun.insert(Series::to(session)?).seal(purpose, epoch, key),
        }
    }
}
