//! One probe: sent, answered, read.

use super::super::preset::{Answer, Outcome};
use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use std::{future::Future, panic::AssertUnwindSafe, pin::pin};
use tower::{Service, ServiceExt};

/// How much of an answer's body is read.
const MAX_BODY: usize = 64 << 10;

/// What the server answers to this request. The caller bounds the time.
pub(super) async fn attempt<S, ReqB, ResB>(
    service: S,
    request: Request<Bytes>,
    read: impl Fn(&Answer<'_>) -> Outcome,
) -> Outcome
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ReqB: From<Bytes>,
    ResB: Body<Data = Bytes>,
{
    let Ok(response) = service.oneshot(request.map(ReqB::from)).await else {
        return Outcome::Failed;
    };
    let (head, body) = response.into_parts();
    let mut body = pin!(body);
    let mut text = Vec::new();
    while text.len() < MAX_BODY {
        match body.frame().await {
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                let room = MAX_BODY - text.len();
                text.extend_from_slice(&data[..data.len().min(room)]);
            }
            Some(Err(_)) => return Outcome::Failed,
            None => break,
        }
    }
    read(&Answer::new(head.status, &head.headers, &text))
}

/// A probe that panics has failed. What it was made of is not used again.
pub(super) async fn caught(probe: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(probe).catch_unwind().await.unwrap_or(Outcome::Failed)
}
