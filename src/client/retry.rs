//! Sending a request again that the server had no room for.

use std::time::Duration;

use rand_core::Rng as _;

use super::ClientError;
use crate::base::limits::{MAX_RETRY_AFTER_SECONDS, MAX_TRIES};
use crate::base::random;

/// Least that the random part of a first pause goes up to.
const LEAST_SPREAD: Duration = Duration::from_millis(100);

/// What came of one try.
pub(super) enum Tried<T> {
    /// An answer, or an error that another try would not change.
    Done(Result<T, ClientError>),
    /// 503 with `Retry-After`, and the seconds it says.
    Busy(ClientError, u64),
}

/// Tries up to [`MAX_TRIES`] times, with pauses between.
pub(super) fn patiently<T>(
    mut attempt: impl FnMut() -> Tried<T>,
    mut wait: impl FnMut(Duration),
) -> Result<T, ClientError> {
    let mut tries = 0;
    loop {
        match attempt() {
            Tried::Done(result) => return result,
            Tried::Busy(refusal, after) => {
                tries += 1;
                if tries >= MAX_TRIES {
                    return Err(refusal);
                }
                wait(pause(tries, after, random_share()));
            }
        }
    }
}

/// The pause after the `tries`-th try: what the server asked for, and a part of as much again, twice as much after every further
/// try; `share` of 256 says which part. Clients that were refused together so come back one by one.
fn pause(tries: u32, after: u64, share: u8) -> Duration {
    let after = Duration::from_secs(after.min(MAX_RETRY_AFTER_SECONDS));
    let spread = after.max(LEAST_SPREAD) * (1 << (tries - 1).min(8));
    after + spread * u32::from(share) / 256
}

/// Nothing depends on its being unknown.
fn random_share() -> u8 {
    random::csprng().map_or(128, |mut rng| (rng.next_u32() & 0xff) as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn busy() -> Tried<u32> {
        Tried::Busy(ClientError::Address("busy".into()), 1)
    }

    #[test]
    fn it_tries_again_and_not_for_ever() {
        for succeeds_at in 1..=MAX_TRIES + 1 {
            let (mut tries, mut pauses) = (0, Vec::new());
            let attempt = || {
                tries += 1;
                if tries == succeeds_at { Tried::Done(Ok(tries)) } else { busy() }
            };
            let result = patiently(attempt, |pause| pauses.push(pause));
            assert_eq!(result.ok(), (succeeds_at <= MAX_TRIES).then_some(succeeds_at));
            assert_eq!(pauses.len() as u32, succeeds_at.min(MAX_TRIES) - 1);
            assert!(pauses.iter().all(|p| *p >= Duration::from_secs(1)));
        }
        let mut tries = 0;
        let refused = || {
            tries += 1;
            Tried::<u32>::Done(Err(ClientError::Address("no".into())))
        };
        assert!(patiently(refused, |_| panic!("no pause")).is_err());
        assert_eq!(tries, 1);
    }

    /// A server that gives one of these statuses a connection, 503 with or without `Retry-After`, and then no more.
    fn server(answers: Vec<(u16, bool)>) -> String {
        use crate::api::problem::{Code, Problem};
        use std::io::{BufRead as _, BufReader, Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for (status, after) in answers {
                let mut stream = listener.accept().unwrap().0;
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while line != "\r\n" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                    if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = n.trim().parse().unwrap();
                    }
                }
                reader.read_exact(&mut vec![0; length]).unwrap();
                let body = match status {
                    200 => r#"{"records":[7]}"#.to_owned(),
                    _ => serde_json::to_string(&Problem::new(Code::Overloaded, "busy")).unwrap(),
                };
                let after = if after { "retry-after: 0\r\n" } else { "" };
                let head =
                    format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}", body.len());
                write!(stream, "{head}\r\n{after}\r\n{body}").unwrap();
            }
        });
        url
    }

    #[test]
    fn a_search_that_is_refused_is_sent_again_if_the_server_says_when() {
        use crate::api::message::SearchRequest;
        let search = |answers: &[(u16, bool)]| {
            let client = super::super::Client::new(&server(answers.to_vec()), None).unwrap();
            let found = client.search(&SearchRequest { all: vec![vec![]], from: 0, limit: 1 });
            found.map(|f| f.records).map_err(|e| matches!(e, ClientError::Problem(p) if p.status == 503))
        };
        assert_eq!(search(&[(503, true), (503, true), (200, false)]), Ok(vec![7]));
        assert_eq!(search(&[(503, false), (200, false)]), Err(true));
        assert_eq!(search(&[(503, true); MAX_TRIES as usize]), Err(true));
    }

    #[test]
    fn pauses_are_what_was_asked_for_and_some_more() {
        let ms = Duration::from_millis;
        assert_eq!(pause(1, 1, 0), ms(1000));
        assert_eq!(pause(1, 1, 128), ms(1500));
        assert_eq!(pause(3, 1, 64), ms(2000));
        assert_eq!(pause(1, 0, 128), ms(50));
        assert!(pause(2, u64::MAX, 255) < 3 * Duration::from_secs(MAX_RETRY_AFTER_SECONDS));
        // One value in 256 twenty times over: it is not random at all.
        assert!((0..20).map(|_| random_share()).collect::<std::collections::BTreeSet<_>>().len() > 1);
    }
}
