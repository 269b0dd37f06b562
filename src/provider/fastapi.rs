//! FastAPI: `{"detail": …}`, a sentence, a list of what is wrong, or an object.

use super::{Failure, Provider, said::{self, Said}};
use crate::{error::InferenceError, framing::json::Json};

/// Reads `detail`: FastAPI's own errors, Tenstorrent, Xinference, Triton's OpenAI front end, Ray
/// Serve LLM; and NeMo Gym, whose object says category, status and message.
///
/// Tenstorrent answers 405 `Model is not ready` while it warms up, and handlers that catch their own
/// exceptions say `405: Model is not ready` with a 500: Starlette's way to write an `HTTPException`,
/// whose number is believed.
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
            let exception = text.get(..3).filter(|_| text[3..].starts_with(": "));
            let status = exception.and_then(|number| number.parse().ok());
            let status = status.filter(|status| (400..600).contains(status)).unwrap_or(0);
            Said { status, ..Said::text(text) }
        };
        Some(said.error(failure, self))
    }
}

fn inner_error(detail: Json<'_>) -> Json<'_> {
    let error = detail.get("error");
    if error.is_object() { error } else { detail }
}
