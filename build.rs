//! Gives the linker what makes `libws.so` a well-behaved shared library. Writes no file, so that libws builds from a
//! read-only tree. (The C header is committed; `make header` generates it.)

fn main() {
    println!("cargo:rerun-if-changed=build.rs");

    // Who asks for a small library gets one: panics have no words in it (src/runtime.rs).
    let level = std::env::var("OPT_LEVEL").unwrap_or_default();
    if matches!(level.as_str(), "s" | "z") {
        println!("cargo:rustc-cfg=libws_small");
    }

    // A program linked against libws.so.0 never loads a libws.so.1.
    let abi = env!("CARGO_PKG_VERSION_MAJOR");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libws.so.{abi}");

    // An undefined symbol fails here and not when a program is started on a board. What a fuzzer counts with comes later.
    if std::env::var_os("CARGO_CFG_FUZZING").is_none() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,defs");
    }
    for arg in [
        // Threads of libws may be running when a program that has loaded it calls dlclose.
        "-Wl,-z,nodelete",
        // The tables that the loader fills in are read-only afterwards.
        "-Wl,-z,relro,-z,now",
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }

    // Without std nothing unwinds, but on ARM the tables for it are there all the same.
    let arm = std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "arm");
    if arm && std::env::var_os("CARGO_FEATURE_STD").is_none() {
        let place = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-cdylib-link-arg=-Wl,-T,{place}/cross/no-unwind-tables.ld");
    }
}
