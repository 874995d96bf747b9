//! What a loss of power leaves of a folder. A recorder (`recorder.c`) writes down every change a program makes to the files of a folder;
//! [`Disk`] replays them and knows what is surely on the disk, what may be, and what was never asked to be; [`Disk::image`] makes one of
//! the folders there can be after the power went.
//!
//! The model: what was written before a sync that returned is there. Anything else of a file is there, is not, or is torn into pieces of
//! 512 or 4,096 bytes, in any order, and the file may have grown without having got its bytes. Names that were made, changed or removed
//! are so if their folder was synced since, and else up to some point. After a sync that failed, what was unsynced then stays in doubt
//! for ever, whatever later syncs say: systems report such a failure once and forget the pages. Not in the model: bytes that change
//! beside what was written, and disks that say they synced and did not.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test file uses its part

mod disk;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub use disk::{Disk, Loss};

/// What a program did, or what somebody outside was told by it.
#[derive(Clone, Debug)]
pub struct Op {
    pub kind: Kind,
    /// Inode; of a mark its own number.
    pub file: u64,
    /// Offset, length, or a mark's second number.
    pub offset: u64,
    pub path: String,
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Create,
    Write,
    Truncate,
    SyncBegin,
    SyncEnd,
    SyncFailed,
    Rename,
    Unlink,
    Mkdir,
    DirSyncBegin,
    DirSyncEnd,
    Link,
    /// Not an operation: what the test notes between them.
    Mark,
}

impl Kind {
    fn from(number: u64) -> Kind {
        use Kind::*;
        const ALL: [Kind; 12] = [
            Create,
            Write,
            Truncate,
            SyncBegin,
            SyncEnd,
            SyncFailed,
            Rename,
            Unlink,
            Mkdir,
            DirSyncBegin,
            DirSyncEnd,
            Link,
        ];
        ALL.get(number as usize - 1).copied().unwrap_or(Mark)
    }
}

/// Number of [`Kind::Mark`] in the log.
const MARK: u64 = 100;

/// Reads a log of operations.
pub fn read_log(path: &Path) -> Vec<Op> {
    let bytes = std::fs::read(path).unwrap();
    let (mut at, mut ops) = (0, Vec::new());
    while at < bytes.len() {
        let n = |i: usize| u64::from_ne_bytes(bytes[at + i * 8..at + i * 8 + 8].try_into().unwrap());
        let (kind, file, offset, path, data) = (n(0), n(1), n(2), n(3) as usize, n(4) as usize);
        at += 40;
        let text = String::from_utf8(bytes[at..at + path].to_vec()).unwrap();
        at += path;
        ops.push(Op {
            kind: Kind::from(kind),
            file,
            offset,
            path: text,
            data: bytes[at..at + data].to_vec(),
        });
        at += data;
    }
    ops
}

/// Puts marks between a program's operations.
pub struct Marker(std::fs::File);

impl Marker {
    pub fn new(log: &Path) -> Marker {
        Marker(OpenOptions::new().append(true).create(true).open(log).unwrap())
    }

    pub fn mark(&mut self, kind: u64, number: u64, data: &[u8]) {
        let head = [MARK, kind, number, 0, data.len() as u64];
        let mut bytes: Vec<u8> = head.iter().flat_map(|n| n.to_ne_bytes()).collect();
        bytes.extend(data);
        self.0.write_all(&bytes).unwrap();
    }
}

/// The recorder, compiled once; `None` where that cannot be done, with a loud line, or a panic if everything is required.
pub fn recorder() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

fn build() -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash_support/recorder.c");
    let own = format!("recorder-{}.so", std::process::id());
    let (target, partial) = (Path::new(env!("CARGO_TARGET_TMPDIR")).join("recorder.so"), own);
    let partial = target.with_file_name(partial);
    let mut cc = Command::new(std::env::var("CC").unwrap_or("cc".into()));
    let made = cc.args(["-O1", "-shared", "-fPIC", "-o"]).args([&partial, &source]).arg("-ldl").output();
    match made {
        Ok(out) if out.status.success() => {
            // Other tests may be using the one that is there.
            std::fs::rename(&partial, &target).unwrap();
            Some(target)
        }
        failed => {
            assert!(
                std::env::var_os("SEALTRAIL_REQUIRE_ALL").is_none(),
                "the recorder of disk operations cannot be compiled: {failed:?}"
            );
            eprintln!("SKIPPED: a loss of power is not tested, for want of a C compiler (cc): {failed:?}");
            None
        }
    }
}

/// A program whose changes to `folder` are recorded in `log`. `fail` is what the recorder knows as `SEALTRAIL_FAIL_SYNC`.
pub fn recorded(mut program: Command, folder: &Path, log: &Path, fail: Option<&str>) -> Option<Command> {
    program
        .env("LD_PRELOAD", recorder()?)
        .env("SEALTRAIL_RECORD_DIR", folder.canonicalize().unwrap())
        .env("SEALTRAIL_RECORD_LOG", log);
    if let Some(fail) = fail {
        program.env("SEALTRAIL_FAIL_SYNC", fail);
    }
    Some(program)
}

/// A folder in memory if there is such a place: there are many images, and what they are made of is not in doubt.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}
