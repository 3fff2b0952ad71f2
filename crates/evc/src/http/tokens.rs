//! Who asks with which token. Anybody can ask with a wrong one: such look-ups have places of their own, by source, so that a crowd which
//! shares its address with an operator (a proxy's, or this machine's) takes none of the operator's. Nothing is decided by what is
//! remembered here: each token is looked up each time, and one that is not good any more is a stranger's.

use std::sync::{Arc, Mutex, PoisonError};

use super::intake::Intake;
use super::shares::{Allotments, Source};
use crate::fleet::bounded::Bounded;
use crate::operator::Operator;
use crate::service::{Controller, NoToken, Refusal};

/// Look-ups at the same time of tokens that were never good.
const OF_STRANGERS: usize = 32;
/// Tokens that were good are remembered, so many.
const REMEMBERED: usize = 256;

/// The tokens that were good once, by their hashes, and places for looking up others.
pub(super) struct Tokens {
    strangers: Arc<Allotments<Source>>,
    once_good: Mutex<Bounded<[u8; 32], ()>>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { strangers: Allotments::of(OF_STRANGERS), once_good: Mutex::new(Bounded::of(REMEMBERED)) }
    }
}

impl Tokens {
    /// Who has the token of this hash; nothing where there is no place to look it up. The place is given back before a body comes in.
    ///
    /// # Errors
    /// Those of [`Operator::by_token`].
    pub(super) async fn looked_up(
        &self,
        controller: &Arc<Controller>,
        hash: &[u8; 32],
        (operators, source): (&Intake, Source),
    ) -> Result<Option<Operator>, Refusal> {
        let known = self.known(|tokens| tokens.get(hash).is_some());
        let place = if known { operators.place(source) } else { self.strangers.take(source) };
        let Some(_place) = place else { return Ok(None) };
        let operator = Operator::by_token(controller.clone(), hash).await;
        match &operator {
            Ok(_) if !known => self.known(|tokens| tokens.put(*hash, ())),
            // It was ended: whoever has it is a stranger from now on.
            Err(Refusal::NoToken(NoToken::Unknown)) if known => {
                self.known(|tokens| tokens.take(hash).unwrap_or_default())
            }
            Ok(_) | Err(_) => {}
        }
        operator.map(Some)
    }

    fn known<T>(&self, of: impl FnOnce(&mut Bounded<[u8; 32], ()>) -> T) -> T {
        of(&mut self.once_good.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
