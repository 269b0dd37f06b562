//! A body that does as it is told, and the layer around it.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_inference::{ErrorNormalizationLayer, error_normalization::ResponseBody};

/// A path whose streams and answers are known, and events of such a stream.
pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const TEXT: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n";
pub(crate) const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error(&'static str),
    Wait(Duration),
    /// Never comes.
    Silence,
}

/// Yields its steps, then ends.
#[derive(Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    sleep: Option<Pin<Box<Sleep>>>,
    length: Option<u64>,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    /// One frame a text.
    pub(crate) fn frames<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::new(texts.into_iter().map(data))
    }

    /// A body that says how long it is.
    pub(crate) fn sized(text: impl AsRef<[u8]>) -> Self {
        let length = Some(text.as_ref().len() as u64);
        Self { length, ..Self::frames([text]) }
    }

    pub(crate) fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

pub(crate) fn data(text: impl AsRef<[u8]>) -> Step {
    Step::Data(Bytes::copy_from_slice(text.as_ref()))
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match self.steps.front() {
                Some(Step::Silence) => return Poll::Pending,
                Some(&Step::Wait(time)) => {
                    let sleep =
                        self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
                    std::task::ready!(sleep.as_mut().poll(cx));
                    self.sleep = None;
                    self.steps.pop_front();
                }
                _ => break,
            }
        }
        Poll::Ready(self.steps.pop_front().map(|step| match step {
            Step::Data(bytes) => Ok(Frame::data(bytes)),
            Step::Trailers(trailers) => Ok(Frame::trailers(trailers)),
            Step::Error(text) => Err(text.into()),
            Step::Wait(_) | Step::Silence => unreachable!("handled above"),
        }))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What a client of `layer` gets for a POST to `path` when the upstream answers so.
pub(crate) async fn answer(
    layer: &ErrorNormalizationLayer,
    path: &str,
    upstream: Response<Script>,
) -> Response<ResponseBody<Script>> {
    exchange(layer, Request::post(path).body(()).unwrap(), upstream).await
}

/// What a client of `layer` gets for this request when the upstream answers so.
pub(crate) async fn exchange<B>(
    layer: &ErrorNormalizationLayer,
    request: Request<()>,
    upstream: Response<B>,
) -> Response<ResponseBody<B>>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut upstream = Some(upstream);
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, BoxError>(upstream.take().unwrap()))
    });
    layer.layer(service).oneshot(request).await.unwrap()
}

pub(crate) fn stream(body: Script) -> Response<Script> {
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

pub(crate) fn json(body: Script) -> Response<Script> {
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

/// Head and frames, as they came; the error that ended them, if one did.
pub(crate) async fn take<B>(answer: Response<B>) -> (response::Parts, Vec<Frame<Bytes>>, bool)
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (head, body) = answer.into_parts();
    let mut body = std::pin::pin!(body);
    let mut frames = Vec::new();
    while let Some(frame) = body.as_mut().frame().await {
        match frame {
            Ok(frame) => frames.push(frame),
            Err(_) => return (head, frames, true),
        }
    }
    assert!(body.as_mut().frame().await.is_none(), "a body that has ended stays ended");
    (head, frames, false)
}

pub(crate) fn bytes_of(frames: &[Frame<Bytes>]) -> Vec<u8> {
    frames.iter().filter_map(Frame::data_ref).flat_map(|data| data.to_vec()).collect()
}

/// Head and whole body as text.
pub(crate) async fn text(answer: Response<ResponseBody<Script>>) -> (response::Parts, String) {
    let (head, frames, failed) = take(answer).await;
    assert!(!failed, "the body ends cleanly");
    (head, String::from_utf8(bytes_of(&frames)).unwrap())
}
