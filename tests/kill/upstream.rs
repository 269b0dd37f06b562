//! An upstream of endless streams of numbered events, which can be killed: on a runtime of its own,
//! whose end closes every connection wherever it is.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    time::sleep,
};

pub(crate) struct Upstream {
    runtime: Option<Runtime>,
    pub(crate) address: SocketAddr,
    told: Arc<Told>,
}

/// What the streams have been told, each by its number.
struct Told {
    seed: u64,
    requests: AtomicUsize,
    /// How many of its events were written whole.
    events: Vec<AtomicUsize>,
}

impl Upstream {
    /// Serves at this address as many streams as are numbered.
    pub(crate) fn start(address: SocketAddr, streams: usize, seed: u64) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = {
            let _guard = runtime.enter();
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(address).unwrap();
            socket.listen(4096).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let events = (0..streams).map(|_| AtomicUsize::new(0)).collect();
        let told = Arc::new(Told { seed, requests: AtomicUsize::new(0), events });
        let serving = Arc::clone(&told);
        runtime.spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let told = Arc::clone(&serving);
                tokio::spawn(async move { _ = told.serve(connection).await });
            }
        });
        Self { runtime: Some(runtime), address, told }
    }

    /// How many requests have come.
    pub(crate) fn requests(&self) -> usize {
        self.told.requests.load(Ordering::Relaxed)
    }

    /// Ends it at once. How many events each stream was told until then, and whether none of them
    /// can have been lost on the way: a reset may overtake what was written.
    pub(crate) fn kill(mut self) -> Vec<(usize, bool)> {
        self.runtime.take().unwrap().shutdown_timeout(Duration::from_secs(5));
        let told = &self.told;
        let events = told.events.iter().map(|events| events.load(Ordering::Relaxed));
        events.enumerate().map(|(n, events)| (events, !Plan::of(told.seed, n).resets)).collect()
    }
}

/// A test that fails must not wait for its streams.
impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// How one stream behaves.
struct Plan {
    random: Random,
    begins: Begins,
    resets: bool,
    /// Its connection dies by itself, before the upstream does.
    dies_within: Option<u64>,
}

#[derive(PartialEq)]
enum Begins {
    Never,
    WithAHead,
    WithARole,
    AtOnce,
}

impl Plan {
    fn of(seed: u64, stream: usize) -> Self {
        let mut random = Random(seed ^ (stream as u64) << 20);
        Self {
            begins: match random.below(10) {
                0 => Begins::Never,
                1 => Begins::WithAHead,
                2 => Begins::WithARole,
                _ => Begins::AtOnce,
            },
            resets: random.below(3) == 0,
            dies_within: (random.below(10) == 0).then_some(5000),
            random,
        }
    }
}

impl Told {
    async fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            if connection.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8(head).unwrap();
        let stream = head.lines().find_map(|line| line.strip_prefix("x-stream: "));
        let Some(stream) = stream.map(|stream| stream.parse::<usize>().unwrap()) else {
            return healthy(connection).await;
        };
        let mut plan = Plan::of(self.seed, stream);
        if plan.resets {
            connection.set_zero_linger()?;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let dies = plan.dies_within.map(|within| Duration::from_millis(plan.random.below(within)));
        let tell = self.tell(&mut connection, stream, plan);
        match dies {
            Some(dies) => tokio::time::timeout(dies, tell).await.unwrap_or(Ok(())),
            None => tell.await,
        }
    }

    async fn tell(
        &self,
        connection: &mut TcpStream,
        stream: usize,
        mut plan: Plan,
    ) -> io::Result<()> {
        let random = &mut plan.random;
        if plan.begins != Begins::Never {
            connection.write_all(HEAD).await?;
        }
        if plan.begins == Begins::WithARole {
            connection.write_all(&chunk(ROLE)).await?;
        }
        if plan.begins != Begins::AtOnce {
            return std::future::pending().await;
        }
        for event in 0.. {
            sleep(Duration::from_millis(random.below(3000))).await;
            let event_text = format!(
                "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{stream}:{event}\"}}}}]}}\n\n"
            );
            let event_text = chunk(&event_text);
            if random.below(4) == 0 {
                let middle = event_text.len() / 2;
                connection.write_all(&event_text[..middle]).await?;
                sleep(Duration::from_millis(random.below(1000))).await;
                connection.write_all(&event_text[middle..]).await?;
            } else {
                connection.write_all(&event_text).await?;
            }
            self.events[stream].store(event + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";

/// A whole stream, for whoever is not numbered.
async fn healthy(mut connection: TcpStream) -> io::Result<()> {
    connection.write_all(HEAD).await?;
    connection.write_all(&chunk(ROLE)).await?;
    connection.write_all(&chunk("data: [DONE]\n\n")).await?;
    connection.write_all(b"0\r\n\r\n").await
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
