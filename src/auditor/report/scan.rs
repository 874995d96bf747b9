//! One pass over a ledger for one report. Memory is bounded by the limits of `base::limits`, however long the ledger is.

use super::ReportError;
use super::coverage::Coverage;
use super::model::Report;
use super::period::{Local, Zone};
use super::request::{ReportRequest, Verdict};
use super::text::Staff;
use crate::auditor::facts::{Facts, Outcome};
use crate::auditor::record::{AuditRecord, Records, RecordsError};
use crate::base::clock::Timestamp;
use crate::chain::block::Block;
use crate::chain::statement::Statement;

/// An opened record that the report is about.
pub(super) struct Entry<'a> {
    /// Where it stands.
    pub record: &'a AuditRecord,
    /// What it says.
    pub facts: &'a Facts,
    /// When it happened, or else when it was sealed.
    pub time: Timestamp,
    /// Whether `time` is the sealing time.
    pub sealed_time: bool,
    /// `time` on the clocks of the report's zone.
    pub local: Local,
    /// Who did it, as the report calls them.
    pub who: Option<String>,
}

impl Entry<'_> {
    /// Position in [`super::model::Outcomes`].
    pub fn outcome(&self) -> usize {
        match self.facts.outcome {
            Some(Outcome::Allowed) => 0,
            Some(Outcome::Denied) => 1,
            Some(Outcome::Failed) => 2,
            None => 3,
        }
    }

    /// Whether it was refused or failed.
    pub fn refused(&self) -> bool {
        matches!(self.facts.outcome, Some(Outcome::Denied | Outcome::Failed))
    }
}

/// What one report gathers.
pub(super) trait Collector {
    /// Whether it goes through the blocks, and through the records.
    fn goes_through(&self) -> (bool, bool) {
        (false, true)
    }

    /// The next block.
    fn block(&mut self, _block: &Block, _statement: &Statement) {}

    /// The next record, whatever its state; `time` is the one its event gives.
    fn record(&mut self, _record: &AuditRecord, _time: Option<Timestamp>) {}

    /// An event that the request asks for but for the period, which it lies outside.
    fn outside(&mut self, _time: Timestamp, _record: &AuditRecord) {}

    /// An event that the request asks for.
    fn entry(&mut self, entry: &Entry<'_>);

    /// Puts what was gathered into the report, whose coverage is final.
    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report);
}

/// Goes through the ledger once.
pub(super) fn scan(
    records: &dyn Records,
    request: &ReportRequest,
    collector: &mut dyn Collector,
) -> Result<Coverage, ReportError> {
    let as_of = records.as_of();
    let zone = request.zone();
    let mut coverage = Coverage {
        records: as_of.records,
        limited: request.from.is_some() || request.to.is_some(),
        ..Coverage::default()
    };
    let (blocks, looked_at) = collector.goes_through();
    if blocks {
        let mut height = 0;
        for item in records.blocks(0..as_of.blocks) {
            let (block, statement) = item?;
            expect("block", height, block.height)?;
            collector.block(&block, &statement);
            height += 1;
        }
        ends("blocks", as_of.blocks, height)?;
    }
    if !looked_at {
        return Ok(coverage);
    }
    coverage.looked_at = true;
    let mut staff = Staff::new(request.hide_staff);
    let mut index = 0;
    for record in records.records(0..as_of.records) {
        let record = record?;
        expect("record", index, record.index)?;
        index += 1;
        one(&record, request, &zone, &mut staff, &mut coverage, collector);
    }
    ends("records", as_of.records, index)?;
    Ok(coverage)
}

fn one(
    record: &AuditRecord,
    request: &ReportRequest,
    zone: &Zone,
    staff: &mut Staff,
    coverage: &mut Coverage,
    collector: &mut dyn Collector,
) {
    let Some(event) = record.content.event() else {
        coverage.closed(record, request.from.is_none_or(|from| record.sealed >= from));
        collector.record(record, None);
        return;
    };
    let facts = Facts::of(event);
    let own = facts.time.as_deref().and_then(Timestamp::parse);
    let time = own.unwrap_or(record.sealed);
    let (covered, withheld) = (request.covers(time), record.content.withheld());
    collector.record(record, own);
    coverage.opened += 1;
    coverage.partly += u64::from(!withheld.is_empty());
    for section in withheld {
        coverage.withhold(section);
    }
    coverage.in_period += u64::from(covered);
    coverage.outside += u64::from(!covered);
    match request.wants(&facts) {
        Verdict::Yes => {}
        Verdict::No => return,
        Verdict::Unknown => {
            coverage.unassigned += u64::from(covered);
            coverage.unassigned_partly += u64::from(covered && !withheld.is_empty());
            return;
        }
    }
    if !covered {
        collector.outside(time, record);
        return;
    }
    coverage.selected += 1;
    coverage.without_time += u64::from(own.is_none());
    let who = staff.name(&facts);
    let entry =
        Entry { record, facts: &facts, time, sealed_time: own.is_none(), local: zone.local(time), who };
    collector.entry(&entry);
}

fn expect(what: &str, expected: u64, found: u64) -> Result<(), RecordsError> {
    if expected == found {
        return Ok(());
    }
    Err(RecordsError::Damaged(format!(
        "expected {what} {expected} and was given {found}; the copy of the ledger is not usable"
    )))
}

fn ends(what: &str, expected: u64, found: u64) -> Result<(), RecordsError> {
    if expected == found {
        return Ok(());
    }
    Err(RecordsError::Damaged(format!(
        "the checkpoint covers {expected} {what} and only {found} were given; the copy of the ledger is not usable"
    )))
}
