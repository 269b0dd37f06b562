//! What a body says, whatever its shape: the members that most error objects have, and the verdict.
//!
//! Rules:
//!
//! 1. Names decide first (`innererror.code`, `details[].reason`, `code`, `error_type`, `status`,
//!    `type`), then words, then the status.
//! 2. Words refine what a name leaves open: a rate limit, a lack of capacity, a lack of permission.
//! 3. The status is the transport's. Where that is missing, or is a bare 500, a status among the
//!    members counts instead.
//! 4. Gateways quote the body of somebody further up, as JSON in a string. What the outer body does
//!    not decide, the quoted one does, [three levels](DEPTH) deep.

use super::{Failure, Provider, fallback, names, phrases};
use crate::{
    error::{Category, InferenceError, retry_after::go_duration},
    framing::json::Json,
};
use std::{borrow::Cow, time::Duration};

/// How many bodies inside bodies are read.
const DEPTH: usize = 3;

/// The longest text that is searched for words, in bytes; the rest decides nothing.
const LONGEST_SEARCHED: usize = 4096;

/// The members of an error object, under their many names.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    pub(super) message: Cow<'a, str>,
    pub(super) code: Option<Cow<'a, str>>,
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) param: Option<Cow<'a, str>>,
    /// Decided by the provider; nothing else is asked.
    pub(super) category: Option<Category>,
    pub(super) retryable: Option<bool>,
    pub(super) wait: Option<Duration>,
    /// A status among the members, 0 for none.
    pub(super) status: u16,
    /// Names of the failure, the most specific first.
    pub(super) names: Vec<Cow<'a, str>>,
    /// A member that quotes another body.
    pub(super) quoted: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    /// A message and nothing else.
    pub(super) fn text(message: impl Into<Cow<'a, str>>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The members of an error object.
    pub(super) fn of(object: Json<'a>) -> Self {
        let text = |key| object.get(key).text().filter(|text| !text.is_empty());
        let string = |key| object.get(key).string().filter(|text| !text.is_empty());
        let metadata = object.get("metadata");
        let reasons = object.get("details").items().map(|detail| detail.get("reason").string());
        let (code, kind) = (text("code"), string("type"));
        let names = [object.get("innererror").get("code").string()]
            .into_iter()
            .chain(reasons)
            .chain([
                code.clone(),
                text("error_code"),
                metadata.get("error_type").string(),
                string("error_type"),
                string("status"),
                string("reason"),
                kind.clone(),
            ])
            .flatten()
            .collect();
        Self {
            message: message(object).unwrap_or_default(),
            code,
            kind,
            param: string("param"),
            category: None,
            retryable: object.get("retryable").boolean(),
            wait: wait(object),
            status: status(object),
            names,
            quoted: metadata.get("raw").string().or_else(|| string("details")),
        }
    }

    /// The error: the category that all of this comes to, and what was said beside it.
    pub(super) fn error(self, failure: &Failure<'_>, provider: &dyn Provider) -> InferenceError {
        let category = self.category.unwrap_or_else(|| self.verdict(failure.code()));
        let message = match self.message.trim() {
            "" => fallback::message(failure),
            said => said.to_owned(),
        };
        let mut error = failure.error(provider, category, &message);
        if let Some(code) = self.code {
            error = error.with_code(code.into_owned());
        }
        if let Some(kind) = self.kind {
            error = error.with_kind(kind.into_owned());
        }
        if let Some(param) = self.param {
            error = error.with_param(param.into_owned());
        }
        if let Some(retryable) = self.retryable {
            error = error.with_retryable(retryable);
        }
        if let (Some(wait), false) = (self.wait, failure.names_a_wait()) {
            error = error.with_retry_after(wait.min(failure.max_retry_after()));
        }
        error
    }

    fn verdict(&self, transport: u16) -> Category {
        let mut status = believed(transport, self.status);
        if let Some(category) = self.decided(status) {
            return category;
        }
        let mut text = self.quoted.as_deref().unwrap_or(&self.message).to_owned();
        for _ in 0..DEPTH {
            let Some(quoted) = quoted_object(&text) else { break };
            let inner = Said::of(quoted);
            status = believed(status, inner.status);
            if let Some(category) = inner.decided(status) {
                return category;
            }
            text = inner.quoted.as_deref().unwrap_or(&inner.message).to_owned();
        }
        let named = || self.names.iter().find_map(|name| names::status(name));
        fallback::category(if status == 0 { named().unwrap_or(0) } else { status })
    }

    /// The category, if more than the status decides it.
    fn decided(&self, status: u16) -> Option<Category> {
        let named = self.names.iter().find_map(|name| names::category(name, status));
        let status = match (status, named) {
            (0, Some(category)) => category.status().as_u16(),
            _ => status,
        };
        let mut end = self.message.len().min(LONGEST_SEARCHED);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        match named {
            // Groq: one request that needs more tokens than a minute allows.
            Some(Category::RateLimited) if status == 413 => Some(Category::RequestTooLarge),
            None | Some(Category::RateLimited | Category::Overloaded | Category::Permission) => {
                phrases::category(&self.message[..end], status).or(named)
            }
            _ => named,
        }
    }
}

/// The status to go by: a bare 500 is what wrappers make of everything.
fn believed(outer: u16, inner: u16) -> u16 {
    match (outer, inner) {
        (0, inner) => inner,
        (500, 400..600) => inner,
        _ => outer,
    }
}

/// A status among the members.
fn status(object: Json<'_>) -> u16 {
    let keys =
        ["code", "status", "http_status_code", "status_code", "statusCode", "provider_status"];
    let number = |key: &&str| object.get(key).text()?.parse::<u16>().ok();
    keys.iter().filter_map(number).find(|number| (400..600).contains(number)).unwrap_or(0)
}

/// The sentence of an error object.
pub(super) fn message(object: Json<'_>) -> Option<Cow<'_, str>> {
    let keys = ["message", "msg", "detail", "error", "text", "html-message", "Message", "title"];
    keys.iter().find_map(|key| {
        let member = object.get(key);
        let text = member.string().or_else(|| details(member));
        text.filter(|text| !text.trim().is_empty())
    })
}

/// The sentences of a list as FastAPI and pydantic write it, or of an object around one.
pub(super) fn details<'a>(json: Json<'a>) -> Option<Cow<'a, str>> {
    let list = if json.is_object() { json.get("detail") } else { json };
    if json.is_object() && !list.is_array() {
        return list.string().or_else(|| json.get("message").string());
    }
    let sentence = |item: Json<'a>| {
        let text = item.string().or_else(|| item.get("msg").string())?;
        let cause = item.get("ctx").get("error").string();
        let place: Vec<_> = item.get("loc").items().filter_map(Json::text).collect();
        Some(match (cause, place.is_empty()) {
            (Some(cause), _) => format!("{text}: {cause}"),
            (None, false) => format!("{}: {text}", place.join(".")),
            (None, true) => text.into_owned(),
        })
    };
    let sentences: Vec<_> = list.items().take(20).filter_map(sentence).collect();
    (!sentences.is_empty()).then(|| sentences.join("; ").into())
}

/// The wait that members ask for: seconds, or a duration as protobuf writes it.
fn wait(object: Json<'_>) -> Option<Duration> {
    let seconds = |json: Json<'_>| {
        let text = json.text()?;
        go_duration(&text).or_else(|| go_duration(&format!("{text}s")))
    };
    let delays = object.get("details").items().find_map(|detail| seconds(detail.get("retryDelay")));
    ["retry_after", "estimated_time"].iter().find_map(|key| seconds(object.get(key))).or(delays)
}

/// The error object in a text such as `Prefill failed: {"error":{…}}`.
fn quoted_object(text: &str) -> Option<Json<'_>> {
    let object = Json::of(&text.as_bytes()[text.find('{')?..]);
    let error = object.get("error");
    let inner = if error.is_object() { error } else { object };
    message(inner).map(|_| inner)
}

#[cfg(test)]
mod tests {
    use crate::{Category, provider::answer};

    #[test]
    fn names_go_before_words_and_words_before_the_status() {
        let table = [
            (
                400,
                r#"{"error":{"message":"model x does not exist","code":"invalid_api_key"}}"#,
                Category::Authentication,
            ),
            (
                429,
                r#"{"error":{"message":"the queue is full","type":"rate_limit_error"}}"#,
                Category::Overloaded,
            ),
            (
                400,
                r#"{"error":{"message":"model x does not exist","code":null}}"#,
                Category::ModelNotFound,
            ),
            (400, r#"{"error":{"message":"bad","type":"server_error"}}"#, Category::InvalidRequest),
            (
                413,
                r#"{"error":{"message":"x","code":"rate_limit_exceeded"}}"#,
                Category::RequestTooLarge,
            ),
        ];
        for (status, body, expected) in table {
            assert_eq!(answer(status, &[], body).category(), expected, "{body}");
        }
    }

    #[test]
    fn a_quoted_body_decides_what_the_outer_one_leaves_open() {
        let quoted = r#"{\"error\":{\"message\":\"x\",\"code\":\"context_length_exceeded\"}}"#;
        let bodies = [
            format!(
                r#"{{"error":{{"message":"Provider returned error","code":400,"metadata":{{"raw":"{quoted}"}}}}}}"#
            ),
            format!(r#"{{"error":{{"message":"failed","code":400,"details":"{quoted}"}}}}"#),
            format!(r#"{{"error":"Prefill failed: {quoted}"}}"#),
            format!(r#""Hit an exception: b'{quoted}'""#),
            format!(r#""{quoted}""#),
        ];
        for body in bodies {
            let category = answer(500, &[], &body).category();
            assert_eq!(category, Category::ContextLengthExceeded, "{body}");
        }
    }

    #[test]
    fn quoted_bodies_are_read_to_a_depth() {
        let mut body = r#"{"message":"x","code":"invalid_api_key"}"#.to_owned();
        for depth in 0..6 {
            let expected = if depth <= super::DEPTH {
                Category::Authentication
            } else {
                Category::UpstreamError
            };
            assert_eq!(answer(502, &[], &body).category(), expected, "{depth}");
            body = serde_json::json!({ "message": body }).to_string();
        }
    }

    #[test]
    fn a_bare_500_believes_the_status_that_it_wraps() {
        let body = r#"{"error":{"message":"x","code":429}}"#;
        assert_eq!(answer(500, &[], body).category(), Category::RateLimited);
        assert_eq!(answer(502, &[], body).category(), Category::UpstreamError);
    }

    #[test]
    fn a_wait_is_found_among_the_members_unless_a_header_names_one() {
        let table = [
            (r#"{"error":"currently loading","estimated_time":20.5}"#, 20.5),
            (r#"{"detail":"x","status":503,"retry_after":5}"#, 5.0),
            (
                r#"{"error":{"code":503,"message":"x","status":"UNAVAILABLE","details":[{"retryDelay":"0.5s"}]}}"#,
                0.5,
            ),
            (r#"{"error":"x","estimated_time":1e300}"#, -1.0),
            (r#"{"error":"x","retry_after":99999999}"#, 3600.0),
        ];
        for (body, expected) in table {
            let wait = answer(503, &[], body).retry_after().map_or(-1.0, |wait| wait.as_secs_f64());
            assert!((wait - expected).abs() < 1e-6, "{body} {wait}");
            let wait = answer(503, &[("retry-after", "7")], body).retry_after();
            assert_eq!(wait.map(|wait| wait.as_secs()), Some(7), "{body}");
        }
    }

    #[test]
    fn codes_are_strings_and_kept_beside_type_and_parameter() {
        let error =
            answer(400, &[], r#"{"error":{"message":"m","code":400,"type":"t","param":"p"}}"#);
        assert_eq!(
            (error.code(), error.kind(), error.param()),
            (Some("400"), Some("t"), Some("p"))
        );
    }
}
