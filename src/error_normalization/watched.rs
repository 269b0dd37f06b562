//! The body of a stream under watch: polls the upstream, keeps the time, and ends what breaks.
//!
//! [`Stream`] decides what leaves; this adapter adds what it must not know: the upstream's body, the
//! clock and the dialect.

use super::{
    breaks::{broken, stalled, truncated},
    config::TerminalMarker,
    exchange::Exchange,
    queue::Queue,
    silence::{Silence, Timer, later},
    stream::{End, Item, Stream},
};
use crate::{dialect::Operation, error::InferenceError, observe::StreamOutcome};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tower::BoxError;

/// How long the head of a stream waits on after its first preamble event.
const PROMOTE_AFTER_PREAMBLE: Duration = Duration::from_secs(2);

/// How many bytes of preamble are held while the head waits.
const MAX_PREAMBLE: usize = 64 << 10;

/// A sign of life. One line end: with an empty line some clients dispatch an event of their own.
const COMMENT: &[u8] = b": keep-alive\n";

/// How long a body waits before it fails. A server drops what it has not written by then, the head
/// included, and over HTTP/2 it writes in a task of its own (hyper 1.12).
const WRITE_FIRST: Duration = Duration::from_millis(100);

pin_project! {
    pub(super) struct Watched<B> {
        #[pin]
        body: Option<B>,
        #[pin]
        timer: Timer,
        exchange: Exchange,
        stream: Stream,
        queue: Queue,
        // Boxed, since few streams have any.
        trailers: Option<Box<HeaderMap>>,
        // What the body fails with once everything is sent.
        failure: Option<InferenceError>,
        silence: Silence,
        // The next sign of life to the client, and whether something has left since it was set. Boxed,
        // since few ask for it.
        beat: Option<Pin<Box<Sleep>>>,
        has_sent: bool,
        outcome: Option<StreamOutcome>,
        // How long the first meaningful event took.
        first_event: Option<Duration>,
    }

    impl<B> PinnedDrop for Watched<B> {
        fn drop(this: Pin<&mut Self>) {
            if this.outcome.is_none() {
                // Many clients leave as soon as they have seen the marker.
                let complete = this.stream.progress().is_complete() && this.queue.is_empty();
                let outcome =
                    if complete { StreamOutcome::Completed } else { StreamOutcome::Cancelled };
                let events = this.stream.progress().events();
                this.exchange.stream_ended(outcome, events, this.first_event);
            }
        }
    }
}

/// What comes next in a stream.
enum Next {
    Forward(Bytes),
    Complete(Bytes),
    Failed { error: InferenceError, last: Bytes, outcome: StreamOutcome },
}

/// What the head of a stream was waiting for.
pub(super) enum Opening {
    /// Something meaningful, or long enough: the head may leave, and the body with it.
    Open,
    /// The stream failed first: this is the answer.
    Failed(InferenceError),
}

impl<B> Watched<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B, operation: Operation, exchange: Exchange) -> Self {
        let stream = Stream::new(operation, exchange.config.max_event);
        Self {
            body: Some(body),
            timer: Timer::default(),
            exchange,
            stream,
            queue: Queue::default(),
            trailers: None,
            failure: None,
            silence: Silence::default(),
            beat: None,
            has_sent: true,
            outcome: None,
            first_event: None,
        }
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Waits for the first meaningful event, for at most as long as the layer allows from `since`.
    pub(super) fn poll_open(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        since: &mut Option<Instant>,
    ) -> Poll<Opening> {
        let within = self.exchange.promote_within();
        if within.is_zero() {
            return Poll::Ready(Opening::Open);
        }
        loop {
            let Poll::Ready(next) = self.as_mut().poll_next(cx) else {
                let begun = self.stream.progress().events() > 0;
                let within = if begun { within.min(PROMOTE_AFTER_PREAMBLE) } else { within };
                let release = later(*since.get_or_insert_with(Instant::now), within);
                let stall = self.silence.deadline().unwrap_or(release);
                ready!(self.as_mut().project().timer.poll(cx, release.min(stall)));
                if release <= stall {
                    self.pause();
                    return Poll::Ready(Opening::Open);
                }
                continue;
            };
            let mut this = self.as_mut().project();
            match next {
                Next::Forward(events) => this.queue.push(events),
                Next::Complete(last) => {
                    this.queue.push(last);
                    this.body.set(None);
                    self.as_mut().end(StreamOutcome::Completed);
                    return Poll::Ready(Opening::Open);
                }
                Next::Failed { error, outcome, .. } => {
                    this.body.set(None);
                    *this.queue = Queue::default();
                    self.as_mut().end(outcome);
                    return Poll::Ready(Opening::Failed(error));
                }
            }
            if self.stream.progress().is_meaningful() || self.queue.bytes() > MAX_PREAMBLE {
                return Poll::Ready(Opening::Open);
            }
        }
    }

    /// The next thing the stream does. Held-back halves of events cost no extra poll.
    #[inline(always)]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Next> {
        let mut item = self.as_mut().project().stream.next();
        loop {
            match item {
                Some(Item::Forward(events)) => {
                    self.note_first_event();
                    return Poll::Ready(Next::Forward(events));
                }
                Some(Item::Error(data)) => return Poll::Ready(self.failed(&data)),
                None => {}
            }
            let mut this = self.as_mut().project();
            let frame = match this.body.as_mut().as_pin_mut() {
                Some(body) => body.poll_frame(cx),
                None => Poll::Ready(None),
            };
            item = match frame {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {
                        // Others shall have their turn, should there be no end of these.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Ok(data) => this.stream.push(data),
                    Err(frame) => {
                        *this.trailers = frame.into_trailers().ok().map(Box::new);
                        None
                    }
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.at_break(error.into())),
                Poll::Ready(None) => return Poll::Ready(self.at_end(None)),
                Poll::Pending => {
                    let waited = ready!(self.as_mut().poll_stall(cx));
                    return Poll::Ready(self.at_end(Some(waited)));
                }
            };
        }
    }

    /// What an error event of the upstream's means.
    #[cold]
    fn failed(&self, data: &[u8]) -> Next {
        let error = self.exchange.read_event(data);
        Next::Failed { error, last: Bytes::new(), outcome: StreamOutcome::Failed }
    }

    /// What the stream was, now that it broke.
    #[cold]
    fn at_break(&self, cause: BoxError) -> Next {
        if self.stream.progress().is_complete() && !self.stream.is_mid_event() {
            return Next::Complete(Bytes::new());
        }
        let error = self.exchange.complete(broken(cause));
        Next::Failed { error, last: Bytes::new(), outcome: StreamOutcome::Truncated }
    }

    /// What the stream was, now that the upstream has ended it, or has `waited` in silence for too
    /// long.
    #[cold]
    fn at_end(mut self: Pin<&mut Self>, waited: Option<Duration>) -> Next {
        let this = self.as_mut().project();
        match this.stream.end() {
            End::Complete(last) => Next::Complete(last),
            End::Error(data) => self.failed(&data),
            End::Truncated(last) => {
                let lenient = this.exchange.config.terminal_marker == TerminalMarker::Lenient;
                let events = this.stream.progress().events();
                let (error, outcome) = match waited {
                    Some(waited) => (stalled(waited), StreamOutcome::Stalled),
                    None if lenient
                        && this.stream.progress().is_meaningful()
                        && !this.stream.is_mid_event() =>
                    {
                        return Next::Complete(last);
                    }
                    None => (truncated(events), StreamOutcome::Truncated),
                };
                Next::Failed { error: this.exchange.complete(error), last, outcome }
            }
        }
    }

    /// Ready, with the time allowed, when the upstream has been silent for longer. Called only while
    /// it is pending; an event since the last call starts the time anew.
    fn poll_stall(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Duration> {
        let this = self.project();
        let events = this.stream.progress().events();
        let config = &this.exchange.config;
        let allowed = if events == 0 { config.first_event_timeout } else { config.idle_timeout };
        let deadline = this.silence.wait(events, allowed, Instant::now);
        ready!(this.timer.poll(cx, deadline));
        Poll::Ready(allowed)
    }

    #[inline]
    fn pause(self: Pin<&mut Self>) {
        let this = self.project();
        this.silence.pause(this.stream.progress().events(), Instant::now);
    }

    /// Ready when the client has heard nothing for as long as the layer allows. Called only while
    /// there is nothing to send.
    fn poll_beat(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Some(every) = this.exchange.keep_alive().filter(|_| !this.stream.is_mid_event()) else {
            return Poll::Pending;
        };
        let has_sent = std::mem::take(this.has_sent);
        let at = || later(Instant::now(), every);
        match this.beat {
            Some(beat) if has_sent => beat.as_mut().reset(at()),
            Some(_) => {}
            None => *this.beat = Some(Box::pin(tokio::time::sleep_until(at()))),
        }
        match this.beat {
            Some(beat) => beat.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    #[inline]
    fn note_first_event(self: Pin<&mut Self>) {
        let this = self.project();
        if this.first_event.is_none() && this.stream.progress().is_meaningful() {
            *this.first_event = this.exchange.elapsed();
        }
    }

    fn end(mut self: Pin<&mut Self>, outcome: StreamOutcome) {
        self.as_mut().note_first_event();
        let this = self.project();
        let events = this.stream.progress().events();
        this.exchange.stream_ended(outcome, events, *this.first_event);
        *this.outcome = Some(outcome);
    }

    /// What has not been sent, and what comes behind the last events.
    #[cold]
    fn poll_left(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(events) = this.queue.pop() {
            *this.has_sent = true;
            return Poll::Ready(Some(Ok(Frame::data(events))));
        }
        if this.failure.is_some() {
            let events = this.stream.progress().events();
            let deadline = this.silence.wait(events, WRITE_FIRST, Instant::now);
            ready!(this.timer.poll(cx, deadline));
            return Poll::Ready(this.failure.take().map(|error| Err(error.into())));
        }
        Poll::Ready(this.trailers.take().map(|it| Ok(Frame::trailers(*it))))
    }

    #[inline]
    pub(super) fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            let this = self.as_mut().project();
            if !this.queue.is_empty() || this.outcome.is_some() {
                return self.poll_left(cx);
            }
            let Poll::Ready(next) = self.as_mut().poll_next(cx) else {
                if self.exchange.config.keep_alive.is_none() {
                    return Poll::Pending;
                }
                ready!(self.as_mut().poll_beat(cx));
                self.as_mut().pause();
                *self.project().has_sent = true;
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))));
            };
            let mut this = self.as_mut().project();
            match next {
                Next::Forward(events) => {
                    *this.has_sent = true;
                    self.pause();
                    return Poll::Ready(Some(Ok(Frame::data(events))));
                }
                Next::Complete(last) => {
                    this.queue.push(last);
                    this.body.set(None);
                    self.as_mut().end(StreamOutcome::Completed);
                }
                Next::Failed { error, last, outcome } => {
                    this.body.set(None);
                    *this.trailers = None;
                    let word = this.exchange.last_word(&error, &this.stream.progress().seen());
                    let mid_event = this.stream.is_mid_event();
                    if !mid_event {
                        this.queue.push(last);
                        this.queue.push(word);
                    }
                    if mid_event || this.exchange.fails_after_last_word() {
                        *this.failure = Some(error);
                        *this.silence = Silence::default();
                    }
                    self.as_mut().end(outcome);
                }
            }
        }
    }
}

impl<B> Watched<B> {
    pub(super) fn is_done(&self) -> bool {
        self.outcome.is_some()
            && self.queue.is_empty()
            && self.failure.is_none()
            && self.trailers.is_none()
    }
}
