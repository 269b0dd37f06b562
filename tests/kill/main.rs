//! Thousands of streams through the gateway, whose upstream is killed: each client is told, no event
//! is lost or doubled, and nothing is left behind.
//!
//! Needs the gateway's program, in `TOWER_INFERENCE_GATEWAY`, and the system's `/proc`;
//! `TOWER_INFERENCE_STREAMS` says how many streams. `.ci/full` runs it with 10,000.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "clippy allows it in test functions, not in their helpers")]

mod gateway;
mod upstream;

use self::{
    gateway::{Gateway, Held},
    upstream::{Random, Upstream},
};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::{env, net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep, timeout};

type Http = Client<HttpConnector, Full<Bytes>>;

/// Streams of one HTTP/2 connection, of the 200 that a server of hyper's allows.
const PER_CONNECTION: usize = 100;

/// Kills of the upstream.
const ROUNDS: u64 = 3;

/// How long the last client may take to be told, and the gateway to forget them.
const AFTER_A_KILL: Duration = Duration::from_secs(20);

/// KiB that the gateway may hold more than before: tables that have grown, for thousands of streams.
const KEPT: u64 = 8 << 10;

/// What a client got.
#[derive(Debug)]
struct Got {
    status: u16,
    text: String,
}

/// What became of the clients of a round.
#[derive(Debug, Default)]
struct Tally {
    /// By the gateway's own count, when the upstream was killed.
    under_way: usize,
    promoted: usize,
    rescued: usize,
    events: usize,
}

fn clients(streams: usize) -> Vec<Http> {
    let builder =
        |version_2| Client::builder(TokioExecutor::new()).http2_only(version_2).build_http();
    // Two of five have a connection of their own.
    let alone = builder(false);
    let mut shared = Vec::new();
    (0..streams)
        .map(|stream| {
            if stream % 5 < 2 {
                return alone.clone();
            }
            if shared.len() * PER_CONNECTION <= stream {
                shared.push(builder(true));
            }
            shared.last().unwrap().clone()
        })
        .collect()
}

async fn ask(client: Http, gateway: SocketAddr, stream: Option<usize>) -> Got {
    let mut request = Request::post(format!("http://{gateway}/v1/chat/completions"));
    if let Some(stream) = stream {
        request = request.header("x-stream", stream);
    }
    let request = request.body(Full::from("{\"model\":\"m\",\"stream\":true}")).unwrap();
    let (head, body) = client.request(request).await.expect("an answer").into_parts();
    let body = body.collect().await.expect("a clean end").to_bytes();
    Got { status: head.status.as_u16(), text: String::from_utf8(body.to_vec()).unwrap() }
}

/// How many events came, which must be the first ones in their order and then one error.
fn judge(stream: usize, got: &Got, tally: &mut Tally) -> usize {
    if got.status != 200 {
        let error: Value = serde_json::from_str(&got.text).unwrap();
        assert_eq!((got.status, &error["error"]["category"]), (502, &"upstream_error".into()));
        tally.promoted += 1;
        return 0;
    }
    let events: Vec<Value> = got
        .text
        .strip_suffix("\n\n")
        .unwrap_or_else(|| panic!("{got:?}"))
        .split("\n\n")
        .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
        .collect();
    let (word, events) = events.split_last().unwrap();
    assert_eq!(word["error"]["category"], "upstream_error", "{got:?}");
    let deltas = events.iter().map(|event| &event["choices"][0]["delta"]);
    let texts = deltas.filter(|delta| delta["role"].is_null());
    let mut count = 0;
    for delta in texts {
        assert_eq!(delta["content"], format!("{stream}:{count}"), "{got:?}");
        count += 1;
    }
    tally.rescued += 1;
    tally.events += count;
    count
}

/// The gateway's own count of requests under way.
async fn in_flight(client: &Http, gateway: SocketAddr) -> usize {
    let request = Request::get(format!("http://{gateway}/metrics")).body(Full::default()).unwrap();
    let body = client.request(request).await.unwrap().into_body();
    let text = body.collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("tower_inference_in_flight "));
    line.unwrap().parse().unwrap()
}

/// Waits until it is so.
async fn until(what: &str, at_most: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + at_most;
    while !is_so().await {
        assert!(Instant::now() < end, "not within {at_most:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn round(
    gateway: &Gateway,
    upstream: Upstream,
    streams: usize,
    watch: &Http,
    random: &mut Random,
) -> (Tally, Held) {
    let asked: Vec<_> = clients(streams)
        .into_iter()
        .enumerate()
        .map(|(stream, client)| (stream, client, gateway.address))
        .collect();
    let mut tasks = Vec::new();
    for some in asked.chunks(50) {
        let some = some.to_vec();
        tasks.extend(
            some.into_iter()
                .map(|(stream, client, address)| tokio::spawn(ask(client, address, Some(stream)))),
        );
        // Listeners have short queues.
        sleep(Duration::from_millis(10)).await;
    }
    until("every stream is asked for", Duration::from_secs(60), async || {
        upstream.requests() == streams
    })
    .await;
    sleep(Duration::from_millis(2000 + random.below(3000))).await;
    let peak = gateway.held();
    let under_way = in_flight(watch, gateway.address).await;
    let told = tokio::task::spawn_blocking(|| upstream.kill()).await.unwrap();
    let mut tally = Tally { under_way, ..Tally::default() };
    let end = Instant::now() + AFTER_A_KILL;
    for (stream, (task, (told, in_order))) in tasks.into_iter().zip(told).enumerate() {
        let got = tokio::time::timeout_at(end, task).await.expect("every client is told").unwrap();
        let came = judge(stream, &got, &mut tally);
        // The last event may have been written, and not have been counted.
        assert!(came <= told + 1 && (came >= told || !in_order), "{came} of {told}: {got:?}");
    }
    (tally, peak)
}

async fn kill_and_count(path: String, streams: usize) {
    let seed = 0x5eed;
    let mut random = Random(seed);
    let mut upstream = Upstream::start(([127, 0, 0, 1], 0).into(), streams, seed);
    let address = upstream.address;
    let mut gateway = Gateway::start(&path, address);
    let watch: Http = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let healthy = async || ask(watch.clone(), gateway.address, None).await;
    assert!(healthy().await.text.ends_with("data: [DONE]\n\n"));
    let before = gateway.held();
    for round in 1..=ROUNDS {
        let (tally, peak) = self::round(&gateway, upstream, streams, &watch, &mut random).await;
        assert_eq!(tally.promoted + tally.rescued, streams);
        assert!(tally.under_way >= streams * 8 / 10, "{tally:?}");
        assert_eq!(healthy().await.status, 502, "the upstream is away");
        until("no request is under way", AFTER_A_KILL, async || {
            in_flight(&watch, gateway.address).await == 0
        })
        .await;
        until("the descriptors are closed", AFTER_A_KILL, async || {
            gateway.held().descriptors <= before.descriptors
        })
        .await;
        until("the memory is given back", AFTER_A_KILL, async || {
            gateway.held().memory <= before.memory + KEPT
        })
        .await;
        let after = gateway.held();
        println!(
            "round {round}: {tally:?}\n  before {before:?}\n  peak   {peak:?}\n  after  {after:?}"
        );
        assert_eq!(after.threads, before.threads);
        upstream = Upstream::start(address, streams, seed + round);
        assert!(healthy().await.text.ends_with("data: [DONE]\n\n"), "the upstream is back");
    }
    drop(upstream);
    let (time, content, said) = gateway.stop();
    println!("stopped within {time:?}");
    // A task that were left would be waited for, and complained of.
    assert!(content && said.is_empty() && time < Duration::from_secs(2), "{time:?} {said}");
}

/// Descriptors that this process, and the gateway it starts, may have open.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

#[test]
#[ignore = "needs the gateway's program in TOWER_INFERENCE_GATEWAY"]
fn an_upstream_that_is_killed_leaves_no_client_untold_and_nothing_behind() {
    let path = env::var("TOWER_INFERENCE_GATEWAY").expect("the gateway's program");
    let streams = env::var("TOWER_INFERENCE_STREAMS").map_or(200, |it| it.parse().unwrap());
    let needed = streams + streams / 2 + 200;
    assert!(descriptors() >= needed, "ulimit -n {needed}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let all = kill_and_count(path, streams);
        timeout(Duration::from_secs(180), all).await.expect("it ends in time");
    });
}
