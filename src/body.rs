//! The body of an answer that is either the inner service's or ours.
//!
//! The gate answers with one of the two and never changes a body, so this is all it needs. The error
//! normalization layer, which does change bodies, has
//! [its own](crate::error_normalization::ResponseBody).
//!
//! Rules: a body that passes is forwarded frame by frame, with its trailers, its
//! [`size_hint`](Body::size_hint) and its [`is_end_stream`](Body::is_end_stream). A request that is
//! counted counts until this body has ended, failed or been dropped, read or not.
//!
//! # Example: a body of ours
//!
//! ```
//! use http_body::Body;
//! use http_body_util::Empty;
//! use tower_inference::body::ResponseBody;
//!
//! let body = ResponseBody::<Empty<bytes::Bytes>>::full("{}");
//! assert_eq!(body.size_hint().exact(), Some(2));
//! ```

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::BoxError;

pin_project! {
    /// The inner service's body, passed on frame by frame, or one text of ours.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = InnerProj]
    enum Inner<B> {
        Pass { #[pin] body: B, guard: Option<Guard> },
        Full { bytes: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// The inner service's body.
    pub fn pass(body: B) -> Self {
        Self::guarded(body, None)
    }

    /// The inner service's body, which ends the guard when it ends.
    pub(crate) fn guarded(body: B, guard: Option<Guard>) -> Self {
        Self { inner: Inner::Pass { body, guard } }
    }

    /// One text of ours; no frame at all if it is empty.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = Some(bytes.into()).filter(|bytes| !bytes.is_empty());
        Self { inner: Inner::Full { bytes } }
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

    #[inline(always)]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().inner.project() {
            InnerProj::Pass { body, guard } => {
                let frame = ready!(forward(body, cx));
                if !matches!(frame, Some(Ok(_))) {
                    *guard = None;
                }
                Poll::Ready(frame)
            }
            InnerProj::Full { bytes } => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Pass { body, .. } => body.is_end_stream(),
            Inner::Full { bytes } => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Pass { body, .. } => body.size_hint(),
            Inner::Full { bytes } => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

/// Told when something that was begun has ended.
pub(crate) trait OnEnd: fmt::Debug + Send + Sync {
    fn ended(&self);
}

/// Tells when it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(Arc<dyn OnEnd>);

impl Guard {
    #[inline]
    pub(crate) fn new(on_end: Arc<dyn OnEnd>) -> Self {
        Self(on_end)
    }
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// The next frame of a body, as it is.
#[inline(always)]
pub(crate) fn forward<B>(
    body: Pin<&mut B>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    Poll::Ready(ready!(body.poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
}

/// The most frames that are read ahead: each takes a hundred bytes, however short it is.
const MOST_AHEAD: usize = 1 << 14;

/// A body that was read ahead: the frames that came, then whatever is left of it.
pub(crate) struct Replay<B> {
    came: VecDeque<Result<Frame<Bytes>, BoxError>>,
    rest: Option<Pin<Box<B>>>,
}

impl<B> Replay<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B) -> Self {
        Self { came: VecDeque::new(), rest: Some(Box::pin(body)) }
    }

    /// Reads one frame ahead. `None`: the body has ended, or failed, which is replayed too.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Option<&Frame<Bytes>>> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let frame = ready!(forward(rest.as_mut(), cx));
        if !matches!(frame, Some(Ok(_))) || rest.is_end_stream() {
            self.rest = None;
        }
        let Some(frame) = frame else { return Poll::Ready(None) };
        self.came.push_back(frame);
        Poll::Ready(self.came.back().and_then(|frame| frame.as_ref().ok()))
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.came.is_empty() {
            let _ = ready!(self.poll_ahead(cx));
        }
        Poll::Ready(self.came.pop_front())
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.came.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let rest = self.rest.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        let held: u64 = self.data().map(|data| data.len() as u64).sum();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

/// Nothing came, and nothing is left.
impl<B> Default for Replay<B> {
    fn default() -> Self {
        Self { came: VecDeque::new(), rest: None }
    }
}

impl<B> Replay<B> {
    /// The data that came.
    pub(crate) fn data(&self) -> impl Iterator<Item = &Bytes> {
        self.came.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref())
    }

    /// Whether more should not be read ahead.
    pub(crate) fn is_full(&self) -> bool {
        self.came.len() >= MOST_AHEAD
    }

    /// What broke the body, if it broke.
    pub(crate) fn take_error(&mut self) -> Option<BoxError> {
        match self.came.pop_back()? {
            Err(error) => Some(error),
            Ok(frame) => {
                self.came.push_back(Ok(frame));
                None
            }
        }
    }

    /// The same body once more, if all of it came and none of it has left.
    pub(crate) fn try_clone(&self) -> Option<Self> {
        if self.rest.is_some() {
            return None;
        }
        let came = self.came.iter().map(|frame| {
            let frame = frame.as_ref().ok()?;
            let data = frame.data_ref().cloned().map(Frame::data);
            data.or_else(|| frame.trailers_ref().cloned().map(Frame::trailers)).map(Ok)
        });
        Some(Self { came: came.collect::<Option<_>>()?, rest: None })
    }
}
