//! HTML pages, as proxies and web servers write them.

use super::{Failure, Provider, said::Said};
use crate::error::{Category, InferenceError};
use std::borrow::Cow;

/// Reads the title of a page, and the sentence under its first heading.
///
/// What comes after a `<hr>` is the server's name and version, and is left out. A page with a
/// success status is an [upstream error](Category::UpstreamError) that is not worth retrying by
/// itself: it may as well be a login form as an outage.
#[derive(Clone, Copy, Debug)]
pub struct Html;

/// How much of a page is looked at, in bytes.
const LONGEST_PAGE: usize = 16 * 1024;

impl Provider for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn read(&self, failure: &Failure<'_>) -> Option<InferenceError> {
        let start = &failure.body()[..failure.body().len().min(LONGEST_PAGE)];
        let page = String::from_utf8_lossy(start);
        let declared = failure.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        let lower = page.to_ascii_lowercase();
        if !(is_page(&lower) || declared && begin(&lower).starts_with('<')) {
            return None;
        }
        let mut said = Said::text(message(&page, &lower));
        said.names.push(said.message.clone()); // Go says `Timeout` with a 503
        if failure.code() == 0 {
            said.category = Some(Category::UpstreamError);
            said.retryable = Some(false);
        }
        Some(said.error(failure, self))
    }
}

/// What a page says that is quoted in a text; `None` if this is no page.
pub(super) fn sentence(text: &str) -> Option<String> {
    let mut end = text.len().min(LONGEST_PAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let lower = text[..end].to_ascii_lowercase();
    is_page(&lower).then(|| message(&text[..end], &lower)).filter(|said| !said.is_empty())
}

fn is_page(lower: &str) -> bool {
    let opens = ["<!doctype html", "<html", "<head", "<?xml"];
    opens.iter().any(|tag| begin(lower).starts_with(tag)) && lower.contains("<h")
}

fn begin(lower: &str) -> &str {
    lower.trim_start_matches('\u{feff}').trim_start()
}

fn message(page: &str, lower: &str) -> String {
    let title = between(page, lower, "<title", "</title");
    let heading = between(page, lower, "<h1", "</h1");
    let title = [title, heading].into_iter().flatten().map(text).find(|text| !text.is_empty());
    let after = lower.find("</h1").or_else(|| lower.find("</title")).unwrap_or(0);
    let rest = &lower[after..];
    let stops = ["<hr", "<script", "<style", "</body"];
    let stop = stops.iter().filter_map(|tag| rest.find(tag)).min().unwrap_or(rest.len());
    let sentence = text(&page[after..after + stop]);
    match title {
        Some(title) if sentence.is_empty() || title.contains(&sentence) => title,
        Some(title) => format!("{title}: {}", sentence.trim_start_matches(['.', ' '])),
        None => sentence,
    }
}

/// The inside of an element.
fn between<'a>(page: &'a str, lower: &str, open: &str, close: &str) -> Option<&'a str> {
    let start = lower.find(open)?;
    let inside = start + lower[start..].find('>')? + 1;
    let end = inside + lower[inside..].find(close)?;
    Some(&page[inside..end])
}

/// The text without its tags, in one line, at most 500 characters.
fn text(html: &str) -> String {
    let mut text = String::new();
    // A piece begins inside a tag, or inside what is left of one.
    for (at, piece) in html.split('<').enumerate() {
        let visible = match piece.split_once('>') {
            Some((_, visible)) if at > 0 || html.starts_with('<') => visible,
            _ if at == 0 => piece,
            _ => "",
        };
        text.push(' ');
        text.push_str(visible);
    }
    let line: Vec<_> = text.split_whitespace().collect();
    unescape(&line.join(" ")).chars().take(500).collect()
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#x27;", "'")];
    let mut out = text.to_owned();
    for (entity, character) in entities.into_iter().chain([("&nbsp;", " "), ("&amp;", "&")]) {
        out = out.replace(entity, character);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::Category;
    use crate::provider::answer;

    #[test]
    fn a_page_says_its_title_and_the_sentence_under_it() {
        let table = [
            (502, "<html>\r\n<head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx/1.22.1</center>", Category::UpstreamError, "502 Bad Gateway"),
            (503, "<html><body><h1>503 Service Unavailable</h1>\nNo server is available.\n</body></html>", Category::Overloaded, "503 Service Unavailable: No server is available."),
            (404, "<!DOCTYPE html><title>A &amp; B</title><h1>x</h1><p>&lt;gone&gt;</p>", Category::NotFound, "A & B: <gone>"),
            (200, "<html>login</html>", Category::UpstreamError, "login"),
            (404, "<?xml version=\"1.0\"?><html><title>404</title></html>", Category::NotFound, "404"),
        ];
        for (status, page, category, message) in table {
            let error = answer(status, &[], page);
            assert_eq!((error.category(), error.message()), (category, message), "{page}");
        }
    }

    #[test]
    fn a_broken_page_is_a_page() {
        for page in ["<html", "<html><title", "<html><title>", "<html><h1>é", "<html></h1></title>", "<!doctype html><<<>>>"] {
            assert_eq!(answer(500, &[], page).category(), Category::UpstreamError, "{page}");
        }
    }
}
