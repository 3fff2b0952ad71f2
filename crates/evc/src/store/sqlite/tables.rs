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
    45 = "0045_challenges",
    50 = "0050_labels",
    60 = "0060_long_rows_by_number",
    61 = "0061_booted_sessions",
    64 = "0064_certificates_before",
    70 = "0070_bundles",
    75 = "0075_drills",
    76 = "0076_upload_places",
    79 = "0079_what_bundles_have",
    80 = "0080_deleted_devices",
    81 = "0081_what_goes_with_a_deleted_device",
    82 = "0082_escrow_without_room",
    83 = "0083_a_deleted_device_comes_back_as_itself",
    84 = "0084_what_each_attestation_reads_packed",
    85 = "0085_when_devices_were_heard",
    86 = "0086_vaults_that_were",
    87 = "0087_sessions_counted_by_their_index",
    88 = "0088_vaults_by_identity",
    89 = "0089_devices_that_went_further",
    90 = "0090_keys_that_share_an_encapsulation",
    91 = "0091_where_orders_stand_and_keys_that_are_whole",
    92 = "0092_epochs_of_others",
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

/// Whether there are migrations that a file has not seen.
pub(super) fn are_of_before(connection: &Connection) -> Stored<bool> {
    Ok(Tables::of(connection, MIGRATIONS)?.number < newest(MIGRATIONS))
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

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use vault::ids::SectionDigest;
    use vault::ledger::{Ledger, Sent};

    use super::super::chains::chain;
    use super::super::read::unpacked;
    use super::{LIST_OF_BEFORE, MIGRATIONS, Migration, bring_to, bring_up_to_date, newest, refuse_others};
    use crate::store::{Pcrs, Record, StoreError};

    fn empty() -> Connection {
        Connection::open_in_memory().expect("opened")
    }

    fn number(file: &Connection) -> i64 {
        file.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
    }

    fn tables(file: &Connection) -> Vec<String> {
        let mut list =
            file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").expect("asked");
        list.query_map((), |row| row.get(0)).expect("listed").collect::<Result<_, _>>().expect("names")
    }

    /// As a build of before left a file that saw the migrations up to this one.
    fn of_before(last: i64) -> Connection {
        let mut file = empty();
        let seen: Vec<_> = MIGRATIONS.iter().copied().filter(|(number, _)| *number <= last).collect();
        bring_to(&mut file, &seen).expect("made");
        let list =
            format!("CREATE TABLE {LIST_OF_BEFORE} (version BIGINT PRIMARY KEY, success BOOLEAN NOT NULL)");
        file.execute_batch(&list).expect("made");
        for (number, _) in seen {
            file.execute(&format!("INSERT INTO {LIST_OF_BEFORE} VALUES (?, TRUE)"), [number])
                .expect("listed");
        }
        file.pragma_update(None, "user_version", 0).expect("set");
        file
    }

    #[test]
    fn every_file_of_the_folder_is_applied_in_the_order_of_their_numbers() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let files = std::fs::read_dir(folder).expect("listed").map(|file| {
            let file = file.expect("one").path();
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let number: i64 = name.split('_').next().expect("a number").parse().expect("a number");
            (number, std::fs::read_to_string(file).expect("text"))
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        assert_eq!(files, MIGRATIONS.iter().map(|(n, what)| (*n, (*what).to_owned())).collect::<Vec<_>>());
    }

    /// Invariant 4: whichever tables a build of before left, they are brought on from there, and what it kept its list in is gone.
    #[test]
    fn a_file_of_any_build_of_before_is_brought_up_to_date_once() {
        let mut new = empty();
        bring_up_to_date(&mut new).expect("made");
        for (last, _) in MIGRATIONS {
            let mut file = of_before(*last);
            assert!(
                matches!(refuse_others(&file), Err(StoreError::OtherVersion)),
                "{last}: not by who joins"
            );
            bring_up_to_date(&mut file).expect("carried over");
            assert_eq!((number(&file), tables(&file)), (newest(MIGRATIONS), tables(&new)), "{last}");
            refuse_others(&file).expect("it is of this version");
            bring_up_to_date(&mut file).expect("once");
        }
    }

    /// What hangs on a device hangs on it in its new table; and no look-up of a long row compares whole rows.
    #[test]
    fn long_rows_are_found_by_their_numbers_and_keep_what_refers_to_them() {
        let before: Vec<_> = MIGRATIONS.iter().copied().filter(|(number, _)| *number < 60).collect();
        let mut file = empty();
        bring_to(&mut file, &before).expect("made");
        let rows = "INSERT INTO devices (id, project, name, cert_digest, cert_der, serial, tpm, learn, registered_at, section_version, answered)
                      VALUES (x'01', 'default', 'edge-1', x'02', x'03', '1', 'present', 0, 1, 7, 8);
                    INSERT INTO device_certs VALUES (x'01', 11, x'04', NULL, 1);
                    INSERT INTO standings VALUES (x'01', x'05', 1, 0, '{}');
                    INSERT INTO refs (project, device, pcrs, state, learned_at) VALUES ('default', x'01', '{}', 'pending', 1);";
        file.execute_batch(rows).expect("written");
        bring_up_to_date(&mut file).expect("carried over");
        let count =
            |from: &str| file.query_row(&format!("SELECT count(*) FROM {from}"), (), |row| row.get(0));
        let whole = "devices WHERE rowid = 1 AND id = x'01' AND section_version = 7 AND answered = 8 AND labels = '{}'";
        for from in [whole, "device_certs WHERE rowid = 1", "standings WHERE rowid = 1", "refs"] {
            assert_eq!(count(from), Ok(1), "{from}");
        }
        assert_eq!(count("pragma_foreign_key_check"), Ok(0));
        file.execute("DELETE FROM devices", ()).expect_err("others refer to it");
    }

    /// Invariant 4: a device's chain, its evidence and its reference values, as builds of before kept them, read back as they were; and a device
    /// that comes after has an empty chain.
    #[test]
    fn what_was_kept_as_text_reads_back_as_it_was() {
        const LEDGER: &str = r#"{"head":"HH","sent":[{"digest":"HH","follows":null}],"before_chain":7}"#;
        const RECORD: &str = r#"{"session":SS,"nonce":SS,"claims":"0a","attest_data":"0b0c","signature":"0d","device_signature":null,
                                 "pcrs":{"4":"HH"},"before":"0e"}"#;
        let text = |form: &str| form.replace("HH", &"a5".repeat(32)).replace("SS", &format!("{:?}", [3; 32]));
        let mut file = empty();
        let before: Vec<_> = MIGRATIONS.iter().copied().filter(|(number, _)| *number < 84).collect();
        bring_to(&mut file, &before).expect("made");
        let rows = "INSERT INTO devices (id, project, name, cert_digest, cert_der, serial, tpm, learn, registered_at, section_version, ledger)
                      VALUES (x'01', 'default', 'edge-1', x'02', x'03', '1', 'present', 0, 1, 7, 'LEDGER');
                    INSERT INTO deleted_devices (id, project, key, name, serial, deleted_at, until, ledger)
                      VALUES (x'09', 'default', x'02', 'edge-9', '9', 1, 2, 'LEDGER');
                    INSERT INTO standings VALUES (x'01', x'05', 1, 0, 'RECORD');
                    INSERT INTO refs (project, device, pcrs, state, learned_at) VALUES ('default', x'01', '{\"4\":\"HH\"}', 'pending', 1);";
        file.execute_batch(&text(&rows.replace("LEDGER", LEDGER).replace("RECORD", RECORD)))
            .expect("written");
        bring_up_to_date(&mut file).expect("carried over");
        let digest = SectionDigest([0xa5; 32]);
        let sent = vec![Sent { digest, follows: None, number: 0 }];
        let ledger =
            Ledger { head: Some(digest), sent, before_chain: Some(7), furthest: None, ordered: None };
        let record = Record {
            session: [3; 32],
            nonce: [3; 32],
            claims: vec![10],
            attest_data: vec![11, 12],
            signature: vec![13],
            device_signature: None,
            pcrs: Pcrs([(4, [0xa5; 32].into())].into()),
            before: Some(vec![14]),
        };
        for table in ["devices", "deleted_devices"] {
            assert_eq!(kept_chain(&file, table), Some(ledger.clone()), "{table}");
        }
        assert_eq!(kept::<Record>(&file, "record", "standings"), Some(record.clone()));
        assert_eq!(kept::<Pcrs>(&file, "pcrs", "refs"), Some(record.pcrs));
        let anew = "DELETE FROM refs; DELETE FROM standings; DELETE FROM devices;
                    INSERT INTO devices (id, project, name, cert_digest, cert_der, serial, tpm, learn, registered_at, section_version)
                      VALUES (x'01', 'default', 'edge-1', x'02', x'03', '1', 'present', 0, 1, 7);";
        file.execute_batch(anew).expect("written");
        assert_eq!(kept_chain(&file, "devices"), Some(Ledger::default()));
    }

    fn kept_chain(file: &Connection, table: &str) -> Option<Ledger> {
        let ask = format!("SELECT ledger FROM {table}");
        file.query_row(&ask, (), |row| Ok(chain(row.get_ref(0)?))).expect("one row")
    }

    /// The one value of a column.
    fn kept<T: serde::de::DeserializeOwned>(file: &Connection, column: &str, table: &str) -> Option<T> {
        let ask = format!("SELECT {column} FROM {table}");
        file.query_row(&ask, (), |row| Ok(unpacked(row.get_ref(0)?))).expect("one row")
    }

    #[test]
    fn a_file_of_a_later_build_is_refused_and_left_as_it_is() {
        let later = newest(MIGRATIONS) + 1;
        let listed = of_before(newest(MIGRATIONS));
        listed.execute(&format!("INSERT INTO {LIST_OF_BEFORE} VALUES (?, TRUE)"), [later]).expect("listed");
        let numbered = empty();
        numbered.pragma_update(None, "user_version", later).expect("set");
        for mut file in [listed, numbered] {
            let (numbered, there_before) = (number(&file), tables(&file));
            for refused in [bring_up_to_date(&mut file), refuse_others(&file)] {
                let refused = refused.expect_err("of a later build");
                assert!(matches!(refused, StoreError::Newer { there, .. } if there == later), "{refused:?}");
                assert!(refused.to_string().contains("start that version"), "{refused}");
            }
            assert_eq!((number(&file), tables(&file)), (numbered, there_before));
        }
    }

    #[test]
    fn a_list_of_before_with_gaps_is_damage() {
        let mut file = of_before(30);
        file.execute(&format!("DELETE FROM {LIST_OF_BEFORE} WHERE version = 20"), ()).expect("taken out");
        assert!(matches!(bring_up_to_date(&mut file), Err(StoreError::Damaged(_))));
        assert_eq!(number(&file), 0);
    }

    /// Invariant 6: a migration that fails in its middle leaves the tables of the one before it, and is applied whole the next time.
    #[test]
    fn a_migration_is_applied_whole_or_not_at_all() {
        const FIRST: Migration = (1, "CREATE TABLE one (x)");
        let mut file = empty();
        let failing =
            [FIRST, (2, "CREATE TABLE two (x); INSERT INTO one VALUES (1); INSERT INTO nowhere VALUES (1)")];
        bring_to(&mut file, &failing).expect_err("it fails");
        assert_eq!((number(&file), tables(&file)), (1, vec!["one".into()]));
        let mended = [FIRST, (2, "CREATE TABLE two (x)")];
        bring_to(&mut file, &mended).expect("it goes on");
        assert_eq!((number(&file), tables(&file)), (2, vec!["one".into(), "two".into()]));
    }
}
