//! Instructions of each case, counted by valgrind: they repeat exactly, times do not. Run by
//! `benches/report.py`, which needs `gungraun-runner`.

#![allow(
    missing_docs,
    clippy::exit,
    reason = "gungraun's macros make public modules, and a `main`"
)]

#[allow(dead_code, reason = "some are only timed")]
mod cases;

use cases::{Work, all_cases};
use gungraun::{library_benchmark, library_benchmark_group, main};

macro_rules! benches {
    ($($group:ident $times:literal { $($case:ident)* })*) => {
        $(
            #[library_benchmark]
            $(#[bench::$case($times, cases::$group::$case())])*
            fn $group(times: usize, mut work: Work) -> Work {
                work(times);
                // Dropped where it is not counted.
                work
            }
        )*

        library_benchmark_group!(name = cases_of_all_groups; benchmarks = $($group),*);
        main!(library_benchmark_groups = cases_of_all_groups);
    };
}

all_cases!(benches);
