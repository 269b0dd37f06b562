//! The head of a request, borrowed, and the model it asks for.
//!
//! Detecting a dialect, checking readiness and naming a model all look at a request without owning
//! it, some of them where the body has a different type. [`RequestHead`] is what they share.
//!
//! # Example: a model in the path
//!
//! ```
//! use http::Request;
//! use tower_inference::RequestHead;
//!
//! let request = Request::post("/openai/deployments/gpt-4o/chat/completions").body(())?;
//! assert_eq!(RequestHead::of(&request).path_model(), Some("gpt-4o"));
//! # Ok::<(), http::Error>(())
//! ```

use http::{Extensions, HeaderMap, Method, Request, Uri};
use std::sync::Arc;

/// Method, address, headers and extensions of a request, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    /// The head of this request.
    pub fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(self) -> &'a Method {
        self.method
    }

    /// The address; inside a nested router its path is what the router left of it.
    #[must_use]
    pub fn uri(self) -> &'a Uri {
        self.uri
    }

    /// The headers.
    #[must_use]
    pub fn headers(self) -> &'a HeaderMap {
        self.headers
    }

    /// The extensions.
    #[must_use]
    pub fn extensions(self) -> &'a Extensions {
        self.extensions
    }

    /// The model this request asks for: what [`ModelNameLayer`](crate::ModelNameLayer) found, or a
    /// segment of the path.
    #[must_use]
    pub fn model(self) -> Option<&'a str> {
        match self.extensions.get::<RequestedModel>() {
            Some(model) => Some(model.as_str()),
            None => self.path_model(),
        }
    }

    /// The model that the path names: `models/{m}:…` (Gemini, Vertex), `deployments/{m}/…` (Azure),
    /// `model/{m}/…` (Bedrock), `v2/models/{m}/…` (KServe).
    ///
    /// As written: escapes of the path are not undone.
    #[must_use]
    pub fn path_model(self) -> Option<&'a str> {
        // Bytes: splitting a text as short as a path costs several times as much.
        let mut segments = self.uri.path().as_bytes().split(|byte| *byte == b'/');
        let mut before = &b""[..];
        loop {
            let mark = segments.next()?;
            if matches!(mark, b"models" | b"deployments" | b"model") {
                let segment = segments.next()?;
                let colon = segment.iter().rposition(|byte| *byte == b':');
                let model = match colon.map(|at| (&segment[..at], &segment[at + 1..])) {
                    // A Gemini method such as `:generateContent`, and not Bedrock's `…-v1:0`.
                    Some((model, [first, ..])) if first.is_ascii_alphabetic() => model,
                    // `/v1/models/{id}` asks about a model, not for its work.
                    _ if mark == b"models" && before == b"v1" => return None,
                    _ if segments.next().is_none() => return None,
                    _ => segment,
                };
                return std::str::from_utf8(model).ok().filter(|model| !model.is_empty());
            }
            before = mark;
        }
    }
}

/// The model a request asks for, as an extension of the request.
///
/// Put there by [`ModelNameLayer`](crate::ModelNameLayer), or by anybody who knows better. It is a
/// routing hint, not an authorisation: of duplicate `model` keys in a body the first is taken.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RequestedModel(Arc<str>);

impl RequestedModel {
    /// This name.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name, as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read_from_the_paths_of_the_known_apis() {
        let table = [
            ("/v1beta/models/gemini-2.0-flash:generateContent", Some("gemini-2.0-flash")),
            (
                "/v1/projects/p/locations/l/publishers/google/models/g-1:streamGenerateContent?alt=sse",
                Some("g-1"),
            ),
            ("/openai/deployments/gpt-4o/chat/completions?api-version=1", Some("gpt-4o")),
            ("/model/anthropic.claude-v2:1/invoke", Some("anthropic.claude-v2:1")),
            ("/v2/models/resnet/infer", Some("resnet")),
            ("/v1/models/llama-3", None),
            ("/v1/models/meta/llama-3", None),
            ("/v1/models", None),
            ("/v1/chat/completions", None),
            ("/v1beta/models/:generateContent", None),
        ];
        for (path, expected) in table {
            let request = Request::post(path).body(()).unwrap();
            assert_eq!(RequestHead::of(&request).path_model(), expected, "{path}");
        }
    }

    #[test]
    fn the_extension_wins_over_the_path() {
        let mut request = Request::post("/v2/models/resnet/infer").body(()).unwrap();
        request.extensions_mut().insert(RequestedModel::new("other"));
        assert_eq!(RequestHead::of(&request).model(), Some("other"));
    }
}
