//! What the builds for ARM need of a board: the age of its libc, libraries, processor features.
//!
//! LIBWS_ARM is the folder that scripts/test-arm fills: FLAVOUR/TARGET/{lib,bin}; the flavours are those of tests/sizes.txt.
//! Without it nothing is checked, which is said aloud.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The newest version of glibc that a program or library may ask for (Debian 10, RHEL 8).
const GLIBC: (u32, u32) = (2, 28);

#[test]
fn gnu_builds_run_with_glibc_2_28() {
    for file in files(|file| file.gnu()) {
        let symbols = readelf("--dyn-syms -W", &file.path);
        let mut seen = 0;
        for (version, line) in symbols
            .lines()
            .filter_map(|line| Some((glibc(line)?, line)))
        {
            seen += 1;
            assert!(version <= GLIBC, "{}:\n{line}", file.path.display());
        }
        assert!(
            seen > 10,
            "{}: {seen} symbols of glibc",
            file.path.display()
        );
    }
}

#[test]
fn nothing_but_libc_is_needed() {
    // What glibc before 2.34 is made of.
    let parts_of_libc = [
        "libc.so.6",
        "libpthread.so.0",
        "libdl.so.2",
        "libm.so.6",
        "librt.so.1",
        "ld-linux-armhf.so.3",
        "ld-linux-aarch64.so.1",
    ];
    // A program linked with libws.a and std asks for libgcc_s; docs/cross.md says how it does without.
    for file in files(|file| file.gnu() && (file.library || !file.flavour.starts_with("std"))) {
        let needed = needed(&file.path);
        assert!(needed.contains(&"libc.so.6".to_owned()), "{needed:?}");
        for name in needed {
            let path = file.path.display();
            let zlib = file.flavour == "deflate-system" && name == "libz.so.1";
            assert!(
                zlib || parts_of_libc.contains(&name.as_str()),
                "{path} needs {name}"
            );
        }
    }
}

#[test]
fn musl_programs_need_nothing_at_all() {
    for file in files(|file| !file.gnu() && !file.library) {
        let path = file.path.display();
        assert_eq!(needed(&file.path), Vec::<String>::new(), "{path}");
        let segments = readelf("-lW", &file.path);
        assert!(!segments.contains("INTERP"), "{path}:\n{segments}");
    }
    for file in files(|file| !file.gnu() && file.library) {
        assert_eq!(needed(&file.path), ["libc.so"], "{}", file.path.display());
    }
}

/// The target says ARMv7-A with VFPv3-D16. NEON would crash on boards without it; what finds it at run time is compiled
/// function by function, which these attributes of the whole do not show.
#[test]
fn armv7_builds_do_without_neon() {
    if !files(|_| true)
        .iter()
        .any(|file| file.target.starts_with("armv7"))
    {
        eprintln!("SKIPPED: armv7 was not built");
        return;
    }
    // With TLS there is ring's assembly, which asks the kernel for NEON before it uses it: the attributes are those of all.
    let with_ring = |path: &Path| path.iter().any(|part| part == "tls" || part == "full");
    for file in files(|file| file.target.starts_with("armv7") && file.library) {
        if with_ring(&file.path) {
            continue;
        }
        let attributes = readelf("-A", &file.path);
        let path = file.path.display();
        for wanted in [
            "Tag_CPU_arch: v7",
            "Tag_FP_arch: VFPv3-D16",
            "Tag_ABI_VFP_args: VFP registers",
        ] {
            assert!(
                attributes.contains(wanted),
                "{path}: no {wanted}:\n{attributes}"
            );
        }
        for unwanted in ["Tag_Advanced_SIMD_arch", "Tag_DIV_use"] {
            assert!(
                !attributes.contains(unwanted),
                "{path}: {unwanted}:\n{attributes}"
            );
        }
    }
}

/// time_t has 32 bits on armv7 with a glibc of that age, and ends in 2038. What libws waits for is counted by CLOCK_MONOTONIC, from the
/// start of the machine. The date is asked for in two places, both by `net::sys::wall_clock`, which asks the kernel for 64 bits
/// on a 32-bit machine: TLS, for every certificate (`tls::clock`), and the time of day in log lines of the old interface
/// (`net::sys::date`), which gives localtime_r() a date that fits (tests/c_dropin/dates.c). So no build, with std or without, has
/// anything of libc that takes or tells a date, but for localtime_r().
#[test]
fn the_year_2038_is_of_no_concern() {
    let dates = [
        "time",
        "gettimeofday",
        "settimeofday",
        "localtime",
        "gmtime",
        "gmtime_r",
        "mktime",
        "timegm",
        "strftime",
        "ftime",
        "pthread_cond_timedwait",
        "pthread_mutex_timedlock",
        "sem_timedwait",
        "utimensat",
    ];
    for file in files(|file| file.library) {
        let path = file.path.display();
        for name in imported(&file.path) {
            assert!(!dates.contains(&name.as_str()), "{path} uses {name}()");
        }
    }
}

/// The 64 bits of the date are asked for by the number of a system call, and nothing else of libws is: so on armv7 the import of
/// syscall() tells whether a build asks for the date. On aarch64, and with std, there are other reasons for the same imports.
#[test]
fn only_tls_and_the_old_interface_ask_for_the_date() {
    for file in files(|file| file.library && file.gnu() && !file.flavour.starts_with("std")) {
        let path = file.path.display();
        let imported = imported(&file.path);
        let has = |name: &str| imported.iter().any(|import| import == name);
        let flavour = file.flavour.trim_end_matches("-arm");
        let (dropin, tls) = match flavour {
            "core" | "proto" | "deflate" | "deflate-system" => (false, false),
            "tls" => (false, true),
            "board" => (true, false),
            "full" => (true, true),
            other => panic!("what is in a build named {other}?"),
        };
        assert_eq!(has("localtime_r"), dropin, "{path}: localtime_r()");
        if file.target.starts_with("armv7") {
            assert_eq!(has("syscall"), dropin || tls, "{path}: syscall()");
        }
    }
}

#[test]
fn what_is_shipped_is_stripped() {
    for file in files(|_| true) {
        let sections = readelf("-SW", &file.path);
        let path = file.path.display();
        assert!(!sections.contains(" .symtab "), "{path}:\n{sections}");
        assert!(!sections.contains(" .debug_"), "{path}:\n{sections}");
    }
}

struct File {
    flavour: String,
    target: String,
    path: PathBuf,
    library: bool,
}

impl File {
    fn gnu(&self) -> bool {
        self.target.contains("-gnu")
    }
}

/// The shared libraries and programs of all builds that are chosen. There must be some, unless there are no builds.
fn files(chosen: impl Fn(&File) -> bool) -> Vec<File> {
    let Some(arm) = env::var_os("LIBWS_ARM") else {
        eprintln!(
            "SKIPPED: LIBWS_ARM is not set, so no build for ARM is checked (see `make test-arm`)"
        );
        return Vec::new();
    };
    let mut found = Vec::new();
    for (flavour, of_flavour) in entries(Path::new(&arm)) {
        for (target, dir) in entries(&of_flavour) {
            for (folder, library) in [("lib", true), ("bin", false)] {
                for (name, path) in entries(&dir.join(folder)) {
                    let (flavour, target) = (flavour.clone(), target.clone());
                    // Not the archive, and each library once.
                    if path.is_file() && (!library || name == "libws.so") {
                        found.push(File {
                            flavour,
                            target,
                            path,
                            library,
                        });
                    }
                }
            }
        }
    }
    found.retain(|file| chosen(file));
    assert!(
        !found.is_empty(),
        "no such build in {}",
        Path::new(&arm).display()
    );
    found
}

fn entries(dir: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect()
}

/// The names of what a library takes from others.
fn imported(file: &Path) -> Vec<String> {
    readelf("--dyn-syms -W", file)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(6) == Some(&"UND"))
        .filter_map(|fields| fields.get(7)?.split('@').next())
        .map(str::to_owned)
        .collect()
}

fn needed(file: &Path) -> Vec<String> {
    readelf("-dW", file)
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split_once(']'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// The version in "... UND pthread_create@GLIBC_2.4 (2)".
fn glibc(line: &str) -> Option<(u32, u32)> {
    let version = line.split_once("@GLIBC_")?.1;
    let version = version.split([' ', '(']).next()?;
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

fn readelf(arguments: &str, file: &Path) -> String {
    let output = Command::new("readelf")
        .args(arguments.split(' '))
        .arg(file)
        .env("LC_ALL", "C")
        .output()
        .expect("readelf can be started");
    assert!(output.status.success(), "readelf {}", file.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
