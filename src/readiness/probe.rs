//! Anything that can say, without waiting, whether a request is servable now.

use super::{InFlight, NotReady, State, Wake};
use crate::head::RequestHead;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Says, without waiting, whether requests can be served now.
///
/// Both methods are on the path of every request: while all is well they take no lock, allocate
/// nothing and read no clock.
pub trait ReadinessProbe {
    /// Why no request at all can be served; `None` while the process gate is open.
    ///
    /// Asked before a byte of the request's body is read. Default: always open.
    fn closed(&self) -> Option<NotReady> {
        None
    }

    /// Whether this request can be served. Includes what [`closed`](Self::closed) says.
    fn check(&self, head: RequestHead<'_>) -> Verdict;

    /// The bell that is rung whenever the answers above may have changed. Default: none, then held
    /// requests ask again every so often.
    fn watch(&self) -> Option<Wake> {
        None
    }

    /// The counter of the requests that the gate lets pass, for whoever drains. Default: none, then
    /// they are not counted.
    fn in_flight(&self) -> Option<InFlight> {
        None
    }
}

/// Whether a request can be served.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// It can.
    Ready,
    /// Not now: 503.
    NotReady(NotReady),
    /// Never: nobody knows the model. 404.
    UnknownModel,
}

impl From<Option<NotReady>> for Verdict {
    #[inline]
    fn from(closed: Option<NotReady>) -> Self {
        closed.map_or(Self::Ready, Self::NotReady)
    }
}

impl<P: ReadinessProbe + ?Sized> ReadinessProbe for Arc<P> {
    #[inline]
    fn closed(&self) -> Option<NotReady> {
        (**self).closed()
    }

    #[inline]
    fn check(&self, head: RequestHead<'_>) -> Verdict {
        (**self).check(head)
    }

    fn watch(&self) -> Option<Wake> {
        (**self).watch()
    }

    fn in_flight(&self) -> Option<InFlight> {
        (**self).in_flight()
    }
}

/// Always ready.
impl ReadinessProbe for () {
    fn check(&self, _: RequestHead<'_>) -> Verdict {
        Verdict::Ready
    }

    fn watch(&self) -> Option<Wake> {
        Some(Wake::new())
    }
}

/// `true` is ready, `false` starting.
impl ReadinessProbe for AtomicBool {
    #[inline]
    fn closed(&self) -> Option<NotReady> {
        (!self.load(Ordering::Acquire)).then(|| NotReady::new(State::starting()))
    }

    #[inline]
    fn check(&self, _: RequestHead<'_>) -> Verdict {
        self.closed().into()
    }
}

/// A probe from a function of the request's head.
///
/// ```
/// use tower_inference::{probe_fn, readiness::{NotReady, State, Verdict}};
///
/// let probe = probe_fn(|head| match head.model() {
///     Some("llama-3") | None => Verdict::Ready,
///     Some(model) => Verdict::NotReady(NotReady::new(State::starting()).for_model(model)),
/// });
/// # let _ = probe;
/// ```
pub fn probe_fn<F>(check: F) -> ProbeFn<F>
where
    F: Fn(RequestHead<'_>) -> Verdict,
{
    ProbeFn(check)
}

/// The probe made by [`probe_fn`].
#[derive(Clone, Copy)]
pub struct ProbeFn<F>(F);

impl<F> ReadinessProbe for ProbeFn<F>
where
    F: Fn(RequestHead<'_>) -> Verdict,
{
    fn check(&self, head: RequestHead<'_>) -> Verdict {
        (self.0)(head)
    }
}

impl<F> std::fmt::Debug for ProbeFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProbeFn").finish_non_exhaustive()
    }
}

/// All of them must be ready; the first that is not decides.
macro_rules! all_of {
    ($($probe:ident)+) => {
        impl<$($probe: ReadinessProbe),+> ReadinessProbe for ($($probe,)+) {
            fn closed(&self) -> Option<NotReady> {
                #[allow(non_snake_case, reason = "a type parameter's name is at hand")]
                let ($($probe,)+) = self;
                None$(.or_else(|| $probe.closed()))+
            }

            fn check(&self, head: RequestHead<'_>) -> Verdict {
                #[allow(non_snake_case, reason = "a type parameter's name is at hand")]
                let ($($probe,)+) = self;
                $(
                    let verdict = $probe.check(head);
                    if verdict != Verdict::Ready {
                        return verdict;
                    }
                )+
                Verdict::Ready
            }

            fn watch(&self) -> Option<Wake> {
                #[allow(non_snake_case, reason = "a type parameter's name is at hand")]
                let ($($probe,)+) = self;
                Some(Wake::any([$($probe.watch()?),+]))
            }

            fn in_flight(&self) -> Option<InFlight> {
                #[allow(non_snake_case, reason = "a type parameter's name is at hand")]
                let ($($probe,)+) = self;
                let counters: Vec<_> = [$($probe.in_flight()),+].into_iter().flatten().collect();
                (!counters.is_empty()).then(|| InFlight::all(counters))
            }
        }
    };
}

all_of!(A B);
all_of!(A B C);
all_of!(A B C D);

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check(probe: &impl ReadinessProbe) -> Verdict {
        probe.check(RequestHead::of(&Request::new(())))
    }

    #[test]
    fn a_boolean_is_ready_or_starting() {
        let flag = Arc::new(AtomicBool::new(false));
        assert_eq!(flag.closed(), Some(NotReady::new(State::starting())));
        flag.store(true, Ordering::Release);
        assert_eq!((flag.closed(), check(&flag)), (None, Verdict::Ready));
    }

    #[test]
    fn all_of_a_tuple_must_be_ready() {
        let (ready, starting) = (AtomicBool::new(true), AtomicBool::new(false));
        let unknown = || probe_fn(|_| Verdict::UnknownModel);
        assert_eq!(check(&(AtomicBool::new(true), unknown())), Verdict::UnknownModel);
        let both = (ready, starting, unknown());
        assert_eq!(check(&both), Verdict::NotReady(NotReady::new(State::starting())));
        assert!(both.closed().is_some());
    }
}
