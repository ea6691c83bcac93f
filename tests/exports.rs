//! What the built `libws.so` and `libws.a` show to a linker: their names, what they export and what they need.
//!
//! LIBWS_DIR names the folder that they are in, as `make` fills it; LIBWS_FLAVOUR=std says that they were built with std.
//! LIBWS_LEFT_OUT names the parts that it was built without, such as `dropin,proto`.
//! Without LIBWS_DIR nothing is checked, which is said aloud; CI=true makes that a failure.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn shared_library_exports_the_functions_of_the_header_and_nothing_else() {
    let Some(dir) = library_dir() else { return };
    let exported: BTreeSet<String> = symbols(&dir.join("libws.so"), "--dyn-syms")
        .into_iter()
        .filter(|symbol| symbol.section != "UND" && symbol.bind != "LOCAL")
        .map(|symbol| symbol.name)
        .collect();
    assert_is_the_header(&exported);
}

#[test]
fn shared_library_is_named_and_hardened() {
    let Some(dir) = library_dir() else { return };
    let library = dir.join("libws.so");
    let dynamic = readelf("-dW", &library);
    let soname = concat!("soname: [libws.so.", env!("CARGO_PKG_VERSION_MAJOR"), "]");
    assert!(dynamic.contains(soname), "no {soname} in:\n{dynamic}");

    let flags = dynamic.lines().find(|line| line.contains("(FLAGS_1)"));
    let flags = flags.unwrap_or_else(|| panic!("no FLAGS_1 in:\n{dynamic}"));
    assert!(flags.contains("NOW"), "lazy binding: {flags}");
    assert!(
        flags.contains("NODELETE"),
        "dlclose would unload it: {flags}"
    );
    for unwanted in ["TEXTREL", "RPATH", "RUNPATH"] {
        assert!(!dynamic.contains(unwanted), "{unwanted} in:\n{dynamic}");
    }

    let segments = readelf("-lW", &library);
    assert!(segments.contains("GNU_RELRO"), "no RELRO in:\n{segments}");
    let stack = segments.lines().find(|line| line.contains("GNU_STACK"));
    let stack = stack.unwrap_or_else(|| panic!("no GNU_STACK in:\n{segments}"));
    assert!(!stack.contains("RWE"), "the stack is executable: {stack}");
}

#[test]
fn shared_library_without_std_needs_only_libc() {
    let Some(dir) = library_dir().filter(|_| !with_std()) else {
        return;
    };
    let dynamic = readelf("-dW", &dir.join("libws.so"));
    let needed: Vec<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split_once(']'))
        .map(|(name, _)| name)
        .collect();
    // Before glibc 2.34 threads were in a library of their own.
    let allowed = ["libc.so.6", "libpthread.so.0"];
    assert!(needed.contains(&"libc.so.6"), "it needs {needed:?}");
    assert!(
        needed.iter().all(|name| allowed.contains(name)),
        "it needs {needed:?}"
    );
}

#[test]
fn static_library_without_std_defines_only_the_functions_of_the_header() {
    let Some(dir) = library_dir().filter(|_| !with_std()) else {
        return;
    };
    // What is hidden serves the archive's own members and cannot clash with names of the program's shared libraries.
    let all = symbols(&dir.join("libws.a"), "-s");
    let global = |symbol: &&Symbol| symbol.bind != "LOCAL" && symbol.section != "UND";
    let visible: BTreeSet<String> = all
        .iter()
        .filter(global)
        .filter(|symbol| symbol.visibility == "DEFAULT")
        // Division on ARM and atomics on AArch64, by names that compilers agree on: libgcc defines them likewise.
        .filter(|symbol| !symbol.name.starts_with("__aeabi_"))
        .filter(|symbol| !symbol.name.starts_with("__aarch64_"))
        .map(|symbol| symbol.name.clone())
        .collect();
    assert_is_the_header(&visible);

    // In a C++ program that throws, a global one would take the place of the real one.
    let unwinding = all
        .iter()
        .find(|s| s.bind != "LOCAL" && s.name.starts_with("_Unwind_"));
    assert!(
        unwinding.is_none(),
        "libws.a defines or needs {unwinding:?}"
    );
}

#[derive(Debug)]
struct Symbol {
    bind: String,
    visibility: String,
    section: String,
    name: String,
}

/// The named symbols of a library. readelf prints: number, value, size, type, bind, visibility, section, name.
fn symbols(library: &Path, table: &str) -> Vec<Symbol> {
    let text = readelf(&format!("{table} -W"), library);
    let symbols: Vec<Symbol> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() >= 8 && is_number(fields[0]))
        .map(|fields| Symbol {
            bind: fields[4].to_owned(),
            visibility: fields[5].to_owned(),
            section: fields[6].to_owned(),
            name: fields[7].split('@').next().unwrap_or_default().to_owned(),
        })
        .collect();
    assert!(
        !symbols.is_empty(),
        "readelf shows no symbols of {}",
        library.display()
    );
    symbols
}

fn is_number(field: &str) -> bool {
    field
        .strip_suffix(':')
        .is_some_and(|number| number.parse::<usize>().is_ok())
}

fn assert_is_the_header(found: &BTreeSet<String>) {
    let expected = functions_of_the_header();
    let missing: Vec<_> = expected.difference(found).collect();
    let extra: Vec<_> = found.difference(&expected).take(20).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing: {missing:?}; not in the header (20 at most): {extra:?}"
    );
}

/// Of libws.h, and of the headers that stand on functions of ours under historical names.
fn functions_of_the_header() -> BTreeSet<String> {
    let files = [
        "libws.h",
        "websocket_for_linux/ws_com.h",
        "websocket_for_linux/ws_server.h",
    ];
    let mut functions = BTreeSet::new();
    for file in files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("include")
            .join(file);
        let header = fs::read_to_string(path).expect(file);
        let before = functions.len();
        functions.extend(
            header
                .lines()
                .filter(|line| !line.starts_with([' ', '/', '#', '}']))
                .filter(|line| !line.starts_with("typedef"))
                // Defined in the header, not in the library.
                .filter(|line| !line.starts_with("LIBWS_WFL_INLINE"))
                .filter_map(|line| line.split_once('('))
                .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
                .filter(|name| name.starts_with("ws_"))
                .map(str::to_owned),
        );
        assert!(functions.len() > before, "no function was found in {file}");
    }
    let left_out = env::var("LIBWS_LEFT_OUT").unwrap_or_default();
    for part in left_out.split(',').filter(|part| !part.is_empty()) {
        let prefixes: &[&str] = match part {
            "dropin" => &["ws_wfl_"],
            "proto" => &["ws_proto_", "ws_frame_", "ws_accept_key", "ws_mask"],
            other => panic!("LIBWS_LEFT_OUT: {other}"),
        };
        let before = functions.len();
        functions.retain(|name| !prefixes.iter().any(|prefix| name.starts_with(prefix)));
        assert!(functions.len() < before, "nothing belongs to {part}");
    }
    functions
}

/// READELF may name the one of a cross toolchain.
fn readelf(arguments: &str, library: &Path) -> String {
    let program = env::var("READELF").unwrap_or_else(|_| "readelf".to_owned());
    let output = Command::new(&program)
        .args(arguments.split(' '))
        .arg(library)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {complaint}",
        library.display()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn with_std() -> bool {
    env::var("LIBWS_FLAVOUR").is_ok_and(|flavour| flavour == "std")
}

fn library_dir() -> Option<PathBuf> {
    if let Some(dir) = env::var_os("LIBWS_DIR") {
        return Some(PathBuf::from(dir));
    }
    assert!(env::var_os("CI").is_none(), "CI must set LIBWS_DIR");
    eprintln!("SKIPPED: LIBWS_DIR is not set, so no built library is checked (see `make test`)");
    None
}
