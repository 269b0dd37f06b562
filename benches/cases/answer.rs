//! A healthy answer in JSON, looked at before it leaves; `bare` does as much as a handler does that
//! parses it into a `serde_json::Value` and asks that for an error. `unchecked` only answers.

use super::Work;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::Full;
use serde_json::Value;
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};
use tower::{Layer, Service, ServiceExt};
use tower_inference::ErrorNormalizationLayer;

type Body = Full<Bytes>;

/// A chat completion of so many bytes.
fn body(size: usize) -> Bytes {
    let open = "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\
                \"created\":1741569952,\"model\":\"meta-llama/Llama-3.1-8B-Instruct\",\"choices\":[{\
                \"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"";
    let close = "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\
                 \"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29}}";
    let text =
        "There are two answers to that, and \\\"both\\\" are right.\\n\\nThe first one is short. ";
    let fill = size - open.len() - close.len();
    let mut content = text.repeat(fill / text.len());
    content.push_str(&".".repeat(fill - content.len()));
    format!("{open}{content}{close}").into()
}

/// Answers at once.
#[derive(Clone)]
struct Upstream(Bytes);

impl Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut answer = Response::new(Full::new(self.0.clone()));
        let json = HeaderValue::from_static("application/json");
        answer.headers_mut().insert(header::CONTENT_TYPE, json);
        ready(Ok(answer))
    }
}

/// Asks, and looks at the frame that comes.
fn asked<S, R>(service: S, look: fn(&[u8])) -> Work
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + 'static,
    R: http_body::Body<Data = Bytes>,
{
    let uri = Uri::from_static("/v1/chat/completions");
    Box::new(move |times| {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            let mut request = Request::new(Body::default());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = uri.clone();
            let answer = pin!(service.clone().oneshot(request)).poll(&mut cx);
            let Poll::Ready(Ok(answer)) = answer else { unreachable!("answers at once") };
            let frame = pin!(answer.into_body()).poll_frame(&mut cx);
            let Poll::Ready(Some(Ok(frame))) = frame else { unreachable!("has a body") };
            look(black_box(frame.data_ref().expect("is data")));
        }
    })
}

fn parse(text: &[u8]) {
    let value: Value = serde_json::from_slice(text).expect("is JSON");
    black_box(value["error"].is_null() && value["choices"][0]["error"].is_null());
}

macro_rules! cases {
    ($($group:ident: $size:expr;)*) => {
        $(pub(crate) mod $group {
            use super::*;

            pub(crate) fn bare() -> Work {
                asked(Upstream(body($size)), parse)
            }

            pub(crate) fn ours() -> Work {
                asked(ErrorNormalizationLayer::new().layer(Upstream(body($size))), |_| ())
            }

            pub(crate) fn unchecked() -> Work {
                asked(Upstream(body($size)), |_| ())
            }
        })*
    };
}

cases! {
    answer_of_400_bytes: 400;
    answer_of_2_kb: 2_000;
    answer_of_20_kb: 20_000;
    answer_of_40_kb: 40_000;
}
