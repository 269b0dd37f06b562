//! Health checks: any answer to any preset's probes, and a driver with any options.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use libfuzzer_sys::fuzz_target;
use std::{convert::Infallible, time::Duration};
use tower::service_fn;
use tower_inference::{
    ProbeDriver, ReadyFlag,
    readiness::{
        Preset,
        preset::{Answer, Outcome},
    },
};
use tower_inference_fuzz::{End, Pieces, message, run};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    preset: u8,
    status: u16,
    seed: u8,
    end: u8,
    /// None: the answer is read alone.
    options: Option<Options>,
    model: Option<&'a str>,
    text: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Options {
    period: Duration,
    timeout: Duration,
    deep_timeout: Duration,
    grace: Duration,
    failure_threshold: u32,
    success_threshold: u32,
    deep_every: u8,
    staleness: bool,
    lasts: u8,
}

const PRESETS: [&str; 8] =
    ["vllm", "sglang", "tgi", "llama_cpp", "ollama", "triton", "dynamo", "tenstorrent"];

fuzz_target!(|input: Input<'_>| {
    let preset = PRESETS[usize::from(input.preset) % PRESETS.len()];
    let mut preset = Preset::named(preset).expect("it is one of the names");
    if let Some(model) = input.model {
        preset = preset.model(model);
    }
    let (headers, text) = message(input.text);
    let status = StatusCode::from_u16(100 + input.status % 900).expect("three digits");
    let answer = Answer::new(status, &headers, text);
    let (outcome, deep) = (preset.read(&answer), preset.read_deep(&answer));
    assert!(status.is_success() || outcome != Outcome::Ready, "{status} is no success");
    assert!(status.is_success() || deep != Outcome::Ready, "{status} is no success");

    let Some(options) = input.options else { return };
    let service = service_fn(async |_: Request<Bytes>| {
        let body = Pieces::new(text, input.seed, End::of(input.end));
        let mut answer = Response::new(body);
        (*answer.status_mut(), *answer.headers_mut()) = (status, headers.clone());
        Ok::<_, Infallible>(answer)
    });
    let flag = ReadyFlag::new();
    let driver = ProbeDriver::new(service, preset, flag.reporter())
        .period(options.period)
        .timeout(options.timeout)
        .deep_timeout(options.deep_timeout)
        .grace(options.grace)
        .failure_threshold(options.failure_threshold)
        .success_threshold(options.success_threshold)
        .deep_every(options.deep_every.into())
        .staleness(options.staleness);
    run(async {
        // At most about twenty probes.
        let lasts = options.period.max(Duration::from_millis(10)).saturating_mul(16);
        let lasts = lasts.min(Duration::from_secs(options.lasts.into()));
        let _ = tokio::time::timeout(lasts, driver.run()).await;
        assert!(!flag.state().is_ready(), "a driver that ends closes the gate");
    });
});
