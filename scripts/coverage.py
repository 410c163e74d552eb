#!/usr/bin/env python3
"""Lists the public functions of the library that no test calls; status 1 if there is one.

The tests run with the counters that rustc puts into this crate (-C instrument-coverage), and LLVM's tools read them: those
of the rustup component llvm-tools if it is installed, else Debian's of the compiler's own major version, which are fetched
into target/coverage. Takes as long as building and running the test suite. Everything after `--` goes to `cargo test`.

usage: coverage.py [--no-run] [-- ARGUMENTS]    --no-run: read the counters of an earlier run again
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "coverage"
COUNTERS, MERGED, PROGRAMS = WORK / "counters", WORK / "merged.profdata", WORK / "programs.json"
# A function that has a name outside its module: not `pub(crate)`, and not one of a test module.
PUBLIC = re.compile(r"^ *pub (?:const )?(?:unsafe )?fn (\w+)")


def output_of(command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def llvm_tools():
    """The folder of llvm-profdata and llvm-cov, and where their library is if that has to be said."""
    about = output_of(["rustc", "-vV"])
    host, major = re.search(r"^host: (\S+)", about, re.M)[1], re.search(r"^LLVM version: (\d+)", about, re.M)[1]
    component = Path(output_of(["rustc", "--print", "sysroot"]).strip()) / "lib" / "rustlib" / host / "bin"
    if (component / "llvm-cov").exists():
        return component, {}
    folder = WORK / f"llvm-{major}"
    if not folder.exists():
        archives = WORK / "archives"
        shutil.rmtree(archives, ignore_errors=True)
        archives.mkdir(parents=True)
        subprocess.run(["apt-get", "download", "-q", f"llvm-{major}", f"libllvm{major}"], cwd=archives, check=True)
        for archive in archives.glob("*.deb"):
            subprocess.run(["dpkg", "-x", archive, folder], check=True)
    libraries = {str(library.parent) for library in folder.rglob("libLLVM*.so*")}
    return folder / "usr" / "lib" / f"llvm-{major}" / "bin", {"LD_LIBRARY_PATH": ":".join(libraries)}


def run_tests(arguments):
    """Runs the tests with counters, and remembers the programs that have them."""
    shutil.rmtree(COUNTERS, ignore_errors=True)
    COUNTERS.mkdir(parents=True)
    # Only this crate is counted; what it depends on is compiled as ever. Programs with counters stay apart from others.
    wrapper = WORK / "rustc.sh"
    wrapper.write_text('#!/bin/sh\nexec "$@" -C instrument-coverage\n')
    wrapper.chmod(0o755)
    environment = os.environ | {"RUSTC_WORKSPACE_WRAPPER": str(wrapper), "LLVM_PROFILE_FILE": f"{COUNTERS}/%p-%m.profraw",
                                "CARGO_TARGET_DIR": str(WORK / "build")}
    cargo = ["cargo", "test", "--release", *arguments]
    messages = output_of([*cargo, "--no-run", "--message-format=json"], cwd=ROOT, env=environment)
    programs = [message.get("executable") for message in map(json.loads, messages.splitlines())]
    PROGRAMS.write_text(json.dumps([program for program in programs if program]))
    # A test that fails has called what it called; whether tests pass is seen elsewhere.
    subprocess.run([*cargo, "--no-fail-fast"], cwd=ROOT, env=environment)


def calls():
    """How often the function that starts at a place in a file was called, in all programs together."""
    tools, environment = llvm_tools()
    environment = os.environ | environment
    counters = WORK / "counters.txt"
    # A process that was killed may have left a file that is not whole.
    counters.write_text("\n".join(str(path) for path in COUNTERS.glob("*.profraw") if path.stat().st_size))
    subprocess.run([tools / "llvm-profdata", "merge", "-sparse", "--failure-mode=all", "-f", counters, "-o", MERGED],
                   env=environment, check=True)
    first, *rest = json.loads(PROGRAMS.read_text())
    exported = output_of([tools / "llvm-cov", "export", "-skip-expansions", f"-instr-profile={MERGED}", first,
                          *(word for program in rest for word in ("-object", program))], env=environment)
    found = defaultdict(int)
    for function in json.loads(exported)["data"][0]["functions"]:
        line = min(region[0] for region in function["regions"])
        found[Path(function["filenames"][0]), line] += function["count"]
    return found


def public_functions():
    """File, first and last line of the head, and name of each."""
    for file in sorted((ROOT / "src").rglob("*.rs")):
        lines = file.read_text().split("#[cfg(test)]\nmod ")[0].splitlines()
        for number, line in enumerate(lines, 1):
            if name := PUBLIC.match(line):
                end = next(i for i, line in enumerate(lines[number - 1:], number) if line.rstrip().endswith(("{", "}", ";")))
                yield file, number, end, name[1]


def main():
    own, arguments = sys.argv[1:], []
    if "--" in own:
        own, arguments = own[:own.index("--")], own[own.index("--") + 1:]
    if set(own) - {"--no-run"}:
        sys.exit(__doc__)
    if not own:
        run_tests(arguments)
    found, total, uncalled = calls(), 0, []
    for file, first, last, name in public_functions():
        total += 1
        if not any(found.get((file, line)) for line in range(first, last + 1)):
            uncalled.append(f"{file.relative_to(ROOT)}:{first}: {name}")
    print(*uncalled, f"{total - len(uncalled)} of {total} public functions are called by the tests", sep="\n")
    sys.exit(bool(uncalled))


main()
