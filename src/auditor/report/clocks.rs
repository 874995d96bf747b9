//! Times that do not fit: the time of the event by its sender, of sealing by the writer, of committing by the ledger.

use super::listed::Listed;
use super::model::{Cell, Column, Mark, RecordSet, Table};
use super::request::ReportRequest;
use super::text::duration;
use crate::auditor::record::AuditRecord;
use crate::base::clock::Timestamp;
use crate::chain::block::Block;
use crate::chain::statement::Statement;

/// Clocks may differ by this much, in milliseconds, before it is an oddity.
const TOLERANCE: i64 = 5 * 60_000;
/// An event sealed, or a batch committed, this much later, in milliseconds, came late.
const LATE: i64 = 24 * 3_600_000;

/// Columns of the table.
const COLUMNS: &[Column] = &[
    Column::new("what", "What"),
    Column::new("writer", "Writer"),
    Column::below("block", "block"),
    Column::new("earlier", "One clock"),
    Column::new("later", "The other"),
    Column::new("difference", "Difference"),
];

/// What the tolerances are.
pub(super) fn note() -> String {
    format!(
        "Clocks may differ by {}; an event sealed or a batch committed more than {} later counts as late. Late is not wrong: a system may have been \
         cut off and delivered afterwards.",
        duration(TOLERANCE),
        duration(LATE)
    )
}

/// Gathers them.
pub(super) struct Clocks {
    listed: Listed,
    /// How many of them are merely late.
    late: u64,
}

impl Clocks {
    /// With at most as many rows as the request allows.
    pub fn new(request: &ReportRequest) -> Clocks {
        Clocks { listed: Listed::new(request.rows), late: 0 }
    }

    /// Looks at an event's time, if it has one.
    pub fn record(&mut self, record: &AuditRecord, time: Option<Timestamp>) {
        let Some(time) = time else { return };
        let set = || RecordSet::one(record.index);
        let behind = record.sealed.millis() - time.millis();
        if -behind > TOLERANCE {
            self.put(
                "The event's time lies after it was sealed",
                &record.writer,
                record.block,
                (record.sealed, time),
                set(),
            );
        } else if behind > LATE {
            self.late += 1;
            self.put("The event was sealed late", &record.writer, record.block, (time, record.sealed), set());
        }
    }

    /// Looks at a writer's statement; `backwards` is the time of an earlier one that is later than its own.
    pub fn statement(&mut self, block: &Block, statement: &Statement, backwards: Option<Timestamp>) {
        let (made, writer) = (statement.time(), block.statement.signer_name());
        let behind = block.committed.millis() - made.millis();
        let none = RecordSet::default;
        if -behind > TOLERANCE {
            self.put(
                "The writer's clock is ahead of the ledger's",
                writer,
                block.height,
                (block.committed, made),
                none(),
            );
        } else if behind > LATE {
            self.late += 1;
            self.put("The batch was committed late", writer, block.height, (made, block.committed), none());
        }
        if let Some(before) = backwards {
            self.put("The writer's clock went back", writer, block.height, (made, before), none());
        }
    }

    fn put(
        &mut self,
        what: &str,
        writer: &str,
        block: u64,
        (earlier, later): (Timestamp, Timestamp),
        records: RecordSet,
    ) {
        self.listed.push(Mark::Attention, records, || {
            vec![
                Cell::Text(what.to_owned()),
                Cell::text(Some(writer)),
                Cell::Number(block),
                Cell::time(Some(earlier)),
                Cell::time(Some(later)),
                Cell::Text(duration(later.millis() - earlier.millis())),
            ]
        });
    }

    /// How many contradict each other, and how many are merely late.
    pub fn counts(&self) -> (u64, u64) {
        (self.listed.total() - self.late, self.late)
    }

    /// The table.
    pub fn table(self) -> Table {
        let about = "Times of the event, of sealing and of committing that contradict each other or lie far apart; the notes say how far.";
        self.listed.table(("clocks", "Times that do not fit", about), COLUMNS)
    }
}
