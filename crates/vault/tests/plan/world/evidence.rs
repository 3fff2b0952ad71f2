//! Appraisals of a world's sessions, made once, as in earnest: `attest` alone can make them.

use std::collections::HashMap;

use attest::{Appraisal, SessionKey};

#[path = "../../../src/decide/tests/fake_tpm.rs"]
#[allow(
    dead_code,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a software TPM makes keys; shared with the tests of `decide`"
)]
mod fake_tpm;
#[path = "../../../src/decide/tests/made.rs"]
#[allow(
    dead_code,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "shared with the tests of `decide`"
)]
mod made;

use made::{References, appraisal};

/// By session and by whether the PCRs were as approved.
pub(crate) struct Appraised(HashMap<(SessionKey, bool), Appraisal>);

impl Appraised {
    pub(crate) fn of(sessions: impl IntoIterator<Item = SessionKey>) -> Self {
        let both = sessions.into_iter().flat_map(|session| [(session, true), (session, false)]);
        let references = |good| if good { References::Passed } else { References::Failed };
        Self(both.map(|(session, good)| ((session, good), appraisal(session, references(good)))).collect())
    }

    pub(crate) fn get(&self, session: SessionKey, good: bool) -> &Appraisal {
        &self.0[&(session, good)]
    }
}
