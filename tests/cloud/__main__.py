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

"""The command line."""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import sys

from tests.cloud import catalog
from tests.cloud import cloud as cloud_mod
from tests.cloud import interrupts
from tests.cloud import packages
from tests.cloud import playing
from tests.cloud import recording
from tests.cloud import running
from tests.cloud import scenario as scenario_mod
from tests.cloud import scenarios as scenarios_mod
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod
from tests.cloud import showing
from tests.cloud import state
from tests.cloud import taking_down

#: What there can be several of, and how many "up" makes.
USUAL = {'computes': 3, 'fakes': 0, 'schedulers': 1}
KINDS = tuple(USUAL)

MAX_PORT = 65_535

COMMANDS = ('run', 'up', 'down', 'status', 'shell')


def _arguments(words: list[str]) -> argparse.Namespace:
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
    one.add_argument('--keep', action='store_true',
                     help='leave the cloud running')
    one.add_argument('--record', action='store_true',
                     help='note the results as a run of stestr')
    one.add_argument('--list', action='store_true',
                     help='only list the scenarios')
    commands.add_parser('up', parents=[common, make],
                        help='start a cloud and leave it running')
    commands.add_parser('down', parents=[common],
                        help='take the cloud down')
    commands.add_parser('status', parents=[common], help='show what runs')
    shell = commands.add_parser(
        'shell', parents=[common],
        help='a shell, or a command, as the administrator of the cloud')
    shell.add_argument('words', nargs=argparse.REMAINDER, metavar='COMMAND')
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


def _new(arguments: argparse.Namespace, usual: Mapping[str, int],
         say: running.Say) -> cloud_mod.Cloud:
    """Return a cloud that is not up.

    :param usual: how many of each kind, if the command line does not say it
    """
    def number(name: str) -> int:
        value = getattr(arguments, name)
        return usual[name] if value is None else int(value)

    try:
        port = settings_mod.ports(arguments.port_base, dict(arguments.port))
    except ValueError as error:
        raise service_mod.Failed(f'{error}: choose others') from None
    return cloud_mod.Cloud(settings_mod.Settings(
        state=str(arguments.state), virt_type=arguments.virt_type, port=port,
        computes=number('computes'), fakes=number('fakes'),
        schedulers=number('schedulers')), say)


def _start(cloud: cloud_mod.Cloud) -> None:
    """Bring a cloud up; if that fails, keep its logs and take it down."""
    try:
        cloud.up()
    except BaseException as error:
        with interrupts.deaf():
            if isinstance(error, Exception) and cloud.settings.run.exists():
                cloud.say(f'what is known of it is in '
                          f'{playing.collect(cloud, (), str(error))}')
            cloud.down()
        raise


def _up(arguments: argparse.Namespace, say: running.Say) -> int:
    tree = settings_mod.Tree(arguments.state)
    with state.locked(tree):
        if cloud_mod.load(tree, say):
            say('a cloud is up already; "status" shows it, "down" ends it')
            return 0
        taking_down.take_down(tree, say)
        cloud = _new(arguments, USUAL, say)
        _start(cloud)
        try:
            cloud.hand_over()
        except BaseException:
            cloud.down()
            raise
    showing.what_next(cloud.settings)
    return 0


def _run(arguments: argparse.Namespace, say: running.Say) -> int:
    chosen = _chosen(arguments.scenarios)
    if arguments.list:
        showing.scenarios(chosen)
        return 0
    tree = settings_mod.Tree(arguments.state)
    with state.locked(tree):
        cloud = cloud_mod.load(tree, say)
        if cloud is not None:
            say('using the cloud that is up; its servers, images and '
                'aggregates are deleted')
            cloud.renew()
            cloud.reset()
            status = _play(cloud, chosen, arguments.record)
            cloud.hand_over()
            return status
        taking_down.take_down(tree, say)
        cloud = _new(arguments, {
            name: max(getattr(one, name) for one in chosen)
            for name in KINDS}, say)
        _start(cloud)
        keep = False
        try:
            status = _play(cloud, chosen, arguments.record)
            if arguments.keep:
                cloud.hand_over()
                keep = True
        finally:
            if not keep:
                cloud.down()
        if keep:
            showing.what_next(cloud.settings)
        return status


def _chosen(names: Sequence[str]) -> list[scenario_mod.Scenario]:
    """Return scenarios by their names, all for none.

    :raises service.Failed: if there is none of a name
    """
    every = scenarios_mod.load()
    unknown = set(names) - {one.name for one in every}
    if unknown:
        raise service_mod.Failed(
            f'There is no scenario {", ".join(sorted(unknown))}; there are '
            f'{", ".join(one.name for one in every)}.')
    return [one for one in every if not names or one.name in names]


def _play(cloud: cloud_mod.Cloud,
          chosen: Sequence[scenario_mod.Scenario], record: bool) -> int:
    """Play scenarios and show the results; return the exit status."""
    results = playing.play(cloud, chosen)
    showing.results(results)
    if record:
        recording.record(results)
    if all(one.outcome != playing.FAILED for one in results):
        return 0
    cloud.say(f'all logs are in {playing.collect(cloud, results)}')
    return 1


def _down(arguments: argparse.Namespace, say: running.Say) -> int:
    tree = settings_mod.Tree(arguments.state)
    with state.locked(tree):
        if not taking_down.take_down(tree, say):
            say('no cloud is up')
    return 0


def _status(arguments: argparse.Namespace, say: running.Say) -> int:
    tree = settings_mod.Tree(arguments.state)
    cloud = cloud_mod.load(tree, say)
    if cloud is not None:
        return 0 if showing.status(cloud) else 1
    if tree.runs():
        say('there is a cloud that is not, or not yet, ready: if no other '
            'program works on it, "down" ends it')
    else:
        say('no cloud is up')
    return 1


def _shell(arguments: argparse.Namespace, say: running.Say) -> int:
    cloud = cloud_mod.load(settings_mod.Tree(arguments.state), say)
    if cloud is None:
        raise service_mod.Failed('No cloud is up; "up" starts one.')
    words = arguments.words
    if words[:1] == ['--']:
        words = words[1:]
    words = words or [os.environ.get('SHELL', '/bin/sh')]
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith('OS_')}
    environment |= catalog.environment(cloud.settings)
    environment['PATH'] = f'{cloud.tree.venv}/bin:{environment["PATH"]}'
    try:
        os.execvpe(words[0], words, environment)
    except FileNotFoundError:
        raise service_mod.Failed(f'There is no {words[0]}.') from None


def main() -> int:
    """Do what the command line says; return the exit status."""
    arguments = _arguments(sys.argv[1:])
    say = showing.Reporter()
    try:
        packages.check_machine()
        if arguments.command in ('run', 'up', 'down'):
            interrupts.install()
        return {'run': _run, 'up': _up, 'down': _down, 'status': _status,
                'shell': _shell}[arguments.command](arguments, say)
    except service_mod.Failed as error:
        sys.stderr.write(f'{error}\n')
        return 1
    except KeyboardInterrupt as error:
        sys.stderr.write(f'Interrupted by {error}.\n')
        return 130


if __name__ == '__main__':
    sys.exit(main())
