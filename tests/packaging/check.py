# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""Check what is in the wheel and that nova loads it, installed both ways.

Builds the wheel, compares its files with those that git knows, installs it
beside nova into a virtual environment outside the checkout, and runs probe.py
there; then the same with an editable installation of the checkout.
"""

import collections.abc
import configparser
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(__file__).with_name("probe.py")
CONSTRAINTS = ROOT / "constraints.txt"
DISTRIBUTION = "cache-aware-sched"
PACKAGES = ("cache_aware_sched/", "nova/virt/cache_aware/")
# With these, our nova/ would be all of nova to whatever runs in the checkout.
FORBIDDEN = ("nova/__init__.py", "nova/virt/__init__.py")
DIST_INFO = {
    "METADATA",
    "RECORD",
    "WHEEL",
    "entry_points.txt",
    "licenses/LICENSE",
    "pbr.json",
    "top_level.txt",
}


def run(*command: str, cwd: pathlib.Path = ROOT) -> str:
    """Return what a command printed; end the program if it failed."""
    # Neither may lend the checkout to a Python that should not see it.
    hidden = ("PYTHONPATH", "PYTHONHOME")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.stdout.write(done.stdout)
        fail(f"exit status {done.returncode} from: {' '.join(command)}")
    return done.stdout


def ok(what: str) -> None:
    """Say that a check passed."""
    print(f"packaging: ok: {what}", flush=True)


def fail(why: str) -> None:
    """End the program with a reason."""
    raise SystemExit(f"packaging: FAILED: {why}")


def difference(
    what: str,
    expected: collections.abc.Set[str],
    found: collections.abc.Set[str],
) -> None:
    """Fail with what is missing and what is too much, if anything is."""
    lines = [f"  not there: {name}" for name in sorted(expected - found)]
    lines += [f"  too much: {name}" for name in sorted(found - expected)]
    if lines:
        fail("\n".join([what, *lines]))


def tracked_files() -> set[str]:
    """Return the files of our packages that git knows or would add."""
    for name in FORBIDDEN:
        if (ROOT / name).exists():
            fail(f"{name} must not exist: it hides nova")
    listed = run(
        *("git", "ls-files", "--cached", "--others", "--exclude-standard"),
        *("--", *PACKAGES),
    )
    return {name for name in listed.split("\n") if (ROOT / name).is_file()}


def build_wheel(target: pathlib.Path) -> pathlib.Path:
    """Build the sdist, and the wheel from that, clear of any old build/."""
    run(sys.executable, "-m", "build", "--outdir", str(target), str(ROOT))
    wheels = list(target.glob("*.whl"))
    if len(wheels) != 1:
        fail(f"built {[path.name for path in wheels]}, not one wheel")
    ok(f"built {wheels[0].name}")
    return wheels[0]


def check_contents(wheel: pathlib.Path) -> None:
    """Compare the wheel's files with the checkout, in both directions."""
    dist_info = "-".join(wheel.name.split("-")[:2]) + ".dist-info/"
    expected = tracked_files()
    if not expected.issuperset(f"{name}__init__.py" for name in PACKAGES):
        fail(f"no __init__.py in one of {', '.join(PACKAGES)}")
    expected |= {dist_info + name for name in DIST_INFO}
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
        metadata = archive.read(dist_info + "METADATA").decode()
    difference("the files in the wheel", expected, found)
    ok(f"{len(found)} files in the wheel, none of them nova's")
    check_requirements(metadata)


def check_requirements(metadata: str) -> None:
    """Check that the metadata require what ours list."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    expected = {line.split("#")[0].strip() for line in lines} - {""}
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    for extra, names in settings["options.extras_require"].items():
        expected |= {
            f'{name}; extra == "{extra}"' for name in names.split("\n") if name
        }
    prefix = "Requires-Dist: "
    found = {
        line.removeprefix(prefix)
        for line in metadata.splitlines()
        if line.startswith(prefix)
    }
    difference("the requirements of the wheel", expected, found)
    ok("the wheel requires what requirements.txt and setup.cfg list")


def probe(python: str, cwd: pathlib.Path, what: str) -> None:
    """Load everything in another Python, with cwd first on its path."""
    # A script would have its own directory first on the path, not cwd.
    start = "import runpy; runpy.run_path({!r}, run_name='__main__')"
    command = start.format(str(PROBE))
    sys.stdout.write(run(python, "-c", command, cwd=cwd))
    ok(what)


def check_command(directory: pathlib.Path, cwd: pathlib.Path) -> None:
    """Run what the installed command can do without a simulation."""
    command = str(directory / DISTRIBUTION)
    said = run(command, "--version", cwd=cwd)
    if not said.startswith(f"{DISTRIBUTION} "):
        fail(f"--version says {said!r}")
    if "--trace" not in run(command, "simulate", "--help", cwd=cwd):
        fail("simulate --help says nothing of --trace")
    ok(f"the command runs: {said.strip()}")


def main() -> None:
    """Build, compare, install and probe."""
    with tempfile.TemporaryDirectory(prefix="packaging-") as name:
        work = pathlib.Path(name)
        elsewhere = work / "elsewhere"
        elsewhere.mkdir()
        wheel = build_wheel(work / "dist")
        check_contents(wheel)

        run(sys.executable, "-m", "virtualenv", str(work / "venv"))
        python = str(work / "venv" / "bin" / "python")
        pip = (python, "-m", "pip")
        install = (*pip, "install", "-c", str(CONSTRAINTS))
        run(*install, "nova")
        run(*install, str(wheel))
        run(*pip, "check")
        probe(python, elsewhere, "the installed wheel")
        check_command(work / "venv" / "bin", elsewhere)

        run(*pip, "uninstall", "--yes", DISTRIBUTION)
        run(python, "-c", "import nova.virt.libvirt.driver", cwd=elsewhere)
        ok("without the wheel nova is whole")
        run(*install, "--editable", str(ROOT), "oslo.vmware")
        probe(python, elsewhere, "the editable installation")
        probe(python, ROOT, "the editable installation, in the checkout")
        check_command(work / "venv" / "bin", elsewhere)


if __name__ == "__main__":
    main()
