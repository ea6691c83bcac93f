//! The sizes of the stripped `libws.so` for ARM, against the table in tests/sizes.txt: none may grow by more than 2 %.
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
    /// KiB; 0 where there is none.
    goal: u64,
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
        "{:<12} {:<32} {:>8} {:>8} {:>7} {:>8}",
        "flavour", "target", "bytes", "table", "change", "goal"
    );
    for row in &mut rows {
        let library = arm
            .join(&row.flavour)
            .join(&row.target)
            .join("lib/libws.so");
        let Ok(data) = fs::metadata(&library) else {
            println!("{:<12} {:<32} not built", row.flavour, row.target);
            continue;
        };
        measured += 1;
        let bytes = data.len();
        let change = (bytes as f64 / row.bytes as f64 - 1.0) * 100.0;
        let goal = match row.goal {
            0 => String::new(),
            kib if bytes <= kib * 1024 => format!("{kib} KiB: met"),
            kib => format!(
                "{kib} KiB: {:.0} KiB over",
                bytes as f64 / 1024.0 - kib as f64
            ),
        };
        println!(
            "{:<12} {:<32} {:>8} {:>8} {:>+6.1}% {goal}",
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
                goal: goal.parse().expect("a number of KiB"),
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
            "{:<12} {:<31} {:>7} {:>4}",
            row.flavour, row.target, row.bytes, row.goal
        );
    }
    text
}
