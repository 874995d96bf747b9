//! As much of HTTP/1.1 as the benchmark speaks, by hand: the client shares the processor with the server it measures.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use super::Fallible;

/// Bytes that an answer has room for at first.
const ROOM: usize = 16 * 1024;

/// The request for a path.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n")
}

/// An answer as it comes in.
pub struct Answer {
    bytes: Vec<u8>,
    filled: usize,
    /// Status, and where the body lies.
    head: Option<(u16, std::ops::Range<usize>)>,
}

impl Answer {
    /// Nothing yet.
    pub fn new() -> Answer {
        Answer { bytes: vec![0; ROOM], filled: 0, head: None }
    }

    /// Makes ready for the next one.
    pub fn clear(&mut self) {
        (self.filled, self.head) = (0, None);
    }

    /// Reads once. True once all of it is there.
    pub fn read_from(&mut self, stream: &mut impl std::io::Read) -> std::io::Result<bool> {
        if self.bytes.len() == self.filled {
            self.bytes.resize(self.filled * 2, 0);
        }
        let read = stream.read(&mut self.bytes[self.filled..])?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += read;
        if self.head.is_none() {
            self.head = parse_head(&self.bytes[..self.filled])?;
        }
        Ok(self.head.as_ref().is_some_and(|(_, body)| body.end <= self.filled))
    }

    /// Whether the last read left room: then there was no more to read.
    pub fn has_room(&self) -> bool {
        self.filled < self.bytes.len()
    }

    /// Status and body, once all of it is there.
    pub fn parts(&self) -> (u16, &[u8]) {
        match &self.head {
            Some((status, body)) => (*status, self.bytes.get(body.clone()).unwrap_or_default()),
            None => (0, &[]),
        }
    }
}

/// Status, and where the body lies; `None` while the head is not all there.
fn parse_head(bytes: &[u8]) -> std::io::Result<Option<(u16, std::ops::Range<usize>)>> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match (status, length) {
        (Some(status), Some(length)) => Ok(Some((status, end + 4..end + 4 + length))),
        _ => Err(std::io::Error::other(format!("an answer without a length: {head}"))),
    }
}

/// A kept connection for one request after the other.
pub struct Connection {
    stream: TcpStream,
    answer: Answer,
}

impl Connection {
    /// Connects.
    pub fn open(addr: SocketAddr) -> Fallible<Connection> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, answer: Answer::new() })
    }

    /// Sends a request and waits for the whole answer: status and body.
    pub fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, &[u8])> {
        self.answer.clear();
        self.stream.write_all(request)?;
        while !self.answer.read_from(&mut self.stream)? {}
        Ok(self.answer.parts())
    }
}
