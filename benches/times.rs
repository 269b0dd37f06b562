//! Times of each case. They are noisy: look at ratios of one run, as `benches/report.py times` does.

mod cases;

use cases::{Work, all_cases};
use criterion::Criterion;
use std::time::{Duration, Instant};

type Case = (&'static str, fn() -> Work);

/// When a case is made.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Make {
    /// Only if it is not filtered out; a short run counts it as if it were measured.
    WhenRun,
    Before,
}

fn time(criterion: &mut Criterion, group: &str, when: Make, cases: &[Case]) {
    let mut group = criterion.benchmark_group(group);
    for (name, make) in cases {
        let mut work = (when == Make::Before).then(make);
        group.bench_function(*name, |bencher| {
            let work = work.get_or_insert_with(make);
            #[allow(clippy::disallowed_methods, reason = "real time is what is measured")]
            bencher.iter_custom(|times| {
                let begin = Instant::now();
                work(usize::try_from(times).expect("64 bits"));
                begin.elapsed()
            });
        });
    }
    group.finish();
}

macro_rules! time_all {
    ($($group:ident $times:literal { $($case:ident)* })*) => {
        fn all(criterion: &mut Criterion) {
            use cases::lookup::busy;

            $(time(
                criterion,
                stringify!($group),
                Make::WhenRun,
                &[$((stringify!($case), cases::$group::$case)),*],
            );)*
            // The registry takes long to fill: too long under valgrind, and too long for a short run.
            let large: [Case; 4] = [
                ("ours_100k", cases::lookup::ours_100k),
                ("frozen_100k", cases::lookup::frozen_100k),
                ("dash_map_100k", cases::lookup::dash_map_100k),
                ("rw_lock_100k", cases::lookup::rw_lock_100k),
            ];
            time(criterion, "lookup", Make::Before, &large);
            let busy: [Case; 5] = [
                ("bare", busy::bare),
                ("ours_100", busy::ours_100),
                ("ours_10k", busy::ours_10k),
                ("dash_map_100", busy::dash_map_100),
                ("rw_lock_100", busy::rw_lock_100),
            ];
            time(criterion, "busy", Make::WhenRun, &busy);
        }
    };
}

all_cases!(time_all);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .nresamples(10_000)
        .configure_from_args();
    all(&mut criterion);
    criterion.final_summary();
}
