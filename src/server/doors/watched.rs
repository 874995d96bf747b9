//! The stream of a connection: ends when it is told to, gives up on clients that do not take their answers, and lets an early answer
//! reach those who are still sending.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::base::limits::{LINGER_SECONDS, MAX_LINGER_BYTES, MIN_STALL_BYTES, STALL_SECONDS};

use super::{Doors, Guest};

/// Bytes that are thrown away at a time.
const LINGER_BUFFER: usize = 8 * 1024;

/// A connection's stream: ends when it is told to, or when the client does not take what is written.
pub(in crate::server) struct Watched {
    stream: TcpStream,
    guest: Arc<Guest>,
    doors: Arc<Doors>,
    /// Runs while the client does not take what is written.
    patience: Option<Pin<Box<Sleep>>>,
    /// Bytes it took meanwhile; or sent, that are thrown away.
    taken: usize,
    lingering: bool,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, guest: Arc<Guest>, doors: Arc<Doors>) -> Watched {
        Watched { stream, guest, doors, patience: None, taken: 0, lingering: false }
    }
}

impl Watched {
    /// After an attempt to write: what did it come to, and how long has the client taken?
    fn wrote(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(n)) if self.patience.is_some() => {
                self.taken += n;
                if self.taken >= MIN_STALL_BYTES {
                    self.patience = None;
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => {
                let patience = self.patience.get_or_insert_with(|| {
                    self.taken = 0;
                    Box::pin(sleep(Duration::from_secs(STALL_SECONDS)))
                });
                self.guest.stuck.store(true, Ordering::Relaxed);
                ready!(patience.as_mut().poll(cx));
                self.doors.counts.stalled.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not take its answer",
                )))
            }
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.guest.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.guest.check(cx)?;
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.guest.check(cx)?;
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for when everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.lingering && self.patience.take().is_some() {
            self.guest.stuck.store(false, Ordering::Relaxed);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// If the client is still sending what nobody wants to read, that is read for a while and thrown away: closing at once would reset
    /// the connection, and with it the answer that says why.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.lingering {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.guest.unread.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            this.lingering = true;
            this.taken = 0;
            this.patience = Some(Box::pin(sleep(Duration::from_secs(LINGER_SECONDS))));
        }
        let mut unwanted = [MaybeUninit::uninit(); LINGER_BUFFER];
        while this.taken < MAX_LINGER_BYTES {
            this.guest.check(cx)?;
            if this.patience.as_mut().is_none_or(|p| p.as_mut().poll(cx).is_ready()) {
                break;
            }
            let mut buf = ReadBuf::uninit(&mut unwanted);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                break;
            }
            this.taken += buf.filled().len();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.doors.leave(&self.guest);
    }
}
