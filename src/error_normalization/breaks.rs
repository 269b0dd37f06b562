//! What a client is told of a stream that its upstream did not end.

use crate::error::{Category, InferenceError, Origin};
use std::time::Duration;
use tower::BoxError;

pub(super) fn broken(cause: BoxError) -> InferenceError {
    let message = "the upstream's stream broke before its end";
    let error = InferenceError::new(Category::UpstreamError, message);
    error.with_origin(Origin::Stream).with_source(cause)
}

pub(super) fn truncated(events: u64) -> InferenceError {
    let message = if events == 0 {
        "the upstream's stream ended without an event"
    } else {
        "the upstream's stream ended before its last event"
    };
    InferenceError::new(Category::UpstreamError, message).with_origin(Origin::Stream)
}

pub(super) fn stalled(allowed: Duration) -> InferenceError {
    let message = format!("the upstream sent no event for {} s", allowed.as_secs_f32());
    InferenceError::new(Category::Timeout, message).with_origin(Origin::Stream)
}
