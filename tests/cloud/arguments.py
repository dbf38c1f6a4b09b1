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

"""What the command line can say."""

import argparse
import pathlib

from tests.cloud import settings as settings_mod

MAX_PORT = 65_535

COMMANDS = ('run', 'up', 'down', 'status', 'shell', 'restart', 'conf', 'sql')


def parse(words: list[str]) -> argparse.Namespace:
    """Return what the words of the command line say."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        '--state', type=_directory, default=settings_mod.STATE,
        metavar='DIR', help='where everything is kept (%(default)s)')
    make = argparse.ArgumentParser(add_help=False)
    make.add_argument('--computes', type=_number, metavar='N',
                      help='hosts with libvirt')
    make.add_argument('--fakes', type=_number, metavar='N',
                      help='hosts that pretend to run servers')
    make.add_argument('--schedulers', type=_number, metavar='N')
    make.add_argument('--virt-type', choices=('auto', 'kvm', 'qemu'),
                      default='auto',
                      help='by default kvm where a guest boots with it')
    make.add_argument('--port-base', type=_port_base, metavar='PORT',
                      default=settings_mod.PORT_BASE,
                      help='the first of the ports (%(default)s)')
    make.add_argument('--port', type=_port, action='append', default=[],
                      metavar='NAME=PORT', help='another port for one of '
                      + ', '.join(settings_mod.LISTENERS))
    parser = argparse.ArgumentParser(
        prog='python -m tests.cloud', description=(
            'A real cloud on one machine: nova, keystone, glance, placement, '
            'MariaDB, RabbitMQ and libvirt, with this package.'))
    commands = parser.add_subparsers(dest='command', metavar='COMMAND')
    one = commands.add_parser(
        'run', parents=[common, make],
        help='play scenarios, in the cloud that is up or in a new one (this '
             'is the default)')
    one.add_argument('scenarios', nargs='*', metavar='SCENARIO',
                     help='by default all')
    one.add_argument('--without', action='append', default=[],
                     metavar='SCENARIO', help='leave this one out')
    one.add_argument('--keep', action='store_true',
                     help='leave the cloud running')
    one.add_argument('--yes', action='store_true',
                     help='do not ask before deleting what is in the cloud')
    one.add_argument('--record', action='store_true',
                     help='note the results as a run of stestr')
    one.add_argument('--list', action='store_true',
                     help='only list the scenarios')
    up = commands.add_parser('up', parents=[common, make],
                             help='start a cloud and leave it running')
    up.add_argument('--stock', action='store_true',
                    help='without the driver, the filter and the weigher of '
                         'this package')
    commands.add_parser('down', parents=[common],
                        help='take the cloud down')
    commands.add_parser('status', parents=[common], help='show what runs')
    shell = commands.add_parser(
        'shell', parents=[common],
        help='a shell, or a command, as the administrator of the cloud')
    shell.add_argument('words', nargs=argparse.REMAINDER, metavar='COMMAND')
    restart = commands.add_parser(
        'restart', parents=[common],
        help='restart services, by default those of nova, with their '
             'configuration files as they are')
    restart.add_argument('services', nargs='*', metavar='SERVICE')
    conf = commands.add_parser(
        'conf', parents=[common],
        help='print where the configuration file of a service is')
    conf.add_argument('service', nargs='?', metavar='SERVICE',
                      help='by default all')
    sql = commands.add_parser(
        'sql', parents=[common],
        help='ask a database, or be connected with it')
    sql.add_argument('database', metavar='DATABASE',
                     help='cell0, cell1, api, keystone, glance or placement')
    sql.add_argument('statement', nargs='?', metavar='STATEMENT')
    if not words or words[0] not in (*COMMANDS, '-h', '--help'):
        words = ['run', *words]
    return parser.parse_args(words)


def _number(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 50:
        raise argparse.ArgumentTypeError('0 to 50 are possible')
    return number


def _directory(text: str) -> pathlib.Path:
    """Return the path as processes elsewhere, and /proc, have it."""
    path = pathlib.Path(text).resolve()
    if any(one.isspace() for one in str(path)):
        # Some commands are lines of a configuration file.
        raise argparse.ArgumentTypeError('it must not have spaces in it')
    return path


def _port_base(text: str) -> int:
    base, last = int(text), MAX_PORT + 1 - len(settings_mod.LISTENERS)
    if not 1 <= base <= last:
        raise argparse.ArgumentTypeError(f'1 to {last} are possible')
    return base


def _port(text: str) -> tuple[str, int]:
    name, _, port = text.partition('=')
    if name not in settings_mod.LISTENERS or not port.isdecimal():
        raise argparse.ArgumentTypeError('use NAME=PORT')
    if not 1 <= int(port) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f'1 to {MAX_PORT} are possible')
    return name, int(port)
