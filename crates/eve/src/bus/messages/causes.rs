//! An error on its way from one agent to another: the words of each of its layers, so that whoever prints it tells each once.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Deepest chain that is passed on.
const DEEPEST: usize = 16;

/// An error, and what caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Causes {
    words: String,
    cause: Option<Box<Self>>,
}

impl Causes {
    /// Of an error, with its own causes.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        Self::down_from(error, DEEPEST)
    }

    fn down_from(error: &(dyn Error + 'static), left: usize) -> Self {
        let cause = error.source().filter(|_| left > 1);
        let cause = cause.map(|cause| Box::new(Self::down_from(cause, left - 1)));
        Self { words: error.to_string(), cause }
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Error for Causes {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_with_its_causes_one_by_one() {
        let told = anyhow::anyhow!("the bottom").context("the middle").context("the top");
        let sent = postcard::to_allocvec(&Causes::of(told.as_ref())).expect("encodes");
        let heard: Causes = postcard::from_bytes(&sent).expect("decodes");
        let words: Vec<_> = std::iter::successors(Some(&heard as &dyn Error), |error| (*error).source())
            .map(ToString::to_string)
            .collect();
        assert_eq!(words, ["the top", "the middle", "the bottom"]);
    }
}
