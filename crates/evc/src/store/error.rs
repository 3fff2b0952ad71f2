//! Why the store did not do what was asked: by what whoever asked does about it.

/// Why the store did not do what was asked. Every one is a refusal on the way to a release.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name, certificate or number is taken.
    #[error("it is there already: give another name")]
    Taken,
    /// Another transaction came between: the same may succeed when it is run again.
    #[error("another transaction came between: try again")]
    Again,
    /// Busy for longer than callers wait: try again.
    #[error("the database is busy: try again in a moment")]
    Busy(#[source] Cause),
    /// Another controller works on it.
    #[error("another evc works on the database: stop it first")]
    InUse,
    /// Its tables are an earlier build's.
    #[error("its tables are of another version of evc: start `evc serve` of this version over it once")]
    OtherVersion,
    /// Its tables are a later build's.
    #[error(
        "a newer version of evc made its tables (number {there}; this one knows {known}): start that version, or a later one"
    )]
    Newer {
        /// The newest migration that it saw.
        there: i64,
        /// The newest of this build.
        known: i64,
    },
    /// The log beside the file is of another copy of it.
    #[error(
        "evc.db was put there since, and evc.db-wal is the log of the evc.db before it: together they would become a mixture; nothing was \
         changed\n  what to do: keep a copy of evc.db and evc.db-wal, move evc.db-wal and evc.db-shm away, and start again; if you put evc.db-wal there with this evc.db, remove \
         evc.db-opened in their place"
    )]
    OtherLog,
    /// A row does not read back as what was written.
    #[error("the database is damaged ({0}): put back the newest good copy")]
    Damaged(String),
    /// The name of the database's file leads to nothing, or to another file than the one that is open. Nothing is written until it is put back.
    #[error(
        "the file evc.db is gone, or another one, while evc has it open: put back the file that was there, or stop evc and start it over the one that is right"
    )]
    Exchanged,
    /// The same of its log, or the log's index. What was not folded into the file yet would be lost with the process.
    #[error(
        "evc.db-wal or evc.db-shm is gone, or another one, while evc has it open: stop evc by SIGTERM, which writes all of it into evc.db, and start it again"
    )]
    LogRemoved,
    /// Others wrote into the file that is open, or into its log. What is whose nobody knows any more: nothing is written, and the log is not folded
    /// into the file.
    #[error(
        "evc.db or evc.db-wal was written over while evc had it open: stop evc, keep a copy of evc.db and evc.db-wal, put back the newest good copy of evc.db without evc.db-wal and evc.db-shm, and start it again"
    )]
    Overwritten,
    /// The disk is full, can't be written, or fails.
    #[error("the database's disk is full, can't be written, or fails: make room, or mend it")]
    Disk(#[source] Cause),
    /// Anything else of the database's.
    #[error(
        "the database failed: see that its disk works, and put back the newest good copy if it is damaged"
    )]
    Failed(#[source] Cause),
}

/// What an engine's library says.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Outcome of every operation here.
pub type Stored<T> = Result<T, StoreError>;
