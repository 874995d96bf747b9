//! What the benchmark ran on, and what a process took of it. Linux tells all of it; elsewhere a figure is missing.

use std::path::Path;
use std::process::Command;

use sealtrail::api::route;
use sealtrail::client::Client;

use super::Fallible;
use super::program::Server;

/// The hardware and system, one line each: name and text.
pub fn describe(dir: &Path) -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal:")
        .map_or_else(|| "unknown".to_owned(), |kib| format!("{:.1} GiB", kib as f64 / f64::from(1 << 20)));
    vec![
        ("processor", format!("{}, {cores} cores", cpu_model())),
        ("memory", memory),
        ("file system", file_system(dir)),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
    ]
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number after `name` in a file of such lines.
fn field(path: &str, name: &str) -> Option<u64> {
    read(path).lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

fn cpu_model() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|l| l.starts_with("model name"));
    line.and_then(|l| l.split_once(": "))
        .map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, m)| m.to_owned())
}

/// Kind and device of the file system that holds `dir`: the longest mount point that is a prefix.
fn file_system(dir: &Path) -> String {
    let text = read("/proc/mounts");
    let mount = text
        .lines()
        .filter_map(|l| {
            let mut words = l.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
        .filter(|(_, point, _)| dir.starts_with(point))
        .max_by_key(|(_, point, _)| point.len());
    mount.map_or_else(|| "unknown".to_owned(), |(device, _, kind)| format!("{kind} on {device}"))
}

/// Free bytes of the disk that holds `dir`; `None` where `df` does not say.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    let out = Command::new("df").arg("-Pk").arg(dir).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    Some(text.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok()? * 1024)
}

/// Most memory a running process has had, in bytes.
pub fn peak_memory(pid: u32) -> Option<u64> {
    Some(field(&format!("/proc/{pid}/status"), "VmHWM:")? * 1024)
}

/// Seconds of processor time a running process has used.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let mut rest = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = rest.next()?.parse::<f64>().ok()? + rest.next()?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Bytes of the files of a folder whose names start with `prefix`.
pub fn file_bytes(dir: &Path, prefix: &str) -> Fallible<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let meta = entry.metadata()?;
            sum += if meta.is_dir() { file_bytes(&entry.path(), "")? } else { meta.len() };
        }
    }
    Ok(sum)
}

/// One of the server's own metrics.
pub fn metric(server: &Server, name: &str) -> Fallible<f64> {
    let text = String::from_utf8(Client::new(&server.url(), None)?.get(route::METRICS)?)?;
    let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.ok_or_else(|| format!("the server has no metric {name}"))?.parse()?)
}
