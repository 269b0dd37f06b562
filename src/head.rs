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
        let path = self.uri.path();
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        let mut before = "";
        while let Some((mark, after)) = split_first(rest, b'/') {
            if !matches!(mark, "models" | "deployments" | "model") {
                (before, rest) = (mark, after);
                continue;
            }
            let (segment, more) =
                split_first(after, b'/').map_or((after, false), |it| (it.0, true));
            let model = match split_last(segment, b':') {
                // A Gemini method such as `:generateContent`, and not Bedrock's `…-v1:0`.
                Some((model, method)) if method.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    model
                }
                // `/v1/models/{id}` asks about a model, not for its work.
                _ if mark == "models" && before == "v1" => return None,
                _ if !more => return None,
                _ => segment,
            };
            return Some(model).filter(|model| !model.is_empty());
        }
        None
    }
}

/// As `split_once`, which costs several times as much on texts as short as a path.
fn split_first(text: &str, separator: u8) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(eight) = bytes[at..].first_chunk() {
        let same = same_bytes(*eight, separator);
        if same != 0 {
            at += same.trailing_zeros() as usize / 8;
            return Some((&text[..at], &text[at + 1..]));
        }
        at += 8;
    }
    at += bytes[at..].iter().position(|it| *it == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// As `rsplit_once`.
pub(crate) fn split_last(text: &str, separator: u8) -> Option<(&str, &str)> {
    let mut rest = text.as_bytes();
    let at = loop {
        let Some((before, eight)) = rest.split_last_chunk() else {
            break rest.iter().rposition(|it| *it == separator)?;
        };
        let same = same_bytes(*eight, separator);
        if same != 0 {
            break rest.len() - 1 - same.leading_zeros() as usize / 8;
        }
        rest = before;
    };
    Some((&text[..at], &text[at + 1..]))
}

/// The high bit of each of these bytes that is `byte`; the first is the lowest.
fn same_bytes(eight: [u8; 8], byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = u64::from_le_bytes(eight) ^ u64::from_le_bytes([byte; 8]);
    !(((differs & LOW) + LOW) | differs | LOW)
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
    fn texts_are_split_as_the_standard_library_splits_them() {
        let table =
            ["", "/", "a", "a/b", "/0123456/", "é/01234567/", "01234567/é", "\u{af}\u{2f}0/é"];
        let long = "0123456789".repeat(3);
        let moved = (0..=long.len()).map(|at| format!("{}/é/{}", &long[..at], &long[at..]));
        for text in table.into_iter().map(str::to_owned).chain(moved) {
            assert_eq!(split_first(&text, b'/'), text.split_once('/'), "{text}");
            assert_eq!(split_last(&text, b'/'), text.rsplit_once('/'), "{text}");
        }
    }

    #[test]
    fn the_extension_wins_over_the_path() {
        let mut request = Request::post("/v2/models/resnet/infer").body(()).unwrap();
        request.extensions_mut().insert(RequestedModel::new("other"));
        assert_eq!(RequestHead::of(&request).model(), Some("other"));
    }
}
