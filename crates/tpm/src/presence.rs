//! Is there a TPM, and is it in working order? Keeps "no TPM" and "a TPM that fails" apart: the first makes a node
//! without a TPM, the second must never.

use std::time::{Duration, Instant};

use crate::raw::{Raw, RawError};
use crate::{Meaning, OpenError, Tcti};

/// TPM_RC_NEEDS_TEST and TPM_RC_TESTING: nothing wrong, not all tests have run yet.
const NOT_ALL_TESTED: [u32; 2] = [0x153, 0x90a];

/// What a look at the TPM found.
#[derive(Debug)]
pub enum Probed {
    /// No TPM is configured and the kernel offers none.
    Absent,
    /// It answers and passed its self-test.
    Working,
    /// It is configured or offered, but can't be used.
    Failing(OpenError),
}

/// Looks at the TPM for at most `patience`, changing nothing in it. `None` is what [`Tcti::find`] says of a node
/// that has none.
#[must_use]
pub fn probe(tcti: Option<&Tcti>, patience: Duration) -> Probed {
    let Some(tcti) = tcti else { return Probed::Absent };
    match look(tcti, patience) {
        Ok(_) => Probed::Working,
        Err(error) => Probed::Failing(error),
    }
}

/// Cleans what a killed predecessor left, unless a resource manager does.
pub(crate) fn clean(tcti: &Tcti, patience: Duration) -> Result<(), OpenError> {
    let (mut raw, deadline) = look(tcti, patience)?;
    if tcti.has_resource_manager() {
        return Ok(());
    }
    let flushed = raw.flush_leftovers(deadline).map_err(|e| open_error(e, tcti, patience))?;
    if flushed > 0 {
        tracing::info!(flushed, %tcti, "flushed what an earlier client left in the TPM");
    }
    Ok(())
}

fn look(tcti: &Tcti, patience: Duration) -> Result<(Raw, Instant), OpenError> {
    let deadline = Instant::now() + patience;
    let result = Raw::connect(tcti, deadline).and_then(|mut raw| match raw.test_result(deadline)? {
        0 => Ok(raw),
        code if NOT_ALL_TESTED.contains(&code) => Ok(raw),
        code => Err(RawError::Code(code)),
    });
    result.map(|raw| (raw, deadline)).map_err(|error| open_error(error, tcti, patience))
}

fn open_error(error: RawError, tcti: &Tcti, waited: Duration) -> OpenError {
    let tcti = tcti.clone();
    match error {
        RawError::Unreachable(source) => OpenError::Unreachable { tcti, source },
        RawError::Silent => OpenError::Busy { tcti, waited },
        RawError::Code(0) => OpenError::Failing { tcti, why: Meaning::Malformed, rc: 0 },
        RawError::Code(rc) => OpenError::Failing { tcti, why: Meaning::of(rc), rc },
    }
}
