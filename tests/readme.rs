//! The README shows what is there.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_fifteen_lines_are_those_of_hello_server() {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```c\n").expect("README.md shows C");
    let (shown, _) = rest.split_once("```\n").expect("the C ends");
    assert_eq!(shown, read("c_examples/hello_server.c"));
}

#[test]
fn links_lead_to_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in [
        "README.md",
        "docs/architecture.md",
        "docs/client.md",
        "docs/limits.md",
        "docs/tls.md",
        "docs/migrating.md",
        "c_examples/README.md",
    ] {
        let folder = root
            .join(page)
            .parent()
            .expect("a page has a folder")
            .to_owned();
        for part in read(page).split("](").skip(1) {
            let (target, _) = part.split_once(')').expect("a link ends");
            if !target.starts_with("http") && !target.starts_with('#') {
                assert!(folder.join(target).exists(), "{page}: {target} is missing");
            }
        }
    }
}
