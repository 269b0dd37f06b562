//! The one noun between providers and dialects: what failed, and what a client may do about it.
//!
//! A provider *reads* an upstream's failure into an [`InferenceError`]; a dialect *renders* it for
//! the client. Neither knows the other. The same value is left in the extensions of every answer
//! this crate makes, so that logging, metrics and retry layers need not parse the body again.
//!
//! Rules:
//!
//! 1. An error has exactly one [`Category`], which decides status and retryability.
//! 2. What a provider said (code, type, parameter, request id) is kept beside it, unchanged.
//! 3. The message is the upstream's sentence, [redacted](redact()) when it is shown, to a client or in
//!    a log, not when read.
//! 4. The error is one word wide and cheap to clone.
//!
//! # Example: reading the error of an answer
//!
//! ```
//! use http::Response;
//! use tower_inference::{Category, InferenceError};
//!
//! let mut response = Response::new(());
//! response.extensions_mut().insert(InferenceError::new(Category::RateLimited, "slow down"));
//!
//! let error = response.extensions().get::<InferenceError>().expect("we put it there");
//! assert!(error.is_retryable());
//! assert_eq!(error.to_string(), "rate_limited: slow down");
//! ```

mod category;
mod origin;
mod redact;
pub mod retry_after;

pub use self::{category::Category, origin::Origin, redact::redact};

use http::StatusCode;
use std::{
    borrow::Cow,
    error::Error,
    fmt::{self, Write},
    sync::Arc,
    time::Duration,
};

/// A failure of an inference service, whoever made it.
///
/// One word wide and cheap to clone, so it can live in extensions and in `Result`s. Built with
/// [`new`](Self::new) and the `with_` methods; read with the accessors.
///
/// Not promised: the exact text of [`Display`](fmt::Display), and the type of
/// [`source`](Error::source).
///
/// # Example: a handler that answers for itself
///
/// Left bare in a response's extensions, an error means "render me": the error normalization layer
/// writes it in the client's dialect.
///
/// ```
/// use std::time::Duration;
/// use tower_inference::{Category, InferenceError};
///
/// let error = InferenceError::new(Category::Overloaded, "all slots are taken")
///     .with_model("llama-3")
///     .with_retry_after(Duration::from_secs(3));
/// assert_eq!(error.status(), 503);
/// assert_eq!(error.model(), Some("llama-3"));
/// ```
#[derive(Clone)]
pub struct InferenceError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    category: Category,
    origin: Origin,
    message: Text,
    /// See [`InferenceError::is_fixed`].
    is_fixed: bool,
    code: Option<Text>,
    kind: Option<Text>,
    param: Option<Text>,
    model: Option<Text>,
    provider: Option<Text>,
    provider_status: Option<StatusCode>,
    endpoint: Option<Text>,
    request_id: Option<Text>,
    label: Option<Text>,
    retryable: Option<bool>,
    retry_after: Option<Duration>,
    rendered_in: Option<&'static str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

type Text = Cow<'static, str>;

impl InferenceError {
    /// An error with nothing but a category and a message, said by the
    /// [upstream](Origin::Upstream) until [`with_origin`](Self::with_origin) says otherwise.
    pub fn new(category: Category, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner::new(category, message.into())))
    }

    /// What a gate says, with its code, and why it is closed and for how long. Nothing in a text of ours
    /// can need redaction; something in one that was put together can.
    pub(crate) fn of_gate(
        category: Category,
        message: Text,
        code: &'static str,
        model: Option<String>,
        state: Option<(&'static str, Duration)>,
    ) -> Self {
        Self(Arc::new(Inner {
            origin: Origin::Readiness,
            is_fixed: matches!(message, Cow::Borrowed(_)),
            code: Some(Cow::Borrowed(code)),
            model: model.map(Cow::Owned),
            label: state.map(|(label, _)| Cow::Borrowed(label)),
            retry_after: state.map(|(_, wait)| wait),
            ..Inner::new(category, message)
        }))
    }

    /// Whether the message is a text of ours: nothing in it is to be redacted, or escaped in JSON.
    pub(crate) fn is_fixed(&self) -> bool {
        self.0.is_fixed
    }

    /// What went wrong.
    #[must_use]
    pub fn category(&self) -> Category {
        self.0.category
    }

    /// Who made the error.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// The sentence a person needs, as the upstream wrote it: not redacted.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The sentence as it may be shown.
    pub(crate) fn redacted_message(&self) -> Cow<'_, str> {
        if self.0.is_fixed { Cow::Borrowed(&self.0.message) } else { redact(&self.0.message) }
    }

    /// The provider's machine-readable code, such as `invalid_api_key`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The provider's type of error, such as `invalid_request_error`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.0.kind.as_deref()
    }

    /// The parameter of the request that the provider blames.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    /// The model the request was for.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// The name of the provider whose words these are.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The status the upstream answered with; `None` if it never got that far.
    #[must_use]
    pub fn provider_status(&self) -> Option<StatusCode> {
        self.0.provider_status
    }

    /// The upstream's address, shown to clients only on request.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// The provider's id of the failed request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// A provider's own name for the class of failure, where it has a classification beside ours.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.0.label.as_deref()
    }

    /// How long to wait before trying again, if anybody knows.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the very same request may succeed later: the category's rule, unless the provider
    /// knew better.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable.unwrap_or(self.0.category.is_retryable())
    }

    /// The status a client should see: the provider's where the category
    /// [keeps](Category::keeps) it, else the category's.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.0.provider_status {
            Some(status) if self.0.category.keeps(status) => status,
            _ => self.0.category.status(),
        }
    }

    /// The dialect this error has been rendered in, if an answer of ours already carries it.
    pub(crate) fn rendered_in(&self) -> Option<&'static str> {
        self.0.rendered_in
    }

    pub(crate) fn with_rendered_in(self, dialect: &'static str) -> Self {
        self.edit(|inner| inner.rendered_in = Some(dialect))
    }

    /// Changes the category; everything else stays.
    #[must_use]
    pub fn with_category(self, category: Category) -> Self {
        self.edit(|inner| inner.category = category)
    }

    /// Says who made the error.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        self.edit(|inner| inner.origin = origin)
    }

    /// Sets the provider's code.
    #[must_use]
    pub fn with_code(self, code: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.code = Some(code.into()))
    }

    /// Sets the provider's type of error.
    #[must_use]
    pub fn with_kind(self, kind: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.kind = Some(kind.into()))
    }

    /// Sets the parameter that is blamed.
    #[must_use]
    pub fn with_param(self, param: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.param = Some(param.into()))
    }

    /// Sets the model the request was for.
    #[must_use]
    pub fn with_model(self, model: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.model = Some(model.into()))
    }

    /// Sets the provider's name.
    #[must_use]
    pub fn with_provider(self, provider: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.provider = Some(provider.into()))
    }

    /// Sets the upstream's status.
    #[must_use]
    pub fn with_provider_status(self, status: StatusCode) -> Self {
        self.edit(|inner| inner.provider_status = Some(status))
    }

    /// Sets the upstream's address.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.endpoint = Some(endpoint.into()))
    }

    /// Sets the provider's id of the failed request.
    #[must_use]
    pub fn with_request_id(self, id: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.request_id = Some(id.into()))
    }

    /// Sets the provider's own name for the class of failure.
    #[must_use]
    pub fn with_label(self, label: impl Into<Cow<'static, str>>) -> Self {
        self.edit(|inner| inner.label = Some(label.into()))
    }

    /// Overrides the category's rule on retrying.
    #[must_use]
    pub fn with_retryable(self, retryable: bool) -> Self {
        self.edit(|inner| inner.retryable = Some(retryable))
    }

    /// Sets how long to wait before trying again.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.edit(|inner| inner.retry_after = Some(wait))
    }

    /// Sets the cause, found again with [`source`](Error::source).
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source = Arc::from(source.into());
        self.edit(|inner| inner.source = Some(source))
    }

    /// Changes the error in place, or a copy of it if it is shared.
    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl Inner {
    fn new(category: Category, message: Text) -> Self {
        Self {
            category,
            origin: Origin::Upstream,
            message,
            is_fixed: false,
            code: None,
            kind: None,
            param: None,
            model: None,
            provider: None,
            provider_status: None,
            endpoint: None,
            request_id: None,
            label: None,
            retryable: None,
            retry_after: None,
            rendered_in: None,
            source: None,
        }
    }
}

impl fmt::Debug for InferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let shown = |text: &Option<Text>| text.as_deref().map(redact).map(Cow::into_owned);
        f.debug_struct("InferenceError")
            .field("category", &inner.category)
            .field("origin", &inner.origin)
            .field("message", &self.redacted_message())
            .field("code", &shown(&inner.code))
            .field("kind", &shown(&inner.kind))
            .field("param", &shown(&inner.param))
            .field("model", &shown(&inner.model))
            .field("provider", &inner.provider)
            .field("provider_status", &inner.provider_status)
            .field("request_id", &shown(&inner.request_id))
            .field("retry_after", &inner.retry_after)
            .field("retryable", &self.is_retryable())
            .finish_non_exhaustive()
    }
}

/// Category and message of this level, [redacted](redact()), since logs travel too;
/// [`message`](InferenceError::message) has all of it, and [`source`](Error::source) the cause.
///
/// One line, fit for a log whatever the upstream wrote: characters that end a line, drive a terminal
/// or turn the direction of text are escaped, as `\u{1b}`.
impl fmt::Display for InferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.category)?;
        self.redacted_message().chars().try_for_each(|c| match c {
            '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                write!(f, "{}", c.escape_unicode())
            }
            c if c.is_control() => write!(f, "{}", c.escape_unicode()),
            c => f.write_char(c),
        })
    }
}

impl Error for InferenceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Option<InferenceError>>(), size_of::<usize>());
    }

    #[test]
    fn editing_a_shared_error_leaves_the_other_alone() {
        let first = InferenceError::new(Category::Timeout, "late");
        let second = first.clone().with_code("x");
        assert_eq!((first.code(), second.code()), (None, Some("x")));
    }

    #[test]
    fn the_provider_overrides_the_category_on_retrying() {
        let error = InferenceError::new(Category::InvalidRequest, "sampling failed");
        assert!(!error.is_retryable());
        assert!(error.with_retryable(true).is_retryable());
    }

    #[test]
    fn a_status_of_another_category_is_not_kept() {
        let error = InferenceError::new(Category::RateLimited, "")
            .with_provider_status(StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(error.status(), 429);
    }

    #[test]
    fn the_cause_is_found_through_the_chain() {
        let error = InferenceError::new(Category::UpstreamError, "reset")
            .with_source(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert!(error.source().is_some_and(<dyn Error>::is::<std::io::Error>));
    }
}
