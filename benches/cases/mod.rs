//! What is measured, once for the times, the instructions and the allocations: each case does one thing
//! as often as it is told.
//!
//! What is made before the first round is not measured. Each group holds its peers, and the bare thing
//! that everything is compared with.

mod answer;
mod error_body;
mod gate;
pub(crate) mod lookup;
mod model_key;
pub(crate) mod refusal;
mod sse;

pub(crate) use self::{
    answer::*,
    error_body::*,
    gate::{boxed, kept, oneshot},
    model_key::*,
    sse::*,
};

/// Does one thing so many times.
pub(crate) type Work = Box<dyn FnMut(usize)>;

/// Calls a macro with all groups, how often each is to be run under valgrind, and their cases.
macro_rules! all_cases {
    ($with:ident) => {
        $with! {
            oneshot 1000 {
                bare boolean flag registry registry_of_100 normalization both both_of_100 load_shed filter
                validate_request set_header map_body concurrency_limit box_clone axum_bare
                axum_from_fn
            }
            kept 1000 {
                bare boolean flag registry registry_of_100 normalization both both_of_100 load_shed filter
                validate_request set_header map_body concurrency_limit box_clone axum_bare
                axum_from_fn
            }
            boxed 1000 {
                bare boolean flag registry registry_of_100 normalization both both_of_100 load_shed filter
                validate_request set_header map_body concurrency_limit box_clone axum_bare
                axum_from_fn
            }
            refusal 200 { bare ours prerendered axum_typed axum_value }
            lookup 1000 {
                bare ours_1 ours_100 ours_10k ours_20k frozen_1 frozen_10k dash_map_100 rw_lock_100
            }
            sse_one_event_a_frame 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_frames_of_16_kib 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_frames_of_97_bytes 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_error_null 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_suspects 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_event_of_1_kb 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_event_of_2_kb 1000 { bare ours sse_stream sse_core eventsource_stream }
            sse_streams 10 { bare ours_100 ours_200 }
            answer_of_400_bytes 100 { bare ours unchecked }
            answer_of_2_kb 100 { bare ours unchecked }
            answer_of_20_kb 20 { bare ours unchecked }
            answer_of_40_kb 20 { bare ours unchecked }
            error_of_200_bytes 100 { bare ours }
            error_of_2_kb 100 { bare ours }
            error_of_4_kb 100 { bare ours }
            error_of_32_kb 20 { bare ours }
            error_of_64_kb 20 { bare ours }
            model_first_in_100_kb 10 { bare ours typed }
            model_last_in_100_kb 10 { bare ours typed }
            model_last_in_200_kb 10 { bare ours typed }
            model_after_10_mb 1 { bare ours typed }
        }
    };
}
pub(crate) use all_cases;
