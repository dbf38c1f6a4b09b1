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

"""The command line of the demo."""

import argparse
import importlib.metadata
import io
import sys

from tests.demo import processes
from tests.demo import setups
from tests.demo import show
from tests.demo import summary
from tests.demo import workload

INTERRUPTED = 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tests.demo',
        description='Boot the same servers with stock nova and with '
                    'cache-aware-sched, and compare. Exits with 1 if the '
                    'package does not do better.')
    parser.add_argument('--servers', type=_positive, default=48, metavar='N',
                        help='how many (%(default)s)')
    parser.add_argument('--seed', type=int, default=1, metavar='N',
                        help='of the sequence (%(default)s)')
    parser.add_argument('--no-color', action='store_true')
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 200:
        raise argparse.ArgumentTypeError('1 to 200 are possible')
    return number


def main() -> int:
    """Run the demo; return the exit status."""
    arguments = _arguments()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='replace')
    out = show.console(sys.stdout, not arguments.no_color)
    work = workload.make(arguments.servers, arguments.seed)
    show.introduction(out, work, arguments.seed,
                      importlib.metadata.version('nova'))
    with show.watching(work.number, not arguments.no_color) as watch:
        stock, ours = processes.run(
            work, (setups.STOCK, setups.PACKAGE), watch)
    show.placements(out, work, stock, ours)
    show.holdings(out, work, stock, ours)
    before = summary.summarise(work, stock)
    after = summary.summarise(work, ours)
    show.comparison(out, before, after)
    result = summary.verdict(before, after, setups.CAP)
    show.verdict(out, result)
    return 0 if result.good else 1


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.stderr.write('Interrupted.\n')
        sys.exit(INTERRUPTED)
    except processes.Failed as error:
        sys.stderr.write(f'{error}\n')
        sys.exit(1)
