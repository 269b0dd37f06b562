//! Paths of files, and how they differ from paths of APIs.

use super::{is_path, is_word, run};

/// Where files live. `/models` is not among them: APIs have it too.
const FILE_ROOTS: &[&str] = &[
    "Library",
    "Users",
    "Volumes",
    "app",
    "bin",
    "boot",
    "content",
    "data",
    "dbfs",
    "dev",
    "efs",
    "etc",
    "fsx",
    "gpfs",
    "home",
    "lib",
    "lib64",
    "lustre",
    "media",
    "mnt",
    "nfs",
    "nix",
    "opt",
    "private",
    "proc",
    "root",
    "run",
    "sbin",
    "scratch",
    "snap",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "workdir",
    "workspace",
    "workspaces",
];

const FILE_ENDINGS: &[&str] = &[
    "bin",
    "c",
    "cc",
    "conf",
    "cpp",
    "cs",
    "cu",
    "dll",
    "env",
    "exe",
    "gguf",
    "go",
    "h",
    "hpp",
    "ini",
    "java",
    "js",
    "json",
    "jsonl",
    "jsx",
    "key",
    "kt",
    "log",
    "mjs",
    "onnx",
    "pem",
    "php",
    "plan",
    "pt",
    "pth",
    "py",
    "pyc",
    "rb",
    "rs",
    "safetensors",
    "sh",
    "so",
    "sock",
    "toml",
    "ts",
    "tsx",
    "txt",
    "yaml",
    "yml",
];

/// The first segments of paths of APIs.
const API_ROOTS: &[&str] = &["api", "client", "compatible-mode", "inference", "openai"];

/// A path of a file: absolute, or with the number of a line.
pub(super) fn file_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    match bytes {
        [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic() => {
            return Some(windows_len(text));
        }
        [b'A'..=b'Z', b':', b'/', next, ..] if *next != b'/' => {
            let len = 2 + run(&text[2..], is_path);
            return Some(len + line_len(&text[len..]));
        }
        _ => {}
    }
    let path = text[..run(text, is_path)].trim_end_matches('.');
    let line = line_len(&text[path.len()..]);
    if line == 0 && !path.starts_with(['/', '~', '.']) {
        return None;
    }
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
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] => is_file,
        _ => false,
    };
    (absolute || (is_file && line > 0)).then_some(path.len() + line)
}

/// The length of `:10`, `:10:5` or ``:10:in `run'``.
fn line_len(text: &str) -> usize {
    let number =
        |text: &str| match text.strip_prefix(':').map(|rest| run(rest, |b| b.is_ascii_digit())) {
            Some(digits) if digits > 0 => digits + 1,
            _ => 0,
        };
    let line = number(text);
    if line == 0 {
        return 0;
    }
    let column = line + number(&text[line..]);
    // Ruby: the name of the method, in quotes.
    let method = text[column..].strip_prefix(":in ").filter(|name| name.starts_with(['`', '\'']));
    let method = method.and_then(|name| name.bytes().take(100).skip(1).position(|b| b == b'\''));
    column + method.map_or(0, |end| ":in `'".len() + end)
}

/// A path on a share of Windows: `\\server\share`, no escaped backslashes.
pub(super) fn share_len(text: &str) -> Option<usize> {
    let host = text.strip_prefix(r"\\")?;
    let share =
        host[run(host, is_word)..].strip_prefix('\\').filter(|_| !host.starts_with('\\'))?;
    share.starts_with(|c: char| c.is_ascii_alphanumeric()).then(|| windows_len(text))
}

/// A path with backslashes; a name in it may have blanks, if another backslash follows.
fn windows_len(text: &str) -> usize {
    let part = |text: &str| run(text, |b| !b.is_ascii_whitespace() && !b"\"'`,;()<>".contains(&b));
    let mut len = part(text);
    while let Some(rest) = text[len..].strip_prefix(' ') {
        let more = part(rest);
        if !rest[..more].contains('\\') {
            break;
        }
        len += 1 + more;
    }
    len
}
