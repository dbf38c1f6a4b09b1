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

"""Installing the package must leave nova, and all that is there, as it is.

Run by the Python of an environment with a nova: ``python tests/packaging/
beside.py``. What pip would install is asked of it, and must be the package.
"""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def would_install() -> list[str]:
    """Return the names of what pip would install, the package among them."""
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--dry-run',
         '--report', '-', str(ROOT)],
        check=True, stdout=subprocess.PIPE)
    report = json.loads(done.stdout)
    return [one['metadata']['name'] for one in report['install']]


if __name__ == '__main__':
    names = would_install()
    if names != ['cache-aware-sched']:
        raise SystemExit(f'pip would install {", ".join(names)}')
