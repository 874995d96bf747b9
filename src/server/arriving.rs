//! A request body that tells when it has come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::doors::Guest;

/// The body of a connection's request. When it ends, or nobody wants the rest of it, the request counts as complete.
pub(super) struct Arriving {
    body: Body,
    guest: Arc<Guest>,
}

impl Arriving {
    pub(super) fn new(body: Body, guest: Arc<Guest>) -> Arriving {
        Arriving { body, guest }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() && self.body.is_end_stream() {
            self.guest.has_asked();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.guest.is_left_unread();
        }
        self.guest.has_asked();
    }
}
