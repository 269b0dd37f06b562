//! Failures, in the words of the two companies whose APIs are spoken.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// What went wrong.
#[derive(Clone, Copy)]
pub(super) enum Failure {
    Authentication,
    ModelNotFound,
    RateLimit,
    Quota,
    ContextLength,
    InvalidJson,
    Overloaded,
    Server,
    /// A web framework's own answer to an exception: see [`crash`].
    Crash,
}

impl Failure {
    /// Status and body as OpenAI has them.
    pub(super) fn openai(self, model: &str) -> (StatusCode, Value) {
        const INVALID: &str = "invalid_request_error";
        let (status, kind, code, message) = match self {
            Self::Authentication => (
                StatusCode::UNAUTHORIZED,
                INVALID,
                Some("invalid_api_key"),
                "Incorrect API key provided: sk-proj-simulated0123456789abcdefghijklmnopqrstuv. \
                 You can find your API key at https://platform.openai.com/account/api-keys."
                    .to_owned(),
            ),
            Self::ModelNotFound => (
                StatusCode::NOT_FOUND,
                INVALID,
                Some("model_not_found"),
                format!("The model `{model}` does not exist or you do not have access to it."),
            ),
            Self::RateLimit => (
                StatusCode::TOO_MANY_REQUESTS,
                "requests",
                Some("rate_limit_exceeded"),
                format!(
                    "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, \
                     Requested 1. Please try again in 2s."
                ),
            ),
            Self::Quota => (
                StatusCode::TOO_MANY_REQUESTS,
                "insufficient_quota",
                Some("insufficient_quota"),
                "You exceeded your current quota, please check your plan and billing details."
                    .to_owned(),
            ),
            Self::ContextLength => (
                StatusCode::BAD_REQUEST,
                INVALID,
                Some("context_length_exceeded"),
                "This model's maximum context length is 8192 tokens. However, your messages \
                 resulted in 9005 tokens. Please reduce the length of the messages."
                    .to_owned(),
            ),
            Self::InvalidJson => (
                StatusCode::BAD_REQUEST,
                INVALID,
                None,
                "We could not parse the JSON body of your request.".to_owned(),
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                None,
                "That model is currently overloaded with other requests.".to_owned(),
            ),
            Self::Server | Self::Crash => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                None,
                "The server had an error while processing your request.".to_owned(),
            ),
        };
        let error = json!({"message": message, "type": kind, "param": null, "code": code});
        (status, json!({"error": error}))
    }

    /// Status and body as Anthropic has them.
    pub(super) fn anthropic(self, model: &str) -> (StatusCode, Value) {
        const INVALID: &str = "invalid_request_error";
        let (status, kind, message) = match self {
            Self::Authentication => (401, "authentication_error", "invalid x-api-key".to_owned()),
            Self::ModelNotFound => (404, "not_found_error", format!("model: {model}")),
            Self::RateLimit => (
                429,
                "rate_limit_error",
                "This request would exceed your organization's rate limit of 3 requests per minute."
                    .to_owned(),
            ),
            Self::Quota => (
                400,
                INVALID,
                "Your credit balance is too low to access the Anthropic API.".to_owned(),
            ),
            Self::ContextLength => {
                (400, INVALID, "prompt is too long: 9005 tokens > 8192 maximum".to_owned())
            }
            Self::InvalidJson => (400, INVALID, "The request body is not valid JSON.".to_owned()),
            Self::Overloaded => (529, "overloaded_error", "Overloaded".to_owned()),
            Self::Server | Self::Crash => (500, "api_error", "Internal server error".to_owned()),
        };
        let status = StatusCode::from_u16(status).expect("the statuses above are valid");
        let error = json!({"type": kind, "message": message});
        (status, json!({"type": "error", "error": error, "request_id": "req_simulated"}))
    }
}

/// An exception that nobody caught: nothing in it is meant for a client.
pub(super) fn crash() -> (StatusCode, &'static str) {
    let trace = "Traceback (most recent call last):\n\
        \x20 File \"/srv/model/server.py\", line 212, in generate\n\
        \x20   output = self.engine.step(batch)\n\
        \x20 File \"/srv/model/engine.py\", line 88, in step\n\
        \x20   raise RuntimeError(\"device lost on 10.0.3.17\")\n\
        RuntimeError: device lost on 10.0.3.17\n";
    (StatusCode::INTERNAL_SERVER_ERROR, trace)
}
