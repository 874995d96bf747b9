//! A disk that is replayed, and the images of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Kind, Op};
use crate::ledger_support::Random;

/// How much of what is not synced is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// All of it.
    All,
    /// None: the process was killed, and the power stayed.
    None,
    /// By chance.
    Random(u64),
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// How many changes there were when each sync under way began.
    syncs: VecDeque<u64>,
}

#[derive(Clone, Debug)]
struct Pending {
    number: u64,
    change: Change,
    /// A sync of it failed: no later one brings it to the disk.
    in_doubt: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug)]
enum Naming {
    Add(String, Node),
    Remove(String),
    Rename(String, String),
}

/// The folder as recorded so far.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<File>,
    /// Which file an inode is now.
    inodes: HashMap<u64, usize>,
    /// As programs see them.
    names: BTreeMap<String, Node>,
    durable_names: BTreeMap<String, Node>,
    /// By folder, in order.
    pending_names: BTreeMap<String, Vec<(u64, Naming)>>,
    dir_syncs: BTreeMap<String, VecDeque<u64>>,
    clock: u64,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}

impl File {
    fn sync(&mut self, before: u64) {
        let mut left: Vec<Pending> = Vec::new();
        for p in std::mem::take(&mut self.pending) {
            if p.in_doubt || p.number >= before {
                left.push(p);
                continue;
            }
            match p.change {
                Change::Write(at, data) => {
                    left = left.into_iter().flat_map(|l| without(l, at, at + data.len())).collect();
                    put(&mut self.durable, at, &data);
                }
                Change::Truncate(len) => {
                    left = left.into_iter().flat_map(|l| without(l, len, usize::MAX)).collect();
                    self.durable.resize(len, 0);
                }
            }
        }
        self.pending = left;
    }
}

/// What is left in doubt of a change when the bytes `from..to` have been written anew.
fn without(p: Pending, from: usize, to: usize) -> Vec<Pending> {
    let Change::Write(at, data) = &p.change else { return vec![p] };
    if !p.in_doubt {
        return vec![p];
    }
    let end = at + data.len();
    let part = |a: usize, b: usize| {
        (a < b).then(|| Pending { change: Change::Write(a, data[a - at..b - at].to_vec()), ..p })
    };
    [part(*at, from.clamp(*at, end)), part(to.clamp(*at, end), end)].into_iter().flatten().collect()
}

impl Disk {
    /// The next operation.
    pub fn apply(&mut self, op: &Op) {
        self.clock += 1;
        let number = self.clock;
        // Shared memory is written in ways that are not recorded; it is never needed after a loss of power.
        if op.path.ends_with("-shm") {
            return;
        }
        match op.kind {
            Kind::Create => {
                let file = self.files.len();
                self.files.push(File::default());
                self.inodes.insert(op.file, file);
                self.name(Naming::Add(op.path.clone(), Node::File(file)));
            }
            Kind::Mkdir => self.name(Naming::Add(op.path.clone(), Node::Folder)),
            Kind::Unlink => self.name(Naming::Remove(op.path.clone())),
            Kind::Rename => {
                let to = String::from_utf8(op.data.clone()).unwrap();
                self.name(Naming::Rename(op.path.clone(), to));
            }
            Kind::Link => {
                let to = String::from_utf8(op.data.clone()).unwrap();
                if let Some(node) = self.names.get(&op.path).copied() {
                    self.name(Naming::Add(to, node));
                }
            }
            Kind::Write => {
                self.change(op.file, number, Change::Write(op.offset as usize, op.data.clone()));
            }
            Kind::Truncate => self.change(op.file, number, Change::Truncate(op.offset as usize)),
            Kind::SyncBegin => self.file(op.file).syncs.push_back(number),
            Kind::SyncEnd => {
                let file = self.file(op.file);
                // Of several under way, the one that began first: that promises least.
                let before = file.syncs.pop_front().unwrap();
                file.sync(before);
            }
            Kind::SyncFailed => {
                // The length is the file system's own, which keeps a journal.
                let file = self.file(op.file);
                let writes = file.pending.iter_mut().filter(|p| matches!(p.change, Change::Write(..)));
                writes.for_each(|p| p.in_doubt = true);
            }
            Kind::DirSyncBegin => self.dir_syncs.entry(op.path.clone()).or_default().push_back(number),
            Kind::DirSyncEnd => {
                let before = self.dir_syncs.get_mut(&op.path).and_then(VecDeque::pop_front).unwrap();
                let pending = self.pending_names.entry(op.path.clone()).or_default();
                let split = pending.iter().position(|(n, _)| *n >= before).unwrap_or(pending.len());
                for (_, naming) in pending.drain(..split) {
                    rename(&mut self.durable_names, &naming);
                }
            }
            Kind::Mark => {}
        }
    }

    fn file(&mut self, inode: u64) -> &mut File {
        let file = *self.inodes.get(&inode).expect("a file that was there before the recording");
        &mut self.files[file]
    }

    fn change(&mut self, inode: u64, number: u64, change: Change) {
        self.file(inode).pending.push(Pending { number, change, in_doubt: false });
    }

    fn name(&mut self, naming: Naming) {
        let path = match &naming {
            Naming::Add(path, _) | Naming::Remove(path) | Naming::Rename(path, _) => path.clone(),
        };
        rename(&mut self.names, &naming);
        self.pending_names.entry(parent(&path).to_owned()).or_default().push((self.clock, naming));
    }

    /// Makes the folder `to`, which is empty, one that there may be if the power goes now.
    pub fn image(&self, to: &Path, loss: Loss) {
        let mut random = Random::new(match loss {
            Loss::Random(seed) => seed,
            _ => 0,
        });
        // Some images lose nearly all, others nearly nothing.
        let kept = [1, 4, 8, 12, 15][random.below(5) as usize];
        let mut names = self.durable_names.clone();
        for pending in self.pending_names.values() {
            let count = match loss {
                Loss::All => 0,
                Loss::None => pending.len(),
                Loss::Random(_) => random.below(pending.len() as u64 + 1) as usize,
            };
            pending.iter().take(count).for_each(|(_, n)| rename(&mut names, n));
        }
        for (path, node) in &names {
            let path = to.join(path);
            match node {
                Node::Folder => std::fs::create_dir_all(path).unwrap(),
                // Its folder may have been lost.
                Node::File(_) if !path.parent().unwrap().is_dir() => {}
                Node::File(file) => {
                    let bytes = self.files[*file].bytes(loss, kept, &mut random);
                    std::fs::write(&path, bytes).unwrap();
                    // Names and modes go together; keys have no other one.
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
                }
            }
        }
        if matches!(loss, Loss::Random(_)) && random.once_in(2) {
            for path in names.keys().filter(|p| p.ends_with("-wal")) {
                // Left over and wrong.
                let noise: Vec<u8> = (0..32768).map(|_| random.next() as u8).collect();
                std::fs::write(to.join(path.replace("-wal", "-shm")), noise).unwrap();
            }
        }
    }
}

impl File {
    fn bytes(&self, loss: Loss, kept: u64, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if loss == Loss::All {
            return bytes;
        }
        let whole = |random: &mut Random| loss == Loss::None || random.below(16) < kept;
        for p in &self.pending {
            match &p.change {
                Change::Truncate(len) => {
                    if whole(random) {
                        bytes.resize(*len, 0);
                    }
                }
                Change::Write(at, data) => {
                    if whole(random) {
                        put(&mut bytes, *at, data);
                        continue;
                    }
                    let end = at + data.len();
                    if bytes.len() < end && random.once_in(4) {
                        bytes.resize(end, 0);
                    }
                    if random.once_in(2) {
                        let unit = if random.once_in(2) { 512 } else { 4096 };
                        let mut from = *at;
                        while from < end {
                            let to = (from / unit + 1) * unit;
                            if random.once_in(2) {
                                put(&mut bytes, from, &data[from - at..to.min(end) - at]);
                            }
                            from = to;
                        }
                    }
                }
            }
        }
        bytes
    }
}

fn rename(names: &mut BTreeMap<String, Node>, naming: &Naming) {
    match naming {
        Naming::Add(path, node) => drop(names.insert(path.clone(), *node)),
        Naming::Remove(path) => drop(names.remove(path)),
        Naming::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
    }
}
