//! `evc put-back`: what to go through of a database that was put back from a copy; and that it was, by the right of who has the stopped
//! controller's folder.

use anyhow::Context as _;
use disk::Disk;

use super::args::Reach;
use crate::api::Done;
use crate::service::checked;

/// What closes with a boot, then what operators may have said after the copy was made, the most urgent first, and how each is said anew.
const LIST: [&str; 15] = [
    "leased vaults that were rotated or made since lock themselves when their lease ends, for nothing renews it now, and open only once the newest database is back: `evc get vaults` says which and after how long. Bring that database back, or go on, before that",
    "vaults that were made since are not in it: `evc get vaults` shows each as its node has it, with what to do. Take in those that are open before anything else, and before their nodes boot: `evc adopt vault`. Of a device that registered anew since, and whose node holds to another device's lists (`evc describe device`), that comes after `--checked` and before `evc begin-anew`: `evc adopt device`, then `evc adopt vault`. Let its node not boot meanwhile",
    "default vaults (config, image) that got a policy since are under the default one in it: apply their documents anew while they are open",
    "vaults that were rotated since (`the node is at epoch .., above ..`) are closed by a boot before `evc begin-anew`, until the newest database is back: let no node boot",
    "tokens that were ended are good again: `evc token rotate` ends all but a new one",
    "devices that were marked as lost are not: `evc get devices`, then `evc device lost NAME` for each",
    "devices that are marked as lost in it may have been found since. One that went on since is not ordered to lock by this copy: `evc device lost NAME` again if it is lost, `evc device found NAME` if it is not",
    "devices that were deleted are registered again, and keys that were forgotten are kept: `evc delete device`, `evc device deleted`, `evc device forget`",
    "reference values that were rejected may be approved: `evc reference list`, then `evc reference reject`",
    "policies are as they were (`operation: lock`, `require`, `on_removal`, recovery recipients): `evc get policies`, or `evc apply` of your newest files",
    "vaults that were deleted are wanted again: `evc get vaults`, then `evc delete vault`",
    "vaults that were kept again, and devices that were let in again, were being removed in it. None of that ends: such vaults are retained since it was noticed, until `evc apply` or `evc delete vault`, and what is kept of deleted devices stays for its whole grace from `--checked` on (`evc device deleted`, `evc onboard add --give-back`)",
    "orders to make a vault anew, empty, that were taken back since (the disk was found) stood in it: all of them were taken back when it was noticed. Give one again where it is still meant: `evc recreate vault`",
    "alarms that a device may be two, given since, are not in it, and their sign may not come again: where you know of one, `evc device lost NAME` until it is found",
    "allowances that were withdrawn are there: `evc get onboarding`, then `evc onboard remove`",
];

/// Lists it, or lets the keys go.
pub(super) fn put_back(disk: &Disk, reach: &Reach, is_checked: bool) -> anyhow::Result<Done> {
    if !is_checked {
        let done = "what operators said after a copy was made is not in it; while `evc serve` runs over it and releases nothing, go through this";
        let last = "then stop evc, run `evc put-back --checked` with its --data, and start it again";
        return Ok(Done {
            done: done.into(),
            notes: LIST.into_iter().chain([last]).map(Into::into).collect(),
        });
    }
    let data = reach.data();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("evc can't start")?;
    let was_held = runtime
        .block_on(checked(disk, &data))
        .context("this let no key go; mend that, and give the command again")?;
    if !was_held {
        let done = format!(
            "{} was not put back from a copy, as far as evc can tell: nothing held its keys back, and nothing was changed",
            data.display()
        );
        let whole = "where the whole folder was put back, or a snapshot of the machine, its nodes show it, if they went on since: see `evc begin-anew --help`";
        return Ok(Done { done, notes: vec![whole.into()] });
    }
    let done =
        format!("{} releases keys again, as its database says: start it with `evc serve`", data.display());
    let notes = vec!["if nodes are ahead of it (`evc get devices`), see `evc begin-anew --help`".into()];
    Ok(Done { done, notes })
}
