//! Records made up for tests of what is built on [`Records`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::ops::Range;
use std::sync::Arc;

use super::record::{AsOf, AuditRecord, BlockStream, Content, RecordStream, Records, RecordsError};
use crate::base::clock::Timestamp;
use crate::base::secret::SecretBytes;
use crate::chain::block::Block;
use crate::chain::statement::Statement;

/// Records in memory: every four make a block, sealed a second and committed two seconds after [`MemoryRecords::START`]
/// and ten seconds more a block.
pub struct MemoryRecords {
    as_of: AsOf,
    first: u64,
    records: Vec<AuditRecord>,
    /// What [`Records::blocks`] gives.
    pub blocks: Vec<(Block, Statement)>,
    /// Reading this record fails.
    pub broken_at: Option<u64>,
}

impl MemoryRecords {
    /// 2024-01-23T08:53:20.000Z.
    pub const START: i64 = 1_706_000_000_000;

    /// Opened events, from record 0 on.
    pub fn of_events<E: AsRef<str>>(events: impl IntoIterator<Item = E>) -> MemoryRecords {
        Self::of(0, events.into_iter().map(|e| opened(e.as_ref(), &[])))
    }

    /// Records of any content. `first` is the index of the first; there are none below it, though the ledger is said to
    /// start at 0.
    pub fn of(first: u64, contents: impl IntoIterator<Item = Content>) -> MemoryRecords {
        let at = |ms: i64| Timestamp::from_millis(Self::START + ms).expect("a time of this century");
        let records: Vec<AuditRecord> = (0..)
            .zip(contents)
            .map(|(i, content)| AuditRecord {
                index: first + i,
                block: 1 + i / 4,
                position: (i % 4) as u32,
                sealed: at(1000 + 10_000 * (i as i64 / 4)),
                committed: at(2000 + 10_000 * (i as i64 / 4)),
                writer: Arc::from("hospital.example/writers/ehr"),
                retain_until: Arc::from("2030-01-23"),
                content,
            })
            .collect();
        let last = records.last();
        let as_of = AsOf {
            ledger: "hospital.example/audit".to_owned(),
            checkpoint: "hospital.example/audit\n".to_owned(),
            blocks: last.map_or(1, |r| r.block + 1),
            records: first + records.len() as u64,
            committed: last.map(|r| r.committed),
        };
        MemoryRecords { as_of, first, records, blocks: Vec::new(), broken_at: None }
    }

    /// Changes each record.
    pub fn with(mut self, change: impl Fn(&mut AuditRecord)) -> MemoryRecords {
        self.records.iter_mut().for_each(change);
        self.as_of.committed = self.records.last().map(|r| r.committed);
        self
    }
}

/// An opened event with names of withheld sections.
pub fn opened(event: &str, withheld: &[&str]) -> Content {
    Content::Opened {
        event: SecretBytes::new(event.as_bytes().to_vec()),
        withheld: withheld.iter().map(|w| (*w).to_owned()).collect(),
    }
}

impl Records for MemoryRecords {
    fn as_of(&self) -> &AsOf {
        &self.as_of
    }

    fn records(&self, range: Range<u64>) -> RecordStream {
        assert!(range.end <= self.as_of.records, "{range:?} lies outside the ledger");
        let within = |i: u64| (i.saturating_sub(self.first) as usize).min(self.records.len());
        let some = self.records[within(range.start)..within(range.end.max(range.start))].to_vec();
        let broken = self.broken_at;
        Box::new(some.into_iter().map(move |r| {
            if broken == Some(r.index) {
                Err(RecordsError::Unavailable("the disk is gone".to_owned()))
            } else {
                Ok(r)
            }
        }))
    }

    fn blocks(&self, range: Range<u64>) -> BlockStream {
        let within = |i: u64| (i as usize).min(self.blocks.len());
        Box::new(
            self.blocks[within(range.start)..within(range.end)]
                .iter()
                .cloned()
                .map(Ok)
                .collect::<Vec<_>>()
                .into_iter(),
        )
    }
}
