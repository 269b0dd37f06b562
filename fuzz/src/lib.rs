//! What the targets share: bodies that come in pieces, and a clock that is stopped.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    cell::Cell,
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// How a body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Clean,
    Error,
    Trailers,
    /// Never.
    Silence,
}

impl End {
    pub fn of(byte: u8) -> Self {
        match byte % 4 {
            0 => Self::Clean,
            1 => Self::Error,
            2 => Self::Trailers,
            _ => Self::Silence,
        }
    }
}

/// A body that comes in pieces.
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    end: Option<End>,
    /// Whether each piece is pending once before it comes.
    pub lazy: bool,
    /// Whether it says how long it is.
    pub sized: bool,
    is_late: bool,
    /// How many bytes have been taken.
    pub taken: Rc<Cell<usize>>,
}

impl Pieces {
    /// The text in pieces whose sizes follow from the seed: 0 leaves it whole, 1 makes every byte one.
    pub fn new(text: &[u8], seed: u8, end: End) -> Self {
        Self {
            pieces: cut(text, seed).map(Bytes::copy_from_slice).collect(),
            end: Some(end),
            lazy: false,
            sized: false,
            is_late: false,
            taken: Rc::default(),
        }
    }
}

/// The pieces of a text.
pub fn cut(mut text: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut random = u32::from(seed);
    std::iter::from_fn(move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = match seed {
            0 => text.len(),
            _ => 1 + (random >> 16) as usize % usize::from(seed),
        };
        let (piece, rest) = text.split_at(size.min(text.len()));
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.is_late = self.lazy && !self.is_late;
        if self.is_late {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(piece) = self.pieces.pop_front() {
            self.taken.set(self.taken.get() + piece.len());
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        Poll::Ready(match self.end {
            Some(End::Silence) => return Poll::Pending,
            Some(End::Trailers) => {
                self.end = None;
                Some(Ok(Frame::trailers(trailers())))
            }
            Some(End::Error) => {
                self.end = None;
                Some(Err("connection reset"))
            }
            Some(End::Clean) | None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && matches!(self.end, None | Some(End::Clean))
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized {
            SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
        } else {
            SizeHint::default()
        }
    }
}

pub fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-trailer"), HeaderValue::from_static("1"))])
}

/// Header lines, an empty line, and what stands behind it; all of it is the latter if there is none.
pub fn message(text: &[u8]) -> (HeaderMap, &[u8]) {
    let mut headers = HeaderMap::new();
    let Some(end) = text.windows(2).position(|two| two == b"\n\n") else { return (headers, text) };
    for line in text[..end].split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    (headers, &text[end + 2..])
}

/// What is left of a body.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Whole {
    pub text: Vec<u8>,
    pub trailers: Option<HeaderMap>,
    pub error: Option<String>,
    /// It never ended.
    pub is_silent: bool,
}

/// Reads a body to its end; `see` hears how many bytes have come after each piece. A day without a piece
/// is the end too.
pub async fn read<B>(body: B, mut see: impl FnMut(usize)) -> Whole
where
    B: Body<Data = Bytes>,
    B::Error: ToString,
{
    let mut body = pin!(body);
    let mut whole = Whole::default();
    loop {
        let Ok(frame) = tokio::time::timeout(DAY, body.frame()).await else {
            whole.is_silent = true;
            return whole;
        };
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    assert!(whole.trailers.is_none(), "data after trailers");
                    whole.text.extend_from_slice(&data);
                    see(whole.text.len());
                }
                Err(frame) => whole.trailers = frame.into_trailers().ok(),
            },
            Some(Err(error)) => {
                whole.error = Some(error.to_string());
                return whole;
            }
            None => {
                assert!(body.is_end_stream(), "it has ended, and does not say so");
                return whole;
            }
        }
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// A response whose head is there, or `None` after a day.
pub async fn within_a_day<B>(
    answer: impl Future<Output = Result<Response<B>, std::convert::Infallible>>,
) -> Option<Response<B>> {
    tokio::time::timeout(DAY, answer).await.ok().map(|answer| match answer {
        Ok(answer) => answer,
        Err(never) => match never {},
    })
}

/// Runs a future on a clock that moves only when nothing else does.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local!(static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing"));
    RUNTIME.with(|runtime| runtime.block_on(future))
}
