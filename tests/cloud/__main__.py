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
import sys

from tests.cloud import arguments as arguments_mod
from tests.cloud import belongings
from tests.cloud import catalog
from tests.cloud import cloud as cloud_mod
from tests.cloud import interrupts
from tests.cloud import packages
from tests.cloud import playing
from tests.cloud import recording
from tests.cloud import rehearsing
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
        schedulers=number('schedulers'),
        stock=getattr(arguments, 'stock', False)), say)


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
    chosen = _chosen(arguments.scenarios, arguments.without)
    if arguments.list:
        showing.scenarios(chosen)
        return 0
    tree = settings_mod.Tree(arguments.state)
    with state.locked(tree):
        cloud = cloud_mod.load(tree, say)
        if cloud is not None:
            return _run_here(cloud, chosen, arguments)
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


def _run_here(cloud: cloud_mod.Cloud,
              chosen: Sequence[scenario_mod.Scenario],
              arguments: argparse.Namespace) -> int:
    """Play scenarios in a cloud that is up; return the exit status.

    :raises service.Failed: if what is in it may not be deleted
    """
    if not arguments.yes:
        belongings.ask(cloud)
    cloud.say('using the cloud that is up; its servers, images and '
              'aggregates are deleted')
    cloud.begin_to_play()
    status = _play(cloud, chosen, arguments.record)
    cloud.end_to_play()
    cloud.hand_over()
    return status


def _chosen(names: Sequence[str], without: Sequence[str],
            ) -> list[scenario_mod.Scenario]:
    """Return scenarios by their names, all for none.

    :param without: the names of those to leave out
    :raises service.Failed: if there is none of a name, or none is left
    """
    every = scenarios_mod.load()
    unknown = {*names, *without} - {one.name for one in every}
    if unknown:
        raise service_mod.Failed(
            f'There is no scenario {", ".join(sorted(unknown))}; there are '
            f'{", ".join(one.name for one in every)}.')
    chosen = [one for one in every if (not names or one.name in names)
              and one.name not in without]
    if not chosen:
        raise service_mod.Failed('No scenario is left to play.')
    return chosen


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


def _loaded(arguments: argparse.Namespace,
            say: running.Say) -> cloud_mod.Cloud:
    """Return the cloud that is up.

    :raises service.Failed: if there is none
    """
    cloud = cloud_mod.load(settings_mod.Tree(arguments.state), say)
    if cloud is None:
        raise service_mod.Failed('No cloud is up; "up" starts one.')
    return cloud


def _restart(arguments: argparse.Namespace, say: running.Say) -> int:
    _loaded(arguments, say)
    with state.locked(settings_mod.Tree(arguments.state)):
        rehearsing.restart(_loaded(arguments, say), arguments.services)
    return 0


def _conf(arguments: argparse.Namespace, say: running.Say) -> int:
    cloud = _loaded(arguments, say)
    if arguments.service:
        sys.stdout.write(
            f'{rehearsing.find(cloud, arguments.service).conf}\n')
    else:
        showing.configuration_files(rehearsing.services(cloud))
    return 0


def _sql(arguments: argparse.Namespace, say: running.Say) -> int:
    command, environment = _loaded(arguments, say).infra.client(
        arguments.database, arguments.statement)
    os.execvpe(command[0], command, os.environ | environment)


def _shell(arguments: argparse.Namespace, say: running.Say) -> int:
    cloud = _loaded(arguments, say)
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
    arguments = arguments_mod.parse(sys.argv[1:])
    say = showing.Reporter()
    try:
        packages.check_machine()
        if arguments.command in ('run', 'up', 'down', 'restart'):
            interrupts.install()
        return {'run': _run, 'up': _up, 'down': _down, 'status': _status,
                'shell': _shell, 'restart': _restart, 'conf': _conf,
                'sql': _sql}[arguments.command](arguments, say)
    except service_mod.Failed as error:
        sys.stderr.write(f'{error}\n')
        return 1
    except KeyboardInterrupt as error:
        sys.stderr.write(f'Interrupted by {error}.\n')
        return 130


if __name__ == '__main__':
    sys.exit(main())
