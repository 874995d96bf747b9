//! SQL over the records an auditor may open. An in-memory SQLite that holds views and no data: rows are read from
//! [`Records`] as a query goes along, so no decrypted copy is kept. Nothing can be written, attached or loaded, and nothing
//! touches a disk. What may be selected from is in [`views::TABLES`].

mod entry;
pub mod functions;
pub mod output;
pub(super) mod rewrite;
mod table;
pub mod views;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::Value;
use rusqlite::{Connection, Error, OpenFlags, Statement};

use super::record::{Records, RecordsError};
use crate::base::limits::{MAX_SQL_BYTES, MAX_SQL_HEAP_BYTES, MAX_SQL_VALUE_BYTES};
use output::RowSink;
use table::Table;
use views::{INDEX_KEYS, TABLES, TableInfo, WITH_INDEX, WITHOUT_INDEX};

/// Why a query gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The query is at fault. The message says what to do.
    #[error("{0}")]
    Query(String),
    /// The records could not be read on.
    #[error(transparent)]
    Records(RecordsError),
    /// The rows could not be written.
    #[error("cannot write the rows: {0}")]
    Output(#[from] std::io::Error),
}

/// Queries over one ledger.
pub struct Sql {
    conn: Connection,
    table: Arc<Mutex<Table>>,
    /// Whether this module itself is at work, and may make views.
    setting_up: Arc<AtomicBool>,
}

impl Sql {
    /// Over all records.
    pub fn new(records: Arc<dyn Records>) -> Result<Sql, SqlError> {
        let all = 0..records.as_of().records;
        Sql::over(records, all)
    }

    /// Over the records of an index range inside the ledger.
    pub fn over(records: Arc<dyn Records>, range: Range<u64>) -> Result<Sql, SqlError> {
        let table = Arc::new(Mutex::new(Table::new(records, range.clone())));
        let setting_up = Arc::new(AtomicBool::new(true));
        let conn = connect(&table, &setting_up, &range).map_err(|e| SqlError::Query(e.to_string()))?;
        setting_up.store(false, Ordering::SeqCst);
        Ok(Sql { conn, table, setting_up })
    }

    /// Runs the statements of `sql`, each with its rows to `sink`; returns the number of rows of the last. Parameters stand
    /// as `?`, `?1`, `$1` or `:name` (in the order of first use), and need a single statement.
    pub fn run(&self, sql: &str, params: &[Value], sink: &mut dyn RowSink) -> Result<u64, SqlError> {
        let statements = rewrite::statements(sql);
        if statements.is_empty() {
            return Err(SqlError::Query("there is no query; try: SELECT * FROM events LIMIT 10".to_owned()));
        }
        if statements.len() > 1 && !params.is_empty() {
            return Err(SqlError::Query("parameters need a single statement; these are several".to_owned()));
        }
        let mut rows = 0;
        for statement in &statements {
            rows = self.run_one(statement, params, sink)?;
        }
        Ok(rows)
    }

    fn run_one(&self, sql: &str, params: &[Value], sink: &mut dyn RowSink) -> Result<u64, SqlError> {
        self.index_keys(sql, params).map_err(|e| explain(&e, sql))?;
        let result = self.rows(sql, params, sink);
        match self.table.lock().unwrap_or_else(PoisonError::into_inner).close() {
            Some(failure) => Err(SqlError::Records(failure)),
            None => result,
        }
    }

    fn rows(&self, sql: &str, params: &[Value], sink: &mut dyn RowSink) -> Result<u64, SqlError> {
        let explained = |e: Error| explain(&e, sql);
        let mut statement = self.conn.prepare(sql).map_err(explained)?;
        bind(&mut statement, params)?;
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        if names.is_empty() {
            return Err(SqlError::Query(ONLY_SELECT.to_owned()));
        }
        sink.columns(&names)?;
        let mut rows = statement.raw_query();
        let mut count = 0;
        let mut values = Vec::with_capacity(names.len());
        while let Some(row) = rows.next().map_err(explained)? {
            values.clear();
            for column in 0..names.len() {
                values.push(row.get::<_, Value>(column).map_err(explained)?);
            }
            sink.row(&values)?;
            count += 1;
        }
        sink.end()?;
        Ok(count)
    }

    /// Puts the index keys into `world_state` for a query that asks for them, and takes them out for others.
    fn index_keys(&self, sql: &str, params: &[Value]) -> Result<(), Error> {
        let in_param = |what| {
            let has = |p: &Value| matches!(p, Value::Text(t) if t.to_ascii_lowercase().contains(what));
            params.iter().any(has)
        };
        let wanted = INDEX_KEYS.iter().any(|what| rewrite::mentions(sql, what) || in_param(*what));
        self.setting_up.store(true, Ordering::SeqCst);
        let done = self
            .conn
            .execute_batch(WITHOUT_INDEX)
            .and_then(|()| if wanted { self.conn.execute_batch(WITH_INDEX) } else { Ok(()) });
        self.setting_up.store(false, Ordering::SeqCst);
        done
    }
}

/// Whether `text` ends with a whole statement.
pub fn is_complete(text: &str) -> bool {
    rewrite::is_complete(text)
}

/// A parameter as people type it: a whole number is a number, `'text in quotes'` is the text inside, anything else is text.
pub fn parameter(typed: &str) -> Value {
    if let Some(inside) = typed.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        return Value::Text(inside.replace("''", "'"));
    }
    match typed.parse::<i64>() {
        Ok(n) if n.to_string() == typed => Value::Integer(n),
        _ => Value::Text(typed.to_owned()),
    }
}

fn connect(
    table: &Arc<Mutex<Table>>,
    setting_up: &Arc<AtomicBool>,
    range: &Range<u64>,
) -> Result<Connection, Error> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_in_memory_with_flags(flags)?;
    conn.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA journal_mode = OFF; PRAGMA trusted_schema = ON;")?;
    conn.query_row(&format!("PRAGMA hard_heap_limit = {MAX_SQL_HEAP_BYTES}"), [], |_| Ok(()))?;
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_SQL_VALUE_BYTES)?;
    conn.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES)?;
    rusqlite::vtab::series::load_module(&conn)?;
    functions::install(&conn, table)?;
    let index = |i: u64| i64::try_from(i).unwrap_or(i64::MAX - 1);
    conn.execute_batch(&views::definitions(index(range.start), index(range.end) - 1))?;
    let setting_up = Arc::clone(setting_up);
    conn.authorizer(Some(move |ctx: AuthContext<'_>| {
        if setting_up.load(Ordering::SeqCst) { Authorization::Allow } else { authorize(&ctx.action) }
    }))?;
    Ok(conn)
}

/// Pragmas that only tell.
const TELLING_PRAGMAS: [&str; 4] = ["table_info", "table_xinfo", "table_list", "function_list"];

/// What a query may do: read.
fn authorize(action: &AuthAction<'_>) -> Authorization {
    match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if *function_name != "load_extension" => Authorization::Allow,
        AuthAction::Pragma { pragma_name, .. } if TELLING_PRAGMAS.contains(pragma_name) => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

/// Binds the parameters, all of them and no more. `$1` is the first parameter wherever it stands.
fn bind(statement: &mut Statement<'_>, params: &[Value]) -> Result<(), SqlError> {
    let count = statement.parameter_count();
    let place = |at: usize, name: Option<&str>| {
        let numbered = name.and_then(|n| n.strip_prefix('$').or_else(|| n.strip_prefix('?'))?.parse().ok());
        numbered.unwrap_or(at)
    };
    let places: Vec<usize> = (1..=count).map(|at| place(at, statement.parameter_name(at))).collect();
    let needed = places.iter().copied().max().unwrap_or_default();
    if needed != params.len() {
        return Err(SqlError::Query(format!(
            "the query has {needed} parameter{}, and {} given with --param",
            if needed == 1 { "" } else { "s" },
            match params.len() {
                0 => "none was".to_owned(),
                1 => "1 was".to_owned(),
                n => format!("{n} were"),
            }
        )));
    }
    for (at, place) in (1..).zip(places) {
        let value = params.get(place.wrapping_sub(1)).unwrap_or(&Value::Null);
        statement.raw_bind_parameter(at, value).map_err(|e| SqlError::Query(e.to_string()))?;
    }
    Ok(())
}

const ONLY_SELECT: &str =
    "only SELECT is possible here: the records can be read and not changed, and nothing is written to a disk";

/// What went wrong, and what to do about it.
fn explain(error: &Error, sql: &str) -> SqlError {
    let message = match error {
        Error::SqlInputError { msg, .. } => msg.clone(),
        Error::SqliteFailure(e, Some(message)) => match e.code {
            rusqlite::ErrorCode::OutOfMemory => String::new(),
            _ => message.clone(),
        },
        Error::UserFunctionError(e) => e.to_string(),
        other => other.to_string(),
    };
    let out_of_memory = error.sqlite_error_code() == Some(rusqlite::ErrorCode::OutOfMemory);
    if out_of_memory || message.contains("out of memory") {
        return SqlError::Query(format!(
            "the query needs more than {} MiB: select fewer columns, add conditions, or sort and group less",
            MAX_SQL_HEAP_BYTES / (1024 * 1024)
        ));
    }
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::AuthorizationForStatementDenied)
        || ["not authorized", "cannot modify", "may not be modified"].iter().any(|m| message.contains(m))
    {
        return SqlError::Query(ONLY_SELECT.to_owned());
    }
    if let Some(name) = message.strip_prefix("no such column: ") {
        let columns: Vec<String> =
            mentioned(sql).map(|t| format!("\n  {}: {}", t.name, column_names(t))).collect();
        return SqlError::Query(format!("there is no column {name}. Columns:{}", columns.concat()));
    }
    if let Some(name) = message.strip_prefix("no such table: ") {
        let tables: Vec<String> = TABLES.iter().map(|t| format!("\n  {} ({})", t.name, t.about)).collect();
        return SqlError::Query(format!("there is no table {name}. Tables:{}", tables.concat()));
    }
    if let Some(name) = message.strip_prefix("no such function: ") {
        let own: Vec<String> =
            functions::FUNCTIONS.iter().map(|(f, about)| format!("\n  {f}: {about}")).collect();
        return SqlError::Query(format!(
            "there is no function {name}. The functions of SQLite can be used, and these:{}",
            own.concat()
        ));
    }
    SqlError::Query(message)
}

/// The tables that a query names; all of them if none.
fn mentioned(sql: &str) -> impl Iterator<Item = &'static TableInfo> {
    let names = rewrite::names(sql);
    let named = move |t: &&TableInfo| names.iter().any(|n| n == t.name);
    let any = TABLES.iter().any(|t| named(&t));
    TABLES.iter().filter(move |t| !any || named(t))
}

fn column_names(table: &TableInfo) -> String {
    views::columns_of(table).iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "sql_tests.rs"]
mod tests;
