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

"""``python -m tests.lvm [--record] [--all | REGEX]``: cases in a guest."""

import argparse
import json
import os
import pathlib
import shutil
import sys

from tests.lvm import machine

STATE = machine.CHECKOUT / '.tox' / 'lvm'


def main():
    """Play the cases; return the exit status."""
    parser = argparse.ArgumentParser(prog='python -m tests.lvm')
    parser.add_argument('--record', action='store_true',
                        help='note the results as a run of stestr')
    parser.add_argument('--all', action='store_true',
                        help='also what takes longer')
    parser.add_argument('cases', nargs='?', metavar='REGEX',
                        help='of the names of cases')
    options = parser.parse_args()
    # Not the default of the argument: that would override --all.
    wanted = '.' if options.all else options.cases or 'cases.Test'
    if os.geteuid() or not shutil.which('apt-get'):
        print('skipped: the virtual machine needs root and apt-get')
        return 0
    guest = machine.Machine(pathlib.Path(STATE))
    try:
        guest.prepare((wanted,))
        results = json.loads(guest.run() or b'null')
    except machine.Failed as error:
        print(error)
        return 1
    if results is None:
        print(guest.last_words())
        print('the guest left no results')
        return 1
    for one in results:
        print(f'{one["outcome"]:8} {one["seconds"]:7.2f} s  {one["name"]}  '
              + ', '.join(f'{name}: {value}' for name, value
                          in one['figures'].items()))
        if one['outcome'] != 'passed':
            print(one['why'])
    if options.record:
        from tests.cloud import playing
        from tests.cloud import recording
        recording.record([playing.Result(
            one['name'], one['outcome'], one['seconds'], why=one['why'])
            for one in results], prefix='')
    return int(not results or any(
        one['outcome'] == 'failed' for one in results))


if __name__ == '__main__':
    sys.exit(main())
