//! Requests that wait for their model to start.

use crate::support::{json, post, send};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use std::{
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_test::{assert_pending, assert_ready, task::spawn};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_inference::{
    ModelRegistry, ReadinessLayer, ReadinessProbe, ReadyFlag, RequestedModel, probe_fn,
    readiness::{NotReady, State, UnknownModel, Verdict},
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Answers every request, and notes when and for which model.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Instant, String)>>>);

impl Log {
    fn service(
        &self,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + use<> {
        let log = self.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let name = request.extensions().get::<RequestedModel>();
            let name = name.map_or_else(String::new, |it| it.as_str().to_owned());
            log.0.lock().unwrap().push((Instant::now(), name));
            std::future::ready(Ok(json(200, "{}")))
        })
    }

    fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, name)| name.clone()).collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn chat() -> Request<Full<Bytes>> {
    post("/v1/chat/completions", "{}")
}

fn chat_with(model: &str) -> Request<Full<Bytes>> {
    let mut request = chat();
    request.extensions_mut().insert(RequestedModel::new(model));
    request
}

/// Sends a request from a task of its own, and lets the task begin to wait.
async fn start<S>(service: &S, request: Request<Full<Bytes>>) -> JoinHandle<u16>
where
    S: Service<
            Request<Full<Bytes>>,
            Response: IntoStatus,
            Error: std::fmt::Debug + Send,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let service = service.clone();
    let task = tokio::spawn(async move { service.oneshot(request).await.unwrap().into_status() });
    tokio::task::yield_now().await;
    task
}

trait IntoStatus: Send {
    fn into_status(self) -> u16;
}

impl<B: Send> IntoStatus for Response<B> {
    fn into_status(self) -> u16 {
        self.status().as_u16()
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_request_passes_once_its_model_is_ready() {
    async fn elapsed(
        probe: impl ReadinessProbe + Clone + Send + Sync + 'static,
        open: impl FnOnce(),
    ) -> Duration {
        let begin = Instant::now();
        let layer = ReadinessLayer::new(probe).hold(60 * SECOND, 1);
        let task = start(&layer.layer(Log::default().service()), chat_with("m")).await;
        assert_eq!(layer.waiting(), 1);
        tokio::time::sleep(SECOND + 50 * MS).await;
        open();
        assert_eq!(task.await.unwrap(), 200);
        assert_eq!(layer.waiting(), 0);
        begin.elapsed()
    }
    let woken = SECOND + 50 * MS;
    let asked_again = SECOND + 100 * MS;

    let flag = ReadyFlag::new();
    assert_eq!(elapsed(flag.clone(), || flag.set(State::Ready)).await, woken);
    let models = ModelRegistry::new();
    models.set("m", State::starting());
    assert_eq!(elapsed(models.clone(), || models.set("m", State::Ready)).await, woken);
    models.set("m", State::starting());
    let of_both = (ReadyFlag::ready(), models.clone());
    assert_eq!(elapsed(of_both, || models.set("m", State::Ready)).await, woken);
    flag.set(State::starting());
    let of_both = (flag.clone(), models.clone());
    assert_eq!(elapsed(of_both, || flag.set(State::Ready)).await, woken);

    let boolean = Arc::new(AtomicBool::new(false));
    let open = || boolean.store(true, Ordering::Release);
    assert_eq!(elapsed(Arc::clone(&boolean), open).await, asked_again);
    open();
    flag.set(State::starting());
    let of_both = (flag.clone(), Arc::clone(&boolean));
    assert_eq!(elapsed(of_both, || flag.set(State::Ready)).await, asked_again);
}

#[tokio::test(start_paused = true)]
async fn only_a_start_is_waited_for() {
    let begin = Instant::now();
    let models = ModelRegistry::new().unknown_model(UnknownModel::NotFound);
    let layer = ReadinessLayer::new(models.clone()).hold(SECOND, 9);
    let service = layer.layer(Log::default().service());
    for state in [State::Incomplete, State::Draining, State::Failed] {
        models.set("m", state);
        assert_eq!(send(&service, chat_with("m")).await.status(), 503, "{state:?}");
        models.remove("m");
        models.set_process(state);
        assert_eq!(send(&service, chat()).await.status(), 503, "{state:?}");
        models.set_process(State::Ready);
    }
    assert_eq!(send(&service, chat_with("unknown")).await.status(), 404);
    models.set_process(State::starting());
    let health = Request::get("/health").body(Full::default()).unwrap();
    assert_eq!(send(&service, health).await.status(), 200);
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_or_finds_no_place_is_answered_as_if_refused() {
    let eta = State::Starting { eta: Some(30 * SECOND) };
    let models = ModelRegistry::new();
    models.set("m", eta);
    let request = || {
        let mut request = post("/v1/messages", "{}");
        request.extensions_mut().insert(RequestedModel::new("m"));
        request
    };
    let shown = |answer: &crate::support::Answer| {
        let head = (answer.status().as_u16(), answer.header("content-type").to_owned());
        (head, answer.text().replace("\"retry_after\":28", "\"retry_after\":30"))
    };
    let refusing = ReadinessLayer::new(models.clone());
    let refused = send(&refusing.layer(Log::default().service()), request()).await;
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(refused.json()["error"]["type"], "overloaded_error");

    let begin = Instant::now();
    let layer = refusing.hold(2 * SECOND, 1);
    let service = layer.layer(Log::default().service());
    let other = service.clone();
    let waiting = tokio::spawn(async move { send(&other, request()).await });
    tokio::task::yield_now().await;
    let too_many = send(&layer.clone().layer(Log::default().service()), request()).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(shown(&too_many), shown(&refused));
    let in_vain = waiting.await.unwrap();
    assert_eq!(begin.elapsed(), 2 * SECOND);
    assert_eq!(in_vain.header("retry-after"), "28");
    assert_eq!(shown(&in_vain), shown(&refused));
    assert_eq!(layer.waiting(), 0);
}

// R10
#[tokio::test(start_paused = true)]
async fn no_more_wait_than_allowed_however_many_arrive() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 1000);
    let log = Log::default();
    let mut waiting = Vec::new();
    for n in 0..3000 {
        let mut service = layer.layer(log.service());
        let mut future = spawn(service.ready().await.unwrap().call(chat()));
        if n < 1000 {
            assert_pending!(future.poll());
            waiting.push(future);
        } else {
            assert_eq!(assert_ready!(future.poll()).unwrap().status(), 503);
        }
    }
    assert_eq!(layer.waiting(), 1000);
    drop(waiting);
    assert_eq!(layer.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served_per_model() {
    let models = ModelRegistry::new();
    models.set("a", State::starting());
    models.set("b", State::starting());
    models.set("warm", State::Ready);
    let log = Log::default();
    let service = ReadinessLayer::new(models.clone()).hold(60 * SECOND, 100).layer(log.service());
    let mut order = Vec::new();
    for n in 0..20 {
        let mut request = chat_with(if n % 2 == 0 { "a" } else { "b" });
        *request.body_mut() = Full::from(n.to_string());
        let model = request.extensions().get::<RequestedModel>().unwrap().as_str().to_owned();
        let service = service.clone();
        order.push((model, tokio::spawn(service.oneshot(request))));
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&service, chat_with("warm")).await.status(), 200);
    models.set("b", State::Ready);
    tokio::time::sleep(SECOND).await;
    assert_eq!(log.names(), [vec!["warm"; 1], vec!["b"; 10]].concat());
    assert!(order.iter().all(|(model, task)| task.is_finished() == (model == "b")));
    models.set("a", State::Ready);
    for (_, task) in order {
        assert_eq!(task.await.unwrap().unwrap().status(), 200);
    }
}

// R12
#[tokio::test(start_paused = true)]
async fn the_first_to_come_is_the_first_to_go() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 100).release_rate(1000);
    let log = Log::default();
    let mut tasks = Vec::new();
    for n in 0..20 {
        // The line is the model's, so one model for all; a probe of the process does not mind.
        let mut request = chat_with("m");
        request.headers_mut().insert("x-number", n.into());
        let log = log.clone();
        let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| {
            let number = request.headers()["x-number"].to_str().unwrap().to_owned();
            log.0.lock().unwrap().push((Instant::now(), number));
            std::future::ready(Ok::<_, Infallible>(json(200, "{}")))
        }));
        tasks.push(start(&service, request).await);
    }
    flag.set(State::Ready);
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(log.names(), (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

// R8
#[tokio::test(start_paused = true)]
async fn ten_thousand_are_released_within_a_second_and_not_at_once() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 10_000);
    let log = Log::default();
    let service = layer.layer(log.service());
    let tasks: Vec<_> =
        (0..10_000).map(|_| tokio::spawn(service.clone().oneshot(chat()))).collect();
    tokio::time::sleep(MS).await;
    assert_eq!(layer.waiting(), 10_000);
    let begin = Instant::now();
    flag.set(State::Ready);
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().status(), 200);
    }
    let calls = log.0.lock().unwrap();
    let last = calls.last().unwrap().0 - begin;
    assert!((990 * MS..=1010 * MS).contains(&last), "{last:?}");
    for n in 0..10_u32 {
        let begin = begin + n * 100 * MS;
        let during = calls.iter().filter(|(at, _)| (begin..begin + 100 * MS).contains(at)).count();
        assert!((900..=1100).contains(&during), "{during} in the tenth of a second {n}");
    }
    let most = calls.chunk_by(|a, b| a.0 == b.0).map(<[_]>::len).max().unwrap();
    assert!(most <= 100, "{most} at once");
}

// R11 T7
#[tokio::test(start_paused = true)]
async fn cancelled_waiters_leave_nothing_and_starve_nobody() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 1000);
    let log = Log::default();
    let service = layer.layer(log.service());
    let mut tasks = Vec::new();
    for _ in 0..1000 {
        tasks.push(start(&service, chat()).await);
    }
    for task in tasks.iter().step_by(2) {
        task.abort();
    }
    flag.set(State::Ready);
    // Half of the others go while the line moves.
    tokio::time::sleep(10 * MS).await;
    for task in tasks.iter().skip(1).step_by(4) {
        task.abort();
    }
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await {
            Ok(status) => assert_eq!(status, 200),
            Err(error) => assert!(error.is_cancelled() && (n % 2 == 0 || n % 4 == 1)),
        }
    }
    assert_eq!(layer.waiting(), 0);
    assert!((250..=600).contains(&log.len()), "{}", log.len());
}

// R11
#[tokio::test(start_paused = true)]
async fn the_wake_up_of_a_waiter_that_is_cancelled_goes_to_the_next() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 9);
    let mut service = layer.layer(Log::default().service());
    let mut waiting: Vec<_> = (0..3).map(|_| spawn(service.call(chat()))).collect();
    for future in &mut waiting {
        assert_pending!(future.poll());
    }
    flag.set(State::Ready);
    let woken: Vec<_> = waiting.iter().map(tokio_test::task::Spawn::is_woken).collect();
    assert_eq!(woken, [true, false, false]);
    drop(waiting.remove(0));
    assert!(waiting[0].is_woken() && !waiting[1].is_woken());
    assert_eq!(assert_ready!(waiting[0].poll()).unwrap().status(), 200);
    assert!(waiting[1].is_woken());
}

// R13
#[tokio::test(start_paused = true)]
async fn a_flip_back_during_the_release_leaves_the_rest_waiting() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 100).release_rate(10);
    let log = Log::default();
    let service = layer.layer(log.service());
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(start(&service, chat()).await);
    }
    flag.set(State::Ready);
    tokio::time::sleep(250 * MS).await;
    flag.set(State::starting());
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((log.len(), layer.waiting()), (3, 7));
    flag.set(State::Ready);
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
}

// R17
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_model_that_goes_is_answered_at_once() {
    type Change = fn(&ModelRegistry);
    let changes: [(UnknownModel, Change, u16); 5] = [
        (UnknownModel::NotFound, |models| assert!(models.remove("m")), 404),
        (UnknownModel::Pass, |models| assert!(models.remove("m")), 200),
        (UnknownModel::Pass, |models| models.set("m", State::Failed), 503),
        (UnknownModel::Pass, |models| models.set("m", State::Incomplete), 503),
        (UnknownModel::Pass, ModelRegistry::begin_drain, 503),
    ];
    for (unknown, change, expected) in changes {
        let models = ModelRegistry::new().unknown_model(unknown);
        models.set("m", State::starting());
        let layer = ReadinessLayer::new(models.clone()).hold(60 * SECOND, 100);
        let service = layer.layer(Log::default().service());
        let mut tasks = Vec::new();
        for _ in 0..50 {
            tasks.push(start(&service, chat_with("m")).await);
        }
        let begin = Instant::now();
        change(&models);
        for task in tasks {
            assert_eq!(task.await.unwrap(), expected);
        }
        let longest = if expected == 200 { 10 * MS } else { Duration::ZERO };
        assert!(begin.elapsed() <= longest, "{expected}: {:?}", begin.elapsed());
        assert_eq!(layer.waiting(), 0);
    }
}

// R12
#[tokio::test(start_paused = true)]
async fn who_has_waited_long_enough_passes_if_the_model_is_ready() {
    let begin = Instant::now();
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(2 * SECOND, 100).release_rate(1);
    let service = layer.layer(Log::default().service());
    let mut tasks = Vec::new();
    for _ in 0..10 {
        tasks.push(start(&service, chat()).await);
    }
    tokio::time::sleep(SECOND).await;
    flag.set(State::Ready);
    for task in tasks {
        assert_eq!(task.await.unwrap(), 200);
    }
    assert_eq!(begin.elapsed(), 2 * SECOND);
}

// T3
#[tokio::test(start_paused = true)]
async fn a_cold_model_starves_no_warm_one() {
    let models = ModelRegistry::new();
    models.set("cold", State::starting());
    let log = Log::default();
    let limited = ConcurrencyLimit::new(log.service(), 1);
    let mut service = ReadinessLayer::new(models.clone()).hold(60 * SECOND, 100).layer(limited);
    let mut cold = Vec::new();
    for _ in 0..50 {
        let mut future = spawn(service.ready().await.unwrap().call(chat_with("cold")));
        assert_pending!(future.poll());
        cold.push(future);
        let warm = service.ready().await.unwrap().call(chat_with("warm"));
        assert_eq!(assert_ready!(spawn(warm).poll()).unwrap().status(), 200);
    }
    assert_eq!(log.names(), ["warm"; 50]);
}

// T11
#[tokio::test(start_paused = true)]
async fn the_task_that_polled_last_is_the_one_woken() {
    let flag = ReadyFlag::new();
    let layer = ReadinessLayer::new(flag.clone()).hold(60 * SECOND, 9).release_rate(u32::MAX);
    let mut service = layer.layer(Log::default().service());
    for behind in [false, true] {
        flag.set(State::starting());
        let mut before = behind.then(|| spawn(service.call(chat())));
        if let Some(before) = &mut before {
            assert_pending!(before.poll());
        }
        let future = Mutex::new(Box::pin(service.call(chat())));
        let task = || spawn(poll_fn(|cx| future.lock().unwrap().as_mut().poll(cx)));
        let (mut first, mut second) = (task(), task());
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        flag.set(State::Ready);
        drop(before);
        assert!(second.is_woken() && !first.is_woken(), "behind another: {behind}");
        assert_eq!(assert_ready!(second.poll()).unwrap().status(), 200);
    }
}

// R19
#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_harms_its_request_alone() {
    let asked = Arc::new(AtomicUsize::new(0));
    let probe = probe_fn(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0..=2 => Verdict::NotReady(NotReady::new(State::starting())),
        3 => panic!("a bug of the probe"),
        _ => Verdict::Ready,
    });
    let layer = ReadinessLayer::new(Arc::new(probe)).hold(60 * SECOND, 9);
    let service = layer.layer(Log::default().service());
    let first = start(&service, chat()).await;
    let second = start(&service, chat()).await;
    assert!(first.await.unwrap_err().is_panic());
    assert_eq!(second.await.unwrap(), 200);
    assert_eq!(send(&service, chat()).await.status(), 200);
    assert_eq!(layer.waiting(), 0);
}

#[test]
fn only_a_request_that_waits_needs_a_runtime() {
    let flag = ReadyFlag::ready();
    let layer = ReadinessLayer::new(flag.clone());
    let holding = layer.clone().hold(SECOND, 9);
    let mut service = holding.layer(Log::default().service());
    let ask = |service: &mut tower_inference::Readiness<_, _>| {
        assert_ready!(spawn(poll_fn(|cx| service.poll_ready(cx))).poll()).unwrap();
        spawn(service.call(chat()))
    };
    assert_eq!(assert_ready!(ask(&mut service).poll()).unwrap().status(), 200);
    flag.set(State::Failed);
    assert_eq!(assert_ready!(ask(&mut service).poll()).unwrap().status(), 503);
    flag.set(State::starting());
    let mut waits = ask(&mut service);
    let panic = catch_unwind(AssertUnwindSafe(|| waits.poll())).unwrap_err();
    let message = panic.downcast_ref::<String>().map_or("", |it| it);
    let message = panic.downcast_ref::<&str>().copied().unwrap_or(message);
    assert!(message.contains("Tokio 1.x runtime"), "{message}");
    drop(waits);
    assert_eq!(holding.waiting(), 0);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().unwrap();
    let (opener, service) = (flag.clone(), holding.layer(Log::default().service()));
    runtime.block_on(async {
        let waits = start(&service, chat()).await;
        opener.set(State::Ready);
        assert_eq!(waits.await.unwrap(), 200);
    });
}
