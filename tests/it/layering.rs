//! Who may name whom: the table of `CONTRIBUTING.md`, checked against `src/`.
//!
//! Product code only: comments, literals and a file's `mod tests` at its end do not count.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A module and the paths of ours that it may name besides its own.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("body", &[]),
    ("error", &[]),
    ("framing", &[]),
    ("head", &[]),
    ("sync", &[]),
    ("provider", &["error", "framing"]),
    ("dialect", &["error", "framing", "head"]),
    ("observe", &["error", "readiness::State"]),
    (
        "error_normalization",
        &["body", "dialect", "error", "framing", "head", "observe", "provider"],
    ),
    ("readiness", &["body", "dialect", "error", "head", "observe", "provider", "sync"]),
    ("retry", &["error", "model_name::RequestBody"]),
    ("model_name", &["body", "framing", "head", "readiness::ReadinessProbe"]),
    (
        "endpoints",
        &[
            "body",
            "dialect",
            "error",
            "head",
            "readiness::Breakdown",
            "readiness::Diagnosis",
            "readiness::ModelRegistry",
            "readiness::NotReady",
            "readiness::ReadinessProbe",
            "readiness::State",
            "readiness::Unit",
            "readiness::unknown_model",
        ],
    ),
];

/// Functions of bytes, `http` types and JSON: modules, and files of adapters.
const PURE: &[&str] = &[
    "dialect/",
    "error/",
    "framing/",
    "head.rs",
    "observe.rs",
    "provider/",
    "error_normalization/cutter.rs",
    "error_normalization/judge.rs",
    "error_normalization/stream.rs",
    "error_normalization/template.rs",
    "readiness/monitor.rs",
    "readiness/not_ready.rs",
    "readiness/preset/",
    "readiness/state.rs",
    "readiness/topology.rs",
];

/// What no pure file names.
const IMPURE: &[&str] = &[
    "Future",
    "Instant",
    "Pin",
    "async",
    "await",
    "futures",
    "http_body",
    "http_body_util",
    "hyper",
    "pin_project_lite",
    "tokio",
    "tower",
    "tower_layer",
];

/// What `body` does not name: it waits for nothing but the body inside of it.
const NOT_IN_BODY: &[&str] =
    &["Future", "Instant", "async", "await", "futures", "hyper", "tokio", "tower_layer"];

/// The most lines a file may have, without its tests.
const LONGEST: usize = 400;

#[test]
fn modules_name_only_what_stands_below_them() {
    let files = sources();
    let found: Vec<_> = files.iter().flat_map(Source::forbidden).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));

    // A row that fits nothing would check nothing.
    for path in PURE {
        assert!(files.iter().any(|file| file.path.starts_with(path)), "there is no {path}");
    }
    for (module, _) in MAY_NAME {
        assert!(files.iter().any(|file| file.module() == *module), "there is no {module}");
    }
}

#[test]
fn files_are_short() {
    for file in sources() {
        let lines = file.product().lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", file.path);
    }
}

#[test]
fn every_provider_and_dialect_is_in_its_table() {
    for folder in ["provider", "dialect"] {
        let files: Vec<_> = sources().into_iter().filter(|file| file.module() == folder).collect();
        let root = files.iter().find(|file| file.path.ends_with("/mod.rs")).unwrap();
        let root = tokens(root.product());
        for file in &files {
            let name = file.path.rsplit('/').next().unwrap().strip_suffix(".rs").unwrap();
            if name == "mod" {
                continue;
            }
            // One that implements the trait stands in the table; the others are parts of the module.
            let tokens = tokens(file.product());
            let interface = if folder == "provider" { "Provider" } else { "Dialect" };
            let listed = match implemented(&tokens, interface) {
                Some(it) => has(&root, &[name, "=>", it, ","]),
                None => has(&root, &["mod", name, ";"]),
            };
            assert!(listed, "{} is not in its mod.rs", file.path);
        }
    }
}

#[test]
fn a_planted_violation_is_found() {
    let table = [
        ("provider/x.rs", "use crate::dialect::OpenAi;", "dialect::OpenAi"),
        ("provider/x.rs", "use crate::{error::Category, head::{self as h}};", "head::self"),
        ("provider/x.rs", "fn f() { super::super::dialect::named(\"x\"); }", "dialect::named"),
        ("provider/mod.rs", "use super::{error, dialect as d};", "dialect"),
        ("body.rs", "use super::error::Category;", "error::Category"),
        ("head.rs", "pub use crate::*;", "*"),
        ("head.rs", "type E = crate::InferenceError;", "InferenceError"),
        ("dialect/x.rs", "async fn f() {}", "`async`"),
        ("error/mod.rs", "use std::{sync::Arc, time::Instant};", "`Instant`"),
        ("framing/sse.rs", "fn f(e: tower::BoxError) {}", "`tower`"),
        ("error_normalization/stream.rs", "use std::pin::Pin;", "`Pin`"),
        ("body.rs", "use tokio::time::Sleep;", "`tokio`"),
        ("body.rs", "use tower::{BoxError, Service};", "tower::Service"),
        (
            "readiness/x.rs",
            "use crate::error_normalization::ResponseBody;",
            "error_normalization::ResponseBody",
        ),
        ("error_normalization/x.rs", "use crate::readiness::NotReady;", "readiness::NotReady"),
        (
            "model_name/x.rs",
            "use crate::readiness::{ReadinessProbe, ReadyFlag};",
            "readiness::ReadyFlag",
        ),
        ("endpoints.rs", "use crate::readiness::ReadinessLayer;", "readiness::ReadinessLayer"),
        ("brand_new.rs", "", "has no row"),
    ];
    for (path, text, violation) in table {
        let found = Source { path: path.into(), text: text.into() }.forbidden();
        assert!(found.iter().any(|it| it.contains(violation)), "{path}: {text}: {found:?}");
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    }
}

#[test]
fn what_is_no_code_or_allowed_is_not_found() {
    let table = [
        (
            "provider/x.rs",
            "/// See [`crate::dialect`].\n// crate::dialect\n/* async /* tokio */ */",
        ),
        ("provider/x.rs", "const A: &str = \"crate::dialect \\\" tokio\"; const B: char = '\"';"),
        ("provider/x.rs", "const A: &str = r#\"async \" tokio\"#; fn f<'tokio>() {}"),
        (
            "provider/x.rs",
            "use super::{Failure, Provider};\nuse crate::{error::Category, framing::json::Json};",
        ),
        ("provider/x.rs", "#[cfg(test)]\nmod tests {\n    use crate::dialect::OpenAi;\n}\n"),
        ("provider/mod.rs", "use self::failure::Failure; use super::error::Category;"),
        ("dialect/x.rs", "use crate::dialect::View;"),
        ("body.rs", "use http_body::Body; use std::pin::Pin; use tower::BoxError;"),
        ("readiness/service.rs", "use tower::Service; async fn f() {}"),
        ("model_name/x.rs", "use crate::{body::Replay, readiness::ReadinessProbe};"),
        ("lib.rs", "pub use self::{error::Category, readiness::Readiness};"),
    ];
    for (path, text) in table {
        let found = Source { path: path.into(), text: text.into() }.forbidden();
        assert!(found.is_empty(), "{path}: {text}: {found:?}");
    }
}

/// One file below `src/`, its path relative to that and with slashes.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The part before the file's tests.
    fn product(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    /// The top-level module it belongs to.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// How many modules stand above the code in this file.
    fn depth(&self) -> usize {
        let file = self.path.trim_end_matches("/mod.rs");
        file.split('/').count()
    }

    fn forbidden(&self) -> Vec<String> {
        let module = self.module();
        if module == "lib" {
            return Vec::new();
        }
        let Some((_, may)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            return vec![format!("{}: `{module}` has no row in the table", self.path)];
        };
        let tokens = tokens(self.product());
        let allowed = |path: &String| {
            may.iter().chain([&module]).any(|it| path == it || path.starts_with(&format!("{it}::")))
        };
        let ours = paths(&tokens, |at| self.leads_to_the_crate(&tokens, at));
        let mut found: Vec<String> = ours.into_iter().filter(|path| !allowed(path)).collect();

        let pure = PURE.iter().any(|it| self.path.starts_with(it));
        let words = if pure {
            IMPURE
        } else if module == "body" {
            NOT_IN_BODY
        } else {
            &[]
        };
        let named = words.iter().filter(|word| tokens.iter().any(|token| token == *word));
        found.extend(named.map(|word| format!("`{word}`")));
        if module == "body" {
            let tower = paths(&tokens, |at| (tokens[at] == "tower").then_some(at + 1));
            let more = tower.into_iter().filter(|path| path != "BoxError");
            found.extend(more.map(|path| format!("tower::{path}")));
        }
        found.iter().map(|it| format!("{}: names {it}", self.path)).collect()
    }

    /// Where a path that starts at `at` leaves the crate's root, if it starts there: after `crate`,
    /// or after as many `super` as there are modules above.
    fn leads_to_the_crate(&self, tokens: &[&str], at: usize) -> Option<usize> {
        if tokens[at] == "crate" {
            return Some(at + 1);
        }
        let begins = tokens[at] == "super" && (at == 0 || tokens[at - 1] != "::");
        let supers = tokens[at..].chunks(2).take_while(|it| it[0] == "super").count();
        (begins && supers >= self.depth()).then(|| at + 2 * supers - 1)
    }
}

/// All files below `src/`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable") {
            let path: PathBuf = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let parts = path
                .strip_prefix(&root)
                .expect("it was found there")
                .iter()
                .map(|part| part.to_str().expect("UTF-8"));
            files.push(Source {
                path: parts.collect::<Vec<_>>().join("/"),
                text: fs::read_to_string(&path).expect("readable"),
            });
        }
    }
    assert!(files.len() > 40, "only {} files", files.len());
    files
}

/// Words and signs, without comments, literals and lifetimes. `::` and `=>` are one sign.
fn tokens(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", &rest[hashes..].split('"').next().unwrap_or_default());
            let begin = rest.find('"').unwrap_or_default() + 1;
            rest[begin..].find(&end).map_or(rest.len(), |at| begin + at + end.len())
        } else if first == '"' {
            literal(rest, '"')
        } else if first == '\'' {
            // A lifetime has no quote after its first character.
            let mut ahead = rest.chars().skip(1);
            let escaped = ahead.next() == Some('\\');
            if escaped || ahead.next() == Some('\'') { literal(rest, '\'') } else { lifetime(rest) }
        } else if first.is_whitespace() {
            first.len_utf8()
        } else {
            let sign = ["::", "=>"].iter().find(|sign| rest.starts_with(**sign));
            let length = match sign {
                Some(sign) => sign.len(),
                None if word(first) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
                None => first.len_utf8(),
            };
            tokens.push(&rest[..length]);
            length
        };
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Where the hashes of a raw string begin, if one begins here.
fn raw_string(text: &str) -> Option<usize> {
    let begin = ["r", "br"].iter().find(|it| text.starts_with(**it))?.len();
    text[begin..].trim_start_matches('#').starts_with('"').then_some(begin)
}

fn literal(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn lifetime(text: &str) -> usize {
    let name = &text[1..];
    1 + name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len())
}

/// The paths behind every place where `leads` says that one goes on, use trees flattened.
fn paths(tokens: &[&str], leads: impl Fn(usize) -> Option<usize>) -> Vec<String> {
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        let next = leads(at).filter(|next| tokens.get(*next) == Some(&"::"));
        if let Some(next) = next {
            flatten(tokens, next + 1, String::new(), &mut found);
        }
    }
    found
}

/// Reads one path or use tree at `at`; returns where it ends.
fn flatten(tokens: &[&str], mut at: usize, mut path: String, found: &mut Vec<String>) -> usize {
    let prefix = |path: &str| if path.is_empty() { String::new() } else { format!("{path}::") };
    while let Some(token) = tokens.get(at) {
        at += 1;
        if *token == "{" {
            while tokens.get(at).is_some_and(|token| *token != "}") {
                at = flatten(tokens, at, path.clone(), found);
                while tokens.get(at).is_some_and(|token| !matches!(*token, "," | "}")) {
                    at += 1; // `as name`
                }
                at += usize::from(tokens.get(at) == Some(&","));
            }
            return at + 1;
        }
        path = prefix(&path) + token;
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

/// The type that `name` is implemented for.
fn implemented<'a>(tokens: &[&'a str], name: &str) -> Option<&'a str> {
    tokens.windows(4).find(|it| it[..3] == ["impl", name, "for"]).map(|it| it[3])
}

fn has(tokens: &[&str], part: &[&str]) -> bool {
    tokens.windows(part.len()).any(|it| it == part)
}
