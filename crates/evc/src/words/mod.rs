//! What people are told: of a refusal, what is and what to do; of what was done, what they should know. Here alone causes become text.
//! Quoted names and serials are made harmless where they leave: [`crate::http`], and the log.

pub(crate) mod at_stake;
pub(crate) mod condition;
pub(crate) mod damaged;
pub(crate) mod deletion;
mod devices;
pub(crate) mod escrow;
pub(crate) mod evidence;
pub(crate) mod glance;
pub(crate) mod identity;
mod in_the_way;
pub(crate) mod key;
mod life;
pub(crate) mod marks;
pub(crate) mod notes;
mod operators;
pub(crate) mod threats;
pub(crate) mod turned;
pub(crate) mod unlisted;
pub(crate) mod withheld;

use std::fmt;

use vault::ids::Name;
use vault::ledger::Older;
use vault::policy::BadFile;

use crate::custody::{CustodyError, KekFault};
use crate::service::{Body, Fault, Refusal};
use crate::store::StoreError;

/// What to do about a database that is older than its nodes.
pub(crate) const OLDER: &str = "bring back the newest copy of the database; or, if this is the newest there is, stop evc and run `evc begin-anew --confirm`, which makes it the one that counts. If an old message of the device was sent again, which shows in that its vaults go on, this goes by itself when the node boots, or at once by `evc device settle` with `--confirm`";
/// What to do about one that did not give the orders which a device holds.
const ORDERED: &str = "bring back the newest copy of the database; or, if this is the newest there is, say again in it what was said in the other one (a device that is lost, a policy that locks), then `evc device settle` with `--confirm`: the next list takes back what the other one ordered";
/// What to do about one that was put back from a copy.
const PUT_BACK: &str =
    "go through what `evc put-back` lists; then stop evc, run `evc put-back --checked`, and start it again";

/// What to do about what shows that a database is an older copy.
pub(crate) fn older_advice(older: Older) -> &'static str {
    match older {
        Older::PutBack => PUT_BACK,
        Older::Ordered { .. } => ORDERED,
        Older::Behind { .. } | Older::Forked | Older::LaterLife(_) | Older::SomeLaterLife => OLDER,
    }
}

/// Of one that a device showed to be older than it, for who looks at the fleet.
pub(crate) fn of_older() -> String {
    format!(
        "no vault is erased, on any device: one of them showed that this database is an older copy (`evc get devices`), and what operators said of others since is not in it; {OLDER}. If that device is lost, and whoever has it may make this up, only its deletion ends it for all others: `evc delete device` with `--force`"
    )
}

/// The same for who looks at such a device, which is marked as lost. What it shows may be so.
pub(crate) fn of_lost_and_older(device: &Name) -> String {
    format!(
        "while it stands, no grace of any device ends. If whoever has the lost device makes it up, and goes on after `evc device settle`, only its deletion ends it: `evc delete device {device:#} --force --confirm {device:#}`"
    )
}

/// Of a database that was put back, for who looks at the fleet.
pub(crate) fn of_put_back() -> String {
    format!("{}; no key is released and nothing is deleted until then: {PUT_BACK}", Older::PutBack)
}

/// The database's file was exchanged or removed under a running evc.
const GONE: &str = "the controller's file evc.db is gone, or another one, while evc has it open; nothing is written or released until it is back";
const EXCHANGED: &str = "put back the file that was there; if it was deleted, stop no evc before you copied it from /proc/PID/fd, and before `kek` lies in the folder; then stop evc and start it over the right one";
/// The same of its log.
const LOG_GONE: &str = "the controller's file evc.db-wal or evc.db-shm is gone, or another one, while evc has it open; nothing is written or released until it is restarted";
const STOP_IT: &str = "stop evc by SIGTERM, as `systemctl stop` does, which writes all of it back into evc.db; then start it again; do not kill it";
/// Others wrote into it, or into its log.
const OVERWRITTEN: &str = "the controller's file evc.db, or evc.db-wal, was written over by another program while evc has it open; nothing is written or released any more";
const PUT_A_COPY_BACK: &str = "stop evc, keep a copy of evc.db and evc.db-wal, put back the newest good copy of evc.db as docs/operations.md says, and start it again";
/// The file of the key-encryption key.
const KEK_GONE: &str = "the controller's file kek is gone, or has another key than the one that evc works with; no key is made or sealed until it is back";
const PUT_THE_KEK_BACK: &str = "do not stop evc before: if kek.saved lies beside it, put that in its place (`mv kek.saved kek`); else make room and see that the folder can be written and is the one that evc was started over, and evc writes it anew by itself";
const MOVE_SAVED_AWAY: &str = "do not stop evc before: kek.saved beside it has another key too; move both away, and evc writes the right one anew by itself";
const SEE_THE_LOG: &str = "see the controller's log; nothing was released";

/// What needs somebody at once: the files of the controller's database.
pub(crate) fn of_files(error: &StoreError) -> String {
    let Words { problem, advice } = of_store(error);
    format!("{problem}: {advice}")
}

/// The same of the key-encryption key's file.
pub(crate) fn of_kek(error: &CustodyError) -> String {
    format!("{KEK_GONE}: {}", kek_advice(error))
}

fn kek_advice(error: &CustodyError) -> &'static str {
    match error {
        CustodyError::KekFile { source: KekFault::Unsaved, .. } => MOVE_SAVED_AWAY,
        _ => PUT_THE_KEK_BACK,
    }
}

/// What is said of a refusal.
pub(crate) struct Words {
    /// What is.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) advice: String,
}

impl Words {
    fn new(problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: problem.into(), advice: advice.into() }
    }
}

impl From<&Refusal> for Words {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Body(body) => of_body(*body),
            Refusal::Message(message) => devices::message(message),
            Refusal::Unproved(unproved) => devices::unproved(*unproved),
            Refusal::NotAdmitted(cause) => devices::not_admitted(cause),
            Refusal::Barred(barred) => devices::barred(barred),
            Refusal::Stale(stale) => devices::stale(*stale),
            Refusal::Request(request) => operators::request(request),
            Refusal::File(file) => of_file(file),
            Refusal::Document { line, column, cause } => of_document(*line, *column, cause),
            Refusal::NoToken(token) => operators::no_token(*token),
            Refusal::Unknown(unknown) => operators::unknown(unknown),
            Refusal::InTheWay(cause) => in_the_way::in_the_way(cause),
            Refusal::Life(refusal) => life::words(refusal),
            Refusal::Busy => Self::new("the controller is busy", "try again in 5 s"),
            Refusal::Custody(error @ CustodyError::KekFile { .. }) => Self::new(KEK_GONE, kek_advice(error)),
            Refusal::Custody(_) => Self::new("the controller's keys can't be used", SEE_THE_LOG),
            Refusal::Store(error) => of_store(error),
            Refusal::Fault(fault) => {
                Self::new(format!("the controller failed: {}", of_fault(*fault)), SEE_THE_LOG)
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Words::from(self).problem)
    }
}

fn of_body(body: Body) -> Words {
    match body {
        Body::Cut => Words::new("the body ended before its end", "send it again"),
        Body::Unread => Words::new("the body does not read", "send it again"),
        Body::TooLong { most } => Words::new(
            format!("the body is longer than the {most} bytes that are taken here"),
            "split it, and send the parts one by one",
        ),
    }
}

fn of_file(BadFile { line, column, problem, advice }: &BadFile) -> Words {
    match line {
        0 => Words::new(problem, advice),
        line => Words::new(format!("line {line}, column {column}: {problem}"), advice),
    }
}

fn of_document(line: u64, column: u64, cause: &Refusal) -> Words {
    let Words { problem, advice } = Words::from(cause);
    Words { problem: format!("line {line}, column {column}: {problem}"), advice }
}

fn of_store(error: &StoreError) -> Words {
    match error {
        StoreError::Exchanged => Words::new(GONE, EXCHANGED),
        StoreError::LogRemoved => Words::new(LOG_GONE, STOP_IT),
        StoreError::Overwritten => Words::new(OVERWRITTEN, PUT_A_COPY_BACK),
        StoreError::Disk(_) => Words::new(
            "the controller's database failed",
            "the disk of the controller's data folder is full, can't be written, or fails: make room, or mend it; nothing was changed or released",
        ),
        // Which row it is, operators alone are told.
        StoreError::Damaged(_) => damaged::of_a_row(),
        _ => Words::new("the controller's database failed", SEE_THE_LOG),
    }
}

fn of_fault(fault: Fault) -> &'static str {
    match fault {
        Fault::NoDevice => "the device was deleted meanwhile",
        Fault::VaultWithoutDevice => "the database has a vault of no device",
        Fault::Certificate => "a certificate in the database does not read",
        Fault::Signing => "the answer could not be signed",
        Fault::Configuration => "the device's configuration is longer than may be sent",
        Fault::Source => "the address that a request came from is not known",
    }
}
