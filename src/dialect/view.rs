//! What a client may see of an error: redacted, rounded, with the client's status.

use super::{
    Operation,
    members::{Text, Word, close, member},
};
use crate::error::{Category, InferenceError, Origin, redact};
use http::StatusCode;
use serde::Serialize;
use std::{borrow::Cow, time::Duration};

/// Longest wait that a client is told to retry after by itself; three SDKs sleep as long as told.
const LONGEST_UNATTENDED_WAIT: Duration = Duration::from_secs(60);

/// Longest code, type, model name, parameter or request id shown, in characters.
const LONGEST_NAME: usize = 128;

/// How much of an error is shown to clients, and with which status.
#[derive(Clone, Debug)]
pub struct Disclosure {
    redaction: bool,
    provider_context: ProviderContext,
    status: StatusPolicy,
}

/// How much `provider_context` says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ProviderContext {
    /// No `provider_context` at all.
    None,
    /// The provider's name, request id, code and type.
    #[default]
    Name,
    /// The upstream's address too.
    Full,
}

/// Which status a client sees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum StatusPolicy {
    /// The category's, or the provider's own where it says the same.
    #[default]
    Normalized,
    /// The provider's own; 500 where there is none, or none that says failure.
    Provider,
}

impl Disclosure {
    /// Shows messages with credentials, addresses and paths taken out (default), or as they came.
    #[must_use]
    pub fn redaction(mut self, on: bool) -> Self {
        self.redaction = on;
        self
    }

    /// Sets how much `provider_context` says. Default: [`ProviderContext::Name`].
    #[must_use]
    pub fn provider_context(mut self, level: ProviderContext) -> Self {
        self.provider_context = level;
        self
    }

    /// Sets which status a client sees. Default: [`StatusPolicy::Normalized`].
    #[must_use]
    pub fn status(mut self, policy: StatusPolicy) -> Self {
        self.status = policy;
        self
    }

    pub(super) fn is_redacting(&self) -> bool {
        self.redaction
    }
}

impl Default for Disclosure {
    fn default() -> Self {
        Self {
            redaction: true,
            provider_context: ProviderContext::default(),
            status: StatusPolicy::default(),
        }
    }
}

/// An error as one client may see it; what a [`Dialect`](super::Dialect) renders.
#[derive(Clone, Debug)]
pub struct View<'a> {
    error: &'a InferenceError,
    disclosure: &'a Disclosure,
    operation: Option<Operation>,
    message: Cow<'a, str>,
}

impl<'a> View<'a> {
    /// This error, shown to a client that asked for this operation.
    #[must_use]
    pub fn of(
        error: &'a InferenceError,
        operation: Option<Operation>,
        disclosure: &'a Disclosure,
    ) -> Self {
        let mut message = if disclosure.redaction {
            error.redacted_message()
        } else {
            Cow::Borrowed(error.message())
        };
        if error.category() == Category::ContextLengthExceeded && !says_context_length(&message) {
            message.to_mut().push_str(" (context_length_exceeded)");
        }
        Self { error, disclosure, operation, message }
    }

    /// What was asked, if it was recognised.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.operation
    }

    /// What went wrong.
    #[must_use]
    pub fn category(&self) -> Category {
        self.error.category()
    }

    /// Who made the error.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.error.origin()
    }

    /// The status of the answer: always 4xx or 5xx.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.disclosure.status {
            StatusPolicy::Normalized => self.error.status(),
            StatusPolicy::Provider => self
                .error
                .provider_status()
                .filter(|status| status.is_client_error() || status.is_server_error())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// The sentence a person needs. Of a context length error it always holds words that clients
    /// look for (langchain-openai 1.7 and litellm 1.106 go by text).
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same, to be written.
    pub(super) fn text(&self) -> Text<'_> {
        if self.error.is_fixed() { Text::Plain(&self.message) } else { Text::Any(&self.message) }
    }

    /// The provider's code, if it may be shown.
    #[must_use]
    pub fn code(&self) -> Option<&'a str> {
        self.error.code().filter(|code| self.may_show(code)).map(short)
    }

    /// Whether the provider's code is this one, which then may be shown.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.error.code() == Some(code)
    }

    /// The provider's type of error, if it may be shown.
    #[must_use]
    pub fn kind(&self) -> Option<&'a str> {
        self.error.kind().filter(|kind| self.may_show(kind)).map(short)
    }

    /// The provider's type of error if it is one of these, which may be shown.
    pub(super) fn kind_among(&self, kinds: &[&'static str]) -> Option<&'static str> {
        let theirs = self.error.kind().filter(|_| !kinds.is_empty())?;
        kinds.iter().copied().find(|kind| *kind == theirs)
    }

    /// A provider's own name for the class of failure, or the reason why a gate is closed.
    #[must_use]
    pub fn label(&self) -> Option<&'a str> {
        self.error.label()
    }

    /// The parameter that is blamed.
    #[must_use]
    pub fn param(&self) -> Option<Cow<'a, str>> {
        self.error.param().map(|param| self.name(param))
    }

    /// The model the request was for.
    #[must_use]
    pub fn model(&self) -> Option<Cow<'a, str>> {
        self.error.model().map(|model| self.name(model))
    }

    /// The provider's id of the failed request.
    #[must_use]
    pub fn request_id(&self) -> Option<Cow<'a, str>> {
        match self.disclosure.provider_context {
            ProviderContext::None => None,
            _ => self.error.request_id().map(|id| self.name(id)),
        }
    }

    /// The upstream's address, if it may be shown.
    #[must_use]
    pub fn endpoint(&self) -> Option<&'a str> {
        let full = self.disclosure.provider_context == ProviderContext::Full;
        self.error.endpoint().filter(|_| full)
    }

    /// The status the upstream answered with.
    #[must_use]
    pub fn provider_status(&self) -> Option<u16> {
        self.error.provider_status().map(|status| status.as_u16())
    }

    /// Whether the very same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.error.is_retryable()
    }

    /// How long to wait, in whole seconds, rounded up and never 0: two SDKs would retry without a
    /// pause (openai-node 6.49, ai 6.0).
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        let wait = self.error.retry_after()?;
        Some(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// Whether a client should retry by itself: only if it helps, and within a minute.
    #[must_use]
    pub fn should_retry(&self) -> bool {
        let soon = self.error.retry_after().is_none_or(|wait| wait <= LONGEST_UNATTENDED_WAIT);
        self.is_retryable() && soon
    }

    /// The members that every answer carries inside the dialect's error object, as the text of a JSON
    /// object: what a dialect of your own adds to its own members.
    ///
    /// ```
    /// use tower_inference::{Category, InferenceError, dialect::{Disclosure, View}};
    ///
    /// let error = InferenceError::new(Category::Timeout, "too late");
    /// let disclosure = Disclosure::default();
    /// assert_eq!(
    ///     View::of(&error, None, &disclosure).extension_members(),
    ///     r#"{"category":"timeout","retryable":true,"provider_status":null,"model":null,"origin":"upstream"}"#,
    /// );
    /// ```
    #[must_use]
    pub fn extension_members(&self) -> String {
        String::from_utf8_lossy(&super::json(&self.extensions())).into_owned()
    }

    /// The same, to be flattened by `serde`.
    pub(super) fn extensions(&self) -> Extensions<'_> {
        Extensions {
            category: self.category().as_str(),
            retryable: self.is_retryable(),
            retry_after: self.retry_after(),
            provider_status: self.provider_status(),
            model: self.model(),
            origin: self.origin().as_str(),
            provider_context: self.context(),
        }
    }

    /// Writes them as members of an object that has been begun.
    pub(super) fn write_extensions(&self, out: &mut Vec<u8>) {
        member!(out, "category", Word(self.category().as_str()));
        member!(out, "retryable", self.is_retryable());
        if let Some(seconds) = self.retry_after() {
            member!(out, "retry_after", seconds);
        }
        member!(out, "provider_status", self.provider_status().map(u64::from));
        member!(out, "model", self.model().as_deref());
        member!(out, "origin", Word(self.origin().as_str()));
        if let Some(provider) = self.provider() {
            out.extend_from_slice(b"\"provider_context\":{");
            member!(out, "provider", provider);
            if let Some(id) = self.request_id() {
                member!(out, "request_id", &*id);
            }
            if let Some(code) = self.code() {
                member!(out, "code", code);
            }
            if let Some(kind) = self.kind() {
                member!(out, "type", kind);
            }
            if let Some(endpoint) = self.endpoint() {
                member!(out, "endpoint", endpoint);
            }
            close(out);
            out.push(b',');
        }
    }

    /// The provider's name, if it may be shown.
    fn provider(&self) -> Option<&'a str> {
        match self.disclosure.provider_context {
            ProviderContext::None => None,
            _ => self.error.provider(),
        }
    }

    fn context(&self) -> Option<Context<'_>> {
        Some(Context {
            provider: self.provider()?,
            request_id: self.request_id(),
            code: self.code(),
            r#type: self.kind(),
            endpoint: self.endpoint(),
        })
    }

    /// Whether a word that clients compare may be shown as it is; half of one would be none.
    fn may_show(&self, word: &str) -> bool {
        !self.disclosure.redaction || matches!(redact(word), Cow::Borrowed(_))
    }

    /// A short text that is no sentence: redacted and cut.
    fn name(&self, text: &'a str) -> Cow<'a, str> {
        let text = short(text);
        if self.disclosure.redaction { redact(text) } else { Cow::Borrowed(text) }
    }
}

/// As much of a name as is shown.
fn short(text: &str) -> &str {
    if text.len() <= LONGEST_NAME {
        return text;
    }
    let end = text.char_indices().nth(LONGEST_NAME).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

/// The extension members of an answer, in their order; flattened into the dialect's error object.
///
/// Checked harmless on the SDKs of OpenAI, Anthropic, Google, Mistral, Cohere and Hugging Face.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Extensions<'a> {
    category: &'static str,
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    provider_status: Option<u16>,
    model: Option<Cow<'a, str>>,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_context: Option<Context<'a>>,
}

#[derive(Clone, Debug, Serialize)]
struct Context<'a> {
    provider: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
}

fn says_context_length(message: &str) -> bool {
    let known = [
        "context_length_exceeded",
        "prompt is too long",
        "Input tokens exceed the configured limit",
    ];
    known.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(wait: Duration) -> InferenceError {
        InferenceError::new(Category::RateLimited, "").with_retry_after(wait)
    }

    #[test]
    fn waits_are_rounded_up_and_never_zero() {
        let disclosure = Disclosure::default();
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            let error = wait(Duration::from_millis(millis));
            assert_eq!(View::of(&error, None, &disclosure).retry_after(), Some(seconds));
        }
        let forever = wait(Duration::MAX);
        assert_eq!(View::of(&forever, None, &disclosure).retry_after(), Some(u64::MAX));
    }

    #[test]
    fn clients_retry_by_themselves_only_within_a_minute() {
        let disclosure = Disclosure::default();
        for (seconds, expected) in [(1, true), (60, true), (61, false)] {
            let error = wait(Duration::from_secs(seconds));
            assert_eq!(View::of(&error, None, &disclosure).should_retry(), expected);
        }
        let permanent = InferenceError::new(Category::QuotaExhausted, "");
        assert!(!View::of(&permanent, None, &disclosure).should_retry());
    }

    #[test]
    fn a_context_length_message_holds_the_words_clients_look_for() {
        let disclosure = Disclosure::default();
        for (message, shown) in [
            ("too many tokens", "too many tokens (context_length_exceeded)"),
            ("prompt is too long: 9 > 8", "prompt is too long: 9 > 8"),
        ] {
            let error = InferenceError::new(Category::ContextLengthExceeded, message);
            assert_eq!(View::of(&error, None, &disclosure).message(), shown);
        }
    }

    #[test]
    fn the_provider_status_is_shown_only_when_asked_for() {
        let error = InferenceError::new(Category::UpstreamError, "")
            .with_provider_status(StatusCode::from_u16(520).unwrap());
        let disclosure = Disclosure::default();
        assert_eq!(View::of(&error, None, &disclosure).status(), 502);
        let disclosure = disclosure.status(StatusPolicy::Provider);
        assert_eq!(View::of(&error, None, &disclosure).status(), 520);
    }

    #[test]
    fn no_error_is_shown_as_a_success_or_a_redirect() {
        let disclosure = Disclosure::default().status(StatusPolicy::Provider);
        for (code, shown) in [(200, 500), (304, 500), (600, 500), (400, 400), (599, 599)] {
            let error = InferenceError::new(Category::UpstreamError, "")
                .with_provider_status(StatusCode::from_u16(code).unwrap());
            assert_eq!(View::of(&error, None, &disclosure).status(), shown, "{code}");
        }
    }

    #[test]
    fn the_context_says_no_more_than_it_may() {
        let error = InferenceError::new(Category::UpstreamError, "")
            .with_provider("openai")
            .with_request_id("req_1")
            .with_endpoint("http://10.0.0.7");
        let keys = |level| {
            let disclosure = Disclosure::default().provider_context(level);
            let view = View::of(&error, None, &disclosure);
            let shown = serde_json::to_value(view.extensions()).unwrap();
            let context = shown["provider_context"].as_object().cloned().unwrap_or_default();
            context.keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(ProviderContext::None), [""; 0]);
        assert_eq!(keys(ProviderContext::Name), ["provider", "request_id"]);
        assert_eq!(keys(ProviderContext::Full), ["endpoint", "provider", "request_id"]);
    }

    #[test]
    fn the_members_are_the_same_however_they_are_written() {
        let bare = InferenceError::new(Category::Timeout, "");
        let full = crate::dialect::tests::full(Category::RateLimited)
            .with_model("\"m\" é")
            .with_code("c".repeat(2 * LONGEST_NAME))
            .with_endpoint("http://10.0.0.7");
        for error in [bare.with_retryable(false), full] {
            for level in [ProviderContext::None, ProviderContext::Name, ProviderContext::Full] {
                let disclosure = Disclosure::default().provider_context(level);
                let view = View::of(&error, None, &disclosure);
                let mut written = b"{".to_vec();
                view.write_extensions(&mut written);
                close(&mut written);
                assert_eq!(String::from_utf8(written).unwrap(), view.extension_members());
            }
        }
    }

    // U10
    #[test]
    fn a_code_that_holds_a_secret_is_not_shown() {
        let key = format!("sk-{}", "a1B2".repeat(12));
        let error = InferenceError::new(Category::Unknown, "")
            .with_code(key.clone())
            .with_kind(key.clone());
        let disclosure = Disclosure::default();
        let view = View::of(&error, None, &disclosure);
        assert_eq!((view.code(), view.kind()), (None, None));
        let open = disclosure.clone().redaction(false);
        assert_eq!(View::of(&error, None, &open).code(), Some(&*key));
        let word = InferenceError::new(Category::Unknown, "").with_code("invalid_api_key");
        assert_eq!(View::of(&word, None, &disclosure).code(), Some("invalid_api_key"));
    }

    #[test]
    fn a_long_code_is_cut() {
        let long = "c".repeat(1 << 16);
        let error =
            InferenceError::new(Category::Unknown, "").with_code(long.clone()).with_kind(long);
        let disclosure = Disclosure::default();
        let view = View::of(&error, None, &disclosure);
        let cut = "c".repeat(LONGEST_NAME);
        assert_eq!((view.code(), view.kind()), (Some(&*cut), Some(&*cut)));
    }

    #[test]
    fn a_long_model_name_is_cut_between_characters() {
        let error =
            InferenceError::new(Category::ModelNotFound, "").with_model("é".repeat(1 << 20));
        let disclosure = Disclosure::default();
        let model = View::of(&error, None, &disclosure).model().unwrap().into_owned();
        assert_eq!(model, "é".repeat(LONGEST_NAME));
    }
}
