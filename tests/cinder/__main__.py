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

"""What tox runs in the environment of Cinder."""

import argparse
import subprocess
import sys

HELP = """\
run the tests in the environment of Cinder; "bench" measures what the weigher
costs, "runs" replays volumes on Cinder's weighers (some minutes)"""


def main():
    """Run the tests, or what the first argument names."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.cinder', description=HELP)
    parser.add_argument('what', nargs='?', default='',
                        help='bench, runs, or an expression of test names')
    what = parser.parse_args().what
    if what == 'bench':
        from tests.cinder import bench
        bench.main()
    elif what == 'runs':
        from tests.cinder import runs
        runs.main()
    else:
        command = ['stestr', '--test-path', 'tests/cinder', 'run',
                   '--concurrency', '2', *filter(None, [what])]
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == '__main__':
    main()
