//! What is measured, once for the times, the instructions and the allocations: each case does one thing
//! as often as it is told.
//!
//! What is made before the first round is not measured. Each group holds its peers, and the bare thing
//! that everything is compared with.

mod gate;

pub(crate) use gate::{boxed, kept, oneshot};

/// Does one thing so many times.
pub(crate) type Work = Box<dyn FnMut(usize)>;

/// Calls a macro with all groups, how often each is to be run under valgrind, and their cases.
macro_rules! all_cases {
    ($with:ident) => {
        $with! {
            oneshot 1000 {
                bare
                flag
                registry
                registry_of_100
                normalization
                both
                both_of_100
                load_shed
                filter
                validate_request
                set_header
                map_body
                concurrency_limit
                box_clone
                axum_bare
                axum_from_fn
            }
            kept 1000 {
                bare
                flag
                registry
                registry_of_100
                normalization
                both
                both_of_100
                load_shed
                filter
                validate_request
                set_header
                map_body
                concurrency_limit
                box_clone
                axum_bare
                axum_from_fn
            }
            boxed 1000 {
                bare
                flag
                registry
                registry_of_100
                normalization
                both
                both_of_100
                load_shed
                filter
                validate_request
                set_header
                map_body
                concurrency_limit
                box_clone
                axum_bare
                axum_from_fn
            }
        }
    };
}
pub(crate) use all_cases;
