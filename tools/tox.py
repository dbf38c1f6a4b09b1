#!/usr/bin/env python3
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
"""Run tox from a private virtual environment, made on the first call.

Needs Python 3.11 or later with pip, and nothing else. All arguments go to
tox::

    python3 tools/tox.py -e demo
"""

import fcntl
import os
import pathlib
import subprocess
import sys

MINIMUM = (3, 11)
if sys.version_info < MINIMUM:
    raise SystemExit(
        "tools/tox.py: Python {}.{} or later is needed, this is {}.{}".format(
            *MINIMUM, *sys.version_info[:2]
        )
    )

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-tox"
CONSTRAINTS = ROOT / "constraints.txt"
LOCK = ROOT / ".venv-tox.lock"


def pinned() -> str:
    """Return tox with its version, as constraints.txt has it."""
    for line in CONSTRAINTS.read_text().splitlines():
        if line.startswith("tox=="):
            return line.strip()
    raise SystemExit(f"tools/tox.py: no version of tox in {CONSTRAINTS}")


def create() -> list[str]:
    """Make the virtual environment anew, and return the pip for it."""
    python = str(VENV / "bin" / "python")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        # No ensurepip: Debian has it in python3-venv. Our own pip can do it.
        subprocess.run([*command, "--without-pip"], check=True)
        return [sys.executable, "-m", "pip", "--python", python]
    return [python, "-m", "pip"]


def install(requirement: str) -> None:
    """Install tox in a new virtual environment."""
    arguments = ["install", "--quiet", "-c", str(CONSTRAINTS), requirement]
    subprocess.run([*create(), *arguments], check=True)


def set_version() -> None:
    """Give pbr a version where no git tells it one: it would refuse to go on.

    That is without git, in a copy of the files, and in another's checkout.
    """
    if "PBR_VERSION" in os.environ or (ROOT / "PKG-INFO").exists():
        return
    try:
        subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        os.environ["PBR_VERSION"] = "0.0.0"


def wait_for_others() -> None:
    """Let one call after the other use the environments of this checkout.

    Most share one directory of packages, which tox installs into at the start:
    under tests that run at that moment it would change. The lock is held until
    the process ends that tox.py becomes.
    """
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(file, 200, 0).decode(errors="replace").strip()
        print(
            "tools/tox.py: waiting until another call ends, process "
            f"{holder}",
            flush=True,
        )
        fcntl.flock(file, fcntl.LOCK_EX)
    os.ftruncate(file, 0)
    arguments = " ".join(sys.argv[1:])
    os.pwrite(file, f"{os.getpid()}: tox.py {arguments}".encode(), 0)
    os.set_inheritable(file, True)


def main() -> None:
    """Install tox where it is missing or another version, then become it."""
    wait_for_others()
    requirement = pinned()
    # Written last: an interrupted installation leaves none.
    stamp = VENV / "installed"
    if not stamp.exists() or stamp.read_text() != requirement:
        print(f"tools/tox.py: installing {requirement} in {VENV}", flush=True)
        try:
            install(requirement)
        except subprocess.CalledProcessError as error:
            command = " ".join(error.cmd)
            raise SystemExit(f"tools/tox.py: failed: {command}") from None
        stamp.write_text(requirement)
    set_version()
    os.chdir(ROOT)
    tox = str(VENV / "bin" / "tox")
    os.execv(tox, [tox, *sys.argv[1:]])


if __name__ == "__main__":
    main()
