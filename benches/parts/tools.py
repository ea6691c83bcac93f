"""Builds what is measured with: the generator and the floor from outside the repository, other libraries from theirs."""
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CC = os.environ.get("CC", "cc")
RUST_PEERS = ("fastwebsockets_echo", "tungstenite_echo", "tungstenite_client")


def build_folder():
    return (ROOT / (os.environ.get("BUILD") or os.environ.get("CARGO_TARGET_DIR") or "target")).resolve()


def say(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", flush=True)


def from_perf(names):
    """Compiles programs of the folder that LIBWS_PERF names. Ends this program, with status 0, if they are not there."""
    folder = os.environ.get("LIBWS_PERF", "../shared/perf")
    out = build_folder() / "bench"
    out.mkdir(parents=True, exist_ok=True)
    programs = {}
    for name, flags in names.items():
        source, program = ROOT / folder / f"{name}.c", out / name
        if not source.exists():
            say(f"SKIPPED, nothing was measured: no {name}.c in {folder} (LIBWS_PERF names another folder)")
            sys.exit(0)
        if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([CC, flags[0], "-o", program, source, *flags[1:]], check=True)
        programs[name] = str(program)
    return programs


def own(name, flags=()):
    """Compiles benches/NAME.c, with libws.a."""
    program = build_folder() / "bench" / name
    subprocess.run([CC, "-std=c11", "-O2", "-Wall", "-Wextra", f"-I{ROOT}/include", f"-I{ROOT}/tests/c", "-o", program,
                    ROOT / f"benches/{name}.c", build_folder() / "lib/libws.a", "-Wl,--gc-sections", "-lpthread", "-lm",
                    "-ldl", *flags], check=True)
    return str(program)


def have_library(name):
    return subprocess.run(["pkg-config", "--exists", name]).returncode == 0


def peers():
    """The programs of benches/peers that can be built here, by name; what cannot is said."""
    programs = {}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libwebsockets"], capture_output=True, text=True)
    if flags.returncode == 0:
        program = build_folder() / "bench/lws_echo"
        subprocess.run([CC, "-O2", "-o", program, ROOT / "benches/peers/lws_echo.c", *flags.stdout.split()], check=True)
        programs["lws_echo"] = str(program)
    else:
        say("libwebsockets is left out: there is no libwebsockets-dev (scripts/setup bench)")
    target = build_folder() / "peers"
    cargo = [os.environ.get("CARGO", "cargo"), "build", "--quiet", "--release", "--locked", "--target-dir", target,
             "--manifest-path", ROOT / "benches/peers/Cargo.toml"]
    if shutil.which(cargo[0]) and subprocess.run(cargo).returncode == 0:
        programs |= {name: str(target / "release" / name) for name in RUST_PEERS}
    else:
        say("fastwebsockets and tungstenite are left out: they could not be built")
    return programs
