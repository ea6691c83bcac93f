//! How many paths are left in the board builds on which libws would end the process: calls of the functions that panic,
//! and of those that give up when an allocation fails. Their number may only fall (tests/panics.txt).
//!
//! The stripped `libws.so` has no names, so the calls are counted in the `libws.a` of the same build, by its relocations.
//! LIBWS_ARM is the folder that scripts/test-arm fills; without it nothing is checked, which is said aloud.
//! UPDATE_PANICS=1 writes the table anew.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Row {
    target: String,
    panics: usize,
    allocations: usize,
}

#[test]
fn no_path_to_a_panic_is_added() {
    let Some(arm) = env::var_os("LIBWS_ARM").map(PathBuf::from) else {
        eprintln!("SKIPPED: LIBWS_ARM is not set, so no panics are counted (see `make test-arm`)");
        return;
    };
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/panics.txt");
    let text = fs::read_to_string(&place).expect("tests/panics.txt");
    let mut rows = parse(&text);
    let mut risen = Vec::new();
    let mut counted = 0;
    for row in &mut rows {
        let archive = arm.join("board").join(&row.target).join("lib/libws.a");
        if !archive.exists() {
            println!("{:<32} not built", row.target);
            continue;
        }
        counted += 1;
        let callees = callees(&archive);
        let panics = total(&callees, panics);
        let allocations = total(&callees, gives_up);
        println!(
            "{:<32} calls that panic: {panics} (table: {}), that give up without memory: {allocations} (table: {})",
            row.target, row.panics, row.allocations
        );
        for (name, calls) in &callees {
            if panics_or_gives_up(name) {
                println!("{calls:>8} {}", readable(name));
            }
        }
        if panics > row.panics || allocations > row.allocations {
            risen.push(row.target.clone());
        }
        (row.panics, row.allocations) = (panics, allocations);
    }
    assert!(counted > 0, "no build of the table is in {}", arm.display());
    if env::var_os("UPDATE_PANICS").is_some() {
        fs::write(&place, format(&text, &rows)).expect("tests/panics.txt is writable");
    } else {
        assert!(
            risen.is_empty(),
            "more paths to a panic than tests/panics.txt allows: {risen:?} (UPDATE_PANICS=1 accepts it)"
        );
    }
}

/// Functions that are called, and how often.
fn callees(archive: &Path) -> BTreeMap<String, usize> {
    let output = Command::new("readelf")
        .arg("-rW")
        .arg(archive)
        .env("LC_ALL", "C")
        .output()
        .expect("readelf can be started");
    assert!(output.status.success(), "readelf {}", archive.display());
    let mut callees = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // Offset, info, type, value, name
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, kind, _, name, ..] = fields[..] {
            if kind.contains("_CALL") || kind.contains("_JUMP") {
                // A function, or the section that has nothing but that function.
                let name = name.trim_start_matches(".text.");
                let name = name.trim_start_matches("unlikely.");
                *callees.entry(name.to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert!(callees.len() > 100, "{}: no calls", archive.display());
    callees
}

fn total(callees: &BTreeMap<String, usize>, which: fn(&str) -> bool) -> usize {
    let calls = callees.iter().filter(|(name, _)| which(name));
    let total = calls.map(|(_, calls)| calls).sum();
    assert!(total > 0, "are functions named in another way now?");
    total
}

/// `core::panicking::...`, `core::option::unwrap_failed`, `core::slice::index::..._fail` and the like.
fn panics(name: &str) -> bool {
    let marks = [
        "9panicking",
        "unwrap_failed",
        "expect_failed",
        "assert_failed",
        "_fail17h",
    ];
    of_the_standard_library(name) && marks.iter().any(|mark| name.contains(mark))
}

/// A collection that grows infallibly.
fn gives_up(name: &str) -> bool {
    let marks = ["handle_alloc_error", "12handle_error", "capacity_overflow"];
    of_the_standard_library(name) && marks.iter().any(|mark| name.contains(mark))
}

fn panics_or_gives_up(name: &str) -> bool {
    panics(name) || gives_up(name)
}

fn of_the_standard_library(name: &str) -> bool {
    name.starts_with("_ZN4core") || name.starts_with("_ZN5alloc")
}

/// "core::option::unwrap_failed" of "_ZN4core6option13unwrap_failed17h...E".
fn readable(name: &str) -> String {
    let mut rest = name.trim_start_matches("_ZN");
    let mut parts = Vec::new();
    while let Some(digits) = rest.find(|c: char| !c.is_ascii_digit()) {
        let Ok(len) = rest[..digits].parse::<usize>() else {
            break;
        };
        let Some(part) = rest.get(digits..digits + len) else {
            break;
        };
        parts.push(part);
        rest = &rest[digits + len..];
    }
    parts.pop(); // the hash
    parts.join("::")
}

fn parse(text: &str) -> Vec<Row> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [target, panics, allocations] = fields[..] else {
                panic!("tests/panics.txt: {line}");
            };
            Row {
                target: target.to_owned(),
                panics: panics.parse().expect("a number of calls"),
                allocations: allocations.parse().expect("a number of calls"),
            }
        })
        .collect()
}

fn format(before: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    for line in before.lines().filter(|line| line.starts_with('#')) {
        text += line;
        text += "\n";
    }
    for row in rows {
        let _ = writeln!(
            text,
            "{:<31} {:>4} {:>4}",
            row.target, row.panics, row.allocations
        );
    }
    text
}
