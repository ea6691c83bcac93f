//! `include/libws.h` is what cbindgen makes of `src/capi`. A stale header fails here; `make header` (which is this test with
//! UPDATE_HEADER=1) writes it anew.
//!
//! Why here and not in build.rs: the header is committed, so a build of the library needs no generator, and writes
//! nothing into its source tree, which may be read-only. cbindgen parses the files below one by one, in the order
//! that a reader wants; it needs neither the rest of the crate nor cargo.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The files with documentation for C programmers, in the header's order.
const CHAPTERS: [&str; 9] = [
    "status", "log", "types", "deflate", "request", "server", "client", "proto", "frame",
];

/// Columns. A doc comment that is longer also makes cbindgen break the prototype below it.
const WIDEST_LINE: usize = 104;

#[test]
fn header_is_up_to_date() {
    let generated = generate();
    let path = root("include/libws.h");
    let committed = fs::read_to_string(&path).unwrap_or_default();
    if generated == committed {
        return;
    }
    if std::env::var_os("UPDATE_HEADER").is_some_and(|value| value == "1") {
        fs::write(&path, generated).expect("include/libws.h can be written");
        return;
    }
    let different = generated
        .lines()
        .zip(committed.lines())
        .take_while(|(new, old)| new == old);
    panic!(
        "include/libws.h is stale from line {} on: run `make header` and commit it",
        different.count() + 1
    );
}

#[test]
fn header_has_the_version_of_the_package() {
    let line = concat!("#define WS_VERSION \"", env!("CARGO_PKG_VERSION"), "\"");
    let count = committed().lines().filter(|l| *l == line).count();
    assert_eq!(count, 1, "lines that read: {line}");
}

#[test]
fn header_declares_every_exported_function() {
    // Those behind historical names are declared by headers of their own, which are written by hand.
    let header = [
        "libws",
        "websocket_for_linux/ws_com",
        "websocket_for_linux/ws_server",
    ]
    .map(|name| fs::read_to_string(root(&format!("include/{name}.h"))).expect(name))
    .concat();
    let exported = exported_functions();
    assert!(
        !exported.is_empty(),
        "no #[no_mangle] function was found in src/capi"
    );
    for function in exported {
        assert!(
            header.contains(&format!("{function}(")),
            "{function} is missing in the header"
        );
    }
}

// cbindgen leaves out a type that no function mentions: such belong into [export] in cbindgen.toml.
#[test]
fn header_declares_every_public_type() {
    let header = committed();
    let mut count = 0;
    for chapter in CHAPTERS {
        let source = fs::read_to_string(root("src/capi").join(format!("{chapter}.rs")));
        let source = source.expect("a file of CHAPTERS");
        let types = source.lines().filter_map(|line| {
            let rest = ["enum ", "struct ", "type "]
                .iter()
                .find_map(|kind| line.strip_prefix("pub ")?.strip_prefix(kind))?;
            rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
        });
        for name in types.filter(|name| name.starts_with("ws_")) {
            count += 1;
            let declared = header.lines().any(|line| {
                line.ends_with(&format!(" {name};")) || line.contains(&format!("(*{name})("))
            });
            assert!(
                declared,
                "{name} of src/capi/{chapter}.rs is missing in the header"
            );
        }
    }
    assert!(count > 0, "no type was found in src/capi");
}

#[test]
fn header_lines_fit_a_screen() {
    for (index, line) in committed().lines().enumerate() {
        let columns = line.chars().count();
        assert!(
            columns <= WIDEST_LINE,
            "line {} has {columns} columns, {WIDEST_LINE} is the limit: break its doc comment in src/capi",
            index + 1
        );
    }
}

fn generate() -> String {
    let mut config = cbindgen::Config::from_file(root("cbindgen.toml")).expect("cbindgen.toml");
    config.after_includes =
        Some(concat!("\n#define WS_VERSION \"", env!("CARGO_PKG_VERSION"), "\"").to_owned());
    let sources = CHAPTERS
        .iter()
        .fold(cbindgen::Builder::new().with_config(config), |all, name| {
            all.with_src(root("src/capi").join(format!("{name}.rs")))
        });
    let mut text = Vec::new();
    sources
        .generate()
        .expect("cbindgen reads src/capi")
        .write(&mut text);
    String::from_utf8(text).expect("the sources are UTF-8")
}

/// The names of the `extern "C"` functions that the library exports. It looks at all files, so that one that is
/// missing in CHAPTERS is noticed.
fn exported_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(root("src/capi")).expect("src/capi") {
        let source = fs::read_to_string(file.expect("a file of src/capi").path()).expect("UTF-8");
        for after in source.split("#[no_mangle]").skip(1) {
            let name = after
                .split_once(" fn ")
                .and_then(|(_, rest)| rest.split_once('('));
            names.extend(name.map(|(name, _)| name.trim().to_owned()));
        }
    }
    names
}

fn committed() -> String {
    fs::read_to_string(root("include/libws.h")).expect("include/libws.h")
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
