//! The server: HTTP in front of a ledger, with the in-process gateway. It holds no reader's identity and
//! has no code to open a record: the opener may not be named here (`tests/tidy.rs` sees to it).

mod arriving;
mod doors;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod ingest;
mod metrics;
mod problem;
mod public;
mod reading;
mod room;
mod search;
mod session;
mod state;
mod turns;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutLayer;

use crate::api::problem::Code;
use crate::api::route;
use crate::base::hash::Hash;
use crate::base::limits::*;
use crate::base::random::RandomError;
use crate::base::threads::cores;
use crate::ledger::Ledger;
use crate::writer::Writer;

use arriving::Arriving;
use doors::{Doorkeeper, Doors, Holds, Visitor, connections_allowed};
pub use gateway::{Events, Gateway, IntakeError, Logged};
use problem::Failure;
use room::Room;
use session::Sessions;
use state::{App, Counters};
use turns::Turns;

/// How long requests under way may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a search waits for its turn.
const SEARCH_WAIT: Duration = Duration::from_secs(SEARCH_WAIT_SECONDS);
/// How long a request waits for its turn to read the database.
const READ_WAIT: Duration = Duration::from_secs(READ_WAIT_SECONDS);

/// Why the server could not start or run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address could not be bound.
    #[error(
        "cannot listen on {addr}: {source}. Another program may be using the port; stop it or set another `listen` in the settings"
    )]
    Listen {
        /// The address.
        addr: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key are not usable.
    #[error(
        "TLS cannot be set up from {cert} and {key}: {source}. Both must be PEM files, the certificate chain and its private key"
    )]
    Tls {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the library said.
        source: std::io::Error,
    },
    /// There would hardly be room for a connection.
    #[error(
        "only {allowed} files may be open, and {needed} are needed for the database and a few connections: raise the limit \
         (`ulimit -n`, or LimitNOFILE in the service's unit) and start again"
    )]
    TooFewFiles {
        /// The limit.
        allowed: u64,
        /// What is needed at least.
        needed: usize,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A thread or the network failed.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
}

/// What the server is started with.
pub struct Options {
    /// Address to listen on.
    pub listen: String,
    /// Certificate chain and private key, both PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// SHA-256 of each token that may log events.
    pub ingest_tokens: Vec<Hash>,
    /// Idle time after which the gateway signs a heartbeat.
    pub heartbeat: Duration,
}

/// A server that is bound and ready to run.
pub struct Server {
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<Visitor>,
    doors: Arc<Doors>,
    gateway: JoinHandle<()>,
}

/// Stops a running server from elsewhere.
#[derive(Clone)]
pub struct Stopper(Handle<Visitor>);

impl Stopper {
    /// Takes no new connections and ends when those under way are answered.
    pub fn stop(&self) {
        self.0.graceful_shutdown(Some(DRAIN));
    }
}

impl Server {
    /// Binds the address and starts the gateway, but serves nothing yet.
    pub fn bind(ledger: Arc<Ledger>, writer: Writer, options: Options) -> Result<Server, ServerError> {
        // First of all: nobody is told of a server that cannot serve.
        let tls = options.tls.as_ref().map(|(cert, key)| tls(cert, key)).transpose()?;
        let listener = TcpListener::bind(&options.listen)
            .map_err(|source| ServerError::Listen { addr: options.listen.clone(), source })?;
        listener.set_nonblocking(true)?;
        // The standard library lets 128 wait, and who comes then waits a second for its next attempt.
        rustix::net::listen(&listener, LISTEN_BACKLOG).map_err(std::io::Error::from)?;
        let doors = Doors::new(connections_allowed()?);
        let (sessions, policy) = (Sessions::new(ledger.origin())?, writer.policy());
        let (gateway, thread) = Gateway::start(ledger.clone(), writer, options.heartbeat)?;
        let app = Arc::new(App {
            sessions,
            policy,
            gateway,
            ledger,
            ingest_tokens: options.ingest_tokens,
            counters: Counters::default(),
            body_room: Arc::new(Semaphore::new(MAX_BODY_BYTES_IN_FLIGHT / 1024)),
            drafting: Semaphore::new(cores(usize::MAX)),
            searches: Turns::new(MAX_CONCURRENT_SEARCHES, MAX_WAITING_SEARCHES, SEARCH_WAIT),
            // Whoever waits has a connection, and those are bounded.
            reads: Turns::new(MAX_CONCURRENT_READS, MAX_CONNECTIONS, READ_WAIT),
            strangers: Room::new(MAX_STRANGER_BODY_BYTES_IN_FLIGHT, Holds::StrangersBody, &doors),
            public_answers: Room::new(MAX_PUBLIC_ANSWER_BYTES, Holds::PublicAnswer, &doors),
            reader_answers: Room::new(MAX_READER_ANSWER_BYTES, Holds::Nothing, &doors),
            heartbeat: options.heartbeat,
            doors: doors.clone(),
        });
        let (router, handle) = (router(app), Handle::new());
        Ok(Server { listener, router, tls, handle, doors, gateway: thread })
    }

    /// The address bound, with the real port when 0 was asked for.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A way to stop the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.handle.clone())
    }

    /// Serves until stopped. Returns the gateway's thread, which ends, with everything committed, after the last of the
    /// server's tasks: with the runtime.
    pub async fn run(self) -> Result<JoinHandle<()>, ServerError> {
        let service = self.router.into_make_service_with_connect_info::<Visitor>();
        let doorkeeper = Doorkeeper::new(self.listener, self.doors)?;
        let mut server = axum_server::Server::<Visitor>::from_listener(doorkeeper).handle(self.handle);
        patience(server.http_builder());
        match self.tls {
            None => server.http1_only().serve(service).await?,
            Some(config) => {
                let handshake = Duration::from_secs(HEADER_SECONDS);
                let acceptor = RustlsAcceptor::new(config).handshake_timeout(handshake);
                server.acceptor(acceptor).http1_only().serve(service).await?;
            }
        }
        Ok(self.gateway)
    }
}

/// What TLS needs: the certificate chain, and the private key that belongs to it.
fn tls(cert: &Path, key: &Path) -> Result<RustlsConfig, ServerError> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    fn failed(
        cert: &Path,
        key: &Path,
        e: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ServerError {
        ServerError::Tls { cert: cert.to_owned(), key: key.to_owned(), source: std::io::Error::other(e) }
    }
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|e| failed(cert, key, e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| failed(cert, key, e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.and_then(|c| c.with_no_client_auth().with_single_cert(chain, private));
    let mut config = config.map_err(|e| failed(cert, key, e))?;
    // A client that took h2 would be answered in HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// Slow senders of headers are cut off, and so is who sends nothing between two requests; bodies are bounded by the request's
/// time-out. HTTP/1 only: the time-out does not cover the moment in which the version is found out, so a silent connection would stay
/// for ever.
fn patience(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .max_buf_size(MAX_REQUEST_HEAD_BYTES)
        .header_read_timeout(Duration::from_secs(HEADER_SECONDS));
}

/// For requests of a reader that come with a body.
fn with_session(app: &Arc<App>, method: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    method
        .layer(DefaultBodyLimit::max(MAX_SEARCH_REQUEST_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), search::session_first))
}

/// For requests with a body of at most `most` bytes that anyone may send.
fn from_strangers(app: &Arc<App>, method: MethodRouter<Arc<App>>, most: usize) -> MethodRouter<Arc<App>> {
    method
        .layer(DefaultBodyLimit::max(most))
        .layer(middleware::from_fn_with_state((app.clone(), most), ingest::room_first))
}

fn router(app: Arc<App>) -> Router {
    let limit = DefaultBodyLimit::max;
    Router::new()
        .route(
            route::EVENTS,
            post(ingest::events)
                .layer(limit(MAX_EVENTS_REQUEST_BYTES))
                .layer(middleware::from_fn_with_state(app.clone(), ingest::token_first)),
        )
        .route(route::BATCHES, post(ingest::batches))
        .route(route::GRANTS, get(public::grants).post(ingest::grants))
        .route(route::STATEMENTS, from_strangers(&app, post(ingest::statements), MAX_STATEMENT_BYTES))
        .route(route::CHECKPOINT, get(public::checkpoint))
        .route("/tile/{*path}", get(public::tile))
        .route(route::LEDGER, get(public::ledger))
        .route("/v1/blocks/{height}", get(public::block))
        .route("/v1/blocks/{height}/leaves", get(public::leaves))
        .route("/v1/blocks/{height}/proof", get(public::block_proof))
        .route(route::PROOFS, get(public::find_proof))
        .route("/v1/proofs/{index}", get(public::proof))
        .route(route::WRITERS, get(public::writer))
        .route(route::SESSIONS, from_strangers(&app, post(reading::open_session), MAX_SMALL_REQUEST_BYTES))
        .route("/v1/records/{index}", get(reading::record))
        .route(route::RECORDS, with_session(&app, post(search::records)))
        .route(route::SEARCH, with_session(&app, post(search::search)))
        .route(route::EPOCHS, get(search::epochs))
        .route(route::BODIES, get(reading::bodies))
        .route(route::HEALTH, get(public::health))
        .route(route::METRICS, get(metrics::metrics))
        .fallback(async || Failure::new(Code::NotFound, "no such path; docs/API.md lists them"))
        .method_not_allowed_fallback(async || {
            Failure::new(
                Code::MethodNotAllowed,
                "this path does not take that method; docs/API.md lists what it takes",
            )
        })
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(REQUEST_SECONDS),
        ))
        .layer(middleware::from_fn_with_state(app.clone(), finish))
        .with_state(app)
}

/// What may be asked for on a spare connection.
const ALWAYS_ANSWERED: [&str; 2] = [route::HEALTH, route::METRICS];

/// Keeps the doors informed, counts the answer, and gives errors that the framework made itself (a body over the limit, a path that
/// does not parse, a time-out) the form of a problem document.
async fn finish(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(ConnectInfo(visitor)) = request.extensions().get::<ConnectInfo<Visitor>>().cloned() else {
        return Failure::new(Code::Internal, "the connection is not known").into_response();
    };
    let guest = visitor.guest;
    let with_body = !request.body().is_end_stream();
    guest.asks(with_body);
    let mut response = if guest.spare && !ALWAYS_ANSWERED.contains(&request.uri().path()) {
        if with_body {
            guest.is_left_unread();
        }
        Failure::new(Code::Overloaded, "too many connections are open; send this again in a moment")
            .into_response()
    } else if with_body {
        next.run(request.map(|body| Body::new(Arriving::new(body, guest.clone())))).await
    } else {
        next.run(request).await
    };
    guest.is_answered();
    if guest.spare {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    count(&app, response)
}

fn count(app: &App, response: Response) -> Response {
    let status = response.status();
    let class = usize::from(status.as_u16() / 100).min(app.counters.responses.len() - 1);
    Counters::add(&app.counters.responses[class], 1);
    let ours = response
        .headers()
        .get("content-type")
        .is_some_and(|t| t.as_bytes() == route::PROBLEM_TYPE.as_bytes());
    if !(status.is_client_error() || status.is_server_error()) || ours {
        return response;
    }
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            Code::TooLarge,
            "the body is larger than this path takes; split it (docs/API.md has the limits)",
        ),
        StatusCode::REQUEST_TIMEOUT => {
            Failure::new(
                Code::Timeout,
                "the request did not arrive and finish in time. If all of it was sent, it may be stored all the same",
            )
        }
        StatusCode::SERVICE_UNAVAILABLE => return response,
        StatusCode::INTERNAL_SERVER_ERROR => {
            Failure::new(Code::Internal, "the server failed; its log says why")
        }
        _ => Failure::new(
            Code::RequestInvalid,
            "the path or query of the request is malformed; docs/API.md has the form",
        ),
    }
    .into_response()
}
