//! The tables of this version, and how those of earlier ones become them.
//!
//! The file says which it has: the number of its newest migration is its `user_version`, which is written in the migration's own transaction.
//! (Builds until the end of November 2026 kept a list in a table instead. It is read once, and then dropped: such a build refuses the file from
//! then on, as it must.)

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use super::connections::failed;
use crate::store::{StoreError, Stored};

/// A migration: its number, and what it does.
type Migration = (i64, &'static str);

macro_rules! migrations {
    ($($number:literal = $name:literal),+ $(,)?) => {
        [$(($number, include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")))),+]
    };
}

/// In the order in which they are applied. A new one comes last, and one that was applied is never edited.
const MIGRATIONS: &[Migration] = &migrations![
    1 = "0001_first",
    2 = "0002_serials_and_names",
    10 = "0010_lost_and_removed_devices",
    20 = "0020_chain_of_sections",
    21 = "0021_before_the_chain",
    30 = "0030_projects",
    31 = "0031_epochs_sealed_for_a_project",
    40 = "0040_one_device_one_key",
    41 = "0041_past_sessions",
    42 = "0042_numbers_once",
    43 = "0043_proved",
    44 = "0044_sections_sent_before",
];

/// Where builds of before kept their list.
const LIST_OF_BEFORE: &str = "_sqlx_migrations";

/// Which tables a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tables {
    /// The newest migration; 0: none.
    number: i64,
    /// It is said by the list of before.
    listed: bool,
}

/// Applies the migrations that a file has not seen, each whole or not at all.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Stored<()> {
    bring_to(connection, MIGRATIONS)
}

/// Refuses a file with other tables than this version's.
pub(super) fn refuse_others(connection: &Connection) -> Stored<()> {
    let tables = Tables::of(connection, MIGRATIONS)?;
    if tables.listed || tables.number != newest(MIGRATIONS) {
        return Err(StoreError::OtherVersion);
    }
    Ok(())
}

fn newest(migrations: &[Migration]) -> i64 {
    migrations.last().map_or(0, |(number, _)| *number)
}

fn bring_to(connection: &mut Connection, migrations: &[Migration]) -> Stored<()> {
    let tables = Tables::of(connection, migrations)?;
    if tables.listed {
        step(connection, tables.number, &format!("DROP TABLE {LIST_OF_BEFORE}"))?;
    }
    for (number, what) in migrations.iter().filter(|(number, _)| *number > tables.number) {
        step(connection, *number, what)?;
    }
    Ok(())
}

/// One transaction: what it does, and that it was done.
fn step(connection: &mut Connection, number: i64, what: &str) -> Stored<()> {
    let mut done = || {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(what)?;
        step.pragma_update(None, "user_version", number)?;
        step.commit()
    };
    done().map_err(failed)
}

impl Tables {
    /// # Errors
    /// [`StoreError::Newer`]: of which this version knows nothing.
    fn of(connection: &Connection, migrations: &[Migration]) -> Stored<Self> {
        let number = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        let tables = match number {
            0 => Self::listed(connection, migrations)?,
            number => Self { number, listed: false },
        };
        if tables.number > newest(migrations) {
            return Err(StoreError::Newer { there: tables.number, known: newest(migrations) });
        }
        Ok(tables)
    }

    /// By the list of before, if there is one.
    fn listed(connection: &Connection, migrations: &[Migration]) -> Stored<Self> {
        let find = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?";
        let there = connection.query_row(find, [LIST_OF_BEFORE], |_| Ok(())).optional().map_err(failed)?;
        if there.is_none() {
            return Ok(Self { number: 0, listed: false });
        }
        let list = format!("SELECT coalesce(max(version), 0), count(*) FROM {LIST_OF_BEFORE} WHERE success");
        let (number, count): (i64, i64) =
            connection.query_row(&list, (), |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
        let known = migrations.iter().filter(|(known, _)| *known <= number).count();
        if usize::try_from(count) != Ok(known) && number <= newest(migrations) {
            return Err(StoreError::Damaged("the list of what was done to its tables has gaps".into()));
        }
        Ok(Self { number, listed: true })
    }
}
