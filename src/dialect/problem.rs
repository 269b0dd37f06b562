//! RFC 9457 problem details: `{"type","title","status","detail","code"}`.
//!
//! For clients of no inference API in particular: the format that HTTP itself has for errors.

use super::{Dialect, Extensions, View, json, openai, reason};
use serde::Serialize;

/// Problem details of the type `about:blank`, with `code` and the extension members as siblings;
/// mid-stream one event of them.
///
/// The title is the reason phrase, as that type asks for; `code` is the one of [`OpenAi`], a string
/// or null.
///
/// Source: RFC 9457, sections 3.1, 3.2 and 4.2.1.
///
/// [`OpenAi`]: super::OpenAi
#[derive(Clone, Copy, Debug)]
pub struct Problem;

impl Dialect for Problem {
    fn name(&self) -> &'static str {
        "problem"
    }

    fn content_type(&self) -> &'static str {
        "application/problem+json"
    }

    fn body(&self, view: &View<'_>) -> Vec<u8> {
        json(&Details {
            r#type: "about:blank",
            title: reason(view.status()),
            status: view.status().as_u16(),
            detail: view.message(),
            code: openai::code(view),
            extensions: view.extensions(),
        })
    }
}

#[derive(Serialize)]
struct Details<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: Option<&'a str>,
    #[serde(flatten)]
    extensions: Extensions<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialect::{
            Client, Disclosure, Seen,
            tests::{FULL_EXTENSIONS, body, full, last_word},
        },
        error::{Category, InferenceError},
        head::RequestHead,
    };

    #[test]
    fn the_details_are_exact() {
        let details = format!(
            r#"{{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"it broke","code":"its_code","category":"overloaded","retryable":true,{FULL_EXTENSIONS}}}"#
        );
        let error = full(Category::Overloaded);
        assert_eq!(body(&Problem, &error, None), details);
        let word = last_word(&Problem, &error, None, &Seen::default());
        assert_eq!(word, format!("data: {details}\n\n"));
    }

    #[test]
    fn the_title_is_the_reason_phrase_even_of_statuses_in_no_registry() {
        let status = |code| http::StatusCode::from_u16(code).unwrap();
        for (code, title) in
            [(404, "Not Found"), (499, "Client Closed Request"), (529, "Overloaded")]
        {
            assert_eq!(reason(status(code)), title);
        }
        assert_eq!(reason(status(599)), "UnknownError");
    }

    #[test]
    fn the_content_type_is_its_own() {
        let request = http::Request::post("/v1/embeddings").body(()).unwrap();
        let client = Client::of(RequestHead::of(&request));
        let error = InferenceError::new(Category::Timeout, "late");
        let answer = client.answer(error, &Problem, &Disclosure::default());
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
}
