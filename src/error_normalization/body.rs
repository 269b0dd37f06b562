//! The body of an answer: passed on, watched, replayed, or ours.

use super::watched::Watched;
use crate::body::{Replay, forward};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};
use tower::BoxError;

pin_project! {
    /// The body of an answer of [`ErrorNormalization`](super::ErrorNormalization).
    ///
    /// A passing body is forwarded frame by frame, with its hints and trailers. A watched one ends
    /// with the dialect's last word if its stream breaks, and so has no size.
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Pass { #[pin] body: B },
        Watched { body: Pin<Box<Watched<B>>> },
        // Looked at before it was released.
        Replayed { body: Replay<B> },
        Full { bytes: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn pass(body: B) -> Self {
        Self { inner: Inner::Pass { body } }
    }

    pub(super) fn watched(body: Pin<Box<Watched<B>>>) -> Self {
        Self { inner: Inner::Watched { body } }
    }

    pub(super) fn replayed(body: Replay<B>) -> Self {
        Self { inner: Inner::Replayed { body } }
    }

    pub(super) fn full(bytes: Bytes) -> Self {
        Self { inner: Inner::Full { bytes: Some(bytes).filter(|bytes| !bytes.is_empty()) } }
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::pass(B::default())
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().inner.project() {
            InnerProj::Pass { body } => forward(body, cx),
            InnerProj::Watched { body } => body.as_mut().poll_frame(cx),
            InnerProj::Replayed { body } => body.poll_frame(cx),
            InnerProj::Full { bytes } => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Pass { body } => body.is_end_stream(),
            Inner::Watched { body } => body.is_done(),
            Inner::Replayed { body } => body.is_end_stream(),
            Inner::Full { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Pass { body } => body.size_hint(),
            Inner::Watched { body } if body.is_done() => SizeHint::with_exact(0),
            Inner::Watched { .. } => SizeHint::default(),
            Inner::Replayed { body } => body.size_hint(),
            Inner::Full { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Pass { .. } => "pass",
            Inner::Watched { .. } => "watched",
            Inner::Replayed { .. } => "replayed",
            Inner::Full { .. } => "full",
        };
        f.debug_tuple("ResponseBody").field(&kind).finish()
    }
}
