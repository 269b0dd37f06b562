//! A body that is read before the answer leaves: an error, or JSON that may be one.

use super::{ResponseBody, exchange::Exchange};
use crate::{
    body::Replay,
    error::{Category, InferenceError, Origin},
    framing::json::Json,
    provider,
};
use bytes::Bytes;
use http::{Response, response};
use http_body::Body;
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::Sleep;
use tower::BoxError;

/// Largest JSON body that is collected whole before it is released.
const MAX_WHOLE: u64 = 64 << 10;

/// How much of a larger one is looked at.
const MAX_PREFIX: usize = 1 << 10;

/// An answer whose body is being read.
pub(super) struct Reading<B> {
    head: response::Parts,
    exchange: Exchange,
    body: Replay<B>,
    length: usize,
    goal: Goal,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// Why a body is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Goal {
    /// It is an error: as much of it as is allowed.
    Error,
    /// It should be JSON, and is small: all of it.
    Whole,
    /// It should be JSON, and may be large: until its first key is known.
    Prefix,
}

/// What is to be done with an answer that has been read.
#[derive(Debug)]
pub(super) enum Decision {
    /// It is an error, and is replaced.
    Replace,
    /// It broke off: no client has seen any of it yet.
    Broken(BoxError),
    /// It leaves as it came.
    Release,
}

/// What the bytes read so far say of a body that should be JSON.
#[derive(Debug, Eq, PartialEq)]
enum Said {
    Healthy,
    Error,
    Nothing,
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// Reads an error.
    pub(super) fn error(head: response::Parts, body: B, exchange: Exchange) -> Self {
        Self::new(head, body, exchange, Goal::Error)
    }

    /// Checks an answer that should be JSON.
    pub(super) fn check(head: response::Parts, body: B, exchange: Exchange) -> Self {
        let known = body.size_hint().exact();
        let small = known.is_some_and(|length| length <= MAX_WHOLE);
        Self::new(head, body, exchange, if small { Goal::Whole } else { Goal::Prefix })
    }

    fn new(head: response::Parts, body: B, exchange: Exchange, goal: Goal) -> Self {
        Self { head, exchange, body: Replay::new(body), length: 0, goal, sleep: None }
    }

    /// What to do with the answer, once enough of the body is known.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Decision> {
        loop {
            match self.body.poll_ahead(cx) {
                Poll::Ready(Some(frame)) => {
                    let more = frame.data_ref().map_or(0, Bytes::len);
                    self.length += more;
                    let says_more = more > 0 || self.body.is_full();
                    if let Some(decision) = says_more.then(|| self.decide()).flatten() {
                        return Poll::Ready(decision);
                    }
                }
                Poll::Ready(None) => return Poll::Ready(self.at_end()),
                Poll::Pending => {
                    ready!(self.poll_timeout(cx));
                    return Poll::Ready(match self.goal {
                        Goal::Error => Decision::Replace,
                        Goal::Whole | Goal::Prefix => Decision::Release,
                    });
                }
            }
        }
    }

    fn at_end(&mut self) -> Decision {
        match (self.goal, self.body.take_error()) {
            // What came of it before it broke is all there is.
            (Goal::Error, _) => Decision::Replace,
            (Goal::Whole | Goal::Prefix, Some(cause)) => Decision::Broken(cause),
            _ if whole_is_error(&self.text()) => Decision::Replace,
            _ if is_cut_off(&self.text()) => Decision::Broken("it ends inside of its JSON".into()),
            _ => Decision::Release,
        }
    }

    /// What the frames so far decide.
    fn decide(&mut self) -> Option<Decision> {
        match self.goal {
            Goal::Error => {
                let enough =
                    self.length >= self.exchange.config.max_error_body || self.body.is_full();
                enough.then_some(Decision::Replace)
            }
            Goal::Whole | Goal::Prefix if self.body.is_full() => Some(Decision::Release),
            Goal::Whole => None,
            Goal::Prefix => match prefix_says(&self.text()) {
                Said::Healthy => Some(Decision::Release),
                Said::Error => {
                    self.goal = Goal::Error;
                    self.sleep = None;
                    None
                }
                Said::Nothing => (self.length > MAX_PREFIX).then_some(Decision::Release),
            },
        }
    }

    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = match self.goal {
            Goal::Error => self.exchange.config.error_body_timeout,
            Goal::Whole | Goal::Prefix => self.exchange.promote_within(),
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        sleep.as_mut().poll(cx)
    }

    /// The answer.
    pub(super) fn finish(self, decision: Decision) -> Response<ResponseBody<B>> {
        match decision {
            Decision::Replace => {
                let text = self.text();
                let text = &text[..text.len().min(self.exchange.config.max_error_body)];
                let error = self.exchange.read_answer(&self.head, text);
                self.exchange.replace(self.head, error)
            }
            Decision::Broken(cause) => {
                let message = "the upstream's answer broke off before its end";
                let error = InferenceError::new(Category::UpstreamError, message);
                let error = error.with_origin(Origin::Stream).with_source(cause);
                let error = self.exchange.complete(error);
                self.exchange.replace(self.head, error)
            }
            Decision::Release => {
                self.exchange.completed(self.head.status);
                Response::from_parts(self.head, ResponseBody::replayed(self.body))
            }
        }
    }

    /// The bytes read so far; copied only if there is more than one frame.
    fn text(&self) -> Cow<'_, [u8]> {
        let mut data = self.body.data();
        let first = data.next().map_or(&[][..], |bytes| bytes);
        let Some(second) = data.next() else { return Cow::Borrowed(first) };
        let mut all = Vec::with_capacity(self.length);
        for piece in [first, second].into_iter().chain(data.map(|bytes| &bytes[..])) {
            all.extend_from_slice(piece);
        }
        Cow::Owned(all)
    }
}

/// Whether a whole body that should be JSON is an error: it says so, or it is a page, or nothing.
fn whole_is_error(text: &[u8]) -> bool {
    match Json::begun(text).raw().first() {
        None => true,
        Some(b'{') => provider::error_in(text).is_some(),
        Some(_) => false,
    }
}

/// Whether a whole body that should be JSON is only the beginning of an object. One look at its end
/// finds all but those that happen to end in a brace: their clients fail to parse them.
fn is_cut_off(text: &[u8]) -> bool {
    let ends = |text: &[u8]| text.last() == Some(&b'}');
    // What stands behind an object does not make it a beginning.
    !ends(text.trim_ascii_end()) && {
        let json = Json::of(text);
        json.is_object() && !ends(json.raw())
    }
}

/// What the beginning of a body that should be JSON says.
fn prefix_says(text: &[u8]) -> Said {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    match text.first() {
        None => return Said::Nothing,
        Some(b'<') => return Said::Error,
        Some(b'{') => {}
        Some(_) => return Said::Healthy,
    }
    let mut members = Json::begun(text).members();
    match members.next() {
        // Only these three may begin an error; the value is known when another member follows.
        Some((key, _)) if matches!(&*key, "error" | "type" | "object") => {
            if provider::error_in(text).is_some() {
                Said::Error
            } else if members.next().is_some() {
                Said::Healthy
            } else {
                Said::Nothing
            }
        }
        Some((_, value)) if !value.is_missing() => Said::Healthy,
        _ => Said::Nothing,
    }
}

impl<B> fmt::Debug for Reading<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("goal", &self.goal)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_bodies_are_judged_by_their_top_level_keys() {
        for text in ["", " \n ", "<html>", "\u{feff}", "{\"error\":\"x\"}"] {
            assert!(whole_is_error(text.as_bytes()), "{text:?}");
        }
        for text in ["{}", "[]", "{\"error\":null,\"id\":1}", "\"text\"", "{\"id\":\"error\"}"] {
            assert!(!whole_is_error(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_body_that_ends_inside_of_its_object_is_cut_off() {
        for text in ["{", "{\"id\":\"x", "{\"id\":{\"a\":1},"] {
            assert!(is_cut_off(text.as_bytes()), "{text:?}");
        }
        for text in ["{}", " {\"id\":1} \n", "{\"id\":1}garbage", "[", "\"text", "text", ""] {
            assert!(!is_cut_off(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_prefix_is_judged_by_its_first_key() {
        let table = [
            ("", Said::Nothing),
            ("  \n", Said::Nothing),
            ("{", Said::Nothing),
            ("{\"id", Said::Nothing),
            ("{\"id\":", Said::Nothing),
            ("{\"id\":\"x", Said::Healthy),
            ("{\"error\":", Said::Nothing),
            ("{\"error\":{\"message\":\"x", Said::Error),
            ("{\"error\":null,", Said::Nothing),
            ("{\"error\":null,\"id\":1", Said::Healthy),
            ("{\"object\":\"list\",\"data\":[", Said::Healthy),
            ("{\"object\":\"error\",", Said::Error),
            ("<!doctype", Said::Error),
            ("[1", Said::Healthy),
        ];
        for (text, expected) in table {
            assert_eq!(prefix_says(text.as_bytes()), expected, "{text}");
        }
    }
}
