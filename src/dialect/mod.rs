//! Which API the client speaks, and how it wants its errors written.
//!
//! An SDK decides by shape and status whether a call failed, which exception to raise and whether to
//! try again. An answer in another API's shape is at best a nameless failure, at worst a silent
//! success. A [`Dialect`] renders an [`InferenceError`](crate::InferenceError) so that the clients
//! of one API understand it; [`Client`] finds out which one a request speaks.
//!
//! Rules:
//!
//! 1. The dialect follows from the path's last segments and the headers ([`Operation::of`]), unless
//!    it is set.
//! 2. Dialects see a [`View`] of the error: redacted, with the client's status and whole seconds.
//! 3. Every answer carries, inside the dialect's error object, the same members: `category`,
//!    `retryable`, `retry_after`, `provider_status`, `model`, `origin`, `provider_context`. The
//!    dialects that reproduce another system exactly ([`OpenAiFlat`], [`Detail`], [`Mofa`],
//!    [`DetailObject`]) carry none.
//! 4. A stream that fails ends with the dialect's [last word](Dialect::last_word), once, and then
//!    cleanly.
//!
//! # Example: the same error for two clients
//!
//! ```
//! use http::Request;
//! use tower_inference::{Category, InferenceError, RequestHead, dialect::{Client, Disclosure}};
//!
//! let error = InferenceError::new(Category::Overloaded, "all slots are taken");
//! let types = ["/v1/chat/completions", "/v1/messages"].map(|path| {
//!     let request = Request::post(path).body(()).expect("the path is valid");
//!     let client = Client::of(RequestHead::of(&request));
//!     let answer = client.answer(error.clone(), client.dialect(), &Disclosure::default());
//!     assert_eq!(answer.status(), 503);
//!     let body: serde_json::Value = serde_json::from_slice(answer.body()).expect("valid JSON");
//!     body["error"]["type"].as_str().map(str::to_owned)
//! });
//! assert_eq!(types.map(Option::unwrap), ["service_unavailable", "overloaded_error"]);
//! ```

mod answer;
mod client;
mod members;
mod operation;
mod progress;
mod view;

use self::view::Extensions;
pub(crate) use self::{client::is_grpc, operation::Framing, progress::Progress};
pub use self::{
    client::{Client, RequestedDialect},
    operation::Operation,
    view::{Disclosure, ProviderContext, StatusPolicy, View},
};

use http::{StatusCode, response};
use std::fmt;

/// Renders errors for the clients of one API.
///
/// The built-in dialects are unit structs of this module. Implement it for an API of your own and
/// set it with the layers' `dialect` methods.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// The dialect's name: `"openai"`.
    fn name(&self) -> &'static str;

    /// The body of an answer: one JSON text, unless [`content_type`](Self::content_type) says
    /// otherwise.
    fn body(&self, view: &View<'_>) -> Vec<u8>;

    /// The media type of [`body`](Self::body). Default: `application/json`, without which every SDK
    /// loses code, type and message.
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    /// Changes to the head of an answer, after the headers of all dialects are set. Default: none.
    fn head(&self, view: &View<'_>, parts: &mut response::Parts) {
        let _ = (view, parts);
    }

    /// The bytes that end a stream which has failed: whole events, after which the body ends.
    /// Default: one event with [`body`](Self::body) as its data.
    fn last_word(&self, view: &View<'_>, seen: &Seen<'_>) -> Vec<u8> {
        let _ = seen;
        data_event(None, &self.body(view))
    }

    /// Whether the body fails after the last word, because no event makes clients raise. Default: no:
    /// a clean end, since some clients otherwise show a transport error instead of the event.
    fn fails_after_last_word(&self) -> bool {
        false
    }

    /// Whether the clients of this dialect ignore comments in an event stream, as the standard says
    /// and few do. Default: no.
    fn survives_comments(&self) -> bool {
        false
    }
}

/// What [`named`] finds can be set wherever a dialect can.
impl<D: Dialect + ?Sized> Dialect for &D {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        (**self).body(view)
    }

    fn content_type(&self) -> &'static str {
        (**self).content_type()
    }

    fn head(&self, view: &View<'_>, parts: &mut response::Parts) {
        (**self).head(view, parts);
    }

    fn last_word(&self, view: &View<'_>, seen: &Seen<'_>) -> Vec<u8> {
        (**self).last_word(view, seen)
    }

    fn fails_after_last_word(&self) -> bool {
        (**self).fails_after_last_word()
    }

    fn survives_comments(&self) -> bool {
        (**self).survives_comments()
    }
}

/// What a [last word](Dialect::last_word) may need to know of the stream before it.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Seen<'a> {
    /// The number after the last event's `sequence_number` (OpenAI Responses), 0 if there was none.
    pub next_sequence: u64,
    /// The JSON text of the `response` that the stream began with (OpenAI Responses).
    pub response: Option<&'a [u8]>,
}

/// The one line a new dialect adds.
macro_rules! dialects {
    ($($module:ident => $dialect:ident,)+) => {
        $(mod $module; pub use self::$module::$dialect;)+

        const BUILT_IN: &[&dyn Dialect] = &[$(&$dialect,)+];
    };
}

dialects! {
    openai => OpenAi,
    responses => Responses,
    anthropic => Anthropic,
    gemini => Gemini,
    ollama => Ollama,
    cohere => Cohere,
    problem => Problem,
    grpc => Grpc,
    openai_flat => OpenAiFlat,
    fastapi => Detail,
    mofa => Mofa,
    nemo_gym => DetailObject,
}

/// The built-in dialect of this [name](Dialect::name).
///
/// ```
/// assert!(tower_inference::dialect::named("anthropic").is_some());
/// assert!(tower_inference::dialect::named("esperanto").is_none());
/// ```
#[must_use]
pub fn named(name: &str) -> Option<&'static dyn Dialect> {
    BUILT_IN.iter().copied().find(|dialect| dialect.name() == name)
}

/// The names of the built-in dialects.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(Dialect::name)
}

/// One event in the grammar that every decoder accepts: LF only, one blank after the colon.
///
/// Line breaks in `data` become blanks, which is what they are in JSON: data in one line cannot end
/// its event, nor begin a field.
fn data_event(name: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(data.len() + 32);
    if let Some(name) = name {
        event.extend_from_slice(b"event: ");
        event.extend_from_slice(name.as_bytes());
        event.push(b'\n');
    }
    event.extend_from_slice(b"data: ");
    event.extend(data.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
    event.extend_from_slice(b"\n\n");
    event
}

/// Compact JSON, without any character that some client takes for the end of a line.
///
/// Line breaks and controls are escaped by `serde_json`. Decoders that split lines as Python does
/// (httpx's `iter_lines`, and older openai-node) also break at three characters beyond ASCII.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let text = members::written(|out| {
        serde_json::to_writer(out, value)
            .expect("maps with string keys, strings and numbers are valid JSON");
    });
    // The first bytes of the three.
    if memchr::memchr2(0xc2, 0xe2, &text).is_none() {
        return text;
    }
    let text = String::from_utf8(text).expect("JSON is text");
    text.replace('\u{85}', "\\u0085")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
        .into_bytes()
}

/// The reason phrase; for statuses that are in no registry, the name in use.
fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or(match status.as_u16() {
        499 => "Client Closed Request",
        529 => "Overloaded",
        _ => "UnknownError",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        error::{Category, InferenceError, Origin},
        framing::sse::{Blocks, Event},
    };
    use serde_json::Value;
    use std::time::Duration;

    /// An error with everything that may be shown.
    pub(super) fn full(category: Category) -> InferenceError {
        InferenceError::new(category, "it broke")
            .with_code("its_code")
            .with_kind("its_type")
            .with_param("max_tokens")
            .with_model("llama-3")
            .with_provider("openai")
            .with_provider_status(StatusCode::IM_A_TEAPOT)
            .with_request_id("req_1")
            .with_retry_after(Duration::from_secs(7))
    }

    /// The members of ours that every other dialect shows of [`full`], without the first two.
    pub(super) const FULL_EXTENSIONS: &str = concat!(
        r#""retry_after":7,"provider_status":418,"model":"llama-3","origin":"upstream","#,
        r#""provider_context":{"provider":"openai","request_id":"req_1","code":"its_code","type":"its_type"}"#,
    );

    pub(super) fn body(
        dialect: &dyn Dialect,
        error: &InferenceError,
        operation: Option<Operation>,
    ) -> String {
        let disclosure = Disclosure::default();
        String::from_utf8(dialect.body(&View::of(error, operation, &disclosure))).unwrap()
    }

    pub(super) fn last_word(
        dialect: &dyn Dialect,
        error: &InferenceError,
        operation: Option<Operation>,
        seen: &Seen<'_>,
    ) -> String {
        let disclosure = Disclosure::default();
        let view = View::of(error, operation, &disclosure);
        String::from_utf8(dialect.last_word(&view, seen)).unwrap()
    }

    /// Names and data of the events of a stream that must hold nothing but whole events.
    pub(super) fn events(stream: &str) -> Vec<(Option<String>, Value)> {
        if stream.starts_with('{') {
            let lines = stream.strip_suffix('\n').expect("the line is whole").lines();
            return lines.map(|line| (None, serde_json::from_str(line).unwrap())).collect();
        }
        let (mut blocks, mut events, mut rest) = (Blocks::new(), Vec::new(), stream.as_bytes());
        while let Some(end) = blocks.next_end(rest) {
            let event = Event::of(&rest[..end]);
            let name = event.name().map(|name| String::from_utf8(name.to_vec()).unwrap());
            events.push((name, serde_json::from_slice(&event.data()).unwrap()));
            rest = &rest[end..];
        }
        assert!(rest.is_empty() && !blocks.in_block(), "{stream:?}");
        events
    }

    fn every_dialect_but_grpc() -> impl Iterator<Item = &'static dyn Dialect> {
        BUILT_IN.iter().copied().filter(|dialect| dialect.name() != "grpc")
    }

    /// Every category, as its rule on retrying says and against it, with and without words of the
    /// provider's that would mislead.
    fn every_error() -> impl Iterator<Item = InferenceError> {
        Category::ALL.into_iter().flat_map(|category| {
            let error = InferenceError::new(category, "it broke");
            let invalid = error.clone().with_code("invalid_thing").with_kind("Invalid");
            [
                error.clone(),
                error.with_retryable(true),
                full(category),
                invalid.clone(),
                invalid.with_retryable(true),
            ]
        })
    }

    /// The objects with a message in a JSON value.
    fn error_objects(value: &Value) -> Vec<&Value> {
        let nested = ["error", "response"].iter().flat_map(|key| error_objects_of(value.get(key)));
        let own = message(object_of(value)).map(|_| value);
        own.into_iter().chain(nested).collect()
    }

    fn error_objects_of(value: Option<&Value>) -> Vec<&Value> {
        value.map(error_objects).unwrap_or_default()
    }

    /// The sentence of an object, under whatever name.
    fn message(object: &Value) -> Option<&str> {
        let names = ["message", "detail", "error"];
        let end = object.get("delta").and_then(|delta| delta.get("error"));
        names.iter().find_map(|name| object.get(name)?.as_str()).or_else(|| end?.as_str())
    }

    /// Where the members of a dialect's error stand.
    fn object_of(value: &Value) -> &Value {
        let nested = value.get("error").or_else(|| value.get("detail"));
        nested.filter(|nested| nested.is_object()).unwrap_or(value)
    }

    #[test]
    fn every_error_is_whole_json_in_every_dialect() {
        for dialect in every_dialect_but_grpc() {
            for error in every_error() {
                let value: Value = serde_json::from_str(&body(dialect, &error, None)).unwrap();
                assert!(!error_objects(&value).is_empty(), "{} {error}", dialect.name());
                let seen = Seen::default();
                for (_, value) in events(&last_word(dialect, &error, None, &seen)) {
                    assert!(!error_objects(&value).is_empty(), "{} {error}", dialect.name());
                }
            }
        }
    }

    #[test]
    fn openai_objects_always_have_the_four_members_clients_read() {
        for dialect in [&OpenAi as &dyn Dialect, &Responses] {
            for error in every_error() {
                let whole = serde_json::from_str(&body(dialect, &error, None)).unwrap();
                let word = last_word(dialect, &error, None, &Seen::default());
                for value in [whole, events(&word).remove(0).1] {
                    let object = value["error"].as_object().unwrap();
                    assert!(object["message"].is_string() && object["type"].is_string());
                    assert!(object["param"].is_null() || object["param"].is_string());
                    assert!(object["code"].is_null() || object["code"].is_string(), "{error}");
                }
            }
        }
    }

    #[test]
    fn nothing_worth_retrying_is_called_invalid() {
        for dialect in every_dialect_but_grpc() {
            for error in every_error().filter(InferenceError::is_retryable) {
                let whole = serde_json::from_str(&body(dialect, &error, None)).unwrap();
                let word = last_word(dialect, &error, None, &Seen::default());
                let values: Vec<Value> =
                    events(&word).into_iter().map(|(_, value)| value).chain([whole]).collect();
                for object in values.iter().flat_map(error_objects) {
                    for key in ["type", "code"] {
                        let text = object[key].to_string().to_lowercase();
                        assert!(!text.contains("invalid"), "{} {object}", dialect.name());
                    }
                }
            }
        }
    }

    #[test]
    fn members_of_ours_are_in_every_dialect_but_the_exact_ones() {
        let members = ["category", "retryable", "provider_status", "model", "origin"];
        // NeMo Gym's six keys are its own, under the same names.
        for dialect in every_dialect_but_grpc().filter(|it| it.name() != "nemo-gym") {
            let exact = matches!(dialect.name(), "openai-flat" | "fastapi" | "mofa");
            let error = InferenceError::new(Category::Timeout, "");
            for error in [error, full(Category::Timeout)] {
                let has_all = error.retry_after().is_some();
                let value: Value = serde_json::from_str(&body(dialect, &error, None)).unwrap();
                let object = object_of(&value);
                for member in members {
                    assert_eq!(object.get(member).is_some(), !exact, "{} {member}", dialect.name());
                }
                for member in ["retry_after", "provider_context"] {
                    assert_eq!(object.get(member).is_some(), !exact && has_all, "{value}");
                }
            }
        }
    }

    // S5
    #[test]
    fn no_character_in_a_message_ends_a_line() {
        let lines = |text: &str| {
            let python =
                |c| matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}'..='\u{2029}');
            text.split(python).count()
        };
        for dialect in every_dialect_but_grpc() {
            let word = |message: String| {
                let error = InferenceError::new(Category::UpstreamError, message);
                last_word(dialect, &error, None, &Seen::default())
            };
            let (plain, count) = (word("ab".into()), events(&word("ab".into())).len());
            for c in (0..=255).map(char::from).chain(['\u{2028}', '\u{2029}', '😀']) {
                let word = word(format!("a{c}b"));
                assert_eq!(lines(&word), lines(&plain), "{} {c:?}", dialect.name());
                let events = events(&word);
                assert_eq!(events.len(), count, "{} {c:?}", dialect.name());
                let text = message(object_of(&events[0].1)).unwrap();
                assert_eq!(text, format!("a{c}b"), "{}", dialect.name());
            }
        }
    }

    #[test]
    fn data_in_several_lines_stays_one_event() {
        let event = data_event(None, b"{\n\"a\":\r\n1\r}\n\ndata: x");
        assert_eq!(event, b"data: { \"a\":  1 }  data: x\n\n");
    }

    #[test]
    fn events_have_names_only_where_clients_need_them() {
        let error = InferenceError::new(Category::Overloaded, "full").with_origin(Origin::Stream);
        for dialect in every_dialect_but_grpc() {
            let word = last_word(dialect, &error, None, &Seen::default());
            let names: Vec<_> = events(&word).into_iter().map(|(name, _)| name).collect();
            let expected: &[Option<&str>] = match dialect.name() {
                "anthropic" => &[Some("error")],
                "cohere" => &[Some("message-end")],
                "responses" => &[Some("error"), Some("response.failed")],
                _ => &[None],
            };
            assert_eq!(names.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
            assert!(!word.contains("[DONE]"));
        }
    }

    #[test]
    fn every_dialect_is_found_by_its_name() {
        for name in names() {
            assert_eq!(named(name).unwrap().name(), name);
        }
        assert_eq!(names().collect::<std::collections::HashSet<_>>().len(), BUILT_IN.len());
    }

    #[test]
    fn a_reference_writes_what_its_dialect_writes() {
        fn all_of(dialect: &dyn Dialect) -> (&str, Vec<u8>, &str, String, Vec<u8>) {
            let (error, disclosure) = (full(Category::Timeout), Disclosure::default());
            let view = View::of(&error, None, &disclosure);
            let (mut parts, ()) = http::Response::new(()).into_parts();
            dialect.head(&view, &mut parts);
            let head = format!("{:?}", parts.headers);
            let last_word = dialect.last_word(&view, &Seen::default());
            (dialect.name(), dialect.body(&view), dialect.content_type(), head, last_word)
        }
        for dialect in BUILT_IN {
            assert_eq!(all_of(dialect), all_of(*dialect));
        }
    }
}
