//! Moments between two steps, at which tests let the process die, panic or stop. Without the feature `failpoints` there is
//! nothing here.
//!
//! `FAILPOINTS=after_sign_before_store=return(abort)` in the environment arms a point (the crate `fail` says what else can
//! be written there): `return(abort)` dies as by SIGKILL, `panic` unwinds, and `return(stop)` stops until SIGCONT.

/// Arms what the environment says, for as long as the guard lives.
#[cfg(feature = "failpoints")]
pub(crate) fn arm() -> fail::FailScenario<'static> {
    fail::FailScenario::setup()
}

/// Reaches a moment.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(point: &str) {
    use nix::sys::signal::{Signal, raise};

    fail::fail_point!(point, |action: Option<String>| match action.as_deref() {
        Some("stop") => raise(Signal::SIGSTOP).expect("a process may stop itself"),
        _ => std::process::abort(),
    });
}

/// Nothing happens.
#[cfg(not(feature = "failpoints"))]
pub(crate) const fn reach(_: &str) {}
