//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

use super::{ingest, public, reading, search, session, state};
use crate::base::clock::Timestamp;

/// Reads what a request says besides its body: the query string of each route, the path's record, and the headers that mean
/// something. Gives the session token's bearer, if there is one.
pub fn request(
    path: &str,
    query: &str,
    content_type: &[u8],
    authorization: &[u8],
    tag: &str,
) -> Option<String> {
    let _ = public::record_index(path);
    let _ = search::parse_tag(tag);
    if let Ok(uri) = format!("/v1/x?{query}").parse::<Uri>() {
        let _ = Query::<public::ProofQuery>::try_from_uri(&uri);
        let _ = Query::<public::WriterQuery>::try_from_uri(&uri);
        let _ = Query::<public::GrantsQuery>::try_from_uri(&uri);
        let _ = Query::<reading::BodiesQuery>::try_from_uri(&uri);
        let _ = Query::<search::EpochsQuery>::try_from_uri(&uri);
    }
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if let Ok(value) = HeaderValue::from_bytes(authorization) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let _ = ingest::event_format(&headers);
    state::bearer(&headers).map(str::to_owned)
}

/// Whether a bearer token is taken for a session's; nobody was given one.
pub fn session_token(token: &str) -> bool {
    session::Sessions::new("ledger.example/audit").is_ok_and(|s| s.check(token, Timestamp::now()).is_some())
}

/// Whether a statement as it is sent is a signed note.
pub fn statement(text: &str) -> bool {
    ingest::parse_note(text).is_ok()
}
