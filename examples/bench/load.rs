//! The load generator: HTTP/1.1 over kept connections, written by hand because it shares the processor with the server it
//! measures. One thread serves all connections: it sleeps once for many answers, which threads of their own do not.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use sealtrail::api::route;

use super::Fallible;
use super::events::{EVENT_BYTES, Events};

/// How long to wait before a request is sent again that the server had no room for.
const BACK_OFF: Duration = Duration::from_millis(20);
/// How often a progress bar is moved.
const TICK: Duration = Duration::from_millis(100);

/// What the requests are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Events, to be stored.
    Events,
    /// `GET /healthz`: what the connection and the HTTP server alone cost.
    Health,
}

/// What to send.
pub struct Load<'a> {
    /// The server.
    pub addr: SocketAddr,
    /// The token of an application.
    pub token: &'a str,
    /// Connections, each with one request on its way.
    pub connections: usize,
    /// Events of one request; 1 sends a single JSON object, more NDJSON.
    pub per_request: u64,
    /// Number of the first event.
    pub first: u64,
    /// How many events; how many requests if they are not events.
    pub count: u64,
    /// What is sent.
    pub sent: Sent,
    /// No request is begun after this time; the bar then counts milliseconds.
    pub most: Option<Duration>,
}

/// One request, answered.
#[derive(Clone, Copy)]
pub struct Ack {
    /// When, in seconds from the start.
    pub at: f64,
    /// Seconds from the first byte sent to the last byte received.
    pub took: f32,
    /// Events.
    pub events: u32,
}

/// What came back.
#[derive(Default)]
pub struct Answered {
    /// In the order of the answers.
    pub acks: Vec<Ack>,
    /// Requests that had to be sent again because the server was full.
    pub refused: u64,
    /// Seconds of processor time this process used.
    pub client_cpu: f64,
    /// For each request, the number of its first event and the index of its first record.
    pub placed: Vec<(u64, u64)>,
    /// Why it ended early.
    pub broken: Option<String>,
}

impl Answered {
    /// Events whose receipts came.
    pub fn events(&self) -> u64 {
        self.acks.iter().map(|a| u64::from(a.events)).sum()
    }

    /// Events a second, over everything.
    pub fn rate(&self) -> f64 {
        self.events() as f64 / self.acks.last().map_or(f64::NAN, |a| a.at)
    }

    /// Events a second from the answer that brings the count to `from` to the one that brings it to `to`.
    pub fn rate_between(&self, from: u64, to: u64) -> f64 {
        let time = |wanted: u64| {
            let mut sum = 0;
            let reached = self.acks.iter().find(|a| {
                sum += u64::from(a.events);
                sum >= wanted
            });
            (sum, reached.map_or(f64::NAN, |a| a.at))
        };
        let (a, b) = (if from == 0 { (0, 0.0) } else { time(from) }, time(to));
        (b.0 - a.0) as f64 / (b.1 - a.1)
    }

    /// Longest time without any answer, in seconds.
    pub fn longest_pause(&self) -> f64 {
        let times = std::iter::once(0.0).chain(self.acks.iter().map(|a| a.at));
        times.clone().zip(times.skip(1)).map(|(a, b)| b - a).fold(0.0, f64::max)
    }

    /// Seconds that a share of the requests did not exceed.
    pub fn percentile(&self, share: f64) -> f64 {
        let mut all: Vec<f32> = self.acks.iter().map(|a| a.took).collect();
        all.sort_unstable_by(f32::total_cmp);
        let at = ((all.len().max(1) - 1) as f64 * share).round() as usize;
        all.get(at).map_or(f64::NAN, |t| f64::from(*t))
    }
}

/// Runs a future that uses sockets, on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> Fallible<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(LocalSet::new().block_on(&runtime, future))
}

/// Sends the events and waits for all answers.
pub fn run(load: &Load<'_>, events: &Rc<Events>, bar: &ProgressBar) -> Fallible<Answered> {
    let answered = run_until_broken(load, events, bar)?;
    match answered.broken {
        Some(why) => Err(why.into()),
        None => Ok(answered),
    }
}

/// Sends the events until a connection breaks or all are answered.
pub fn run_until_broken(load: &Load<'_>, events: &Rc<Events>, bar: &ProgressBar) -> Fallible<Answered> {
    block_on(drive(load, events, bar))?
}

async fn drive(load: &Load<'_>, events: &Rc<Events>, bar: &ProgressBar) -> Fallible<Answered> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(Connection::open(load.addr).await?);
    }
    let own = std::process::id();
    let cpu = super::machine::cpu_seconds(own);
    let shared = Rc::new(Shared {
        start: Instant::now(),
        most: load.most.unwrap_or(Duration::MAX),
        next: Cell::new(load.first),
        end: load.first + load.count,
        per_request: load.per_request,
        sent: load.sent,
        head: head(load),
        answered: RefCell::default(),
        done: Cell::new(0),
    });
    let send = |connection| tokio::task::spawn_local(send_all(connection, shared.clone(), events.clone()));
    let tasks: Vec<_> = connections.into_iter().map(send).collect();
    let timed = load.most.is_some();
    let ticking = {
        let (shared, bar) = (shared.clone(), bar.clone());
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(TICK).await;
                let millis = shared.start.elapsed().as_millis() as u64;
                bar.set_position(if timed { millis } else { shared.done.get() });
            }
        })
    };
    let mut broken = None;
    for task in tasks {
        if let Err(e) = task.await? {
            broken.get_or_insert(e);
        }
    }
    ticking.abort();
    let _ = ticking.await;
    let mut answered = shared.answered.take();
    answered.broken = broken;
    if let (Some(before), Some(now)) = (cpu, super::machine::cpu_seconds(own)) {
        answered.client_cpu = now - before;
    }
    Ok(answered)
}

struct Shared {
    start: Instant,
    most: Duration,
    next: Cell<u64>,
    end: u64,
    per_request: u64,
    sent: Sent,
    head: String,
    answered: RefCell<Answered>,
    done: Cell<u64>,
}

fn head(load: &Load<'_>) -> String {
    let kind = if load.per_request == 1 { "application/json" } else { "application/x-ndjson" };
    match load.sent {
        Sent::Health => get(route::HEALTH),
        Sent::Events => format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: {kind}\r\ncontent-length: ",
            route::EVENTS,
            load.addr,
            load.token
        ),
    }
}

/// The request for a path.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n")
}

async fn send_all(mut connection: Connection, shared: Rc<Shared>, events: Rc<Events>) -> Result<(), String> {
    let mut request = Vec::new();
    loop {
        let first = shared.next.get();
        let count = shared.per_request.min(shared.end - first);
        if count == 0 || shared.start.elapsed() >= shared.most {
            return Ok(());
        }
        shared.next.set(first + count);
        request.clear();
        request.extend_from_slice(shared.head.as_bytes());
        if shared.sent == Sent::Events {
            put_events(&mut request, first..first + count, &events, shared.per_request == 1);
        }
        let begun = Instant::now();
        let (status, body) = loop {
            let (status, body) = connection.exchange(&request).await?;
            if status != 503 {
                break (status, body);
            }
            shared.answered.borrow_mut().refused += 1;
            tokio::time::sleep(BACK_OFF).await;
        };
        let (at, took) = (shared.start.elapsed().as_secs_f64(), begun.elapsed().as_secs_f32());
        let record = match shared.sent {
            Sent::Events => first_record(body, count).filter(|_| status == 201),
            Sent::Health => Some(0).filter(|_| status == 200),
        };
        let Some(record) = record else {
            return Err(format!("the server answered {status}: {}", String::from_utf8_lossy(body)));
        };
        let mut answered = shared.answered.borrow_mut();
        answered.acks.push(Ack { at, took, events: count as u32 });
        answered.placed.push((first, record));
        shared.done.set(shared.done.get() + count);
    }
}

/// The rest of a request: length and events.
fn put_events(request: &mut Vec<u8>, numbers: std::ops::Range<u64>, events: &Events, single: bool) {
    let length = (numbers.end - numbers.start) as usize * (EVENT_BYTES + usize::from(!single));
    request.extend_from_slice(format!("{length}\r\n\r\n").as_bytes());
    for number in numbers {
        events.write(number, request);
        if !single {
            request.push(b'\n');
        }
    }
}

/// The index of the first record, from the front of a receipt that is for `count` events.
fn first_record(body: &[u8], count: u64) -> Option<u64> {
    let front = std::str::from_utf8(body.get(..body.len().min(160))?).ok()?;
    let number = |name: &str| {
        let rest = front.split_once(name)?.1;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
    };
    if count == 1 && front.starts_with("{\"id\"") {
        return number("\"record\":");
    }
    number("\"first_record\":").filter(|_| number("\"count\":") == Some(count))
}

/// A kept connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(addr: SocketAddr) -> Fallible<Connection> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, received: vec![0; 256 * 1024] })
    }

    /// Sends a request and waits for the whole answer: status and body.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8]), String> {
        let broken = |e: std::io::Error| format!("the connection broke: {e}");
        let mut sent = 0;
        while sent < request.len() {
            match self.stream.try_write(&request[sent..]) {
                Ok(n) => sent += n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    self.stream.writable().await.map_err(broken)?;
                }
                Err(e) => return Err(broken(e)),
            }
        }
        let (mut filled, mut answer) = (0, None);
        loop {
            if let Some((status, start, end)) = answer
                && filled >= end
            {
                return Ok((status, &self.received[start..end]));
            }
            if self.received.len() == filled {
                self.received.resize(filled * 2, 0);
            }
            match self.stream.try_read(&mut self.received[filled..]) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    self.stream.readable().await.map_err(broken)?;
                    continue;
                }
                Err(e) => return Err(broken(e)),
            }
            if answer.is_none() {
                answer = parse_head(&self.received[..filled])?;
            }
        }
    }
}

/// Status, where the body starts and where it ends; `None` while the head is not there.
fn parse_head(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some((status, end + 4, end + 4 + length))),
        _ => Err(format!("an answer without a length: {head}")),
    }
}
