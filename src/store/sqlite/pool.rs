//! A few read-only connections, so that readers wait neither for the writer nor, as a rule, for each other.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Transaction};

use super::super::StoreError;
use super::fault::fault;
use super::open::{ReadMode, reader};

/// Most connections.
const MAX_READERS: usize = 8;
/// How long a read waits for a connection. All reads are short: this is only reached by an overload.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    mode: ReadMode,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    /// Connections that exist, idle or not.
    open: usize,
}

impl Pool {
    pub(super) fn new(path: PathBuf, mode: ReadMode) -> Pool {
        Pool { path, mode, state: Mutex::default(), returned: Condvar::new() }
    }

    /// Runs `f` on one snapshot of the database.
    pub(super) fn read<T>(
        &self,
        f: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let mut conn = Lease { pool: self, conn: Some(self.take()?) };
        let answer = match &mut conn.conn {
            Some(c) => c.transaction().and_then(|tx| f(&tx)),
            None => Err(rusqlite::Error::InvalidQuery),
        };
        answer.map_err(|e| {
            // Whatever state an error left it in, the next reader gets a new one.
            conn.conn = None;
            fault(&self.path, &e)
        })
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let (mut state, timeout) = self
            .returned
            .wait_timeout_while(self.lock(), WAIT, |s| s.idle.is_empty() && s.open >= MAX_READERS)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(conn) = state.idle.pop() {
            return Ok(conn);
        }
        let place = || self.path.display().to_string();
        if timeout.timed_out() {
            let why = "all its reading connections are in use".to_owned();
            return Err(StoreError::Busy { place: place(), why });
        }
        state.open += 1;
        drop(state);
        reader(&self.path, self.mode).map_err(|e| {
            self.lock().open -= 1;
            fault(&self.path, &e)
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan; goes back, or is written off, also when a reader panics.
struct Lease<'a> {
    pool: &'a Pool,
    conn: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        match self.conn.take() {
            Some(conn) => state.idle.push(conn),
            None => state.open -= 1,
        }
        self.pool.returned.notify_one();
    }
}
