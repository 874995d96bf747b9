//! `integrity`: is the ledger complete? Continuity of every writer, silence, erasures, unreadable records, clocks.
//!
//! The records come verified. What is checked again here (sequences, links between statements, order of times) is what a
//! reader of the report wants to see counted; a break would mean that the copy of the ledger is not usable.

use std::collections::BTreeMap;

use super::clocks::Clocks;
use super::listed::{self, Listed};
use super::model::{Cell, Chart, Column, Figure, Mark, RecordSet, Report, Row, Table};
use super::period::Zone;
use super::request::ReportRequest;
use super::scan::{Collector, Entry};
use super::tally::{Days, MAX_BARS};
use super::text::{clip, count, duration, thousands};
use crate::auditor::record::{AuditRecord, Content};
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_REPORT_KEYS, MAX_REPORT_RANGES};
use crate::chain::block::Block;
use crate::chain::statement::{Statement, statement_hash};

pub(super) fn collector(request: &ReportRequest) -> Box<dyn Collector> {
    Box::new(Integrity {
        zone: request.zone(),
        silent: request.silent_millis(),
        limit: request.rows,
        period: (request.from, request.to),
        blocks: 0,
        last_block: None,
        breaks: Vec::new(),
        writers: BTreeMap::new(),
        uncounted: 0,
        silences: Listed::new(request.rows),
        erasures: Listed::new(request.rows),
        unreadable: Listed::new(request.rows),
        clocks: Clocks::new(request),
        days: Days::default(),
        holds: Listed::new(request.rows),
        kinds: [0; 6],
    })
}

/// What a writer did.
#[derive(Default)]
struct Writer {
    statements: u64,
    heartbeats: u64,
    records: u64,
    next: u64,
    previous: Option<Hash>,
    broken: bool,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    last_sealed: Option<Timestamp>,
    last_heartbeat: Option<Timestamp>,
    longest: i64,
    silences: u64,
    /// The block of the last roster with this writer in it, and its time, if it is in the roster in force.
    in_roster: Option<Timestamp>,
}

struct Integrity {
    zone: Zone,
    silent: i64,
    limit: usize,
    period: (Option<Timestamp>, Option<Timestamp>),
    blocks: u64,
    last_block: Option<(Hash, Timestamp, u64)>,
    breaks: Vec<String>,
    writers: BTreeMap<String, Writer>,
    /// Statements of writers that were too many to keep apart.
    uncounted: u64,
    silences: Listed,
    erasures: Listed,
    holds: Listed,
    unreadable: Listed,
    clocks: Clocks,
    days: Days,
    /// Statements: records, heartbeats, rosters, grants, erasures, holds.
    kinds: [u64; 6],
}

impl Collector for Integrity {
    fn goes_through(&self) -> (bool, bool) {
        (true, true)
    }

    fn entry(&mut self, _entry: &Entry<'_>) {}

    fn block(&mut self, block: &Block, statement: &Statement) {
        self.blocks += 1;
        self.link(block, statement);
        let kind = match statement {
            Statement::Records(_) => 0,
            Statement::Heartbeat(_) => 1,
            Statement::Roster(_) => 2,
            Statement::Grant(_) => 3,
            Statement::Erasure(_) => 4,
            Statement::Hold(_) => 5,
        };
        if let Some(n) = self.kinds.get_mut(kind) {
            *n += 1;
        }
        self.days.count(self.zone.local(block.committed).day, 0, statement.record_count());
        match statement {
            Statement::Records(_) | Statement::Heartbeat(_) => self.writer(block, statement),
            Statement::Roster(roster) => {
                for w in self.writers.values_mut() {
                    w.in_roster = None;
                }
                for key in &roster.writers {
                    if self.writers.len() < MAX_REPORT_KEYS || self.writers.contains_key(key.name()) {
                        let w = self.writers.entry(key.name().to_owned()).or_default();
                        w.in_roster = Some(block.committed);
                    }
                }
            }
            Statement::Erasure(order) if self.covers(block.committed) => {
                self.erasures.push(Mark::None, RecordSet::default(), || listed::erasure(block, order));
            }
            Statement::Hold(hold) if self.covers(block.committed) => {
                self.holds.push(Mark::None, RecordSet::default(), || listed::hold(block, hold));
            }
            Statement::Grant(_) | Statement::Erasure(_) | Statement::Hold(_) => {}
        }
    }

    fn record(&mut self, record: &AuditRecord, time: Option<Timestamp>) {
        if !self.covers(record.sealed) {
            return;
        }
        if let Content::Unreadable { why } = &record.content {
            self.unreadable.push(Mark::Attention, RecordSet::one(record.index), || {
                vec![
                    Cell::time(Some(record.sealed)),
                    Cell::text(Some(&record.writer)),
                    Cell::Number(record.block),
                    Cell::Number(record.position.into()),
                    Cell::text(Some(why)),
                ]
            });
        }
        self.clocks.record(record, time);
    }

    fn finish(self: Box<Self>, request: &ReportRequest, report: &mut Report) {
        self.conclude(request, report);
    }
}

impl Integrity {
    fn covers(&self, t: Timestamp) -> bool {
        self.period.0.is_none_or(|from| t >= from) && self.period.1.is_none_or(|to| t <= to)
    }

    fn broken(&mut self, what: String) {
        if self.breaks.len() < MAX_REPORT_RANGES {
            self.breaks.push(what);
        }
    }

    /// `docs/FORMAT.md` §8: a block follows its predecessor.
    fn link(&mut self, block: &Block, statement: &Statement) {
        let next = block.first_record.saturating_add(statement.record_count());
        let fault = match self.last_block {
            Some((hash, ..)) if block.previous != hash => Some("does not name the block before it"),
            Some((_, at, _)) if block.committed < at => Some("is older than the block before it"),
            Some((_, _, first)) if block.first_record != first => {
                Some("does not continue the record numbers")
            }
            None if block.previous != Hash::ZERO => Some("names a predecessor though it is the first"),
            _ => None,
        };
        if let Some(fault) = fault {
            self.broken(format!("Block {} {fault}.", block.height));
        }
        self.last_block = Some((block.hash(), block.committed, next));
    }

    fn writer(&mut self, block: &Block, statement: &Statement) {
        let name = block.statement.signer_name();
        if self.writers.len() >= MAX_REPORT_KEYS && !self.writers.contains_key(name) {
            self.uncounted += 1;
            return;
        }
        let (at, silent, covered) = (block.committed, self.silent, self.covers(block.committed));
        let w = self.writers.entry(name.to_owned()).or_default();
        let follows = statement.sequence() == w.next && w.previous.is_none_or(|p| p == statement.previous());
        w.broken |= !follows;
        w.next = statement.sequence().saturating_add(1);
        w.previous = Some(statement_hash(&block.statement.text));
        w.statements += 1;
        w.heartbeats += u64::from(matches!(statement, Statement::Heartbeat(_)));
        w.records += statement.record_count();
        let mut silence = None;
        if let Some(last) = w.last {
            let gap = at.millis() - last.millis();
            w.longest = w.longest.max(gap);
            if gap > silent {
                w.silences += 1;
                silence = Some((last, gap));
            }
        }
        w.first.get_or_insert(at);
        w.last = Some(at);
        if matches!(statement, Statement::Heartbeat(_)) {
            w.last_heartbeat = Some(at);
        }
        let backwards = w.last_sealed.filter(|last| statement.time() < *last);
        w.last_sealed = Some(w.last_sealed.map_or(statement.time(), |t| t.max(statement.time())));
        if !follows {
            self.broken(format!(
                "Writer {name}: statement {} in block {} does not follow the one before.",
                statement.sequence(),
                block.height
            ));
        }
        if let Some((last, gap)) = silence.filter(|_| covered) {
            self.silences.push(Mark::Attention, RecordSet::default(), || {
                vec![
                    Cell::text(Some(name)),
                    Cell::time(Some(last)),
                    Cell::time(Some(at)),
                    Cell::Text(duration(gap)),
                    Cell::Number(block.height),
                ]
            });
        }
        if covered {
            self.clocks.statement(block, statement, backwards);
        }
    }

    fn conclude(self, request: &ReportRequest, report: &mut Report) {
        let now = report.as_of.committed.unwrap_or(request.created);
        let silent_now: Vec<String> = self
            .writers
            .iter()
            .filter(|(_, w)| self.quiet(w, now).is_some_and(|quiet| quiet > self.silent))
            .map(|(name, _)| clip(name))
            .collect();
        let coverage = &report.coverage;
        let (records, unreadable, erased) =
            (coverage.records, coverage.unreadable.count, coverage.erased.count);
        let holds = self.breaks.is_empty();
        report.question =
            "Is the ledger complete and unchanged, does every writer report, and what cannot be read?"
                .to_owned();
        report.answer = if holds {
            format!(
                "All {} with {} follow each other without a gap, and so do the statements of every writer; {} silent, {} unreadable and {} erased by order",
                count(self.blocks, "block", "blocks"),
                count(records, "record", "records"),
                count(silent_now.len() as u64, "writer is", "writers are"),
                count(unreadable, "record is", "records are"),
                thousands(erased)
            )
        } else {
            format!(
                "The chain does not hold: {} found",
                count(self.breaks.len() as u64, "break was", "breaks were")
            )
        };
        report.answer.push('.');
        report.findings.extend(self.breaks.iter().take(20).cloned());
        for name in silent_now.iter().take(20) {
            report.findings.push(format!(
                "Writer {name} is silent: no statement for {}.",
                self.writers
                    .get(name)
                    .and_then(|w| self.quiet(w, now))
                    .map_or("longer than allowed".to_owned(), duration)
            ));
        }
        let age = request.created.millis() - now.millis();
        if age > self.silent {
            report.findings.push(format!(
                "The last block is {} older than this report: fetch newer blocks, or find out why the ledger stands still.",
                duration(age)
            ));
        }
        let (contradictions, late) = self.clocks.counts();
        if contradictions > 0 {
            report.findings.push(format!(
                "{} that cannot be right: clocks disagree; see the table.",
                count(contradictions, "time was found", "times were found")
            ));
        }
        if late > 0 {
            report.findings.push(format!(
                "{} more than a day late; see the table.",
                count(late, "event was sealed or batch committed", "events were sealed or batches committed")
            ));
        }
        let figure =
            |label: &str, n: u64, alert: bool| Figure { label: label.to_owned(), value: thousands(n), alert };
        let in_roster = self.writers.values().filter(|w| w.in_roster.is_some()).count() as u64;
        let silences: u64 = self.writers.values().map(|w| w.silences).sum();
        report.figures = vec![
            figure("blocks", self.blocks, false),
            figure("records", records, false),
            figure("breaks of the chain", self.breaks.len() as u64, !holds),
            figure("writers", in_roster, false),
            figure("silent now", silent_now.len() as u64, !silent_now.is_empty()),
            figure("silences before", silences, silences > 0),
            figure("unreadable", unreadable, unreadable > 0),
            figure("erased by order", erased, false),
            figure("sealed for others", coverage.not_for_you.count, false),
            figure("clocks that disagree", contradictions, contradictions > 0),
        ];
        report.charts.extend(self.days.chart("Records committed by day", request, false));
        let start = self.writers.values().filter_map(|w| w.first.or(w.in_roster)).min();
        if let Some(start) = start.filter(|s| *s < now) {
            let lanes: Vec<_> =
                self.writers.iter().filter_map(|(n, w)| Some((clip(n), vec![(w.first?, w.last?)]))).collect();
            let more = lanes.len().saturating_sub(MAX_BARS) as u64;
            let lanes = lanes.into_iter().take(MAX_BARS).collect();
            let title = "Writers: from the first to the last statement".to_owned();
            report.charts.push(Chart::Lanes { title, span: (start, now), lanes, more });
        }
        report.tables.push(self.writers_table(now));
        let about = "Longer than allowed without any statement, not even a heartbeat. What happened in that time may have gone unlogged.";
        report.tables.push(self.silences.table(("silences", "Times of silence", about), &SILENCE));
        let about = "What the writer signed does not open or is no event; the signed statement in the block named proves who sealed it.";
        report.tables.push(self.unreadable.table(("unreadable", "Unreadable records", about), &UNREADABLE));
        let about = "Orders in the chain. The chain keeps proof that the records existed.";
        report.tables.push(self.erasures.table(("erasures", "Erasures by order", about), &listed::ERASURE));
        let about = "Legal holds: what is held cannot be erased, by any order, until the hold is released.";
        report.tables.push(self.holds.table(("holds", "Legal holds", about), &listed::HOLD));
        report.tables.push(self.clocks.table());
        report.notes.push(format!(
            "Signatures were verified when this copy of the ledger was made; sequences and links are checked again here, over the whole ledger. The \
             period limits the lists of silences, unreadable records, erasures, holds and times. Statements: {} of records, {} heartbeats, {}, {}, {}.",
            thousands(self.kinds[0]),
            thousands(self.kinds[1]),
            count(self.kinds[2], "roster", "rosters"),
            count(self.kinds[3], "grant", "grants"),
            count(self.kinds[4], "erasure order", "erasure orders")
        ));
        report.notes.push(format!(
            "A writer is silent if it made no statement for {}, counted to the last block. An event that a system never logged leaves no trace in any \
             ledger: a heartbeat shows that the writer ran, not that the systems behind it reported.",
            duration(self.silent)
        ));
        report.notes.push(super::clocks::note());
        if self.uncounted > 0 {
            report.notes.push(format!(
                "{} of further writers are not listed.",
                count(self.uncounted, "statement", "statements")
            ));
        }
    }

    /// How long a writer of the roster has said nothing; `None` for one that may not write any more.
    fn quiet(&self, w: &Writer, now: Timestamp) -> Option<i64> {
        let since = w.in_roster?;
        Some(now.millis() - w.last.unwrap_or(since).millis())
    }

    fn writers_table(&self, now: Timestamp) -> Table {
        let mut rows = Vec::new();
        for (name, w) in self.writers.iter().take(self.limit) {
            let quiet = self.quiet(w, now);
            let status = match quiet {
                _ if w.broken => "broken".to_owned(),
                None => "no longer in the roster".to_owned(),
                Some(_) if w.statements == 0 => "has never written".to_owned(),
                Some(quiet) if quiet > self.silent => "silent".to_owned(),
                Some(_) => "reports".to_owned(),
            };
            let continuity = match (w.statements, w.broken) {
                (0, _) => Cell::Missing,
                (n, false) => Cell::Text(format!("0 to {}, no gap", n - 1)),
                (_, true) => Cell::Text("broken".to_owned()),
            };
            let attention = w.broken || quiet.is_some_and(|q| q > self.silent);
            rows.push(Row {
                cells: vec![
                    Cell::text(Some(name)),
                    Cell::Text(status),
                    Cell::Number(w.statements),
                    continuity,
                    Cell::Number(w.records),
                    Cell::Number(w.heartbeats),
                    Cell::time(w.last),
                    Cell::time(w.last_heartbeat),
                    quiet.map_or(Cell::Missing, |q| Cell::Text(duration(q))),
                    if w.longest > 0 { Cell::Text(duration(w.longest)) } else { Cell::Missing },
                ],
                records: RecordSet::default(),
                mark: if attention { Mark::Attention } else { Mark::None },
            });
        }
        Table {
            name: "writers",
            title: "Writers".to_owned(),
            about: "One row for each writer of the chain; silence is counted from its last statement to the last block.".to_owned(),
            order: "by name",
            columns: WRITERS.to_vec(),
            rows,
            total: self.writers.len() as u64,
            main: true,
            apart: false,
        }
    }
}

const WRITERS: [Column; 10] = [
    Column::new("writer", "Writer"),
    Column::new("status", "Status"),
    Column::new("statements", "Statements"),
    Column::below("continuity", "sequence"),
    Column::new("records", "Records"),
    Column::new("heartbeats", "Heartbeats"),
    Column::new("last_statement", "Last statement"),
    Column::below("last_heartbeat", "last heartbeat"),
    Column::new("quiet_for", "Quiet for"),
    Column::below("longest_silence", "longest before"),
];

const SILENCE: [Column; 5] = [
    Column::new("writer", "Writer"),
    Column::new("from", "From"),
    Column::new("to", "To"),
    Column::new("length", "Length"),
    Column::new("block", "Ended by block"),
];

const UNREADABLE: [Column; 5] = [
    Column::new("sealed", "Sealed"),
    Column::new("writer", "Writer"),
    Column::new("block", "Block"),
    Column::below("position", "position"),
    Column::new("why", "What is wrong"),
];
