//! What a body says, whatever its shape: the members that most error objects have, and the verdict.
//!
//! Rules:
//!
//! 1. Names decide first (`innererror.code`, `details[].reason`, `code`, `error_type`, `status`,
//!    `type`), then words, then the status.
//! 2. Words refine what a name leaves open: a rate limit, a lack of capacity, a lack of permission.
//! 3. The status is the transport's. Where that is missing, or is a bare 500, a status among the
//!    members counts instead.
//! 4. Gateways quote the error of somebody further up: [`wrapped`] opens it, [four levels](DEPTH)
//!    deep. The innermost error that decides anything does, and the innermost words are shown.

use super::{Failure, Provider, anthropic, fallback, google, names, openai, phrases, wrapped};
use crate::{
    error::{Category, InferenceError, retry_after::go_duration},
    framing::json::Json,
};
use std::{borrow::Cow, time::Duration};

/// How many errors inside of errors are read.
const DEPTH: usize = 4;

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
    /// Whether this was an object, and no bare text.
    is_object: bool,
    /// For a quoted error: the words in front of it, and whether there are more behind it.
    front: String,
    amid: bool,
}

impl<'a> Said<'a> {
    /// A message and nothing else.
    pub(super) fn text(message: impl Into<Cow<'a, str>>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The members of an error object.
    pub(super) fn of(object: Json<'a>) -> Self {
        let text = |key| object.get(key).text().filter(|text| !text.is_empty());
        // LiteLLM writes Python's `None` as a word.
        let string = |key| object.get(key).string().filter(|it| !it.is_empty() && it != "None");
        let metadata = object.get("metadata");
        let code = text("code").or_else(|| text("Code"));
        let kind = string("type");
        let mut names = Vec::new();
        let mut name = |name: Option<Cow<'a, str>>| {
            if let Some(name) = name {
                names.push(name);
            }
        };
        name(object.get("innererror").get("code").string());
        object.get("details").items().for_each(|it| name(it.get("reason").string()));
        name(code.clone());
        name(text("error_code"));
        name(metadata.get("error_type").string());
        name(string("error_type"));
        name(string("status"));
        name(string("reason"));
        name(errorcode(object));
        name(kind.clone());
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
            is_object: true,
            front: String::new(),
            amid: false,
        }
    }

    /// The error: the category that all of this comes to, and what was said beside it.
    pub(super) fn error(self, failure: &Failure<'_>, provider: &dyn Provider) -> InferenceError {
        let inner = self.inner();
        let category = self.category.unwrap_or_else(|| self.verdict(&inner, failure.code()));
        let layers = || inner.iter().rev().chain([&self]);
        let message = match self.shown(&inner) {
            said if said.is_empty() => fallback::message(failure).into(),
            said => said,
        };
        let mut error = failure.error(provider, category, &message);
        if let Some(code) = layers().find_map(|said| said.code.as_deref()) {
            error = error.with_code(code.to_owned());
        }
        if let Some(kind) = layers().find_map(|said| said.kind.as_deref()) {
            error = error.with_kind(kind.to_owned());
        }
        if let Some(param) = layers().find_map(|said| said.param.as_deref()) {
            error = error.with_param(param.to_owned());
        }
        if let Some(retryable) = layers().find_map(|said| said.retryable) {
            error = error.with_retryable(retryable);
        }
        let wait = layers().find_map(|said| said.wait);
        if let Some(wait) = wait.filter(|_| !failure.names_a_wait()) {
            error = error.with_retry_after(wait.min(failure.max_retry_after()));
        }
        error
    }

    /// The innermost words, behind those that stood in front of them.
    fn shown(&self, inner: &[Said<'_>]) -> Cow<'_, str> {
        let mut fronts = String::new();
        let mut shown = Cow::Borrowed(self.message.trim());
        for said in inner {
            if said.amid {
                break;
            }
            if !said.front.is_empty() {
                fronts = format!("{fronts}{}: ", said.front);
            }
            let message = said.message.trim();
            if !message.is_empty() {
                shown = format!("{fronts}{message}").into();
            }
        }
        shown
    }

    /// The errors that this one quotes, the innermost last.
    fn inner(&self) -> Vec<Said<'static>> {
        let mut layers: Vec<Said<'static>> = Vec::new();
        while layers.len() < DEPTH {
            let outer = layers.last().unwrap_or(self);
            let texts = [outer.quoted.as_deref(), Some(&*outer.message)];
            let opened = texts.into_iter().flatten().find_map(wrapped::open);
            let Some(mut opened) = opened else { break };
            let object = opened.object.take().unwrap_or_default();
            let mut inner = match Json::of(object.as_bytes()) {
                json if json.is_missing() => Said::text(opened.text),
                json => Said::quoted_in(json).into_owned(),
            };
            let unchanged = inner.message == outer.message;
            inner.status = if opened.status > 0 { opened.status } else { inner.status };
            inner.front = opened.front;
            inner.amid = opened.amid;
            inner.names.extend(opened.names.into_iter().map(Cow::Owned));
            layers.push(inner);
            if unchanged {
                break;
            }
        }
        layers
    }

    /// The error in a quoted body: the object that is deepest in it, or a list of what is wrong.
    fn quoted_in(json: Json<'a>) -> Self {
        let items = if json.is_array() { json } else { json.get("errors") };
        let list = if json.is_object() && !json.get("loc").is_missing() { json } else { items };
        if list.items().any(|item| item.get("msg").string().is_some()) || list == json {
            if let Some(text) = details(list).or_else(|| sentence(list)) {
                return Self::text(text);
            }
        }
        let body = items.items().next().filter(|item| item.is_object()).unwrap_or(json);
        let mut error = body;
        for key in ["detail", "error", "error"] {
            let inside = error.get(key);
            error = if inside.is_object() { inside } else { error };
        }
        let mut said = Self::of(error);
        google::refine(&mut said, error);
        anthropic::refine(&mut said);
        openai::refine(&mut said, error);
        if said.status == 0 {
            said.status = status(body);
        }
        said
    }

    fn into_owned(self) -> Said<'static> {
        let owned = |text: Option<Cow<'a, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Said {
            message: Cow::Owned(self.message.into_owned()),
            code: owned(self.code),
            kind: owned(self.kind),
            param: owned(self.param),
            category: self.category,
            retryable: self.retryable,
            wait: self.wait,
            status: self.status,
            names: self.names.into_iter().map(|name| Cow::Owned(name.into_owned())).collect(),
            quoted: owned(self.quoted),
            is_object: self.is_object,
            front: self.front,
            amid: self.amid,
        }
    }

    fn verdict(&self, inner: &[Said<'_>], transport: u16) -> Category {
        let mut status = believed(transport, self.status);
        let mut levels = vec![(self, status)];
        for said in inner {
            status = match (status, said.status) {
                (outer, 0) => outer,
                // Whoever quotes a whole error says so with a status of his own.
                (_, inner) if said.is_object => inner,
                (0 | 500 | 502, inner) => inner,
                (outer, _) => outer,
            };
            // In a body that is quoted without one, words are open to every row.
            let unknown = said.is_object && said.status == 0 && matches!(status, 500 | 502);
            levels.push((said, if unknown { 0 } else { status }));
        }
        let decide =
            |(said, status): &(&Said<'_>, u16)| said.category.or_else(|| said.decided(*status));
        if let Some(category) = levels[1..].iter().rev().find_map(decide) {
            return category;
        }
        // That the upstream failed says less than the upstream that is quoted, and its status.
        let says_more = |it: &Category| inner.is_empty() || *it != Category::UpstreamError;
        if let Some(category) = decide(&levels[0]).filter(says_more) {
            return category;
        }
        // The names of the innermost error stand for a status, where there is none to be believed.
        if matches!(status, 0 | 500 | 502) {
            let quoted = if status == 0 { &levels[..] } else { &levels[1..] };
            let said = quoted.iter().rev().filter(|(said, _)| said.status == 0);
            let mut names = said.flat_map(|(said, _)| said.names.iter().chain([&said.message]));
            status = names.find_map(|name| names::status(name)).unwrap_or(status);
        }
        fallback::category(status)
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
    let members = [
        object.get("code"),
        object.get("status"),
        object.get("http_status_code"),
        object.get("status_code"),
        object.get("statusCode"),
        object.get("provider_status"),
    ];
    let number = |member: Json<'_>| member.text()?.parse::<u16>().ok();
    members.into_iter().filter_map(number).find(|number| (400..600).contains(number)).unwrap_or(0)
}

/// The sentence of an error object.
pub(super) fn message<'a>(object: Json<'a>) -> Option<Cow<'a, str>> {
    let sentence = |member: Json<'a>| {
        let text = member.string().or_else(|| details(member));
        text.filter(|text| !text.trim().is_empty())
    };
    // Most have the first, and a key is looked for cheaply where it stands.
    sentence(object.get("message")).or_else(|| {
        let others = [
            "msg",
            "detail",
            "error",
            "text",
            "html-message",
            "Message",
            "error_msg",   // Qianfan, Huawei, APISIX
            "faultstring", // Apigee
            "title",
            "description",
            "reason",            // Elasticsearch
            "errors",            // Stability AI
            "statusDescription", // NVIDIA NIM
        ];
        others.iter().find_map(|key| sentence(object.get(key)))
    })
}

/// The sentences of a list as FastAPI and pydantic write it, or of an object around one.
pub(super) fn details<'a>(json: Json<'a>) -> Option<Cow<'a, str>> {
    let list = if json.is_object() { json.get("detail") } else { json };
    if json.is_object() && !list.is_array() {
        let others = ["message", "error"];
        return list.string().or_else(|| others.iter().find_map(|key| json.get(key).string()));
    }
    let sentences: Vec<_> = list.items().take(20).filter_map(sentence).collect();
    (!sentences.is_empty()).then(|| sentences.join("; ").into())
}

/// One item of such a list.
fn sentence(item: Json<'_>) -> Option<Cow<'_, str>> {
    let text = item.string().or_else(|| item.get("msg").string())?;
    let cause = item.get("ctx").get("error").string();
    let place: Vec<_> = item.get("loc").items().filter_map(Json::text).collect();
    Some(match (cause, place.is_empty()) {
        (Some(cause), _) => format!("{text}: {cause}").into(),
        (None, false) => format!("{}: {text}", place.join(".")).into(),
        (None, true) => text,
    })
}

/// Apigee's `policies.ratelimit.QuotaViolation`: the last word is the name.
fn errorcode(fault: Json<'_>) -> Option<Cow<'_, str>> {
    let code = fault.get("detail").get("errorcode").string()?;
    code.rsplit('.').next().map(|name| Cow::Owned(name.to_owned()))
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
    fn that_the_upstream_failed_says_less_than_what_it_said() {
        let quoted = r#"{\"error\":{\"message\":\"x y\",\"type\":\"invalid_request_error\"}}"#;
        let outer = |inner: &str| {
            format!(r#"{{"error":{{"message":"failed: {inner}","type":"provider_unavailable"}}}}"#)
        };
        assert_eq!(answer(400, &[], &outer(quoted)).category(), Category::InvalidRequest);
        assert_eq!(answer(400, &[], &outer("x y")).category(), Category::UpstreamError);
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
