//! A request's body, part of which may have been read ahead.

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
    /// The body of a request inside of [`ModelName`](super::ModelName): the frames that were read
    /// ahead, then the rest, exactly as they came.
    pub struct RequestBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Pass { #[pin] body: B },
        Replayed { body: Replay<B> },
    }
}

impl<B> RequestBody<B> {
    /// A body that nobody has read from.
    pub fn new(body: B) -> Self {
        Self { inner: Inner::Pass { body } }
    }

    pub(super) fn replayed(body: Replay<B>) -> Self {
        Self { inner: Inner::Replayed { body } }
    }
}

impl<B: Body> RequestBody<B> {
    /// The same body once more, for another attempt: only if there is nothing in it, or all of it was
    /// read ahead and none of it has been taken. The bytes are shared, not copied.
    #[must_use]
    pub fn try_clone(&self) -> Option<Self> {
        match &self.inner {
            Inner::Pass { body } => body.is_end_stream().then(|| Self::replayed(Replay::default())),
            Inner::Replayed { body } => Some(Self::replayed(body.try_clone()?)),
        }
    }
}

impl<B: Default> Default for RequestBody<B> {
    fn default() -> Self {
        Self::new(B::default())
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().inner.project() {
            InnerProj::Pass { body } => forward(body, cx),
            InnerProj::Replayed { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Pass { body } => body.is_end_stream(),
            Inner::Replayed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Pass { body } => body.size_hint(),
            Inner::Replayed { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.inner {
            Inner::Pass { .. } => "pass",
            Inner::Replayed { .. } => "replayed",
        };
        f.debug_tuple("RequestBody").field(&kind).finish()
    }
}
