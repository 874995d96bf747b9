//! A typed client for the HTTP interface. It checks lengths and forms; what is signed is verified by the caller.

mod retry;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};

use crate::api::bulk;
use crate::api::message::{
    EpochsMessage, EventReceipts, GrantList, GrantMessage, HealthMessage, LedgerInfo, RecordMessage,
    RecordsMessage, RecordsRequest, SearchRequest, SearchResult, SessionChallenge, SessionRequest,
    StatementReceipt, WriterHead,
};
use crate::api::problem::Problem;
use crate::api::route;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_RESPONSE_BYTES, REQUEST_SECONDS};

use retry::{Tried, patiently};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with a problem document.
    #[error("{}", .0.detail)]
    Problem(Problem),
    /// The server answered with something else than this protocol.
    #[error("{url} answered with status {status} and no problem document: is this a Sealtrail server?")]
    Status {
        /// The address asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer does not have the form it must have.
    #[error("{url} answered with something that is not valid: {what}")]
    Malformed {
        /// The address asked.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// No answer.
    #[error("{url} cannot be reached: {source}. {}", advice(source))]
    Unreachable {
        /// The address asked.
        url: String,
        /// What the library said.
        source: Box<ureq::Error>,
    },
    /// Not an address of a server.
    #[error("{0:?} is no address of a server: write http://HOST:PORT or https://HOST:PORT")]
    Address(String),
    /// The certificate file cannot be used.
    #[error("the certificate file {path} cannot be used: {why}")]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// What to do about a failed connection.
fn advice(e: &ureq::Error) -> &'static str {
    let text = e.to_string();
    if text.contains("CaUsedAsEndEntity") {
        "The server presents a CA's certificate as its own: make one with CA:FALSE \
         (openssl req -x509 … -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=…)"
    } else if text.contains("certificate") {
        "Name the certificate to trust with --ca FILE, and use the host name that is in it"
    } else if text.contains("InvalidContentType") {
        "What answers there does not speak TLS: write http:// instead of https://, or the port of the server's https"
    } else if text.contains("http parse fail") || text.contains("invalid HTTP version") {
        "What answers there does not speak http: a server with TLS is named as https://HOST:PORT"
    } else {
        "Is the server running, and is the address right?"
    }
}

/// TLS that trusts the certificate in the PEM file `ca`; without one those that the operating system trusts.
pub fn trust(ca: Option<&Path>) -> Result<TlsConfig, ClientError> {
    let roots = match ca {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let bad = |why: String| ClientError::Certificate { path: path.display().to_string(), why };
            let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
            let certs: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(c)) => Some(c),
                    _ => None,
                })
                .collect();
            if certs.is_empty() {
                return Err(bad("it holds no PEM certificate".into()));
            }
            RootCerts::Specific(Arc::new(certs))
        }
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(roots)
        .build())
}

/// A client of one server.
pub struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// A client for `http://…` or `https://…`. `ca` is a PEM file of the certificate to trust; without it those
    /// count that the operating system trusts.
    pub fn new(base: &str, ca: Option<&Path>) -> Result<Client, ClientError> {
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(ClientError::Address(base.to_owned()));
        }
        let tls = trust(ca)?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(Duration::from_secs(REQUEST_SECONDS * 5)))
            .max_redirects(0)
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Client { agent, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// Sends `Authorization: Bearer` with every request from now on.
    pub fn set_token(&mut self, token: String) {
        self.token = Some(token);
    }

    /// The address of the server.
    pub fn base(&self) -> &str {
        &self.base
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn finish(
        &self,
        url: String,
        result: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, ClientError> {
        match self.tried(url, result) {
            Tried::Done(answer) => answer,
            Tried::Busy(refusal, _) => Err(refusal),
        }
    }

    fn tried(&self, url: String, result: Result<Response<ureq::Body>, ureq::Error>) -> Tried<Vec<u8>> {
        let header = result.as_ref().ok().and_then(|r| r.headers().get("retry-after")?.to_str().ok());
        let after = header.and_then(|seconds| seconds.trim().parse().ok());
        match (self.read(url, result), after) {
            (Err(ClientError::Problem(p)), Some(after)) if p.status == 503 => {
                Tried::Busy(ClientError::Problem(p), after)
            }
            (answer, _) => Tried::Done(answer),
        }
    }

    fn read(
        &self,
        url: String,
        result: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<Vec<u8>, ClientError> {
        let response =
            result.map_err(|e| ClientError::Unreachable { url: url.clone(), source: Box::new(e) })?;
        let status = response.status();
        // Growing by doubling would take up to three times as much memory for a large answer.
        let announced = response.body().content_length().unwrap_or(0).min(MAX_RESPONSE_BYTES);
        let mut body = Vec::with_capacity(announced as usize + 1);
        let mut reader = response.into_body().into_reader().take(MAX_RESPONSE_BYTES + 1);
        reader.read_to_end(&mut body).map_err(|e| ClientError::Malformed {
            url: url.clone(),
            what: format!("the answer broke off: {e}"),
        })?;
        if body.len() as u64 > MAX_RESPONSE_BYTES {
            return Err(ClientError::Malformed { url, what: "the answer is too large".into() });
        }
        if status.is_success() {
            return Ok(body);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Problem(problem)),
            Err(_) => Err(ClientError::Status { url, status: status.as_u16() }),
        }
    }

    /// `GET path`, as bytes.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let url = self.url(path);
        let result = self.call(&url);
        self.finish(url, result)
    }

    /// [`Client::get`]; again, after a pause, while the server has no room for it.
    fn get_patiently(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        let url = self.url(path);
        patiently(|| self.tried(url.clone(), self.call(&url)), std::thread::sleep)
    }

    fn call(&self, url: &str) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call()
    }

    /// `POST path` with a content type.
    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        let url = self.url(path);
        let result = self.send(&url, content_type, body);
        self.finish(url, result)
    }

    fn send(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(url).header("content-type", content_type);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.send(body)
    }

    fn json<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body)
            .map_err(|e| ClientError::Malformed { url: self.url(path), what: e.to_string() })
    }

    fn text(&self, path: &str) -> Result<String, ClientError> {
        String::from_utf8(self.get(path)?)
            .map_err(|_| ClientError::Malformed { url: self.url(path), what: "not UTF-8".into() })
    }

    /// What the server says it is.
    pub fn ledger(&self) -> Result<LedgerInfo, ClientError> {
        self.json(route::LEDGER, &self.get(route::LEDGER)?)
    }

    /// The signed checkpoint.
    pub fn checkpoint(&self) -> Result<String, ClientError> {
        self.text(route::CHECKPOINT)
    }

    /// A block's text.
    pub fn block(&self, height: u64) -> Result<String, ClientError> {
        self.text(&format!("{}/{height}", route::BLOCKS))
    }

    /// The tlog-proof of a block.
    pub fn block_proof(&self, height: u64) -> Result<String, ClientError> {
        self.text(&format!("{}/{height}/proof", route::BLOCKS))
    }

    /// How the server is doing; an error while it cannot store.
    pub fn health(&self) -> Result<HealthMessage, ClientError> {
        self.json(route::HEALTH, &self.get(route::HEALTH)?)
    }

    /// A tile or entry bundle, by its path below `/tile/`.
    pub fn tile(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.get(&format!("{}{path}", route::TILE))
    }

    /// The leaf inputs of a block's records.
    pub fn leaf_inputs(&self, height: u64) -> Result<Vec<u8>, ClientError> {
        self.get(&format!("{}/{height}/leaves", route::BLOCKS))
    }

    /// The proof file of a record.
    pub fn proof(&self, record: u64) -> Result<Vec<u8>, ClientError> {
        self.get(&format!("{}/{record}", route::PROOFS))
    }

    /// The proof file of the record with this ciphertext.
    pub fn find_proof(&self, ciphertext: &Hash) -> Result<Vec<u8>, ClientError> {
        self.get(&format!("{}?ciphertext_sha256={}", route::PROOFS, ciphertext.hex()))
    }

    /// Logs a JSON array of events; all or none.
    pub fn log_array(&self, events: &[u8]) -> Result<EventReceipts, ClientError> {
        self.json(route::EVENTS, &self.post(route::EVENTS, "application/json", events)?)
    }

    /// Logs newline-delimited events; all or none.
    pub fn log_ndjson(&self, events: &[u8]) -> Result<EventReceipts, ClientError> {
        self.json(route::EVENTS, &self.post(route::EVENTS, route::NDJSON, events)?)
    }

    /// Where a writer's sequence stands.
    pub fn writer(&self, name: &str) -> Result<WriterHead, ClientError> {
        let path = format!("{}?name={}", route::WRITERS, query_escape(name));
        self.json(&path, &self.get(&path)?)
    }

    /// Sends a sealed batch.
    pub fn send_batch(&self, statement: &str, body: &[u8]) -> Result<StatementReceipt, ClientError> {
        let upload = bulk::encode_batch(statement, body);
        self.json(route::BATCHES, &self.post(route::BATCHES, route::BATCH_TYPE, &upload)?)
    }

    /// Sends a grant with its slots.
    pub fn send_grant(&self, statement: &str, body: &[u8]) -> Result<StatementReceipt, ClientError> {
        let upload = bulk::encode_batch(statement, body);
        self.json(route::GRANTS, &self.post(route::GRANTS, route::BATCH_TYPE, &upload)?)
    }

    /// The grants to a recipient, oldest first.
    pub fn grants(&self, recipient: &str) -> Result<Vec<GrantMessage>, ClientError> {
        let path = format!("{}?to={}", route::GRANTS, query_escape(recipient));
        let list: GrantList = self.json(&path, &self.get(&path)?)?;
        Ok(list.grants)
    }

    /// Sends a signed statement.
    pub fn send_statement(&self, statement: &str) -> Result<StatementReceipt, ClientError> {
        let answer = self.post(route::STATEMENTS, route::TEXT_TYPE, statement.as_bytes())?;
        self.json(route::STATEMENTS, &answer)
    }

    /// Asks for a session challenge.
    pub fn challenge(&self, recipient: &str) -> Result<SessionChallenge, ClientError> {
        let request =
            serde_json::to_vec(&SessionRequest { recipient: recipient.to_owned() }).unwrap_or_default();
        self.json(route::SESSIONS, &self.post(route::SESSIONS, "application/json", &request)?)
    }

    /// A record's bytes; needs a session.
    pub fn record(&self, record: u64) -> Result<RecordMessage, ClientError> {
        let path = format!("{}/{record}", route::RECORDS);
        self.json(&path, &self.get_patiently(&path)?)
    }

    /// Several records with their proofs; needs a session.
    pub fn records(&self, records: &[u64]) -> Result<RecordsMessage, ClientError> {
        self.ask(route::RECORDS, &RecordsRequest { records: records.to_vec() })
    }

    /// Records by blind tags; needs a session.
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResult, ClientError> {
        self.ask(route::SEARCH, request)
    }

    /// The batch headers that begin a search epoch, from epoch number `from` on; needs a session.
    pub fn epochs(&self, from: u64) -> Result<EpochsMessage, ClientError> {
        let path = format!("{}?from={from}", route::EPOCHS);
        self.json(&path, &self.get_patiently(&path)?)
    }

    /// Asks for what a reader may have; again, after a pause, while the server has no room for it.
    fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl serde::Serialize,
    ) -> Result<T, ClientError> {
        let request = serde_json::to_vec(request).unwrap_or_default();
        let url = self.url(path);
        let attempt = || self.tried(url.clone(), self.send(&url, "application/json", &request));
        self.json(path, &patiently(attempt, std::thread::sleep)?)
    }

    /// Block bodies from `from` on, as many as the server gives at once; needs a session.
    pub fn bodies(&self, from: u64, count: u64) -> Result<Vec<(u64, Vec<u8>)>, ClientError> {
        let path = format!("{}?from={from}&count={count}", route::BODIES);
        let bytes = self.get_patiently(&path)?;
        let bodies = bulk::decode_bodies(&bytes)
            .map_err(|e| ClientError::Malformed { url: self.url(&path), what: e.to_string() })?;
        Ok(bodies.into_iter().map(|(h, b)| (h, b.to_vec())).collect())
    }
}

/// Percent-encodes what may not stand in a query value (RFC 3986 §2.3: all but unreserved characters).
fn query_escape(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut s, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            s.push(char::from(b));
        } else {
            let _ = write!(s, "%{b:02X}");
        }
        s
    })
}
