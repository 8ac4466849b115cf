//! Loops compiled several times, for the vectors of several processors; the one at hand picks at run time.
//!
//! Loops here are plain Rust that the compiler turns into vectors: what they give does not depend on which of the
//! copies runs. Tests force each copy that the processor can run and compare it with the scalar one.

use pulp::Arch;

/// Runs a loop as compiled for the widest vectors that the processor has: AVX-512, AVX2, NEON, or what every processor of
/// its kind has.
///
/// Whatever the loop calls must be inlined into it, or is compiled for the least of processors.
#[inline(always)]
pub(super) fn widest<R>(body: impl FnOnce() -> R) -> R {
    arch().dispatch(body)
}

#[cfg(not(test))]
#[inline(always)]
fn arch() -> Arch {
    Arch::new()
}

#[cfg(test)]
fn arch() -> Arch {
    forced::ARCH.get().unwrap_or_default()
}

/// One copy of every loop rather than the one that the processor would pick.
#[cfg(test)]
pub(crate) mod forced {
    use std::cell::Cell;

    use pulp::Arch;

    thread_local! {
        pub(super) static ARCH: Cell<Option<Arch>> = const { Cell::new(None) };
    }

    /// The copies that this processor can run, by name; the scalar one first. Those it cannot run are skipped.
    pub(crate) fn copies() -> Vec<(&'static str, Arch)> {
        #[allow(unused_mut, reason = "some processors have one copy only")]
        let mut copies = vec![("scalar", Arch::Scalar)];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        {
            copies.extend(pulp::x86::V3::try_new().map(|simd| ("avx2", Arch::V3(simd))));
            copies.extend(pulp::x86::V4::try_new().map(|simd| ("avx512", Arch::V4(simd))));
        }
        #[cfg(target_arch = "aarch64")]
        copies.extend(pulp::aarch64::Neon::try_new().map(|simd| ("neon", Arch::Neon(simd))));
        copies
    }

    /// Runs `body` with one copy of the loops it comes to.
    pub(crate) fn with<R>(arch: Arch, body: impl FnOnce() -> R) -> R {
        ARCH.set(Some(arch));
        let answer = body();
        ARCH.set(None);
        answer
    }
}
