//! Private keys and stack traces: what begins with a known line and goes on.

use super::run;

/// A private key in PEM, to its end or the end of the text.
pub(super) fn pem_len(text: &str) -> Option<usize> {
    let label = text.strip_prefix("-----BEGIN ")?;
    let dashes = label.find("-----").filter(|at| *at <= 40)?;
    if !label[..dashes].ends_with("PRIVATE KEY") {
        return None;
    }
    let end = text.find("-----END ").map(|end| end + 9);
    let end = end.and_then(|end| text[end..].find("-----").map(|dashes| end + dashes + 5));
    Some(end.unwrap_or(text.len()))
}

/// A stack trace, or one frame of it.
pub(super) fn trace_len(text: &str) -> Option<usize> {
    if text.starts_with("Traceback (most recent call last)") {
        return Some(python_trace_len(text));
    }
    let goroutine =
        text.strip_prefix("goroutine ").map(|rest| &rest[run(rest, |b| b.is_ascii_digit())..]);
    if text.starts_with("stack backtrace:") || goroutine.is_some_and(|rest| rest.starts_with(" ["))
    {
        return Some(text.len());
    }
    // Java and JavaScript: `at name (place)`, `at name(place)`.
    let frame = text.strip_prefix("at ")?;
    let open = frame.bytes().take(160).position(|b| b == b'(')?;
    if frame[..open].split_whitespace().count() > 3 {
        return None;
    }
    let name = &frame[..open];
    let place = &frame[open + 1..];
    let close = place.bytes().take(300).position(|b| b == b')')?;
    let place = &place[..close];
    let known = ["Native Method", "Unknown Source", "native", "<anonymous>"].contains(&place);
    let numbered = place.rsplit_once(':').is_some_and(|(file, line)| {
        !file.contains(' ') && !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit())
    });
    let len = 3 + open + 1 + close + 1;
    // .NET: `at Name.Space.Class.Method(String a)`, and the file if it is known.
    let dotted = name.bytes().filter(|b| *b == b'.').count() >= 2 && !name.contains(' ');
    let file = text[len..].strip_prefix(" in ").filter(|_| dotted).and_then(|file| {
        let at = file.as_bytes().windows(6).take(300).position(|bytes| bytes == b":line ")?;
        Some(4 + at + 6 + run(&file[at + 6..], |b| b.is_ascii_digit()))
    });
    (known || numbered || dotted).then_some(len + file.unwrap_or(0))
}

/// Numbered frames, as PHP and debuggers write them, to the end of the text.
pub(super) fn frames_len(text: &str) -> Option<usize> {
    let frame = text.strip_prefix("#0")?.trim_start();
    let known = ["/", "0x", "{main}", "[internal function]"];
    known.iter().any(|start| frame.starts_with(start)).then_some(text.len())
}

/// Up to the name of the exception, whose sentence is what people need; all of it if it is cut.
fn python_trace_len(text: &str) -> usize {
    let text = &text[..text[1..].find("Traceback (").map_or(text.len(), |next| next + 1)];
    let frame = text.rfind(", in ").map_or(0, |at| at + 5);
    let start = frame + run(&text[frame..], |b| !b.is_ascii_whitespace());
    let mut at = start;
    for word in text[start..].split_inclusive(char::is_whitespace) {
        let name = word.trim_end().strip_suffix(':').unwrap_or_default();
        if ["Error", "Exception", "Interrupt", "Exit"].iter().any(|ending| name.ends_with(ending)) {
            return text[..at].trim_end().len();
        }
        at += word.len();
    }
    if frame > 0 { start } else { text.len() }
}
