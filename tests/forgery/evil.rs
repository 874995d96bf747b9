//! A server that serves whatever its owner wants: the routes an auditor asks, over the attacker's own ledger.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use sealtrail::api::bulk::put_body;
use sealtrail::api::message::{
    GrantList, RecordMessage, SessionChallenge, SessionRequest, StatementReceipt, WriterHead,
};
use sealtrail::base::batch::Body;
use sealtrail::base::hash::{Hash, to_base64};
use sealtrail::base::random;
use sealtrail::chain::statement::Statement;
use sealtrail::seal::kem::challenge_seal;
use sealtrail::seal::reader_key::Recipient;

use crate::forge::Forged;
use crate::world::{ORIGIN, world};

/// An answer made up for a path, and what was sent there, instead of the usual one.
pub type Lie = Box<dyn Fn(&str, &[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// The running server. Its thread ends with the test.
pub struct Evil {
    pub url: String,
}

struct Site {
    forged: Forged,
    lie: Lie,
}

impl Evil {
    pub fn serve(forged: Forged) -> Evil {
        Evil::lying(forged, Box::new(|_, _| None))
    }

    /// The same, but for what `lie` answers.
    pub fn lying(forged: Forged, lie: Lie) -> Evil {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let site = Arc::new(Site { forged, lie });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let site = site.clone();
                std::thread::spawn(move || drop(answer(&site, stream)));
            }
        });
        Evil { url }
    }
}

fn answer(site: &Site, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, answer) = match (site.lie)(&path, &body).or_else(|| site.route(&path, &body)) {
        Some(answer) => ("200 OK", answer),
        None => ("404 Not Found", b"{}".to_vec()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len())?;
    stream.write_all(&answer)
}

/// What a server says of itself, with what it says of the authority sequence.
pub fn ledger_info(blocks: usize, roster: u64, (next, previous): (u64, Hash)) -> serde_json::Value {
    serde_json::json!({
        "ledger": ORIGIN, "key": world().keys.ledger.verifier().to_string(), "blocks": blocks, "records": 0,
        "roster_block": roster, "version": "0",
        "authority": { "next_sequence": next, "previous": previous.base64() },
    })
}

fn json(message: &impl serde::Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(message).ok()
}

impl Site {
    fn route(&self, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        let parts = &self.forged.parts;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let asked = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        if path == "/checkpoint" {
            return Some(self.forged.checkpoint.clone().into_bytes());
        }
        if let Some(width) = path.strip_prefix("/tile/entries/000") {
            let width = width.strip_prefix(".p/").map_or(Some(256), |w| w.parse().ok())?;
            let mut out = Vec::new();
            for part in parts.iter().take(width) {
                out.extend((part.text.len() as u16).to_be_bytes());
                out.extend(part.text.as_bytes());
            }
            return Some(out);
        }
        if let Some(rest) = path.strip_prefix("/v1/blocks/") {
            let (height, what) = rest.split_once('/').unwrap_or((rest, ""));
            let height: usize = height.parse().ok()?;
            let part = parts.get(height)?;
            return Some(match what {
                "leaves" => part.leaves.clone(),
                "proof" => self.forged.log_proof(height).to_string().into_bytes(),
                _ => part.text.clone().into_bytes(),
            });
        }
        match path {
            "/v1/ledger" => json(&self.ledger()),
            "/v1/bodies" => {
                let from: usize = asked("from")?.parse().ok()?;
                let count: usize = asked("count")?.parse().ok()?;
                let mut out = Vec::new();
                for (height, part) in parts.iter().enumerate().skip(from).take(count) {
                    put_body(height as u64, &part.body, &mut out);
                }
                Some(out)
            }
            "/v1/sessions" => {
                let request: SessionRequest = serde_json::from_slice(body).ok()?;
                let to = Recipient::parse(&request.recipient).ok()?;
                let sealed = challenge_seal(&to, ORIGIN, b"any token", &mut random::csprng().ok()?).ok()?;
                json(&SessionChallenge {
                    enc: to_base64(&sealed.enc),
                    ciphertext: to_base64(&sealed.ciphertext),
                    expires: "2030-01-01T00:00:00.000Z".into(),
                })
            }
            "/v1/grants" => json(&GrantList { grants: Vec::new() }),
            "/v1/writers" => {
                json(&WriterHead { writer: String::new(), next_sequence: 0, previous: Hash::ZERO.base64() })
            }
            "/v1/batches" => json(&StatementReceipt { block: 1, first_record: 0, count: 1, repeated: false }),
            _ => {
                let record: u64 = path.rsplit('/').next()?.parse().ok()?;
                match path.starts_with("/v1/records/") {
                    true => json(&self.record(record)?),
                    false => Some(self.forged.proof(record).to_json().into_bytes()),
                }
            }
        }
    }

    fn ledger(&self) -> serde_json::Value {
        let rosters = self.forged.parts.iter().enumerate();
        let rosters = rosters.filter(|(_, p)| matches!(p.statement(), Statement::Roster(_)));
        let roster = rosters.map(|(h, _)| h as u64).next_back().unwrap_or(0);
        ledger_info(self.forged.parts.len(), roster, (0, Hash::ZERO))
    }

    fn record(&self, record: u64) -> Option<RecordMessage> {
        let height = self.forged.height_of(record);
        let part = &self.forged.parts[height];
        let position = record - part.block().first_record;
        let ordered = |p: &crate::forge::Part| match p.statement() {
            Statement::Erasure(e) => e.records.iter().any(|r| r.contains(record)),
            _ => false,
        };
        Some(RecordMessage {
            record,
            block: height as u64,
            position: position as u32,
            header: to_base64(Body::decode(&part.body).ok()?.header),
            bytes: to_base64(part.records().get(position as usize)?),
            grants: Vec::new(),
            erased_by: self.forged.parts.iter().position(ordered).map(|h| h as u64),
        })
    }
}
