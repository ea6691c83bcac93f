//! What the tests that build and run C programs have in common: the library, a folder, the compiler.
//!
//! LIBWS_DIR names the folder with the library (default: target/lib, if there is one). Without it nothing is checked,
//! which is said aloud; CI=true makes that a failure. For another machine: LIBWS_TEST_TARGET is its target triple,
//! LIBWS_TEST_RUNNER the command that runs its programs, such as `qemu-arm-static -L /usr/arm-linux-gnueabihf`.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The names of the C programs in a folder of `tests`, sorted.
pub fn programs_in(folder: &str) -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir(root().join("tests").join(folder))
        .expect("the folder can be read")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension() == Some(OsStr::new("c")))
        .map(|path| {
            path.file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    found.sort();
    found
}

#[derive(Clone, Copy, Debug)]
pub enum Linkage {
    Static,
    Dynamic,
}

/// A folder of its own for a test, and the library.
pub struct Place {
    pub dir: PathBuf,
    library: PathBuf,
}

impl Place {
    /// None, said aloud, if there is no library to test.
    pub fn new(name: &str) -> Option<Place> {
        let library = library_dir(name)?;
        // Two flavours of the library may be tested at the same time.
        let flavour = library
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("c_abi")
            .join(flavour)
            .join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the folder for tests is writable");
        // Found by the linker under one name, by the loader under the other.
        for name in ["libws.so", "libws.so.0"] {
            symlink(library.join("libws.so"), dir.join(name)).expect("a link can be made");
        }
        Some(Place { dir, library })
    }

    pub fn compile(&self, standard: &str, sources: &[PathBuf], linkage: Linkage, program: &Path) {
        let mut compiler = compiler(standard.contains("++"));
        compiler
            .arg(format!("-std={standard}"))
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-g"])
            .arg("-I")
            .arg(root().join("include"))
            .arg("-I")
            .arg(root().join("include/websocket_for_linux"))
            .arg("-o")
            .arg(program)
            .args(sources);
        match linkage {
            Linkage::Static => compiler.arg(self.library.join("libws.a")),
            Linkage::Dynamic => compiler
                .arg("-L")
                .arg(&self.dir)
                .arg("-lws")
                .arg(format!("-Wl,-rpath,{}", self.dir.display())),
        };
        let output = compiler
            .args(["-lpthread", "-ldl", "-lm"])
            .args(self.private_libs())
            .output()
            .expect("the compiler can be started");
        assert!(
            output.status.success(),
            "{standard}, {linkage:?}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What libws.a needs beside it, as libws.pc says.
    fn private_libs(&self) -> Vec<String> {
        let described = fs::read_to_string(self.library.join("libws.pc")).unwrap_or_default();
        let mut lines = described.lines();
        let libs = lines.find_map(|line| line.strip_prefix("Libs.private:"));
        let words = libs.unwrap_or_default().split_whitespace();
        words.map(str::to_owned).collect()
    }

    /// Runs a program in the folder, in a network of its own where that can be had, and returns its output. Fails if
    /// the program does, or takes too long.
    pub fn run(&self, program: &Path) -> String {
        let runner = env::var("LIBWS_TEST_RUNNER").unwrap_or_default();
        let log = program.with_extension("log");
        let file = File::create(&log).expect("the folder is writable");
        let mut child = Command::new(root().join("tests/alone"))
            .args(runner.split_whitespace())
            .arg(program)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a descriptor"))
            .stderr(file)
            .spawn()
            .expect("the program can be started");

        // Its own watchdog is faster; this one is for a program that cannot run it.
        let slow: u64 = env::var("LIBWS_TEST_SLOW")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(1);
        let until = Instant::now() + Duration::from_secs(300 * slow.max(1));
        let status = loop {
            match child.try_wait().expect("the child can be waited for") {
                Some(status) => break status.to_string(),
                None if Instant::now() > until => {
                    child.kill().expect("the child can be ended");
                    break "no end within its time".to_owned();
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        };
        let output =
            String::from_utf8_lossy(&fs::read(&log).expect("the output was kept")).into_owned();
        assert!(
            status == "exit status: 0",
            "{}: {status}\n{output}",
            program.display()
        );
        output
    }
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn library_dir(test: &str) -> Option<PathBuf> {
    let dir = env::var_os("LIBWS_DIR").map_or_else(|| root().join("target/lib"), PathBuf::from);
    let dir = root().join(dir);
    if dir.join("libws.a").exists() && dir.join("libws.so").exists() {
        return Some(dir);
    }
    let missing = format!(
        "{test}: no libws.a and libws.so in {}: run `make`, or set LIBWS_DIR",
        dir.display()
    );
    assert!(
        env::var_os("LIBWS_DIR").is_none() && env::var("CI").as_deref() != Ok("true"),
        "{missing}"
    );
    aloud(&format!("SKIPPED {missing}"));
    None
}

/// Written around the test harness, which keeps what passing tests print to itself.
pub fn aloud(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn compiler(cpp: bool) -> Command {
    let host = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let target = env::var("LIBWS_TEST_TARGET").unwrap_or_else(|_| host.clone());
    let mut build = cc::Build::new();
    build
        .cargo_metadata(false)
        .cpp(cpp)
        .host(&host)
        .target(&target)
        .opt_level(1)
        .warnings(false);
    build.get_compiler().to_command()
}
