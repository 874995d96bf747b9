//! Inputs made to take a decoder long, in three sizes. Each size is four times the one before: work that follows the length takes four
//! times as long, work that follows its square sixteen times. The bound lies between, only the best of
//! several runs counts, and whatever is over it is measured again.

use std::time::Duration;

use super::targets::{named, peak_of};

/// A family of inputs.
struct Family {
    target: &'static str,
    what: &'static str,
    /// An input of about so many bytes.
    make: fn(usize) -> Vec<u8>,
    /// Bytes of the smallest input; the largest is sixteen times that.
    from: usize,
}

/// Quadratic work takes 16.
const MOST_RATIO: u32 = 9;
/// Shorter runs are repeated.
const LONG_ENOUGH: Duration = Duration::from_millis(1);
/// What costs less than this grows with something else than the input.
const SHORTEST: Duration = Duration::from_micros(100);

fn repeated(front: &str, each: &str, back: &str, bytes: usize) -> Vec<u8> {
    let times = bytes.saturating_sub(front.len() + back.len()) / each.len().max(1);
    [front, &each.repeat(times), back].concat().into_bytes()
}

fn numbered(front: &str, each: impl Fn(usize) -> String, between: &str, back: &str, bytes: usize) -> Vec<u8> {
    let mut out = front.to_owned();
    let mut n = 0;
    while out.len() + back.len() < bytes {
        out.push_str(if n == 0 { "" } else { between });
        out.push_str(&each(n));
        n += 1;
    }
    (out + back).into_bytes()
}

/// In front of inputs whose first two bytes are the length of a part: all of it is one part.
fn one_part(bytes: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], &bytes].concat()
}

fn families() -> Vec<Family> {
    let f = |target, what, from, make| Family { target, what, make, from };
    vec![
        f("event_json", "a long name around many values", 8_000, |n| {
            let name = "n".repeat((n / 2).min(4_000));
            repeated(&format!("{{\"{name}\":[0"), ",0", "]}", n)
        }),
        f("event_json", "many names", 8_000, |n| {
            numbered("{", |i| format!("\"{i:06}\":1"), ",", "}", n.min(60_000))
        }),
        f("event_json", "names with one key", 8_000, |n| {
            let name = |i: usize| format!("\"aaaaaaaa{i:08}aaaaaaaa\":1");
            numbered("{", name, ",", "}", n.min(120_000))
        }),
        f("event_json", "escapes", 16_000, |n| repeated("{\"a\":\"", "\\u0061\\n", "\"}", n)),
        f("event_json", "open lists", 16_000, |n| repeated("{\"a\":", "[", "", n)),
        f("events_file", "lines", 20_000, |n| repeated("", "{}\n", "", n)),
        f("event_split", "lines", 200_000, |n| {
            [b"\x01", &*repeated("", "{}\n", "", n.min(24_000 * 8))].concat()
        }),
        f("event_split", "open objects on lines", 200_000, |n| {
            [b"\x02", &*repeated("", "{\n", "", n)].concat()
        }),
        f("event_split", "an array", 100_000, |n| [b"\x00", &*repeated("[{}", ",{}", "]", n)].concat()),
        f("event_sections", "values that move", 4_000, |n| {
            let each = |i: usize| format!("{{\"name\":{i}}}");
            numbered("{\"subject\":[", each, ",", "]}", n.min(40_000))
        }),
        f("event_sections", "searchable values", 4_000, |n| {
            numbered("{\"a\":[", |i| format!("\"{}{i}\"", "v".repeat(40)), ",", "]}", n.min(12_000))
        }),
        f("facts", "indices far out", 2_000, |n| {
            let each = |i: usize| format!("{{\"{}\":1}}", 4000 + i % 90);
            let list = numbered("[", each, ",", "]", n);
            [b"{\"/a\":", &*list, b"}"].concat()
        }),
        f("facts", "pointers of sections without their frame", 4_000, |n| {
            numbered("{", |i| format!("\"/a/{i}\":1"), ",", "}", n.min(40_000))
        }),
        f("sql", "words that look ahead", 4_000, |n| repeated("SELECT ", "AT ", "", n)),
        f("sql", "casts of casts", 8_000, |n| repeated("SELECT x", "::int", "", n)),
        f("sql", "parentheses", 16_000, |n| {
            let half = String::from_utf8(repeated("", "(", "", n / 8)).unwrap_or_default();
            [half.as_bytes(), b"x", &repeated("", ")::int", "", n)].concat()
        }),
        f("sql", "intervals", 4_000, |n| repeated("SELECT x", " + interval '1 day'", "", n)),
        f("sql", "quotes that do not end", 4_000, |n| repeated("", "' [ \" -- /* ", "", n)),
        f("protected", "stanzas", 4_000, |n| {
            repeated("age-encryption.org/v1\n", "-> a\n\n", "--- x\n", n.min(64 * 1024))
        }),
        f("protected", "one long line", 4_000, |n| {
            repeated("age-encryption.org/v1\n-> a ", "a", "\n", n.min(64 * 1024))
        }),
        f("note", "signature lines", 16_000, |n| repeated("x\n\n", "\u{2014} a AAAAAAA=\n", "", n)),
        f("note", "blank lines", 16_000, |n| repeated("", "\n\n", "\u{2014} a", n)),
        f("statement", "ranges of an erasure", 3_500, |n| {
            let front = "sealtrail.org/erasure/v1\nledger a.example/l\nsequence 1\nprevious AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
                         issued 2026-01-01T00:00:00.000Z\n";
            numbered(
                front,
                |i| format!("records {}..{}", i * 3, i * 3),
                "\n",
                "\nreason x\nlegal-basis y\n",
                n,
            )
        }),
        f("policy", "names", 4_000, |n| {
            one_part(numbered("", |i| format!("group g{i} 1 none"), "\n", "\n", n.min(60_000)))
        }),
        f("tile", "groups of digits", 4_000, |n| one_part(repeated("", "000/", "000", n.min(60_000)))),
        f("tlog_proof", "paths", 16_000, |n| {
            repeated(
                "c2sp.org/tlog-proof@v1\nindex 1\n",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                "\n",
                n,
            )
        }),
        f("wire", "empty bodies", 16_000, |n| vec![0; n]),
        f("wire", "empty texts", 16_000, |n| [&[255][..], &vec![0; n]].concat()),
        f("body", "empty records", 16_000, |n| {
            let count = (n / 4).min(16_384) as u32;
            [b"\0STB1\0\0\0\0", &count.to_be_bytes()[..], &vec![0; count as usize * 4]].concat()
        }),
        f("body", "erased records one byte at a time", 8_000, |n| {
            let count = (n / 101).max(1);
            let lengths: Vec<u8> = (0..count).flat_map(|_| 97u32.to_be_bytes()).collect();
            let record = [&[2][..], &[7; 96]].concat();
            [b"\0STB1\0\0\0\0", &(count as u32).to_be_bytes()[..], &lengths, &record.repeat(count)].concat()
        }),
        f("grant", "batches of nothing", 16_000, |n| {
            let count = n / 17;
            let head =
                |i: usize| [&(i as u64).to_be_bytes()[..], &[0; 4], &1u32.to_be_bytes(), &[0]].concat();
            let heads: Vec<u8> = (0..count).flat_map(head).collect();
            [b"STG1", &(count as u32).to_be_bytes()[..], &heads].concat()
        }),
        f("stored", "empty records", 16_000, |n| {
            let count = (n / 4).min(16_384) as u32;
            [b"\x00\0\0STB1\0\0\0\0", &count.to_be_bytes()[..], &vec![0; count as usize * 4]].concat()
        }),
        f("state", "writers", 16_000, |n| vec![0; n]),
        f("messages", "numbers", 16_000, |n| repeated("{\"records\":[1", ",1", "]}", n)),
        f("messages", "lists of nothing", 16_000, |n| {
            repeated("{\"from\":0,\"limit\":1,\"all\":[[]", ",[]", "]}", n)
        }),
        f("messages", "nested lists", 16_000, |n| repeated("{\"x\":", "[", "", n)),
        f("request", "pairs of a query", 4_000, |n| {
            [&[0, 0][..], &one_part(repeated("", "from=1&", "", n.min(60_000)))].concat()
        }),
        f("evidence", "blocks of nothing", 16_000, |n| {
            let front = "{\"format\":\"sealtrail.org/evidence/v1\",\"ledger\":\"a\",\"manifest\":\"\",\"checkpoint\":\"\",\"records\":[],\"blocks\":[";
            repeated(front, "{\"text\":\"\",\"log_path\":[],\"header\":null},", "0]}", n)
        }),
        f("manifest", "notes", 4_000, |n| repeated("sealtrail.org/evidence/v1\n", "note a\n", "", n)),
        f("cursor", "words told", 16_000, |n| {
            repeated("{\"writers\":[{\"told\":[\"a\"", ",\"a\"", "]}]}", n)
        }),
        f("key", "lines of an identity file", 4_000, |n| repeated("", "# x\n", "", n.min(60_000))),
        f("settings", "pointers of a section", 1_000, |n| {
            let each = |i: usize| format!("\"/a{i}/*/b\"");
            numbered("ledger = \"a/b\"\n[[section]]\nname = \"x\"\npointers = [", each, ",", "]\n", n)
        }),
        f("rules", "rules", 4_000, |n| repeated("", "[[rule]]\nname = \"a\"\n", "", n)),
        f("arguments", "ranges", 4_000, |n| {
            [&[0, 0, 0, 0][..], &numbered("", |i| format!("{}", (i * 7919) % 100_000), ",", "", n)].concat()
        }),
        f("text", "what hides", 4_000, |n| repeated("", "\u{200b}\u{7}", "", n)),
        f("kept", "records of nothing", 4_000, |n| {
            let count = n.min(16_384);
            [&(count as u32).to_be_bytes()[..], &vec![2; count]].concat()
        }),
        f("open", "records that are cut short", 4_000, |n| {
            let count = (n / 4).min(16_384) as u32;
            [b"STB1\0\0\0\0", &count.to_be_bytes()[..], &vec![0; count as usize * 4]].concat()
        }),
    ]
}

/// Time this thread has had on a processor. Unlike the time of day it does not depend on what else the machine does.
fn processor_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec.unsigned_abs() as u32)
}

/// The shortest of a few runs, short ones repeated.
fn time(run: fn(&[u8]), data: &[u8]) -> Duration {
    let once = || {
        let start = processor_time();
        let mut runs = 0;
        loop {
            run(data);
            runs += 1;
            let took = processor_time().saturating_sub(start);
            if took >= LONG_ENOUGH || runs == 1000 {
                return took / runs;
            }
        }
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

/// Measures every family; whatever is too slow is measured again, a few times, before it counts.
pub fn check_all() {
    let mut faults = Vec::new();
    for family in families() {
        let target = named(family.target);
        (target.run)(&[]);
        let [small, middle, large] = [1, 4, 16].map(|times| (family.make)(family.from * times));
        let mut worst = String::new();
        let grows = |a: &[u8], b: &[u8], worst: &mut String| {
            let (short, long) = (time(target.run, a).max(SHORTEST), time(target.run, b));
            // Inputs that reach a limit grow by less than four.
            let more = (b.len() as f64 / a.len() as f64).max(1.0) / 4.0;
            *worst = format!("{} bytes take {short:?}, {} bytes {long:?}", a.len(), b.len());
            long.as_secs_f64() > short.as_secs_f64() * f64::from(MOST_RATIO) * more.max(1.0)
        };
        let too_slow = |a: &[u8], b: &[u8], worst: &mut String| (0..4).all(|_| grows(a, b, worst));
        if too_slow(&small, &middle, &mut worst) || too_slow(&middle, &large, &mut worst) {
            faults.push(format!("{}, {}: {worst}", family.target, family.what));
        }
        let peak = peak_of(|| (target.run)(&large));
        let most = target.per_byte * large.len() + target.fixed;
        if peak > most {
            faults
                .push(format!("{}, {}: {peak} bytes of memory, at most {most}", family.target, family.what));
        }
        if std::env::var_os("SEALTRAIL_FUZZ_SHOW").is_some() {
            let took = time(target.run, &large);
            eprintln!(
                "{:<15} {:<45} {:>9} bytes {took:>10.1?} {:>6.1} bytes of memory a byte",
                family.target,
                family.what,
                large.len(),
                peak as f64 / large.len() as f64
            );
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
