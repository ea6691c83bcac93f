//! A word to the compiler about what seldom happens.

/// Called on a path that is seldom taken, it keeps the others straight: what they call is inlined, and their values stay in
/// registers. (`core::hint::cold_path` is younger than the oldest compiler that libws is built with.) In a build for size
/// it is nothing.
#[cfg_attr(not(libws_small), cold, inline(never))]
#[cfg_attr(libws_small, inline(always))]
pub fn rarely() {
    // Or else a call of nothing would be left out, before it is of use.
    #[cfg(not(libws_small))]
    core::hint::black_box(());
}
