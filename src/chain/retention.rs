//! How long records must be kept, as their writers' statements say, and the rule that an erasure for the reason
//! [`RETENTION_EXPIRED`] only takes what is past it. `docs/FORMAT.md` §7.
//!
//! This is beside [`super::replay::State`] because it grows with the ledger. Who goes through all blocks (a verifier) keeps a
//! [`Retention`]; the ledger looks up the blocks an erasure names.

use super::authority::{ErasureStatement, RETENTION_EXPIRED, RecordRange};
use super::block::Block;
use super::error::ChainError;
use super::statement::Statement;
use crate::base::clock::Timestamp;

/// `retain-until` of consecutive records, those of equal date as one entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retention(Vec<Kept>);

/// Records that share a date.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The records.
    pub records: RecordRange,
    /// `YYYY-MM-DD`, the first day on which they may be erased for this reason.
    pub retain_until: String,
}

impl Retention {
    /// Nothing known yet.
    pub fn new() -> Retention {
        Retention::default()
    }

    /// Takes the next block in, after [`State::apply`](super::replay::State::apply) accepted it; refuses an erasure for
    /// [`RETENTION_EXPIRED`] of records that must still be kept at the block's `committed` time.
    pub fn apply(&mut self, block: &Block, statement: &Statement) -> Result<(), ChainError> {
        match statement {
            Statement::Records(s) => {
                self.push(block.first_record, s.records, &s.retain_until);
                Ok(())
            }
            Statement::Erasure(erasure) => self
                .check(erasure, block.committed)
                .map_err(|source| ChainError::AtBlock { height: block.height, source: Box::new(source) }),
            _ => Ok(()),
        }
    }

    /// Adds `count` records from `first` on, above those added before; 0 adds none.
    pub fn push(&mut self, first: u64, count: u64, retain_until: &str) {
        let Some(last) = count.checked_sub(1).and_then(|n| first.checked_add(n)) else { return };
        match self.0.last_mut() {
            Some(k) if k.retain_until == retain_until && k.records.last.checked_add(1) == Some(first) => {
                k.records.last = last;
            }
            _ => {
                let records = RecordRange { first, last };
                self.0.push(Kept { records, retain_until: retain_until.to_owned() });
            }
        }
    }

    /// Everything, ascending by record.
    pub fn iter(&self) -> impl Iterator<Item = &Kept> + Clone {
        self.0.iter()
    }

    /// The latest date of the records in `ranges`, and the first record of a range that has it.
    pub fn latest(&self, ranges: &[RecordRange]) -> Option<(u64, &str)> {
        let mut latest: Option<(u64, &str)> = None;
        for range in ranges {
            let start = self.0.partition_point(|k| k.records.last < range.first);
            for kept in self.0.iter().skip(start) {
                let Some(record) = kept.records.first_common(range) else { break };
                if latest.is_none_or(|(_, date)| date < kept.retain_until.as_str()) {
                    latest = Some((record, &kept.retain_until));
                }
            }
        }
        latest
    }

    /// Whether an erasure keeps the rule in a block committed at this time. The records must be known.
    pub fn check(&self, erasure: &ErasureStatement, committed: Timestamp) -> Result<(), ChainError> {
        match self.latest(&erasure.records) {
            // Dates of this form sort like days.
            Some((record, retain_until))
                if erasure.reason == RETENTION_EXPIRED && committed.date().as_str() < retain_until =>
            {
                let retain_until = retain_until.to_owned();
                Err(ChainError::NotExpired { record, retain_until, committed: committed.date() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::replay::Head;
    use super::super::testing;
    use super::*;

    #[test]
    fn the_latest_date_counts() {
        let mut r = Retention::new();
        r.push(0, 3, "2032-01-01");
        r.push(3, 2, "2032-01-01");
        r.push(5, 0, "2099-01-01");
        r.push(5, 1, "2030-05-05");
        r.push(6, 4, "2031-02-02");
        assert_eq!(r.iter().count(), 3);
        let range = |first, last| RecordRange { first, last };
        assert_eq!(r.latest(&[range(5, 5), range(7, 9)]), Some((7, "2031-02-02")));
        assert_eq!(r.latest(&[range(4, 9)]), Some((4, "2032-01-01")));
        assert_eq!(r.latest(&[range(5, 5)]), Some((5, "2030-05-05")));
        assert_eq!(r.latest(&[range(10, 12)]), None);

        let time = |date: &str| Timestamp::parse(&format!("{date}T00:00:00.000Z")).unwrap();
        let mut e = testing::erasure(Head::default());
        (e.reason, e.records) = (RETENTION_EXPIRED.into(), vec![range(5, 6)]);
        assert_eq!(r.check(&e, time("2031-02-02")), Ok(()));
        let refused = r.check(&e, time("2031-02-01")).unwrap_err();
        assert!(matches!(refused, ChainError::NotExpired { record: 6, .. }), "{refused}");
        e.reason = "gdpr-17".into();
        assert_eq!(r.check(&e, time("2026-01-01")), Ok(()));
    }
}
