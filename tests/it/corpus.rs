//! How well labelled answers of real upstreams are read.
//!
//! The labels are not part of this crate. `TOWER_INFERENCE_SHARED` names a folder that holds
//! `corpus/errors.jsonl`; without it there is nothing to test. `TOWER_INFERENCE_CORPUS` names any
//! file of that form to read instead:
//!
//! ```text
//! TOWER_INFERENCE_CORPUS=/path/of/answers.jsonl cargo test --test it corpus -- --nocapture
//! ```
//!
//! It prints, for every category and every provider, how many answers were read as labelled: the
//! category (`strict`: as labelled; `lenient`: or as a label accepts; `coarse`: in the same group),
//! whether to retry, the message, and the retry hint; and above that every answer that was not.
//! Floors are asserted for the corpus of the folder only.
//!
//! A line is an object: `id`, `provider`, `status`, `headers`, `content_type`, `body` and `expect`
//! with `category`, and at will `accept` (categories), `retryable`, `message`, `messages`,
//! `message_contains` and `retry_after_s`.

use crate::shared;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use std::{collections::BTreeMap, env, fs, time::SystemTime};
use tower_inference::{
    InferenceError,
    provider::{Failure, Providers},
};

const CHECKS: [&str; 6] = ["strict", "lenient", "coarse", "retryable", "message", "hint"];

/// The least percentage of each check: of all answers whose source is a fact, and for `strict` of
/// those too that nobody has confirmed.
const FLOORS: [f64; 6] = [97.0, 99.0, 99.0, 99.0, 95.0, 100.0];
const UNCONFIRMED: f64 = 93.0;

/// How many answers a check was made for, and how many passed.
#[derive(Clone, Copy, Default)]
struct Score([(u32, u32); 6]);

impl Score {
    fn add(&mut self, asked: [bool; 6], missed: &[&str]) {
        for (at, (of, passed)) in self.0.iter_mut().enumerate() {
            *of += u32::from(asked[at]);
            *passed += u32::from(asked[at] && !missed.contains(&CHECKS[at]));
        }
    }

    fn percent(&self, at: usize) -> f64 {
        let (of, passed) = self.0[at];
        if of == 0 { 100.0 } else { f64::from(passed) * 100.0 / f64::from(of) }
    }
}

#[test]
fn labelled_answers_are_read_as_labelled() {
    if let Some(file) = env::var_os("TOWER_INFERENCE_CORPUS").filter(|it| !it.is_empty()) {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let cases: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        score(cases.iter().filter(|case| counts(case)));
        return;
    }
    let Some(cases) = shared::lines("errors.jsonl") else { return };
    let facts = ["body", "documented", "message", "source"];
    let all = score(cases.iter().filter(|case| counts(case)));
    assert!(all.percent(0) >= UNCONFIRMED, "strict, unconfirmed too: {}", all.percent(0));
    let fact = |case: &&Value| counts(case) && facts.contains(&text(&case["evidence"]));
    let facts = score(cases.iter().filter(fact));
    for (at, floor) in FLOORS.iter().enumerate() {
        assert!(facts.percent(at) >= *floor, "{}: {}", CHECKS[at], facts.percent(at));
    }
}

/// Reads and prints all; returns the sum.
fn score<'a>(cases: impl Iterator<Item = &'a Value>) -> Score {
    let mut scores = BTreeMap::<(u8, String), Score>::new();
    for case in cases {
        let expect = &case["expect"];
        let error = read(case);
        let missed = judge(expect, &error);
        let asked = [
            true,
            true,
            true,
            expect["retryable"].is_boolean(),
            !wanted(expect).is_empty(),
            expect["retry_after_s"].is_number(),
        ];
        let groups = [
            (0, "ALL".to_owned()),
            (1, format!("= {}", text(&expect["category"]))),
            (2, text(&case["provider"]).to_owned()),
        ];
        for group in groups {
            scores.entry(group).or_default().add(asked, &missed);
        }
        if !missed.is_empty() {
            println!(
                "{} {missed:?}: {} is labelled {}, read {error:?}",
                text(&case["id"]),
                case["status"],
                text(&expect["category"]),
            );
        }
    }
    println!("{:32} {}", "passed/of", CHECKS.map(|name| format!("{name:>10}")).concat());
    for ((_, name), score) in &scores {
        let cells = score.0.map(|(of, passed)| format!("{:>10}", format!("{passed}/{of}")));
        println!("{name:32} {}", cells.concat());
    }
    let all = scores.get(&(0, "ALL".to_owned())).copied().unwrap_or_default();
    let percents: Vec<_> = (0..6).map(|at| format!("{:>10.1}", all.percent(at))).collect();
    println!("{:32} {}", "percent", percents.concat());
    all
}

/// Answers of inference routes over HTTP.
fn counts(case: &Value) -> bool {
    text(&case["endpoint"]) != "readiness"
        && !text(&case["content_type"]).starts_with("application/grpc")
}

fn read(case: &Value) -> InferenceError {
    let mut headers = HeaderMap::new();
    for (name, value) in case["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::try_from(name.as_str()).expect("a header's name");
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        headers.insert(name, HeaderValue::try_from(value).expect("a header's value"));
    }
    if let Some(kind) = case["content_type"].as_str() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(kind).expect("a media type"));
    }
    let status = case["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = StatusCode::from_u16(status.expect("a status")).expect("a status of HTTP");
    let body = text(&case["body"]).as_bytes();
    Providers::auto().read(&Failure::of_answer(status, &headers, body).at(SystemTime::now()))
}

/// The checks that failed.
fn judge(expect: &Value, error: &InferenceError) -> Vec<&'static str> {
    let mut missed = Vec::new();
    let category = error.category().as_str();
    let accepted = expect["accept"].as_array().into_iter().flatten().map(text);
    let accepted: Vec<_> = accepted.chain([text(&expect["category"])]).collect();
    if category != text(&expect["category"]) {
        missed.push("strict");
    }
    if !accepted.contains(&category) {
        missed.push("lenient");
    }
    if !accepted.iter().any(|other| group(other) == group(category)) {
        missed.push("coarse");
    }
    if expect["retryable"].as_bool().is_some_and(|wanted| wanted != error.is_retryable()) {
        missed.push("retryable");
    }
    let read = normal(error.message());
    let same = |wanted: &String| {
        let start: String = wanted.chars().take(150).collect();
        let shown: String = read.trim_end_matches(['.', '…']).chars().take(150).collect();
        read.contains(&start) || (read.chars().count() > 20 && wanted.contains(&shown))
    };
    let wanted = wanted(expect);
    if !wanted.is_empty() && !wanted.iter().any(same) {
        missed.push("message");
    }
    if let Some(wanted) = expect["retry_after_s"].as_f64() {
        let wait = error.retry_after().map(|wait| wait.as_secs_f64());
        if wait.is_none_or(|wait| (wait - wanted).abs() > 1.01) {
            missed.push("hint");
        }
    }
    missed
}

/// The messages that a label takes for right.
fn wanted(expect: &Value) -> Vec<String> {
    let said = ["messages", "message", "message_contains"].iter().flat_map(|key| {
        let values = expect[*key].as_array().cloned();
        values.unwrap_or_else(|| vec![expect[*key].clone()])
    });
    said.filter_map(|value| value.as_str().map(normal)).collect()
}

/// What a client does about categories is much the same within a group.
fn group(category: &str) -> u8 {
    match category {
        "authentication" | "permission" => 0,
        "model_not_found" | "not_found" => 1,
        "rate_limited" | "quota_exhausted" => 2,
        "overloaded" | "model_not_ready" | "timeout" | "upstream_error" | "unknown" => 3,
        _ => 4,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
