//! `evc begin-anew`: a new incarnation of a database that was put back from a copy, by the right of who has the stopped controller's folder.

use anyhow::Context as _;

use super::args::Reach;
use crate::api::Done;
use crate::service::begin_anew;

/// Begins it.
pub(super) fn begin(reach: &Reach) -> anyhow::Result<Done> {
    let data = reach.data();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start")?;
    runtime.block_on(begin_anew(&data)).context("nothing was changed")?;
    let done = format!(
        "{} is begun anew, and its database is the one that counts: start it with `evc serve`",
        data.display()
    );
    let notes = [
        "nodes take it at their next contact; a vault that they have and it does not list is locked there, and kept",
        "vaults whose grace was running are active again: delete anew those that are not wanted",
        "orders to make a vault anew are withdrawn; they can be given again once its node reports it missing again",
        "tokens that were ended, and devices that were marked as lost or removed, after this copy was made, are good in it: end, mark and remove them again",
        "a vault that was wrapped under a key which this copy does not have opens again only if it is open now",
    ];
    Ok(Done { done, notes: notes.map(Into::into).into() })
}
