//! Whose credentials the upstream sees, and what that means for its refusals.

use crate::error::{Category, InferenceError, Origin};
use http::HeaderMap;

/// Whose credentials the upstream sees.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Credentials {
    /// The client's own: a refusal of them is its to mend.
    #[default]
    Client,
    /// The operator's: a client cannot mend them, and is not told whose money has run out.
    Gateway,
}

/// Headers that speak of the account behind the credentials.
const OF_THE_ACCOUNT: [&str; 6] = [
    "www-authenticate",
    "proxy-authenticate",
    "set-cookie",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
];

impl Credentials {
    /// What a client may know of this error: with the operator's credentials, a refusal of them, of
    /// what they may do or of their money is a failure of the upstream that no retry mends.
    pub(super) fn public(self, error: InferenceError) -> InferenceError {
        if !self.hides(&error) {
            return error;
        }
        let public = InferenceError::new(
            Category::UpstreamError,
            "the upstream refused the gateway's request",
        );
        let public = public.with_retryable(false).with_origin(error.origin());
        match error.model() {
            Some(model) => public.with_model(model.to_owned()),
            None => public,
        }
    }

    /// Whether this error is about credentials that are not the client's.
    pub(super) fn hides(self, error: &InferenceError) -> bool {
        let of_the_account = matches!(
            error.category(),
            Category::Authentication | Category::Permission | Category::QuotaExhausted
        );
        self == Self::Gateway && of_the_account && error.origin() != Origin::Readiness
    }
}

/// Takes off what speaks of the account.
pub(super) fn remove_account(headers: &mut HeaderMap) {
    for name in OF_THE_ACCOUNT {
        headers.remove(name);
    }
}
