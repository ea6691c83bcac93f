//! What Rust's std would otherwise give the library: an allocator over malloc, a panic handler, and the symbols that the
//! prebuilt `core` refers to for unwinding. Compiled only without the feature `std`.
//!
//! It does not unwind: a panic here is a bug in libws, and ends the process with its message on record. The feature
//! `std` contains such a bug instead.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::mem::size_of;
use core::panic::PanicInfo;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::log;
#[cfg(not(libws_small))]
use crate::text::Line;

#[cfg(not(panic = "abort"))]
compile_error!(
    "libws without std cannot unwind: build it with `--profile dist` or `--profile board`"
);

#[global_allocator]
static ALLOCATOR: Malloc = Malloc;

/// The C library's allocator, so that a program that replaces malloc replaces it for libws too.
struct Malloc;

/// malloc's own alignment: that of max_align_t, which is two pointers on every Linux that libws runs on.
const MALLOC_ALIGN: usize = 2 * size_of::<usize>();

// SAFETY: each method hands on to the C library, whose functions meet the contract for the alignments they are used for.
// Memory of all of them is freed by free().
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGN {
            // SAFETY: malloc takes any size.
            unsafe { libc::malloc(layout.size()).cast() }
        } else {
            let mut memory: *mut c_void = ptr::null_mut();
            // SAFETY: memory is a place to write to; the alignment is a power of two (Layout) and a multiple of a
            // pointer's size (it is above MALLOC_ALIGN).
            match unsafe { libc::posix_memalign(&mut memory, layout.align(), layout.size()) } {
                0 => memory.cast(),
                _ => ptr::null_mut(),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGN {
            // SAFETY: calloc takes any size.
            return unsafe { libc::calloc(1, layout.size()).cast() };
        }
        // SAFETY: the caller vouches for the layout.
        let memory = unsafe { self.alloc(layout) };
        if !memory.is_null() {
            // SAFETY: alloc gave that many bytes.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, _layout: Layout) {
        // SAFETY: the caller vouches that memory came from here; free() takes that of malloc and of posix_memalign.
        unsafe { libc::free(memory.cast()) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() <= MALLOC_ALIGN {
            // SAFETY: the caller vouches that memory came from here, and new_size is not 0.
            return unsafe { libc::realloc(memory.cast(), new_size).cast() };
        }
        // realloc() would forget the alignment.
        // SAFETY: the caller vouches that new_size is a valid size for this alignment.
        let new = unsafe {
            let layout = Layout::from_size_align_unchecked(new_size, layout.align());
            self.alloc(layout)
        };
        if !new.is_null() {
            // SAFETY: both are at least that long, and a fresh allocation overlaps nothing.
            unsafe { ptr::copy_nonoverlapping(memory, new, layout.size().min(new_size)) };
            // SAFETY: as for dealloc; the old memory is not used any more.
            unsafe { libc::free(memory.cast()) };
        }
        new
    }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    // A panic while the message of one is being written must not come back here for ever.
    static PANICKING: AtomicBool = AtomicBool::new(false);
    if !PANICKING.swap(true, Ordering::Relaxed) {
        on_panic(message(info).as_bytes());
    }
    // SAFETY: abort() may be called at any time.
    unsafe { libc::abort() }
}

/// What a panic says. Memory may be what has run out, so it is put together on the stack.
#[cfg(not(libws_small))]
type Message = Line<512>;
#[cfg(not(libws_small))]
fn message(info: &PanicInfo) -> Message {
    // The Display of info would break the line.
    let message = info.message();
    match info.location() {
        Some(place) => Line::from(format_args!("libws: panic at {place}: {message}")),
        None => Line::from(format_args!("libws: panic: {message}")),
    }
}

/// The words of panics, and the place of each that may happen, would be a tenth of a library for boards. The core dump that
/// abort() leaves says where it was.
#[cfg(libws_small)]
type Message = &'static str;
#[cfg(libws_small)]
fn message(_info: &PanicInfo) -> Message {
    "libws: panic"
}

/// Puts the message of a panic on record, before the process ends: on stderr, and in the program's log, which comes second
/// because its callback may fail in a process that is in this state.
fn on_panic(message: &[u8]) {
    for part in [message, b"\n"] {
        // SAFETY: part is valid for its length. Nothing can be done about an error.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
    log::error(message);
}

// The prebuilt core was compiled to unwind. Its functions name a personality routine and, in their landing pads,
// _Unwind_Resume. Nothing ever unwinds here, so neither is called, but a linker wants them, and would find the second in
// libgcc_s only. So they are defined below, each as a jump to abort().
//
// Weak and hidden, they do not leave libws.so, and in libws.a give way to the real ones of another Rust library.
#[cfg(target_arch = "x86_64")]
macro_rules! jump_to_abort {
    () => {
        "jmp abort@PLT\n"
    };
}

#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
macro_rules! jump_to_abort {
    () => {
        "b abort\n"
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "arm")))]
compile_error!(
    "libws without std has no jump_to_abort!() for this architecture yet: use the feature std"
);

macro_rules! jumps_to_abort {
    (local: $($symbol:literal)*) => {
        core::arch::global_asm!($(jumps_to_abort!(one: $symbol),)*);
    };
    (hidden: $($symbol:literal)*) => {
        core::arch::global_asm!($(
            concat!(".weak ", $symbol, "\n.hidden ", $symbol, "\n"),
            jumps_to_abort!(one: $symbol),
        )*);
    };
    (one: $symbol:literal) => {
        concat!(
            ".pushsection .text.", $symbol, ",\"ax\",%progbits\n",
            ".type ", $symbol, ",%function\n",
            $symbol, ":\n",
            jump_to_abort!(),
            ".size ", $symbol, ", . - ", $symbol, "\n",
            ".popsection\n",
        )
    };
}

jumps_to_abort! { hidden: "rust_eh_personality" }

// A C++ program that links libws.a has landing pads of its own, and they must go on to find the real _Unwind_Resume, which
// is in a shared library and so would lose against a weak symbol. `make` compiles all of libws into one object and says so
// (libws_one_object); then ours is local to it. A plain `cargo build` makes many objects, good for C programs and
// for libws.so, not for libws.a in a C++ program that throws.
#[cfg(libws_one_object)]
jumps_to_abort! { local: "_Unwind_Resume" }
#[cfg(not(libws_one_object))]
jumps_to_abort! { hidden: "_Unwind_Resume" }

// ARM's unwind tables (EHABI) name these, also in the parts of Rust's runtime that lie outside of libws's object. A C++
// program is not misled by them: its unwinder finds its own routines by number.
#[cfg(target_arch = "arm")]
jumps_to_abort! {
    hidden: "__aeabi_unwind_cpp_pr0" "__aeabi_unwind_cpp_pr1" "__aeabi_unwind_cpp_pr2"
}
