#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.
"""A file system that answers late, as a file server that has much to do."""

from collections.abc import Iterator
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

#: Seconds that an operation takes more than on the disk. Judgement: a round
#: trip within a data centre, and what a busy file server adds.
DELAY = 0.0005
#: Seconds until it has to be there.
_STARTS = 30


def possible() -> str | None:
    """Return why there can be none; None if there can."""
    if not os.access('/dev/fuse', os.R_OK | os.W_OK):
        return 'no /dev/fuse'
    if shutil.which('fusermount3') is None:
        return 'fuse3 is not installed'
    try:
        import mfusepy  # noqa: F401
    except (ImportError, OSError) as error:  # the latter without libfuse
        return str(error)
    return None


@contextlib.contextmanager
def mounted() -> Iterator[str]:
    """Give a directory on a slow file system."""
    with (tempfile.TemporaryDirectory() as below,
          tempfile.TemporaryDirectory() as path, subprocess.Popen(
              [sys.executable, '-m', 'tests.bench.slow_server', below, path]
          ) as server):
        try:
            until = time.monotonic() + _STARTS
            while not os.path.ismount(path):
                if server.poll() is not None or time.monotonic() > until:
                    raise RuntimeError('the slow file system did not come')
                time.sleep(0.05)
            yield path
        finally:
            subprocess.run(['fusermount3', '-u', path], check=False)
            server.terminate()
