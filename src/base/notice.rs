//! Messages of a server to its operator, on standard error. A thread of their own writes them: when nobody reads standard error and
//! its pipe is full, messages are lost, and no thread that has work to do is held up.

use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Messages that may wait to be written; more are lost.
const WAITING: usize = 256;

static QUEUE: OnceLock<Option<SyncSender<String>>> = OnceLock::new();

/// Tells the operator one line, soon.
pub fn notice(text: impl Into<String>) {
    let queue = QUEUE.get_or_init(|| {
        let (queue, waiting) = sync_channel::<String>(WAITING);
        let write = move || waiting.iter().for_each(|text| eprintln!("sealtrail: {text}"));
        std::thread::Builder::new().name("notices".into()).spawn(write).ok().map(|_| queue)
    });
    if let Some(queue) = queue {
        let _ = queue.try_send(text.into());
    }
}
