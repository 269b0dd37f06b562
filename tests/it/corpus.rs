//! How well labelled answers of real upstreams are read.
//!
//! The labels are not part of this crate: without `TOWER_INFERENCE_SHARED`, a folder that holds
//! `corpus/errors.jsonl`, there is nothing to test.

use crate::shared;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use std::{collections::BTreeMap, time::SystemTime};
use tower_inference::{
    InferenceError,
    provider::{Failure, Providers},
};

/// Counts of one provider.
#[derive(Default)]
struct Score {
    all: u32,
    exact: u32,
    acceptable: u32,
    retryable: u32,
    message: u32,
    waits: u32,
    wait: u32,
}

#[test]
fn labelled_answers_are_read_as_labelled() {
    let Some(cases) = shared::lines("errors.jsonl") else { return };

    let mut scores = BTreeMap::<String, Score>::new();
    for case in cases.into_iter().filter(counts) {
        let error = read(&case);
        let missed = judge(&case["expect"], &error);
        let provider = text(&case["provider"]).to_owned();
        for name in [provider, "ALL".to_owned()] {
            let score = scores.entry(name).or_default();
            score.all += 1;
            score.exact += u32::from(!missed.contains(&"exact"));
            score.acceptable += u32::from(!missed.contains(&"acceptable"));
            score.retryable += u32::from(!missed.contains(&"retryable"));
            score.message += u32::from(!missed.contains(&"message"));
            if case["expect"]["retry_after_s"].is_number() {
                score.waits += 1;
                score.wait += u32::from(!missed.contains(&"wait"));
            }
        }
        if !missed.is_empty() {
            let wanted = text(&case["expect"]["category"]);
            println!("{} {missed:?}: wanted {wanted}, read {error:?}", text(&case["id"]));
        }
    }
    println!("{:24} {:>5} exact accept retry message wait", "provider", "n");
    for (name, s) in &scores {
        let Score { all, exact, acceptable, retryable, message, waits, wait } = s;
        println!(
            "{name:24} {all:>5} {exact:>5} {acceptable:>6} {retryable:>5} {message:>7} {wait}/{waits}"
        );
    }
    let all = &scores["ALL"];
    let percent = |n: u32| f64::from(n) * 100.0 / f64::from(all.all);
    assert!(percent(all.exact) >= 99.0, "exact: {}", percent(all.exact));
    assert!(percent(all.acceptable) >= 99.5, "acceptable: {}", percent(all.acceptable));
    assert!(percent(all.retryable) >= 99.5, "retryable: {}", percent(all.retryable));
    assert!(percent(all.message) >= 99.5, "message: {}", percent(all.message));
    assert_eq!(all.wait, all.waits, "waits");
}

/// Answers of inference routes over HTTP, from a source that counts as a fact.
fn counts(case: &Value) -> bool {
    let facts = ["body", "documented", "message", "source"];
    facts.contains(&text(&case["evidence"]))
        && text(&case["endpoint"]) != "readiness"
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
    if category != text(&expect["category"]) {
        missed.push("exact");
        let accepted = expect["accept"].as_array().into_iter().flatten();
        if !accepted.into_iter().any(|other| text(other) == category) {
            missed.push("acceptable");
        }
    }
    if expect["retryable"].as_bool().is_some_and(|wanted| wanted != error.is_retryable()) {
        missed.push("retryable");
    }
    let read = normal(error.message());
    let wanted: Vec<_> = ["messages", "message", "message_contains"]
        .iter()
        .flat_map(|key| match &expect[*key] {
            Value::Array(all) => all.iter().map(text).map(normal).collect(),
            Value::String(one) => vec![normal(one)],
            _ => Vec::new(),
        })
        .collect();
    let same = |wanted: &String| {
        let start: String = wanted.chars().take(150).collect();
        let shown: String = read.trim_end_matches(['.', '…']).chars().take(150).collect();
        read.contains(&start) || (read.chars().count() > 20 && wanted.contains(&shown))
    };
    if !wanted.is_empty() && !wanted.iter().any(same) {
        missed.push("message");
    }
    if let Some(wanted) = expect["retry_after_s"].as_f64() {
        let wait = error.retry_after().map(|wait| wait.as_secs_f64());
        if wait.is_none_or(|wait| (wait - wanted).abs() > 1.01) {
            missed.push("wait");
        }
    }
    missed
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
