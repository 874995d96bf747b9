//! The load generator. It shares the processor with the server it measures, so one thread serves all connections: it sleeps once for
//! many answers, and a request costs it two system calls.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use sealtrail::api::route;

use super::answered::{Ack, Answered};
use super::events::{EVENT_BYTES, Events};
use super::http::{Answer, get};
use super::{Fallible, machine};

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
    let mut poll = Poll::new()?;
    let mut clients = Vec::new();
    for n in 0..load.connections {
        // Connected before the clock runs.
        let stream = std::net::TcpStream::connect(load.addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(n), Interest::READABLE | Interest::WRITABLE)?;
        clients.push(Client::new(stream));
    }
    let cpu = machine::cpu_seconds(std::process::id());
    let mut run = Run {
        load,
        events,
        head: head(load),
        start: Instant::now(),
        next: load.first,
        done: 0,
        active: clients.len(),
        waiting: 0,
        answered: Answered::default(),
    };
    clients.iter_mut().for_each(|c| run.begin(c));
    let mut ready = mio::Events::with_capacity(load.connections.max(1));
    let mut ticked = Instant::now();
    while run.active > 0 {
        let wait = if run.waiting > 0 { BACK_OFF } else { TICK };
        match poll.poll(&mut ready, Some(wait)) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e.into()),
            _ => {}
        }
        for event in &ready {
            if let Some(client) = clients.get_mut(event.token().0) {
                run.serve(client);
            }
        }
        if ticked.elapsed() >= BACK_OFF {
            ticked = Instant::now();
            for client in &mut clients {
                run.send_again(client);
            }
            let millis = run.start.elapsed().as_millis() as u64;
            bar.set_position(if load.most.is_some() { millis } else { run.done });
        }
    }
    if let (Some(before), Some(now)) = (cpu, machine::cpu_seconds(std::process::id())) {
        run.answered.client_cpu = now - before;
    }
    Ok(run.answered)
}

/// A load on its way.
struct Run<'a> {
    load: &'a Load<'a>,
    events: &'a Events,
    head: String,
    start: Instant,
    /// Number of the next event.
    next: u64,
    /// Requests or events answered.
    done: u64,
    /// Connections that have not ended, and those that wait before sending again.
    active: usize,
    waiting: usize,
    answered: Answered,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A request is on its way, or its answer.
    Busy,
    /// The server had no room; the request is sent again at this time.
    Waiting(Instant),
    /// Nothing more to send, or broken.
    Ended,
}

/// A connection with its request.
struct Client {
    stream: TcpStream,
    state: State,
    request: Vec<u8>,
    sent: usize,
    answer: Answer,
    begun: Instant,
    /// Number of the request's first event, and how many.
    first: u64,
    count: u64,
}

impl Client {
    fn new(stream: TcpStream) -> Client {
        let (request, answer, begun) = (Vec::new(), Answer::new(), Instant::now());
        Client { stream, state: State::Busy, request, sent: 0, answer, begun, first: 0, count: 0 }
    }

    /// Sends what the socket takes.
    fn push(&mut self) -> std::io::Result<()> {
        while self.sent < self.request.len() {
            match self.stream.write(&self.request[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads what has come. True once the answer is there. Events are told once, so all is read that is there; a read that does
    /// not fill its room has read all.
    fn pull(&mut self) -> std::io::Result<bool> {
        loop {
            match self.answer.read_from(&mut self.stream) {
                Ok(true) => return Ok(true),
                Ok(false) if self.answer.has_room() => return Ok(false),
                Ok(false) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }
}

impl Run<'_> {
    /// Makes the next request of a connection and sends it.
    fn begin(&mut self, client: &mut Client) {
        let load = self.load;
        let count = load.per_request.min(load.first + load.count - self.next);
        let late = load.most.is_some_and(|most| self.start.elapsed() >= most);
        if count == 0 || late || self.answered.broken.is_some() {
            return self.end(client);
        }
        (client.first, client.count) = (self.next, count);
        self.next += count;
        client.request.clear();
        client.request.extend_from_slice(self.head.as_bytes());
        if load.sent == Sent::Events {
            let numbers = client.first..client.first + count;
            put_events(&mut client.request, numbers, self.events, load.per_request == 1);
        }
        client.begun = Instant::now();
        self.send(client);
    }

    fn send(&mut self, client: &mut Client) {
        client.state = State::Busy;
        client.sent = 0;
        client.answer.clear();
        if let Err(e) = client.push() {
            self.give_up(client, format!("the connection broke: {e}"));
        }
    }

    fn send_again(&mut self, client: &mut Client) {
        if matches!(client.state, State::Waiting(until) if Instant::now() >= until) {
            self.waiting -= 1;
            self.send(client);
        }
    }

    fn end(&mut self, client: &mut Client) {
        client.state = State::Ended;
        self.active -= 1;
    }

    fn give_up(&mut self, client: &mut Client, why: String) {
        self.end(client);
        self.answered.broken.get_or_insert(why);
    }

    /// Something can be sent or read.
    fn serve(&mut self, client: &mut Client) {
        if client.state != State::Busy {
            return;
        }
        match client.push().and_then(|()| client.pull()) {
            Ok(false) => {}
            Ok(true) => self.take(client),
            Err(e) => self.give_up(client, format!("the connection broke: {e}")),
        }
    }

    /// Takes an answer in.
    fn take(&mut self, client: &mut Client) {
        let (status, body) = client.answer.parts();
        if status == 503 {
            self.answered.refused += 1;
            self.waiting += 1;
            client.state = State::Waiting(Instant::now() + BACK_OFF);
            return;
        }
        let now = Instant::now();
        let record = match self.load.sent {
            Sent::Events => first_record(body, client.count).filter(|_| status == 201),
            Sent::Health => Some(0).filter(|_| status == 200),
        };
        let Some(record) = record else {
            let why = format!("the server answered {status}: {}", String::from_utf8_lossy(body));
            return self.give_up(client, why);
        };
        let took = now.duration_since(client.begun).as_secs_f32();
        let at = now.duration_since(self.start).as_secs_f64();
        self.answered.acks.push(Ack { at, took, events: client.count as u32 });
        self.answered.placed.push((client.first, record));
        self.done += client.count;
        self.begin(client);
    }
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
