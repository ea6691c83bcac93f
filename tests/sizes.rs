//! The sizes of the stripped `libws.so` for ARM, against the table in tests/sizes.txt: none may grow by more than 2 %.
//! A goal is a size in KiB, or with a plus what may be added to the flavour `proto` of the same target.
//!
//! LIBWS_ARM is the folder that scripts/test-arm fills; without it nothing is checked, which is said aloud.
//! UPDATE_SIZES=1 writes the table anew. The toolchain is the one of cross/debian-setup, so that the sizes are the same
//! on every machine.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

struct Row {
    flavour: String,
    target: String,
    bytes: u64,
    goal: String,
}

#[test]
fn no_build_grows_by_more_than_two_percent() {
    let Some(arm) = env::var_os("LIBWS_ARM").map(PathBuf::from) else {
        eprintln!("SKIPPED: LIBWS_ARM is not set, so no size is checked (see `make test-arm`)");
        return;
    };
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sizes.txt");
    let text = fs::read_to_string(&place).expect("tests/sizes.txt");
    let mut rows = parse(&text);
    let mut grown = Vec::new();
    let mut measured = 0;
    println!(
        "{:<14} {:<32} {:>8} {:>8} {:>7} {:>8}",
        "flavour", "target", "bytes", "table", "change", "goal"
    );
    for row in &mut rows {
        let Some(bytes) = size(&arm, &row.flavour, &row.target) else {
            println!("{:<14} {:<32} not built", row.flavour, row.target);
            continue;
        };
        measured += 1;
        let change = (bytes as f64 / row.bytes as f64 - 1.0) * 100.0;
        let goal = verdict(&row.goal, bytes, size(&arm, "proto", &row.target));
        println!(
            "{:<14} {:<32} {:>8} {:>8} {:>+6.1}% {goal}",
            row.flavour, row.target, bytes, row.bytes, change
        );
        if change > 2.0 {
            grown.push(format!(
                "{} {}: {} to {bytes}",
                row.flavour, row.target, row.bytes
            ));
        }
        row.bytes = bytes;
    }
    assert!(
        measured > 0,
        "no build of the table is in {}",
        arm.display()
    );
    if env::var_os("UPDATE_SIZES").is_some() {
        fs::write(&place, format(&text, &rows)).expect("tests/sizes.txt is writable");
    } else {
        assert!(
            grown.is_empty(),
            "grown by more than 2 %: {grown:?} (UPDATE_SIZES=1 accepts it)"
        );
    }
}

fn size(arm: &Path, flavour: &str, target: &str) -> Option<u64> {
    let library = arm.join(flavour).join(target).join("lib/libws.so");
    fs::metadata(library).ok().map(|data| data.len())
}

/// How `bytes` compare with a goal; `base` is the size of what a goal with a plus is added to.
fn verdict(goal: &str, bytes: u64, base: Option<u64>) -> String {
    let (counted, base) = match (goal.strip_prefix('+'), base) {
        (None, _) => (goal, 0),
        (Some(_), None) => return format!("{goal} KiB: proto is not built"),
        (Some(kib), Some(base)) => (kib, base),
    };
    let counted: f64 = counted.parse().expect("a number of KiB");
    let kib = (bytes as f64 - base as f64) / 1024.0;
    match counted {
        0.0 => String::new(),
        _ if kib <= counted => format!("{goal} KiB: met ({kib:.1})"),
        _ => format!("{goal} KiB: {:.1} KiB over", kib - counted),
    }
}

fn parse(text: &str) -> Vec<Row> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [flavour, target, bytes, goal] = fields[..] else {
                panic!("tests/sizes.txt: {line}");
            };
            Row {
                flavour: flavour.to_owned(),
                target: target.to_owned(),
                bytes: bytes.parse().expect("a number of bytes"),
                goal: goal.to_owned(),
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
            "{:<14} {:<31} {:>7} {:>4}",
            row.flavour, row.target, row.bytes, row.goal
        );
    }
    text
}
