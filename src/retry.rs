//! Which failures are tried again, and when: a policy for tower's retry layer.
//!
//! A status alone cannot say: a 429 may be a permanent lack of money, a 400 a failed sampling. The
//! error normalization layer knows, and leaves what it knows in the answer's extensions. This policy
//! reads it there, so it belongs outside of that layer.
//!
//! Rules:
//!
//! 1. Only an answer of ours whose error [is retryable](crate::InferenceError::is_retryable) is
//!    tried again. A stream whose head has gone out is a success to this policy, whatever follows.
//! 2. The wait is the error's hint; without one 0.5 s, doubled with every attempt, jittered. A hint
//!    beyond the [longest wait](RetryPolicy::max_wait) is the client's to obey.
//! 3. Every attempt is drawn from a budget that successes fill, so that an outage is not answered
//!    with a storm.
//! 4. Only a request whose body was read whole by the [`ModelNameLayer`](crate::ModelNameLayer), or
//!    that has none, can be sent again.
//!
//! # Example: two more attempts, between the name and the errors
//!
//! ```
//! use tower::{ServiceBuilder, retry::RetryLayer};
//! use tower_inference::{ErrorNormalizationLayer, ModelNameLayer, retry::RetryPolicy};
//!
//! let stack = ServiceBuilder::new()
//!     .layer(ModelNameLayer::new())
//!     .layer(RetryLayer::new(RetryPolicy::new(2)))
//!     .layer(ErrorNormalizationLayer::new());
//! # let _ = stack;
//! ```

use crate::{
    error::{InferenceError, retry_after},
    model_name::RequestBody,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;
use tower::{
    BoxError,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};

/// First wait where nobody named one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Retries what may succeed later; see the [module docs](self).
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    left: u32,
    tried: u32,
    max_wait: Duration,
    budget: Arc<TpsBudget>,
}

impl RetryPolicy {
    /// At most `retries` more attempts per request.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        Self {
            left: retries,
            tried: 0,
            max_wait: Duration::from_secs(10),
            budget: Arc::new(TpsBudget::default()),
        }
    }

    /// Sets the longest wait before an attempt. Default: 10 s. A failure that asks for a longer one
    /// is answered at once.
    #[must_use]
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Sets the budget, shared by all requests. Default: tower's, of its own: one retry for five
    /// requests of the last ten seconds, and ten a second in any case.
    #[must_use]
    pub fn budget(mut self, budget: Arc<TpsBudget>) -> Self {
        self.budget = budget;
        self
    }

    /// How long to wait before the next attempt; `None` if there is to be none.
    fn wait(&self, error: &InferenceError) -> Option<Duration> {
        let wait = error.retry_after().unwrap_or_else(|| {
            let backoff = FIRST_WAIT * 2_u32.saturating_pow(self.tried.min(6));
            // Between a half and the whole: `soon` is spread over three seconds.
            backoff / 2 + (backoff / 2).mul_f64((retry_after::soon().as_secs_f64() - 2.0) / 3.0)
        });
        (error.is_retryable() && self.left > 0 && wait <= self.max_wait).then_some(wait)
    }
}

impl<B, ResB, E> Policy<Request<RequestBody<B>>, Response<ResB>, E> for RetryPolicy
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Future = Wait;

    fn retry(
        &mut self,
        _: &mut Request<RequestBody<B>>,
        result: &mut Result<Response<ResB>, E>,
    ) -> Option<Wait> {
        let answer = result.as_ref().ok()?;
        let Some(error) = answer.extensions().get::<InferenceError>() else {
            self.budget.deposit();
            return None;
        };
        let wait = self.wait(error)?;
        self.budget.withdraw().then(|| {
            self.left -= 1;
            self.tried += 1;
            Wait { sleep: tokio::time::sleep(wait) }
        })
    }

    fn clone_request(
        &mut self,
        request: &Request<RequestBody<B>>,
    ) -> Option<Request<RequestBody<B>>> {
        if self.left == 0 {
            return None;
        }
        let mut again = Request::new(request.body().try_clone()?);
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

pin_project! {
    /// The wait before another attempt.
    #[derive(Debug)]
    pub struct Wait {
        #[pin]
        sleep: Sleep,
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().sleep.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Category;

    #[test]
    fn only_what_may_succeed_soon_is_tried_again() {
        let policy = RetryPolicy::new(1);
        let error = |category| InferenceError::new(category, "");
        let hinted =
            |seconds| error(Category::RateLimited).with_retry_after(Duration::from_secs(seconds));
        assert_eq!(policy.wait(&hinted(3)), Some(Duration::from_secs(3)));
        assert_eq!(policy.wait(&hinted(11)), None);
        assert_eq!(policy.wait(&error(Category::QuotaExhausted)), None);
        assert!(policy.wait(&error(Category::Overloaded)).is_some());
        assert_eq!(RetryPolicy::new(0).wait(&hinted(3)), None);
    }

    #[test]
    fn waits_double_and_are_spread() {
        let error = InferenceError::new(Category::UpstreamError, "");
        for tried in 0..5 {
            let policy = RetryPolicy { tried, ..RetryPolicy::new(9) };
            let full = FIRST_WAIT * 2_u32.pow(tried);
            for _ in 0..20 {
                let wait = policy.wait(&error).unwrap();
                assert!((full / 2..=full).contains(&wait), "{tried} {wait:?}");
            }
        }
    }
}
