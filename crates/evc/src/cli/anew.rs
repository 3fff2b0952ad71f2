//! `evc begin-anew`: a new incarnation of a database that was put back from a copy, by the right of who has the stopped controller's folder.

use anyhow::{Context as _, anyhow};

use super::args::Reach;
use crate::api::Done;
use crate::service::begin_anew;

/// Begins it.
pub(super) fn begin(reach: &Reach, confirmed: bool) -> anyhow::Result<Done> {
    let data = reach.data();
    if !confirmed {
        return Err(anyhow!(
            "the database in {} becomes the one that counts, and what was said since that copy was made is forgotten: stop evc, see that there \
             is no newer copy, and add --confirm",
            data.display()
        ));
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start")?;
    runtime.block_on(begin_anew(&data)).context("nothing was changed")?;
    let done = format!(
        "{} is begun anew, and its database is the one that counts: start it with `evc serve`",
        data.display()
    );
    let notes = [
        "nodes take it at their next contact; a vault that they have and it does not list is locked there, and kept",
        "vaults that were being removed are retained: locked, and kept with their keys, until you apply their documents or delete them anew (`evc get vaults` lists them)",
        "orders to make a vault anew are withdrawn; they can be given again once its node reports it missing again",
        "tokens that were ended, and devices that were marked as lost or removed, after this copy was made, are good in it: end, mark and remove them again",
        "a vault that was wrapped under a key which this copy does not have goes on if it is open now; else it stays closed, with what is in it, until the newest database is brought back and begun anew in its turn: so keep that one, and order no such vault made anew before you gave it up",
    ];
    Ok(Done { done, notes: notes.map(Into::into).into() })
}
