//! Paths of files, and how they differ from paths of APIs.

use super::{is_path, run};

/// Where files live. `/models` is not among them: APIs have it too.
const FILE_ROOTS: &[&str] = &[
    "Users",
    "app",
    "bin",
    "data",
    "dev",
    "etc",
    "home",
    "lib",
    "lib64",
    "mnt",
    "opt",
    "private",
    "proc",
    "root",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "workspace",
];

const FILE_ENDINGS: &[&str] = &[
    "bin",
    "c",
    "cc",
    "conf",
    "cpp",
    "cu",
    "gguf",
    "go",
    "h",
    "ini",
    "java",
    "js",
    "json",
    "key",
    "kt",
    "log",
    "mjs",
    "pem",
    "pt",
    "py",
    "pyc",
    "rs",
    "safetensors",
    "sh",
    "so",
    "sock",
    "toml",
    "ts",
    "txt",
    "yaml",
    "yml",
];

/// The first segments of paths of APIs.
const API_ROOTS: &[&str] = &["api", "client", "compatible-mode", "inference", "openai"];

/// A path of a file: absolute, or with the number of a line.
pub(super) fn file_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && bytes[2] == b'\\' {
        return Some(value_with_backslashes(text));
    }
    let path = text[..run(text, is_path)].trim_end_matches('.');
    let line = line_len(&text[path.len()..]);
    let inside = path.strip_prefix('/').unwrap_or(path);
    let first = inside.split('/').next().unwrap_or_default();
    let name = inside.rsplit('/').next().unwrap_or_default();
    let is_file = name.rsplit_once('.').is_some_and(|(_, ending)| FILE_ENDINGS.contains(&ending));
    let numbered =
        first.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    let of_api = numbered || API_ROOTS.contains(&first);
    let absolute = match path.as_bytes() {
        [b'/', b'/', ..] => false,
        [b'/', ..] => inside.contains('/') && (FILE_ROOTS.contains(&first) || is_file) && !of_api,
        [b'~', b'/', _, ..] => true,
        _ => false,
    };
    (absolute || (is_file && line > 0)).then_some(path.len() + line)
}

/// The length of `:10` or `:10:5`.
fn line_len(text: &str) -> usize {
    let number =
        |text: &str| match text.strip_prefix(':').map(|rest| run(rest, |b| b.is_ascii_digit())) {
            Some(digits) if digits > 0 => digits + 1,
            _ => 0,
        };
    let line = number(text);
    line + if line > 0 { number(&text[line..]) } else { 0 }
}

fn value_with_backslashes(text: &str) -> usize {
    run(text, |b| !b.is_ascii_whitespace() && !b"\"'`,;()<>".contains(&b))
}
