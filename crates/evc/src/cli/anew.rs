//! `evc begin-anew`: a new incarnation of a database that was put back from a copy, by the right of who has the stopped controller's folder.

use anyhow::{Context as _, anyhow};

use super::args::Reach;
use crate::api::Done;
use crate::service::{begin_anew, left_behind};
use crate::words::unlisted::{of_open, of_others};

/// Begins it. `despite_open`: what would be locked for good by it is given up.
pub(super) fn begin(reach: &Reach, confirmed: bool, despite_open: bool) -> anyhow::Result<Done> {
    let data = reach.data();
    if !confirmed {
        return Err(anyhow!(
            "the database in {} becomes the one that counts, and what was said since that copy was made is forgotten: stop evc, see that there \
             is no newer copy, and add --confirm",
            data.display()
        ));
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("evc can't start")?;
    let left = runtime.block_on(left_behind(&data)).context("nothing was changed")?;
    let open: Vec<_> = left.iter().filter(|left| left.is_lost_by_a_lock()).collect();
    if !open.is_empty() && !despite_open {
        return Err(anyhow!("{}", of_open(&open)).context("nothing was changed"));
    }
    runtime.block_on(begin_anew(&data)).context("nothing was changed")?;
    let done = format!(
        "{} is begun anew, and its database is the one that counts: start it with `evc serve`",
        data.display()
    );
    Ok(Done { done, notes: left.iter().map(of_others).chain(NOTES.map(Into::into)).collect() })
}

/// What it means.
const NOTES: [&str; 6] = [
    "nodes take it at their next contact; a vault that they have and it does not list is locked there, and kept; what they told before is known (`evc get vaults`), and not what they made since",
    "vaults that were being removed are retained: locked, and kept with their keys, until you apply their documents or delete them anew (`evc get vaults` lists them)",
    "orders to make a vault anew are withdrawn; they can be given again once its node reports it missing again",
    "tokens that were ended, and devices that were marked as lost or removed, after this copy was made, are good in it: end, mark and remove them again",
    "a vault that it lists, and that was wrapped under a key which this copy does not have, goes on if it is open now and is wanted open here; else it stays closed, with what is in it, until the newest database is brought back and begun anew in its turn: so keep that one, and order no such vault made anew before you gave it up",
    "a default vault (config, image) that got a policy after this copy was made is under a key that it does not have: if it is open now, apply its documents anew before it is locked; else, as the last",
];
