//! Progress bars: on standard error, only if that is a terminal, and only for what takes longer than a moment.

use std::io::{self, IsTerminal as _, Write};
use std::ops::Range;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::auditor::record::{AsOf, AuditRecord, BlockStream, RecordStream, Records, RecordsError};
use crate::base::clock::monotonic;

/// What takes less time than this shows no bar.
const MOMENT: Duration = Duration::from_millis(700);
/// What cannot tell how far it is shows this often that it goes on.
const TICK: Duration = Duration::from_millis(200);
/// A stream moves its bar after this many records.
const STEP: u64 = 256;

/// The bar on the screen, if there is one: whoever prints takes it off first.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Takes the bar off the screen, if there is one. Call before printing while something is going on.
pub fn hide() {
    if let Some(bar) = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take() {
        bar.finish_and_clear();
    }
}

/// Progress of one thing; its bar appears after a moment and goes away when this is dropped.
pub struct Bar {
    unit: &'static str,
    since: Instant,
    bar: Option<ProgressBar>,
    message: &'static str,
}

impl Bar {
    /// Counts `unit`, such as `blocks`; `message` says what is being done.
    pub fn new(message: &'static str, unit: &'static str) -> Bar {
        Bar { unit, since: monotonic(), bar: None, message }
    }

    /// What is being done from now on.
    pub fn say(&mut self, message: &'static str) {
        self.message = message;
        if let Some(bar) = &self.bar {
            bar.set_message(message);
        }
    }

    /// `done` of `all`.
    pub fn at(&mut self, done: u64, all: u64) {
        if self.bar.is_none() && self.since.elapsed() < MOMENT {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let unit = self.unit;
            let style =
                format!("{{msg:20}} {{bar:40}} {{pos}}/{{len}} {unit}  {{elapsed}} (about {{eta}} left)");
            shown(self.message, &style, Some(all))
        });
        bar.set_length(all);
        bar.set_position(done);
    }
}

/// Something that cannot tell how far it is: after a moment shows how long it has taken, until this is dropped.
pub struct Waiting {
    /// Dropped first, which ends the thread.
    done: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waiting {
    /// `message` says what is being done.
    pub fn new(message: &'static str) -> Waiting {
        let (done, ended) = mpsc::channel();
        let show = move || {
            if ended.recv_timeout(MOMENT) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = shown(message, "{msg} {spinner} {elapsed}", None);
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                bar.tick();
            }
            bar.finish_and_clear();
        };
        // Without a thread nothing is shown, and that is all.
        let thread = std::thread::Builder::new().name("progress".into()).spawn(show).ok();
        Waiting { done: Some(done), thread }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.done.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A new bar on the screen; a hidden one if there is no terminal.
fn shown(message: &'static str, style: &str, all: Option<u64>) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(all, target);
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(message);
    hide();
    *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    bar
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Output that takes the bar off the screen before anything is written.
pub struct Output<W>(pub W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        hide();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Records that show how far each pass through them is.
pub struct Watched(pub Arc<dyn Records>);

impl Records for Watched {
    fn as_of(&self) -> &AsOf {
        self.0.as_of()
    }

    fn records(&self, range: Range<u64>) -> RecordStream {
        let (first, all) = (range.start, range.end.saturating_sub(range.start));
        let pass = Pass { inner: self.0.records(range), bar: Bar::new("opening", "records"), first, all };
        Box::new(pass)
    }

    fn blocks(&self, range: Range<u64>) -> BlockStream {
        let (first, all) = (range.start, range.end.saturating_sub(range.start));
        let mut bar = Bar::new("reading", "blocks");
        Box::new(self.0.blocks(range).inspect(move |block| {
            if let Ok((block, _)) = block {
                bar.at(block.height.saturating_sub(first) + 1, all);
            }
        }))
    }
}

struct Pass {
    inner: RecordStream,
    bar: Bar,
    first: u64,
    all: u64,
}

impl Iterator for Pass {
    type Item = Result<AuditRecord, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.inner.next();
        if let Some(Ok(record)) = &next {
            let done = record.index.saturating_sub(self.first) + 1;
            if done.is_multiple_of(STEP) {
                self.bar.at(done, self.all);
            }
        }
        next
    }
}
