//! Retries through the whole stack: what is tried again, when, and with what.

use crate::{
    script::Script,
    support::{json, post, send},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use tower::{
    BoxError, Service, ServiceBuilder, ServiceExt,
    retry::{RetryLayer, budget::TpsBudget},
    service_fn,
};
use tower_inference::{ErrorNormalizationLayer, ModelNameLayer, RequestBody, retry::RetryPolicy};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = "{\"model\":\"m\"}";

/// The bodies that the upstream has read, in their order.
type Heard = Arc<Mutex<Vec<Bytes>>>;

/// An upstream that fails `failures` times before it answers, behind a stack that retries.
fn retrying<B>(
    policy: RetryPolicy,
    failures: usize,
    failure: impl Fn() -> Response<Full<Bytes>> + Clone,
    heard: &Heard,
) -> impl Service<
    Request<B>,
    Response = Response<tower_inference::error_normalization::ResponseBody<Full<Bytes>>>,
    Error = std::convert::Infallible,
> + Clone
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let heard = Arc::clone(heard);
    let upstream = service_fn(move |request: Request<RequestBody<B>>| {
        let (heard, failure) = (Arc::clone(&heard), failure.clone());
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            heard.lock().unwrap().push(body);
            let failed = heard.lock().unwrap().len() <= failures;
            Ok::<_, BoxError>(if failed { failure() } else { json(200, "{\"id\":\"x\"}") })
        }
    });
    ServiceBuilder::new()
        .layer(ModelNameLayer::new())
        .layer(RetryLayer::new(policy))
        .layer(ErrorNormalizationLayer::new())
        .service(upstream)
}

fn busy() -> Response<Full<Bytes>> {
    let mut answer = json(503, "{\"error\":{\"message\":\"busy\"}}");
    answer.headers_mut().insert("retry-after", "3".parse().unwrap());
    answer
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again_after_its_hint_with_the_same_body() {
    let heard = Heard::default();
    let start = Instant::now();
    let answer = send(&retrying(RetryPolicy::new(2), 2, busy, &heard), post(CHAT, BODY)).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(*heard.lock().unwrap(), [BODY, BODY, BODY]);
    assert_eq!(start.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_is_the_answer() {
    let heard = Heard::default();
    let answer = send(&retrying(RetryPolicy::new(1), 9, busy, &heard), post(CHAT, BODY)).await;
    assert_eq!((answer.status().as_u16(), heard.lock().unwrap().len()), (503, 2));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_or_asks_for_too_long_is_not_tried_again() {
    let quota =
        || json(429, "{\"error\":{\"message\":\"no money\",\"code\":\"insufficient_quota\"}}");
    let heard = Heard::default();
    let answer = send(&retrying(RetryPolicy::new(2), 9, quota, &heard), post(CHAT, BODY)).await;
    assert_eq!((answer.status().as_u16(), heard.lock().unwrap().len()), (429, 1));

    let heard = Heard::default();
    let policy = RetryPolicy::new(2).max_wait(Duration::from_secs(2));
    let answer = send(&retrying(policy, 9, busy, &heard), post(CHAT, BODY)).await;
    assert_eq!((answer.status().as_u16(), heard.lock().unwrap().len()), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_not_read_whole_is_sent_once() {
    let heard = Heard::default();
    let service = retrying(RetryPolicy::new(2), 9, busy, &heard);
    let body = Script::frames([BODY, "   "]);
    let request = Request::post(CHAT).body(body).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), heard.lock().unwrap().len()), (503, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_body_can_be_sent_again() {
    let heard = Heard::default();
    let request = Request::get("/v1/models").body(Full::<Bytes>::default()).unwrap();
    let answer = send(&retrying(RetryPolicy::new(1), 1, busy, &heard), request).await;
    assert_eq!((answer.status().as_u16(), heard.lock().unwrap().len()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn an_empty_budget_ends_all_retries() {
    let heard = Heard::default();
    let budget = Arc::new(TpsBudget::new(Duration::from_secs(10), 0, 0.1));
    let policy = RetryPolicy::new(2).budget(budget);
    let answer = send(&retrying(policy, 9, busy, &heard), post(CHAT, BODY)).await;
    assert_eq!((answer.status().as_u16(), heard.lock().unwrap().len()), (503, 1));
}
