//! What is to be done with an answer, decided from its head alone. Pure.

use super::{config::Unrecognised, exchange::Exchange};
use crate::{
    dialect::{Framing, Operation, is_grpc},
    error::InferenceError,
};
use http::{HeaderMap, HeaderName, Response, StatusCode, header};

/// What is to be done with an answer that does not simply pass.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is a stream of this operation, and is watched.
    Watch(Operation),
    /// It should be JSON, and is read before it is released.
    Check,
    /// It is an error of the upstream: its body is read, then replaced.
    ReadError,
    /// It holds an error to be rendered, by whoever left it there.
    Render(InferenceError),
}

/// Media types of lines of JSON.
const NDJSON: [&str; 3] = ["application/x-ndjson", "application/jsonl", "application/ndjson"];

/// Media types that an operation which answers in JSON may put on its answer, or on its lie.
const CHECKED: [&str; 3] = ["application/json", "text/html", "text/plain"];

/// The header in which MoFA's orchestrator says that the completion is none.
const MOFA_BACKEND: HeaderName = HeaderName::from_static("x-mofa-backend");

/// `None` if the answer passes: byte-, frame-, header- and extension-identical.
#[inline]
pub(super) fn judge<B>(response: &Response<B>, exchange: &Exchange) -> Option<Verdict> {
    let (status, headers) = (response.status(), response.headers());
    if let Some(error) = response.extensions().get::<InferenceError>() {
        return judge_ours(error, exchange);
    }
    if status.is_client_error() || status.is_server_error() {
        return judge_error(headers, exchange);
    }
    match exchange.client.operation() {
        Some(operation) if status.is_success() && has_body(status) => {
            judge_success(headers, operation)
        }
        _ => None,
    }
}

fn judge_ours(error: &InferenceError, exchange: &Exchange) -> Option<Verdict> {
    let renders = error.rendered_in().is_none() || exchange.renders_again(error);
    renders.then(|| Verdict::Render(error.clone()))
}

fn judge_error(headers: &HeaderMap, exchange: &Exchange) -> Option<Verdict> {
    let client = exchange.client;
    let unrecognised = exchange.config.unrecognised == Unrecognised::Pass
        && exchange.set_dialect().is_none()
        && !client.is_recognised();
    if unrecognised || client.is_options() || client.is_grpc() || is_grpc(headers) {
        return None;
    }
    Some(Verdict::ReadError)
}

fn judge_success(headers: &HeaderMap, operation: Operation) -> Option<Verdict> {
    if headers.get(MOFA_BACKEND).is_some_and(is_rejection) {
        return Some(Verdict::ReadError);
    }
    let media_type = media_type(headers);
    if headers.contains_key(header::CONTENT_ENCODING) {
        None
    } else if let Some(framing) = media_type.and_then(framing) {
        // A stream that is framed otherwise is none of this operation's.
        let known = operation.framing() == Some(framing);
        known.then_some(Verdict::Watch(operation))
    } else if operation.answers_json() && media_type.is_none_or(is_checked) {
        Some(Verdict::Check)
    } else {
        None
    }
}

fn has_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT)
}

fn framing(media_type: &str) -> Option<Framing> {
    if media_type.eq_ignore_ascii_case("text/event-stream") {
        Some(Framing::Sse)
    } else if NDJSON.iter().any(|known| media_type.eq_ignore_ascii_case(known)) {
        Some(Framing::Ndjson)
    } else {
        None
    }
}

fn is_checked(media_type: &str) -> bool {
    CHECKED.iter().any(|checked| media_type.eq_ignore_ascii_case(checked))
}

fn is_rejection(backend: &http::HeaderValue) -> bool {
    backend.as_bytes().starts_with(b"rejected(")
}

/// The media type without its parameters. One that is no text counts as none.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let end = value.find(';').unwrap_or(value.len());
    Some(value[..end].trim()).filter(|media_type| !media_type.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::Problem, error::Category, error_normalization::config::Config, head::RequestHead,
    };
    use http::{Method, Request, Response};
    use std::sync::Arc;

    fn verdict(method: &Method, path: &str, answer: http::response::Builder) -> String {
        with(Config::default(), method, path, answer)
    }

    fn with(
        config: Config,
        method: &Method,
        path: &str,
        answer: http::response::Builder,
    ) -> String {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let exchange = Exchange::of(RequestHead::of(&request), &Arc::new(config));
        let verdict = judge(&answer.body(()).unwrap(), &exchange);
        let verdict = verdict.map_or("Pass".to_owned(), |verdict| format!("{verdict:?}"));
        verdict.split('(').next().unwrap().to_owned()
    }

    fn answer(status: u16, content_type: &str) -> http::response::Builder {
        Response::builder().status(status).header("content-type", content_type)
    }

    // H16
    #[test]
    fn the_head_decides() {
        const CHAT: &str = "/v1/chat/completions";
        let table = [
            (CHAT, answer(200, "application/json"), "Check"),
            (CHAT, answer(200, "Application/JSON; charset=utf-8"), "Check"),
            (CHAT, answer(200, "text/html"), "Check"),
            (CHAT, Response::builder(), "Check"),
            (CHAT, answer(200, "text/event-stream"), "Watch"),
            (CHAT, answer(200, "Text/Event-Stream; charset=utf-8"), "Watch"),
            (CHAT, answer(200, "text/event-streams"), "Pass"),
            (CHAT, answer(200, "application/octet-stream"), "Pass"),
            (CHAT, answer(200, "text/event-stream").header("content-encoding", "gzip"), "Pass"),
            (CHAT, answer(200, "application/json").header("content-encoding", "br"), "Pass"),
            (CHAT, answer(204, "application/json"), "Pass"),
            (CHAT, answer(304, "application/json"), "Pass"),
            (CHAT, answer(302, "text/html"), "Pass"),
            (CHAT, answer(101, "text/html"), "Pass"),
            (CHAT, answer(500, "text/html"), "ReadError"),
            (CHAT, answer(429, "text/event-stream"), "ReadError"),
            (CHAT, answer(405, "application/json"), "ReadError"),
            (CHAT, answer(500, "application/grpc+proto"), "Pass"),
            (
                CHAT,
                answer(200, "application/json").header("x-mofa-backend", "rejected(full)"),
                "ReadError",
            ),
            (CHAT, answer(200, "application/json").header("x-mofa-backend", "local(a)"), "Check"),
            ("/v1/audio/speech", answer(200, "audio/mpeg"), "Pass"),
            ("/v1/audio/transcriptions", answer(200, "text/plain"), "Pass"),
            ("/v1/embeddings", answer(200, "text/event-stream"), "Pass"),
            ("/api/chat", answer(200, "application/x-ndjson"), "Watch"),
            ("/api/chat", answer(200, "application/json"), "Check"),
            ("/api/pull", answer(200, "application/x-ndjson"), "Pass"),
            (CHAT, answer(200, "application/x-ndjson"), "Pass"),
            ("/m:streamGenerateContent?alt=sse", answer(200, "text/event-stream"), "Watch"),
            ("/m:streamGenerateContent", answer(200, "application/json"), "Pass"),
            ("/events", answer(200, "text/event-stream"), "Pass"),
            ("/events", answer(200, "application/json"), "Pass"),
            ("/events", answer(404, "text/plain"), "ReadError"),
        ];
        for (path, answer, expected) in table {
            let shown = format!("{path} {answer:?}");
            assert_eq!(verdict(&Method::POST, path, answer), expected, "{shown}");
        }
    }

    #[test]
    fn only_posts_are_operations() {
        let path = "/v1/chat/completions";
        assert_eq!(verdict(&Method::GET, path, answer(200, "text/event-stream")), "Pass");
        assert_eq!(verdict(&Method::OPTIONS, path, answer(500, "text/plain")), "Pass");
        assert_eq!(verdict(&Method::HEAD, path, answer(500, "text/plain")), "ReadError");
    }

    #[test]
    fn unrecognised_paths_can_be_left_alone() {
        let config = || Config { unrecognised: Unrecognised::Pass, ..Config::default() };
        let post = |path| with(config(), &Method::POST, path, answer(500, "text/plain"));
        assert_eq!(post("/other"), "Pass");
        assert_eq!(post("/v1/responses"), "ReadError");
    }

    #[test]
    fn an_answer_of_ours_is_rendered_again_only_in_another_dialect() {
        let ours = |dialect: Option<&'static str>| {
            let error = InferenceError::new(Category::Timeout, "");
            let error = match dialect {
                Some(dialect) => error.with_rendered_in(dialect),
                None => error,
            };
            answer(504, "application/json").extension(error)
        };
        let config = || Config { dialect: Some(Arc::new(Problem)), ..Config::default() };
        let path = "/v1/responses";
        assert_eq!(verdict(&Method::POST, path, ours(None)), "Render");
        assert_eq!(verdict(&Method::POST, path, ours(Some("responses"))), "Pass");
        assert_eq!(with(config(), &Method::POST, path, ours(Some("responses"))), "Render");
        assert_eq!(with(config(), &Method::POST, path, ours(Some("problem"))), "Pass");
    }
}
