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
//!    dialects that reproduce another system exactly ([`OpenAiFlat`], [`Detail`], [`Mofa`]) carry
//!    none.
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
mod operation;
mod view;

pub use self::{
    client::Client,
    operation::Operation,
    view::{Disclosure, Extensions, ProviderContext, StatusPolicy, View},
};

use http::response;
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
    problem => Problem,
    grpc => Grpc,
    openai_flat => OpenAiFlat,
    fastapi => Detail,
    mofa => Mofa,
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
    BUILT_IN.iter().map(|dialect| dialect.name())
}

/// One event in the grammar that every decoder accepts: LF only, one blank after the colon.
///
/// `data` must be one line, as compact JSON is.
fn data_event(name: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut event = Vec::with_capacity(data.len() + 32);
    if let Some(name) = name {
        event.extend_from_slice(b"event: ");
        event.extend_from_slice(name.as_bytes());
        event.push(b'\n');
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(data);
    event.extend_from_slice(b"\n\n");
    event
}

/// Compact JSON.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps with string keys, strings and numbers are valid JSON")
}

/// A provider's code that may be shown in place of ours: a word, not a number, and for an error that
/// is worth retrying none that says "invalid" (one SDK goes by that).
fn specific<'a>(code: Option<&'a str>, view: &View<'_>) -> Option<&'a str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    code.filter(|code| {
        (1..=64).contains(&code.len())
            && code.bytes().all(word)
            && code.bytes().any(|b| b.is_ascii_alphabetic())
            && !(view.is_retryable() && code.to_ascii_lowercase().contains("invalid"))
    })
}
