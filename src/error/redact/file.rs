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

/// The longest of [`FILE_ENDINGS`], with its dot.
const LONGEST_ENDING: usize = ".safetensors".len();

/// Where the paths of a text end, for whoever asks from its begin on: those that begin in one run of
/// characters end together, so that no byte of it is looked at for each of them.
#[derive(Default)]
pub(super) struct Ends {
    run: usize,
    /// The same without the dots at its end.
    path: usize,
}

impl Ends {
    fn of(&mut self, text: &str, at: usize) -> usize {
        if at >= self.run {
            self.run = at + run(&text[at..], is_path);
            self.path = at + text[at..self.run].trim_end_matches('.').len();
        }
        self.path.max(at)
    }
}

/// A path of a file at this place: absolute, or with the number of a line.
pub(super) fn file_len(text: &str, at: usize, ends: &mut Ends) -> Option<usize> {
    let rest = &text[at..];
    match rest.as_bytes() {
        [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic() => {
            return Some(windows_len(rest));
        }
        [b'A'..=b'Z', b':', b'/', next, ..] if *next != b'/' => {
            let len = 2 + run(&rest[2..], is_path);
            return Some(len + line_len(&rest[len..]));
        }
        _ => {}
    }
    let (path, after) = rest.split_at(ends.of(text, at) - at);
    let is_file = is_file(path);
    let absolute = match path.as_bytes() {
        [b'/', b'/', ..] => false,
        [b'/', ..] => is_absolute(&path[1..], is_file),
        [b'~', b'/', _, ..] => true,
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] => is_file,
        _ => false,
    };
    if !absolute && !is_file {
        return None;
    }
    let line = line_len(after);
    (absolute || line > 0).then_some(path.len() + line)
}

/// Whether a path ends as names of files do.
fn is_file(path: &str) -> bool {
    let tail = &path.as_bytes()[path.len().saturating_sub(LONGEST_ENDING)..];
    let dot = tail.iter().rposition(|byte| *byte == b'.');
    dot.is_some_and(|dot| FILE_ENDINGS.iter().any(|ending| ending.as_bytes() == &tail[dot + 1..]))
}

/// Whether a path is one of a file, and not of an API, by what stands behind its first slash.
fn is_absolute(inside: &str, is_file: bool) -> bool {
    let Some((first, _)) = inside.split_once('/') else { return false };
    let numbered =
        first.strip_prefix('v').is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
    let of_api = numbered || API_ROOTS.contains(&first);
    (FILE_ROOTS.contains(&first) || is_file) && !of_api
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
