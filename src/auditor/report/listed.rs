//! Rows as they come in the chain: the first ones up to a limit, all counted.

use super::model::{Cell, Column, Mark, RecordSet, Row, Table};
use crate::chain::authority::{ErasureStatement, HoldAction, HoldStatement, RecordRange};
use crate::chain::block::Block;

/// Ranges of records named in one cell.
const RANGES: usize = 6;

/// Gathers rows.
pub(super) struct Listed {
    rows: Vec<Row>,
    total: u64,
    limit: usize,
}

impl Listed {
    /// At most `limit` rows.
    pub fn new(limit: usize) -> Listed {
        Listed { rows: Vec::new(), total: 0, limit }
    }

    /// Counts one, and makes its row if there is room.
    pub fn push(&mut self, mark: Mark, records: RecordSet, cells: impl FnOnce() -> Vec<Cell>) {
        self.total += 1;
        if self.rows.len() < self.limit {
            self.rows.push(Row { cells: cells(), records, mark });
        }
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The table.
    pub fn table(self, (name, title, about): (&'static str, &str, &str), columns: &[Column]) -> Table {
        Table {
            name,
            title: title.to_owned(),
            about: about.to_owned(),
            order: "oldest first",
            columns: columns.to_vec(),
            rows: self.rows,
            total: self.total,
            main: false,
            apart: false,
        }
    }
}

/// Names of all who signed a block's statement.
pub(super) fn signers(block: &Block) -> String {
    let names: Vec<&str> = block.statement.signatures.iter().map(|s| s.name.as_str()).collect();
    names.join(", ")
}

fn ranges(records: &[RecordRange]) -> String {
    let names: Vec<String> = records.iter().take(RANGES).map(RecordRange::name).collect();
    format!("{}{}", names.join(", "), if records.len() > RANGES { " and more" } else { "" })
}

/// Columns of [`erasure`].
pub(super) const ERASURE: [Column; 7] = [
    Column::new("committed", "Committed"),
    Column::below("block", "block"),
    Column::new("erased_records", "Records"),
    Column::below("count", "how many"),
    Column::new("reason", "Reason"),
    Column::below("legal_basis", "legal basis"),
    Column::new("signed_by", "Signed by"),
];

/// The cells of an erasure order.
pub(super) fn erasure(block: &Block, order: &ErasureStatement) -> Vec<Cell> {
    let lengths = order.records.iter().map(|r| (r.last - r.first).saturating_add(1));
    vec![
        Cell::time(Some(block.committed)),
        Cell::Number(block.height),
        Cell::Text(ranges(&order.records)),
        Cell::Number(lengths.fold(0, u64::saturating_add)),
        Cell::text(Some(&order.reason)),
        Cell::text(Some(&order.legal_basis)),
        Cell::text(Some(&signers(block))),
    ]
}

/// Columns of [`hold`].
pub(super) const HOLD: [Column; 6] = [
    Column::new("committed", "Committed"),
    Column::below("block", "block"),
    Column::new("hold", "Hold"),
    Column::below("action", "what happened"),
    Column::new("reason", "Reason"),
    Column::new("signed_by", "Signed by"),
];

/// The cells of a legal hold.
pub(super) fn hold(block: &Block, hold: &HoldStatement) -> Vec<Cell> {
    let what = match &hold.action {
        HoldAction::Release => "released".to_owned(),
        HoldAction::Place(records) => format!("placed on {}", ranges(records)),
    };
    vec![
        Cell::time(Some(block.committed)),
        Cell::Number(block.height),
        Cell::text(Some(&hold.hold)),
        Cell::Text(what),
        Cell::text(Some(&hold.reason)),
        Cell::text(Some(&signers(block))),
    ]
}
