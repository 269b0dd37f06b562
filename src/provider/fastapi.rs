//! FastAPI: `{"detail": …}`, a sentence, a list of what is wrong, or an object.

use super::{Failure, Provider, said::{self, Said}};
use crate::{error::InferenceError, framing::json::Json};

/// Reads `detail`: FastAPI's own errors, Tenstorrent, Xinference, Triton's OpenAI front end, Ray
/// Serve LLM; and NeMo Gym, whose object says category, status and message.
///
/// Tenstorrent answers 405 `Model is not ready` while it warms up, and handlers that catch their own
/// exceptions say `405: Model is not ready` with a 500: Starlette's way to write an `HTTPException`.
#[derive(Clone, Copy, Debug)]
pub struct FastApi;

impl Provider for FastApi {
    fn name(&self) -> &'static str {
        "fastapi"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let body = failure.json();
        let detail = body.get("detail");
        if detail.is_missing() || body.get("status").number().is_some() {
            return None; // the latter are problem details
        }
        let said = if detail.is_object() {
            Said::of(inner_error(detail))
        } else {
            let text = detail.string().or_else(|| said::details(detail))?;
            let mut said = Said::text(text);
            said.names.extend(detail.items().filter_map(|item| item.get("type").string()));
            said
        };
        Some(said.error(failure, self))
    }
}

fn inner_error(detail: Json<'_>) -> Json<'_> {
    let error = detail.get("error");
    if error.is_object() { error } else { detail }
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn a_server_that_warms_up_is_not_ready_whatever_its_status() {
        let busy = "Task queue is full. Please try again later.";
        let table = [
            (405, "Model is not ready", "Model is not ready", Category::ModelNotReady),
            (500, "405: Model is not ready", "Model is not ready", Category::ModelNotReady),
            (503, "No workers available.", "No workers available.", Category::ModelNotReady),
            (500, &format!("429: {busy}"), busy, Category::Overloaded),
            (500, "501: No streams here", "No streams here", Category::Unsupported),
            (405, "Method Not Allowed", "Method Not Allowed", Category::Unsupported),
            (500, "999: x", "999: x", Category::UpstreamError),
            (503, "405: x", "405: x", Category::Overloaded),
        ];
        for (status, detail, message, expected) in table {
            let error = answer(status, &[], &format!(r#"{{"detail":"{detail}"}}"#));
            assert_eq!(error.category(), expected, "{status} {detail}");
            assert_eq!((error.provider(), error.message()), (Some("fastapi"), message));
        }
    }

    #[test]
    fn a_list_becomes_a_sentence() {
        let body = r#"{"detail":[{"loc":["body","messages",0],"msg":"Field required"},
            {"loc":["body",1],"msg":"JSON decode error","ctx":{"error":"Expecting value"}},"x"]}"#;
        let message = "body.messages.0: Field required; JSON decode error: Expecting value; x";
        assert_eq!(answer(422, &[], body).message(), message);
    }

    #[test]
    fn the_types_of_a_list_are_names() {
        let body = |kind| format!(r#"{{"detail":[{{"loc":["body"],"msg":"m","type":"{kind}"}}]}}"#);
        let category = |kind| answer(422, &[], &body(kind)).category();
        assert_eq!(category("content_policy_violation"), Category::ContentFilter); // fal
        assert_eq!(category("missing"), Category::InvalidRequest);
    }

    #[test]
    fn an_object_is_read_like_an_error() {
        let body = r#"{"detail":{"provider_status":429,"retryable":true,"category":"rate_limit","message":"m"}}"#;
        let error = answer(500, &[], body);
        assert_eq!((error.category(), error.message()), (Category::RateLimited, "m"));
        let error = answer(401, &[], r#"{"detail":{"error":{"message":"m","code":"c"}}}"#);
        assert_eq!((error.category(), error.code()), (Category::Authentication, Some("c")));
    }
}
