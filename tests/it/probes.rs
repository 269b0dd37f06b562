//! Probe drivers: gates that open and close as a server behaves, with the clock stopped.
//!
//! The ids above the tests (R1…) count traps that probes fall into.

use crate::support::{json, post};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use std::{
    fmt::Debug,
    future::pending,
    io,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, advance, sleep, timeout},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_inference::{
    ErrorNormalizationLayer, InferenceError, ModelRegistry, Origin, ProbeDriver, ReadinessLayer,
    ReadyFlag, RequestedModel,
    error::Category,
    observe::{Completion, Observe, Probed},
    readiness::{Phase, Preset, ProbeHandle, State},
};

const SECOND: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(3);

/// Far less than any time that matters here: for what happens at the same moment.
const MOMENT: Duration = Duration::from_millis(1);

type Client = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, io::Error>;

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Answers(u16, &'static str),
    Hangs,
    Panics,
    Refuses,
}

pub(crate) const HEALTHY: Mode = Mode::Answers(200, "{}");

/// A server whose mode can be changed; it keeps what it was asked, and when.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    modes: Arc<Mutex<(Mode, Mode)>>,
    asked: Arc<Mutex<Vec<(Instant, String)>>>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            modes: Arc::new(Mutex::new((mode, mode))),
            asked: Arc::default(),
            running: Arc::default(),
            most: Arc::default(),
        }
    }

    /// What it does with all requests.
    pub(crate) fn set(&self, mode: Mode) {
        *self.modes.lock().unwrap() = (mode, mode);
    }

    /// What it does with requests for work.
    pub(crate) fn set_work(&self, mode: Mode) {
        self.modes.lock().unwrap().1 = mode;
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(_, path)| path.clone()).collect()
    }

    pub(crate) fn service(&self) -> Client {
        let server = self.clone();
        BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| {
            let server = server.clone();
            async move {
                let (probes, work) = *server.modes.lock().unwrap();
                let mode = if request.method() == Method::POST { work } else { probes };
                server.asked.lock().unwrap().push((Instant::now(), request.uri().path().into()));
                let running = server.running.fetch_add(1, Ordering::Relaxed) + 1;
                server.most.fetch_max(running, Ordering::Relaxed);
                let _running = Running(Arc::clone(&server.running));
                match mode {
                    Mode::Answers(status, body) => Ok(json(status, body)),
                    Mode::Hangs => pending().await,
                    Mode::Panics => panic!("the server's client panics"),
                    Mode::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
                }
            }
        }))
    }

    fn driver(&self, flag: &ReadyFlag) -> ProbeDriver<Client> {
        ProbeDriver::new(self.service(), Preset::http("/health"), flag.reporter())
    }
}

/// Counts what it hears of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) states: Arc<Mutex<Vec<(Instant, State)>>>,
    pub(crate) probes: Arc<Mutex<Vec<(bool, &'static str)>>>,
}

impl Observe for Heard {
    fn probed(&self, probe: &Probed<'_>) {
        self.probes.lock().unwrap().push((probe.deep, probe.outcome));
    }

    fn state_changed(&self, model: Option<&str>, state: State) {
        assert_eq!(model, None);
        self.states.lock().unwrap().push((Instant::now(), state));
    }
}

/// A server that answers, behind a gate that a driver has opened.
async fn open() -> (Server, ReadyFlag, ProbeHandle) {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let driver = server.driver(&flag);
    let handle = driver.handle();
    tokio::spawn(driver.run());
    sleep(MOMENT).await;
    assert_eq!(flag.state(), State::Ready);
    (server, flag, handle)
}

async fn until_closed(flag: &ReadyFlag) -> Duration {
    let begin = Instant::now();
    while flag.state().is_ready() {
        sleep(10 * MOMENT).await;
    }
    begin.elapsed()
}

// R7
#[tokio::test(start_paused = true)]
async fn unknown_is_not_ready_and_the_first_success_opens() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let driver = server.driver(&flag);
    sleep(100 * SECOND).await;
    assert_eq!(flag.state(), State::starting());
    tokio::spawn(driver.run());
    sleep(MOMENT).await;
    assert_eq!(flag.state(), State::Ready);
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_do_not_overflow_the_clock() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let driver = server.driver(&flag).period(Duration::MAX);
    let driver = driver.timeout(Duration::MAX).grace(Duration::MAX);
    tokio::spawn(driver.run());
    sleep(100 * SECOND).await;
    assert_eq!(flag.state(), State::Ready);
}

// R1
#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_has_failed_and_the_next_one_starts() {
    let (server, flag) = (Server::new(Mode::Hangs), ReadyFlag::new());
    tokio::spawn(server.driver(&flag).run());
    sleep(2 * TIMEOUT).await;
    assert_eq!(flag.state(), State::starting());
    server.set(HEALTHY);
    sleep(TIMEOUT + PERIOD).await;
    assert_eq!(flag.state(), State::Ready);
}

// R1
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_closes_the_gate_in_time() {
    for run in 0..100 {
        let (server, flag, _) = open().await;
        sleep(20 * SECOND + run * PERIOD / 100).await;
        assert_eq!(flag.state(), State::Ready);
        server.set(Mode::Hangs);
        let took = until_closed(&flag).await;
        assert!(took <= 3 * PERIOD + TIMEOUT, "{took:?}");
        assert_eq!(flag.state(), State::starting(), "it may be restarting");
        sleep(30 * SECOND + PERIOD).await;
        assert_eq!(flag.state(), State::Failed);
    }
}

// R1
#[tokio::test(start_paused = true)]
async fn a_body_that_hangs_is_a_hang_and_an_endless_one_is_cut() {
    for (hangs, expected) in [(false, State::Ready), (true, State::starting())] {
        let flag = ReadyFlag::new();
        let service = service_fn(move |_: Request<Full<Bytes>>| {
            let frames = futures::stream::unfold((), move |()| async move {
                if hangs {
                    pending::<()>().await;
                }
                let data = Bytes::from_static(&[b' '; 10_000]);
                Some((Ok::<_, io::Error>(Frame::data(data)), ()))
            });
            let body = StreamBody::new(Box::pin(frames));
            std::future::ready(Ok::<_, io::Error>(Response::new(body)))
        });
        let driver = ProbeDriver::new(service, Preset::vllm(), flag.reporter());
        let mut run = pin!(driver.run());
        let _ = timeout(20 * SECOND, run.as_mut()).await;
        assert_eq!(flag.state(), expected, "{hangs}");
    }
}

// R2
#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_has_failed_and_the_loop_goes_on() {
    let (server, flag, _) = open().await;
    for _ in 0..20 {
        server.set(Mode::Panics);
        sleep(PERIOD).await;
        server.set(HEALTHY);
        sleep(PERIOD).await;
        assert_eq!(flag.state(), State::Ready);
    }
    server.set(Mode::Panics);
    assert!(until_closed(&flag).await <= 3 * PERIOD);
    server.set(HEALTHY);
    sleep(PERIOD).await;
    assert_eq!(flag.state(), State::Ready);
}

/// Panics when the driver tells it of its `n`th probe, and that the gate closed.
struct Bomb(AtomicUsize);

impl Observe for Bomb {
    fn probed(&self, _: &Probed<'_>) {
        assert!(self.0.fetch_sub(1, Ordering::Relaxed) > 0, "the observer panics");
    }

    fn state_changed(&self, _: Option<&str>, state: State) {
        assert!(state.is_ready(), "the observer panics again");
    }
}

// R3
#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_closes_the_gate() {
    for run in 0..1000 {
        let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
        let driver = server.driver(&flag).observe(Bomb(AtomicUsize::new(2 + run % 5)));
        let driver = tokio::spawn(driver.run());
        sleep(MOMENT).await;
        assert_eq!(flag.state(), State::Ready);
        assert!(driver.await.unwrap_err().is_panic());
        assert_eq!(flag.state(), State::Failed);
    }
}

// R3
#[tokio::test(start_paused = true)]
async fn a_driver_that_is_aborted_closes_the_gate() {
    for run in 0..1000 {
        let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
        let driver = tokio::spawn(server.driver(&flag).run());
        sleep(MOMENT).await;
        if run % 2 == 0 {
            server.set(Mode::Hangs); // some are aborted in the middle of a probe
        }
        sleep(run * PERIOD / 500).await;
        assert_eq!(flag.state(), State::Ready);
        driver.abort();
        assert!(driver.await.unwrap_err().is_cancelled());
        assert_eq!(flag.state(), State::Failed);
    }
}

// R3
#[test]
fn a_driver_whose_runtime_ends_closes_the_gate() {
    for _ in 0..1000 {
        let flag = ReadyFlag::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            tokio::spawn(Server::new(HEALTHY).driver(&flag).run());
            while !flag.state().is_ready() {
                tokio::task::yield_now().await;
            }
        });
        drop(runtime);
        assert_eq!(flag.state(), State::Failed);
    }
}

// R3
#[tokio::test(start_paused = true)]
async fn a_driver_that_starves_closes_the_gate() {
    for run in 0..1000 {
        let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
        let driver = server.driver(&flag);
        let handle = driver.handle();
        let mut driver = pin!(driver.run());
        let _ = timeout(MOMENT + run * SECOND / 10, driver.as_mut()).await;
        assert_eq!(flag.state(), State::Ready);
        // From here on nobody polls it. Requests that fail are no sign that somebody does.
        sleep(PERIOD).await;
        handle.failed(&broken());
        assert_eq!(flag.state(), State::Ready);
        sleep(2 * PERIOD + TIMEOUT + 2 * MOMENT).await;
        assert_eq!(flag.state(), State::Failed);
    }
}

// R3
#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_unused_closes_the_gate() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::ready());
    drop(server.driver(&flag));
    assert_eq!(flag.state(), State::Failed);
    flag.set(State::Ready);
    drop(server.driver(&flag).run());
    assert_eq!(flag.state(), State::Failed);
}

#[tokio::test(start_paused = true)]
async fn without_the_staleness_bound_a_starved_driver_is_believed() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let mut driver = pin!(server.driver(&flag).staleness(false).run());
    let _ = timeout(MOMENT, driver.as_mut()).await;
    sleep(1000 * SECOND).await;
    assert_eq!(flag.state(), State::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_driver_ends_when_nobody_reads_what_it_reports() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let driver = tokio::spawn(server.driver(&flag).run());
    sleep(PERIOD).await;
    drop(flag);
    assert!(timeout(PERIOD, driver).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_driver_does_not_undo_a_drain() {
    let (_server, flag, _) = open().await;
    let (server, models) = (Server::new(HEALTHY), ModelRegistry::new());
    for reporter in [models.process_reporter(), models.reporter("m")] {
        tokio::spawn(ProbeDriver::new(server.service(), Preset::vllm(), reporter).run());
    }
    sleep(PERIOD).await;
    flag.set(State::Draining);
    models.set("m", State::Draining);
    models.begin_drain();
    for _ in 0..10 {
        sleep(PERIOD).await;
        assert_eq!(flag.state(), State::Draining);
        assert_eq!(models.state("m"), Some(State::Draining));
        assert_eq!(models.snapshot().process(), State::Draining);
    }
    flag.set(State::Ready);
    sleep(PERIOD).await;
    assert_eq!(flag.state(), State::Ready);
}

// R4
#[tokio::test(start_paused = true)]
async fn there_is_one_probe_at_a_time() {
    let (server, flag) = (Server::new(Mode::Hangs), ReadyFlag::new());
    tokio::spawn(server.driver(&flag).timeout(60 * SECOND).run());
    sleep(600 * SECOND).await;
    assert_eq!(server.most.load(Ordering::Relaxed), 1);
    let asked = server.paths().len();
    assert!((120..=151).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn a_preset_without_work_has_no_deep_probes() {
    let (server, flag, heard) = (Server::new(HEALTHY), ReadyFlag::new(), Heard::default());
    tokio::spawn(server.driver(&flag).deep_every(1).observe(heard.clone()).run());
    sleep(10 * PERIOD).await;
    assert!(heard.probes.lock().unwrap().iter().all(|probe| *probe == (false, "ready")));
}

// R5
#[tokio::test(start_paused = true)]
async fn thresholds_count_what_is_consecutive() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let driver = server.driver(&flag).failure_threshold(2).success_threshold(3).grace(SECOND);
    let heard = Heard::default();
    tokio::spawn(driver.observe(heard.clone()).run());
    let probes = async |mode: Mode, count: usize| {
        let before = heard.probes.lock().unwrap().len();
        server.set(mode);
        while heard.probes.lock().unwrap().len() < before + count {
            sleep(MOMENT).await;
        }
        flag.state()
    };
    let table = [
        (HEALTHY, 2, State::starting()),
        (HEALTHY, 1, State::Ready),
        (Mode::Refuses, 1, State::Ready),
        (HEALTHY, 1, State::Ready),
        (Mode::Answers(500, ""), 1, State::Ready),
        (Mode::Hangs, 1, State::starting()),
        (Mode::Answers(404, ""), 1, State::Failed),
        (HEALTHY, 2, State::Failed),
        (Mode::Answers(200, r#"{"model_ready":false}"#), 1, State::starting()),
        (HEALTHY, 2, State::starting()),
        (HEALTHY, 1, State::Ready),
    ];
    for (step, (mode, count, expected)) in table.into_iter().enumerate() {
        assert_eq!(probes(mode, count).await, expected, "step {step}");
    }
}

// R6
#[tokio::test(start_paused = true)]
async fn a_server_that_comes_and_goes_is_down() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let heard = Heard::default();
    tokio::spawn(server.driver(&flag).failure_threshold(1).observe(heard.clone()).run());
    for _ in 0..120 {
        server.set(Mode::Refuses);
        sleep(PERIOD).await;
        server.set(HEALTHY);
        sleep(PERIOD).await;
    }
    let states = heard.states.lock().unwrap();
    let openings: Vec<_> = states.iter().filter(|(_, state)| state.is_ready()).collect();
    assert!(openings.len() > 3 && openings.len() <= 61, "{}", openings.len());
    assert!(openings.windows(4).all(|it| it[3].0 - it[0].0 >= 12 * PERIOD));
}

// R9
#[tokio::test(start_paused = true)]
async fn many_drivers_do_not_ask_in_step() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let start = Instant::now();
    for _ in 0..1000 {
        tokio::spawn(server.driver(&flag).run());
    }
    sleep(60 * SECOND).await;
    let asked = server.asked.lock().unwrap();
    let times: Vec<_> = asked.iter().map(|(at, _)| *at - start).collect();
    assert!(times[..1000].iter().all(|at| *at < MOMENT), "the first is at once");
    // In step it would be 1,000 in one second and none in the next four.
    for second in 1..60 {
        let share = times.iter().filter(|at| at.as_secs() == second).count();
        assert!((120..=400).contains(&share), "second {second}: {share}");
    }
}

// R14
#[tokio::test(start_paused = true)]
async fn a_clock_that_leaps_closes_the_gate_until_the_next_probe() {
    let (server, flag, _) = open().await;
    advance(30 * 86_400 * SECOND).await;
    assert_eq!(flag.state(), State::Failed);
    sleep(PERIOD).await;
    assert_eq!(flag.state(), State::Ready);
    drop(server);
}

/// Panics when the state changes.
struct Touchy;

impl Observe for Touchy {
    fn state_changed(&self, _: Option<&str>, state: State) {
        assert!(state.is_ready(), "the observer panics");
    }
}

fn broken() -> InferenceError {
    InferenceError::new(Category::UpstreamError, "").with_origin(Origin::Service)
}

// R19
#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_leaves_no_lock_behind() {
    let (server, flag) = (Server::new(HEALTHY), ReadyFlag::new());
    let driver = server.driver(&flag).failure_threshold(1).observe(Touchy);
    let handle = driver.handle();
    tokio::spawn(driver.run());
    sleep(MOMENT).await;
    let told = std::panic::AssertUnwindSafe(|| handle.failed(&broken()));
    assert!(std::panic::catch_unwind(told).is_err());
    assert_eq!(handle.phase(), Phase::Dead);
    handle.failed(&broken());
    // The trial is made at once, and opens.
    sleep(MOMENT).await;
    assert_eq!(flag.state(), State::Ready);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted_for_what_they_say_about_the_server() {
    let error = |category, status: u16| {
        let error = InferenceError::new(category, "");
        let status = StatusCode::from_u16(status).ok();
        match status {
            Some(status) => error.with_provider_status(status).with_origin(Origin::Upstream),
            None => error.with_origin(Origin::Stream),
        }
    };
    let table = [
        (broken(), true),
        (error(Category::UpstreamError, 0), true),
        (error(Category::UpstreamError, 500), true),
        (error(Category::UpstreamError, 502), true),
        (error(Category::Timeout, 504), true),
        (error(Category::Timeout, 0), true),
        (error(Category::Timeout, 408), false),
        (error(Category::InvalidRequest, 400), false),
        (error(Category::ModelNotFound, 404), false),
        (error(Category::RateLimited, 429), false),
        (error(Category::Overloaded, 503), false),
        (error(Category::UpstreamError, 503), false),
        (error(Category::Cancelled, 499), false),
        (error(Category::ModelNotReady, 503).with_origin(Origin::Readiness), false),
    ];
    for (error, counts) in table {
        let (_server, flag, handle) = open().await;
        for _ in 0..3 {
            assert_eq!(flag.state(), State::Ready);
            handle.failed(&error);
        }
        assert_eq!(!flag.state().is_ready(), counts, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_handle_of_a_models_driver_counts_that_model_only() {
    let models = ModelRegistry::new();
    let server = Server::new(HEALTHY);
    let preset = Preset::http("/health");
    let driver = ProbeDriver::new(server.service(), preset, models.reporter("a"));
    let handle = vec![driver.handle()];
    tokio::spawn(driver.run());
    sleep(MOMENT).await;
    for _ in 0..5 {
        handle.failed(&broken());
        handle.failed(&broken().with_model("b"));
    }
    assert_eq!(models.state("a"), Some(State::Ready));
    let of = |model| Completion::new(Some(model), StatusCode::OK);
    for model in ["a", "b"] {
        handle.failed(&broken().with_model("a"));
        handle.failed(&broken().with_model("a"));
        handle.completed(&of(model));
    }
    assert_eq!(models.state("a"), Some(State::Ready));
    handle.failed(&broken().with_model("a"));
    assert_eq!(models.state("a"), Some(State::starting()));
}

/// The layers in front of a server, with the driver's handle as the observer.
fn layered(
    inner: Client,
    flag: ReadyFlag,
    handle: ProbeHandle,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<impl Body<Data = Bytes, Error: Debug>>,
    Error: Debug,
> + Clone {
    ServiceBuilder::new()
        .layer(ErrorNormalizationLayer::new().observe(handle))
        .layer(ReadinessLayer::new(flag))
        .service(inner)
}

fn chat() -> Request<Full<Bytes>> {
    post("/v1/chat/completions", "{}")
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_connections_closes_the_gate_at_once_and_opens_it_again() {
    let (server, flag, handle) = open().await;
    let service = layered(server.service(), flag.clone(), handle);
    let ask = || async { service.clone().oneshot(chat()).await.unwrap().status().as_u16() };
    assert_eq!(ask().await, 200);
    server.set(Mode::Refuses);
    assert_eq!([ask().await, ask().await, ask().await, ask().await], [502, 502, 502, 503]);
    assert_eq!(flag.state(), State::starting());
    server.set(HEALTHY);
    sleep(PERIOD).await;
    assert_eq!(ask().await, 200);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_work_proves_nothing() {
    let (server, flag, handle) = open().await;
    let service = layered(server.service(), flag.clone(), handle);
    server.set_work(Mode::Answers(500, ""));
    for _ in 0..3 {
        service.clone().oneshot(chat()).await.unwrap();
        let health = Request::get("/health").body(Full::default()).unwrap();
        assert_eq!(service.clone().oneshot(health).await.unwrap().status(), 200);
    }
    assert!(!flag.state().is_ready());
}

/// Keeps the completions that it hears of.
#[derive(Clone, Default)]
struct Completions(Arc<Mutex<Vec<String>>>);

impl Observe for Completions {
    fn completed(&self, completion: &Completion<'_>) {
        let Completion { model, status, .. } = completion;
        self.0.lock().unwrap().push(format!("{model:?} {}", status.as_u16()));
    }
}

#[tokio::test(start_paused = true)]
async fn work_is_completed_when_its_stream_is_and_health_checks_are_no_work() {
    const CHAT: &str = "/v1/chat/completions";
    const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    let sse = "text/event-stream";
    let table = [
        (CHAT, 200, sse, format!("{EVENT}data: [DONE]\n\n"), true),
        (CHAT, 200, sse, EVENT.to_owned(), false),
        (CHAT, 200, "application/json", r#"{"choices":[]}"#.to_owned(), true),
        (CHAT, 200, "application/json", r#"{"error":{"message":"x"}}"#.to_owned(), false),
        (CHAT, 500, "application/json", String::new(), false),
        ("/v1/audio/speech", 200, "audio/mpeg", "x".to_owned(), true),
        ("/health", 200, "application/json", "{}".to_owned(), false),
    ];
    for (path, status, media_type, body, expected) in table {
        let heard = Completions::default();
        let layer = ErrorNormalizationLayer::new().observe(vec![Arc::new(heard.clone())]);
        let answer = Response::builder().status(status).header("content-type", media_type);
        let answer = answer.body(Full::<Bytes>::from(body.clone())).unwrap();
        let inner =
            service_fn(move |_: Request<_>| std::future::ready(Ok::<_, io::Error>(answer.clone())));
        let mut request = post(path, "{}");
        request.extensions_mut().insert(RequestedModel::new("m"));
        let answer = layer.layer(inner).oneshot(request).await.unwrap();
        if media_type == sse {
            assert!(heard.0.lock().unwrap().is_empty(), "its end is still to come");
        }
        let _ = answer.into_body().collect().await;
        let completions = heard.0.lock().unwrap().clone();
        let expected = if expected { vec![r#"Some("m") 200"#] } else { vec![] };
        assert_eq!(completions, expected, "{path} {body}");
    }
}

/// A server with eight places and a queue; whoever asks for its health queues too.
fn full(places: &Arc<Semaphore>, hung: &Arc<AtomicBool>) -> Client {
    let (places, hung) = (Arc::clone(places), Arc::clone(hung));
    BoxCloneSyncService::new(service_fn(move |request: Request<Full<Bytes>>| {
        let (places, hung) = (Arc::clone(&places), Arc::clone(&hung));
        async move {
            let _place = places.acquire().await.map_err(io::Error::other)?;
            if hung.load(Ordering::Relaxed) {
                pending::<()>().await;
            }
            if request.method() == Method::POST {
                sleep(2 * SECOND).await;
            }
            Ok(json(200, r#"{"choices":[]}"#))
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_never_closes_the_gate_and_a_hung_one_does() {
    let (places, hung) = (Arc::new(Semaphore::new(8)), Arc::new(AtomicBool::new(false)));
    let (flag, heard) = (ReadyFlag::new(), Heard::default());
    let driver = ProbeDriver::new(full(&places, &hung), Preset::vllm(), flag.reporter())
        .deep_every(3)
        .deep_timeout(10 * SECOND)
        .observe(heard.clone());
    let service = layered(full(&places, &hung), flag.clone(), driver.handle());
    tokio::spawn(driver.run());
    sleep(MOMENT).await;

    let (served, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients = tokio::task::LocalSet::new();
    for _ in 0..64 {
        let (service, served, refused) = (service.clone(), served.clone(), refused.clone());
        clients.spawn_local(async move {
            loop {
                let answer = service.clone().oneshot(chat()).await.unwrap();
                let count = if answer.status() == 200 { &served } else { &refused };
                count.fetch_add(1, Ordering::Relaxed);
                answer.into_body().collect().await.unwrap();
                sleep(MOMENT).await;
            }
        });
    }
    clients.run_until(sleep(600 * SECOND)).await;
    assert!(served.load(Ordering::Relaxed) > 2300);
    assert_eq!(refused.load(Ordering::Relaxed), 0);
    assert_eq!(heard.states.lock().unwrap().len(), 1, "it opened, and nothing else");
    let probes = heard.probes.lock().unwrap().clone();
    assert!(!probes.iter().any(|(_, outcome)| *outcome == "failed"), "{probes:?}");

    // Now it accepts, and never answers. What it has begun is completed.
    hung.store(true, Ordering::Relaxed);
    let took = clients.run_until(until_closed(&flag)).await;
    let deep = 10 * SECOND;
    assert!(took <= 2 * SECOND + 3 * PERIOD + TIMEOUT + deep, "{took:?}");
}
