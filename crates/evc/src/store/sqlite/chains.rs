//! Chains of sections, marks, and lives of the database in SQLite.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::types::ValueRef;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use vault::ids::{DeviceId, SectionDigest};
use vault::ledger::{Ledger, Mark, Older, Sent, Told};
use vault::life::Phase;

use super::device_rows::MarkText;
use super::read::{Word as _, blob, int, json, unpacked};
use super::transaction::SqliteTx;
use crate::store::{Chains, DELETED_GRACE_S, SENT_BEFORE, StoreError, Stored, UnixSeconds, VaultStanding};

/// What begins a packed chain, in the place of what begins other packed values: one with what its device told as its furthest.
const PACKED_FURTHEST: u8 = 2;
/// The same, with the place of its orders.
const PACKED_CHAIN: u8 = 3;

/// A chain as builds packed it that knew no place of orders. Postcard knows no field that is missing.
#[derive(Deserialize)]
struct ChainNotOrdered {
    head: Option<SectionDigest>,
    sent: Vec<Sent>,
    before_chain: Option<u64>,
    furthest: Option<Told>,
}

/// The same of builds before those: without what is the furthest, and without numbers.
#[derive(Deserialize)]
struct ChainBefore {
    head: Option<SectionDigest>,
    sent: Vec<SentBefore>,
    #[serde(default)]
    before_chain: Option<u64>,
}

#[derive(Deserialize)]
struct SentBefore {
    digest: SectionDigest,
    follows: Option<SectionDigest>,
}

/// A device's chain: packed, also by builds of before, or as JSON.
pub(super) fn chain(value: ValueRef<'_>) -> Option<Ledger> {
    match value.as_blob().ok()?.split_first()? {
        (&PACKED_CHAIN, packed) => return whole(packed),
        (&PACKED_FURTHEST, packed) => {
            let ChainNotOrdered { head, sent, before_chain, furthest } = whole(packed)?;
            return Some(Ledger { head, sent, before_chain, furthest, ordered: None });
        }
        _ => {}
    }
    let ChainBefore { head, sent, before_chain } = unpacked(value)?;
    let numberless = |SentBefore { digest, follows }| Sent { digest, follows, number: 0 };
    let sent = sent.into_iter().map(numberless).collect();
    Some(Ledger { head, sent, before_chain, furthest: None, ordered: None })
}

/// All of it, and nothing after.
fn whole<T: DeserializeOwned>(packed: &[u8]) -> Option<T> {
    postcard::take_from_bytes(packed).ok().filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// The same, to be written.
pub(super) fn packed_chain(ledger: &Ledger) -> Vec<u8> {
    postcard::to_extend(ledger, vec![PACKED_CHAIN]).expect("all lengths are known")
}

impl SqliteTx {
    async fn retain_removing(&mut self) -> Stored<()> {
        // By the phase alone, and not row by row: a row that does not read is no reason to stay in the old life.
        let (standing, delete_at) = VaultStanding::of(Phase::Grace { until: 0 }.begun_anew());
        for graces in [
            "UPDATE deleted_vaults SET standing = ?, delete_at = ? WHERE standing = 'removing'",
            "UPDATE vaults SET standing = ?, delete_at = ? WHERE standing = 'removing'",
        ] {
            self.run(graces, (standing.word(), delete_at.map(int))).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Chains for SqliteTx {
    async fn put_section(&mut self, id: DeviceId, version: u64, digest: &[u8; 32]) -> Stored<()> {
        let write = "UPDATE devices SET section_version = ?, section_digest = ? WHERE id = ?";
        self.change(write, (int(version), digest, blob(id.0))).await
    }

    async fn put_ledger(&mut self, id: DeviceId, ledger: &Ledger) -> Stored<()> {
        self.change("UPDATE devices SET ledger = ? WHERE id = ?", (packed_chain(ledger), blob(id.0))).await
    }

    async fn add_sent_before(&mut self, id: DeviceId, digests: &[SectionDigest]) -> Stored<()> {
        let add = "INSERT OR REPLACE INTO sent_before (device, number, digest)
                   SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM sent_before WHERE device = ?1";
        for SectionDigest(digest) in digests {
            self.run(add, (blob(id.0), digest)).await?;
        }
        // One that is sent again has a new number, so numbers are not counted.
        let forget = "DELETE FROM sent_before
                      WHERE device = ?1 AND number <= (SELECT number FROM sent_before WHERE device = ?1
                                                       ORDER BY number DESC LIMIT 1 OFFSET ?2)";
        self.run(forget, (blob(id.0), SENT_BEFORE)).await.map(drop)
    }

    async fn was_sent_before(&mut self, id: DeviceId, digest: &SectionDigest) -> Stored<bool> {
        let SectionDigest(digest) = digest;
        self.any("FROM sent_before WHERE device = ? AND digest = ?", (blob(id.0), digest)).await
    }

    async fn set_older(&mut self, id: DeviceId, older: Option<Mark>) -> Stored<()> {
        let older = older.as_ref().map(json);
        self.change("UPDATE devices SET older = ? WHERE id = ?", (older, blob(id.0))).await
    }

    async fn all_older(&mut self) -> Stored<Vec<Older>> {
        let marks: Vec<Mark> = self.all("FROM devices WHERE older IS NOT NULL", ()).await?;
        Ok(marks.into_iter().map(Mark::older).collect::<HashSet<_>>().into_iter().collect())
    }

    async fn one_older(&mut self) -> Stored<Option<Older>> {
        match self.one("FROM devices WHERE older IS NOT NULL LIMIT 1", ()).await {
            Ok(one) => {
                Ok(one.map(|MarkText { mark, .. }: MarkText| mark.map_or(Older::SomeLaterLife, Mark::older)))
            }
            Err(StoreError::Damaged(_)) => Ok(Some(Older::SomeLaterLife)),
            Err(other) => Err(other),
        }
    }

    async fn hold_back(&mut self, held: bool) -> Stored<()> {
        for table in ["devices", "deleted_devices"] {
            let kept = format!("FROM {table} WHERE typeof(older) = 'text'");
            for MarkText { text, mark } in self.all(&kept, ()).await? {
                // One that does not read is the mark of a row that does not read: it stays.
                let Some(mark) = mark else { continue };
                let mark = if held { Some(Mark::held(Some(mark))) } else { mark.checked() };
                let change = format!("UPDATE {table} SET older = ?1 WHERE older = ?2");
                self.run(&change, (mark.as_ref().map(json), &text)).await?;
            }
            let mark = held.then(|| json(&Mark::held(None)));
            self.run(&format!("UPDATE {table} SET older = ?1 WHERE older IS NULL"), (mark,)).await?;
        }
        Ok(())
    }

    async fn number_anew(&mut self) -> Stored<()> {
        let devices =
            "UPDATE devices SET section_version = 0, section_digest = NULL, ledger = ?, older = NULL";
        self.run(devices, (packed_chain(&Ledger::default()),)).await?;
        self.run("DELETE FROM sent_before", ()).await?;
        let of_deleted = "UPDATE deleted_devices SET section_version = 0, ledger = ?, older = NULL";
        self.run(of_deleted, (packed_chain(&Ledger::default()),)).await?;
        self.run("DELETE FROM deleted_sent_before", ()).await?;
        let told = "UPDATE deleted_vaults SET reported_epoch = NULL, report = NULL, reported_at = NULL, recreate = 0";
        self.run(told, ()).await?;
        let vaults =
            "UPDATE vaults SET reported_epoch = NULL, report = NULL, reported_at = NULL, recreate = 0,
                        left_version = iif(standing = 'gone', 1, NULL)";
        self.run(vaults, ()).await?;
        self.retain_removing().await
    }

    async fn keep_ending(&mut self, now: UnixSeconds) -> Stored<()> {
        self.retain_removing().await?;
        for orders in [
            "UPDATE vaults SET recreate = 0 WHERE recreate <> 0",
            "UPDATE deleted_vaults SET recreate = 0 WHERE recreate <> 0",
        ] {
            self.run(orders, ()).await?;
        }
        self.keep_deleted_longer(now).await
    }

    async fn keep_deleted_longer(&mut self, now: UnixSeconds) -> Stored<()> {
        // An end beyond the last number would be a fraction.
        let of_deleted = "UPDATE deleted_devices SET until = iif(until - deleted_at > 9223372036854775807 - ?1, 9223372036854775807,
                            max(until, ?1 + (until - deleted_at))) WHERE deleted_at BETWEEN 0 AND until";
        self.run(of_deleted, (int(now),)).await?;
        // One that was deleted by a clock that was set back since: how long its grace was is not known.
        let set_back = "UPDATE deleted_devices SET until = max(until, ?1) WHERE deleted_at > until";
        self.run(set_back, (int(now.saturating_add(DELETED_GRACE_S)),)).await.map(drop)
    }

    async fn end_section(&mut self, id: DeviceId) -> Stored<()> {
        self.change("UPDATE devices SET section_digest = NULL WHERE id = ?", (blob(id.0),)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<Ledger> {
        chain(ValueRef::Blob(bytes))
    }

    /// Invariant 6: what is cut, goes on, or is of a form that nobody knows is damage, and no value.
    #[test]
    fn what_is_packed_reads_back_whole_or_not_at_all() {
        let mut ledger = Ledger::default();
        (1..4).for_each(|digest| ledger.send(SectionDigest([digest; 32])));
        ledger.furthest = Some(Told { version: 3, digest: SectionDigest([3; 32]) });
        ledger.ordered = Some(4);
        let bytes = packed_chain(&ledger);
        assert_eq!(read(&bytes), Some(ledger));
        (0..bytes.len()).for_each(|length| assert_eq!(read(&bytes[..length]), None, "{length}"));
        assert_eq!(read(&[&bytes[..], &[0]].concat()), None, "something after it");
        assert_eq!(read(&[&[PACKED_CHAIN + 1], &bytes[1..]].concat()), None, "another form");
        assert_eq!(chain(ValueRef::Text(&bytes)), None, "text");
    }

    /// A build of before packed neither numbers nor what is the furthest: its chains read, and nothing of that is made up.
    #[test]
    fn a_chain_that_a_build_of_before_packed_reads() {
        let digest = |byte| SectionDigest([byte; 32]);
        // Its head; two sections, of which the second follows the first; nothing of before the chain.
        let bytes = [&[1, 1][..], &[7; 32], &[2], &[7; 32], &[0], &[8; 32], &[1], &[7; 32], &[0]].concat();
        let sent = |one, follows| Sent { digest: digest(one), follows, number: 0 };
        let sent = vec![sent(7, None), sent(8, Some(digest(7)))];
        let was = Ledger { head: Some(digest(7)), sent, before_chain: None, furthest: None, ordered: None };
        assert_eq!(read(&bytes), Some(was.clone()));
        // The same with numbers and the furthest, and without the place of orders.
        let bytes = [&[2, 1][..], &[7; 32], &[2], &[7; 32], &[0, 0], &[8; 32], &[1], &[7; 32], &[0, 0, 0]];
        assert_eq!(read(&bytes.concat()), Some(was));
        assert_eq!(read(&[1, 0, 0, 0]), Some(Ledger::default()), "migration 84's own");
        assert_eq!(read(br#"{"head":null,"sent":[]}"#), Some(Ledger::default()), "and JSON");
    }
}
