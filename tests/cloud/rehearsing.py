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

"""What an operator does by hand in a cloud that is up.

An operator edits a configuration file and restarts its service. A restart
here leaves the file as it is, whereas scenarios write it anew.
"""

from collections.abc import Collection
import dataclasses
import pathlib

from tests.cloud import cloud as cloud_mod
from tests.cloud import running
from tests.cloud import service as service_mod
from tests.cloud import strays


@dataclasses.dataclass(frozen=True, slots=True)
class Restartable:
    """A service that may be restarted.

    :param names: of its process, and what else it may be called
    :param conf: its configuration file
    :param is_nova: whether it is one of nova's
    """

    names: tuple[str, ...]
    service: service_mod.Service
    conf: pathlib.Path
    is_nova: bool = True


def services(cloud: cloud_mod.Cloud) -> list[Restartable]:
    """Return all services that have a configuration file."""
    etc = cloud.settings.etc
    control = cloud.control.services
    found = [
        Restartable(('keystone',), control['keystone'],
                    etc / 'keystone/keystone.conf', is_nova=False),
        Restartable(('placement',), control['placement'],
                    etc / 'placement/placement.conf', is_nova=False),
        Restartable(('glance',), control['glance'],
                    etc / 'glance/glance-api.conf', is_nova=False),
        Restartable(('nova', 'api'), control['nova'], etc / 'nova/nova.conf'),
        Restartable(('conductor',), control['conductor'],
                    etc / 'nova-cell1/nova.conf'),
    ]
    for members in (cloud.schedulers, cloud.computes):
        found += [
            Restartable(tuple(dict.fromkeys((
                members.process(member.name), member.name))),
                members.service(member), members.config_file(member.name))
            for member in members]
    return found


def find(cloud: cloud_mod.Cloud, name: str) -> Restartable:
    """Return a service by one of its names.

    :raises service.Failed: if none is called so
    """
    known = services(cloud)
    for one in known:
        if name in one.names:
            return one
    raise service_mod.Failed(
        f'There is no service {name} with a configuration file; there are '
        f'{", ".join(one.names[0] for one in known)}.')


def restart(cloud: cloud_mod.Cloud, names: Collection[str]) -> None:
    """Restart services with their configuration files as they are.

    :param names: none for all services of nova
    :raises service.Failed: if there is none of a name, or it does not start
    """
    chosen = ([find(cloud, name) for name in names] if names else
              [one for one in services(cloud) if one.is_nova])
    processes = [one.service.name for one in chosen]
    cloud.say(f'restarting {", ".join(processes)}')
    for stray in strays.find(cloud.processes, cloud.tree.venv):
        if stray.conf in [one.conf for one in chosen]:
            cloud.say(f'ending process {stray.pid}, a {stray.program} that '
                      f'was started by hand')
            strays.end([stray])
    cloud.processes.stop(*processes)
    running.launch(cloud.processes, *(one.service for one in chosen))
    cloud.say('they are up')
