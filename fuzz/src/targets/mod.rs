//! What is fuzzed: one function for each kind of outside bytes. `fuzz/fuzz_targets` runs them under libFuzzer, `tests/corpus.rs`
//! over the committed corpora and mutations of them on a stable compiler. `docs/FUZZING.md` lists which decoder each one covers.
//!
//! A target panics when a property does not hold: whatever decodes encodes to the same bytes (where one value has one spelling), two
//! readers of one format agree, nothing panics. [`check`] adds that memory stays near the length of the input.

use peak_alloc::PeakAlloc;

mod auditor;
mod base;
mod chain;
mod event;
mod http;
mod input;
mod opening;
mod slow_json;
mod store;
mod words;

/// Counts what the whole process allocates.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name of its binary and of its folder of `fuzz/corpus`.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
    /// Most bytes of memory for each byte of input: everything the target does with it taken together.
    pub per_byte: usize,
    /// Most bytes of memory besides that, whatever the input: what the limits of `base::limits` allow.
    pub fixed: usize,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Most a decoder of bytes or lines should need.
const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run, per_byte: 40, fixed: 128 * KIB }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("note", chain::note),
    target("statement", chain::statement),
    target("block", chain::block),
    target("checkpoint", chain::checkpoint),
    target("tlog_proof", chain::tlog_proof),
    target("proof", chain::proof),
    target("policy", chain::policy),
    target("key", chain::key),
    target("tile", chain::tile),
    target("state", chain::state),
    target("merkle", chain::merkle),
    target("header", base::header),
    target("body", base::body),
    target("record", base::record),
    target("grant", base::grant),
    target("wire", base::wire),
    target("text", base::text),
    // Pointers of 2 MiB, in each of the two readers and once more.
    Target { fixed: 32 * MIB, ..target("event_json", event::json) },
    target("event_split", event::split),
    target("event_sections", event::sections),
    target("event_merge", event::merge),
    target("events_file", event::file),
    // A tree of every event: a member takes ten times its shortest text, eight at a time; and lists of 4,096 elements that cannot be
    // read, together, which take 128 KiB.
    Target { per_byte: 160, fixed: 384 * KIB, ..target("facts", event::facts) },
    target("stored", store::stored),
    target("index_row", store::index_row),
    target("last_signed", store::last_signed),
    // One byte says that a record is for others.
    Target { per_byte: 160, ..target("kept", store::kept) },
    target("messages", http::messages),
    target("request", http::request),
    target("evidence", auditor::evidence),
    target("manifest", auditor::manifest),
    target("grant_file", auditor::grant_file),
    target("cursor", auditor::cursor),
    target("open", opening::open),
    target("granted", opening::granted),
    target("sealed", opening::sealed),
    // The library tries out how fast scrypt is here, in a mebibyte; and the file it opens may have 64 KiB.
    Target { fixed: 4 * MIB, ..target("protected", opening::protected) },
    target("settings", words::settings),
    // The TOML library's tree.
    Target { per_byte: 160, ..target("rules", words::rules) },
    // A token of one character takes 60 bytes.
    Target { per_byte: 160, ..target("sql", words::sql) },
    target("arguments", words::arguments),
];

/// The target of this name. At compile time, so that a binary holds its own target and none of the others.
pub const fn named(name: &str) -> Target {
    let mut n = 0;
    while n < TARGETS.len() {
        if same(TARGETS[n].name.as_bytes(), name.as_bytes()) {
            return TARGETS[n];
        }
        n += 1;
    }
    panic!("no target has this name")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut n = 0;
    while n < a.len() && n < b.len() && a[n] == b[n] {
        n += 1;
    }
    n == a.len() && n == b.len()
}

/// Most memory, in bytes, that was in use at once while `f` ran, beyond what was in use before.
pub fn peak_of(f: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    f();
    MEMORY.peak_usage().saturating_sub(before)
}

/// Runs a target and checks the memory it took.
pub fn check(target: &Target, data: &[u8]) {
    let peak = peak_of(|| (target.run)(data));
    let most = target.per_byte * data.len() + target.fixed;
    assert!(
        peak <= most,
        "{}: {peak} bytes of memory for {} bytes of input, at most {most}",
        target.name,
        data.len()
    );
}
