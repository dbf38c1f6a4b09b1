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

"""What can be done with servers while Glance is down.

The table of the documents is what this finds: each operation is tried.
"""

from collections.abc import Callable

from openstack import exceptions

from tests.cloud import moving
from tests.cloud import openstack_conf
from tests.cloud import scenario
from tests.cloud import servers
from tests.cloud import service

WORKS = 'works'
#: Of nova-api, at once or after it has tried Glance four times.
REFUSED = 'HTTP 500'
#: Of nova-api with remembered records.
UNAVAILABLE = 'HTTP 503'
FAILS = 'fails'

#: By the operation: what becomes of it with nova's own parts.
WITHOUT = {
    'boot, held by the host': REFUSED,
    'stop and start': WORKS,
    'hard reboot': WORKS,
    'rebuild, same image': REFUSED,
    'snapshot': REFUSED,
    'shelve': REFUSED,
    'unshelve': 'stays unshelving',  # nova-conductor has asked Glance
    'rescue': FAILS,
    'resize, held by the host': WORKS,
    'resize, not held': FAILS,
    'cold migration, held by the host': WORKS,
    'cold migration, not held': FAILS,
    'evacuation, held by the host': WORKS,
    'evacuation, not held': FAILS,
}

#: With remembered images, ImageCacheFilter and fetch_from_hosts = outage.
WITH = {
    **WITHOUT,
    'boot, held by the host': WORKS,
    'rebuild, same image': UNAVAILABLE,
    'resize, not held': WORKS,
    'cold migration, not held': WORKS,
    'evacuation, not held': WORKS,
}

#: Seconds until an operation has an end.
SOON = 30.0


class _Trials(moving.Moving):
    """Servers on the first host, each for one operation.

    :ivar source: their host
    :ivar found: what became of the operations
    """

    def __init__(self, cloud: scenario.Cloud) -> None:
        super().__init__(cloud)
        client = cloud.client
        self.source, self._target, *others = cloud.computes.with_libvirt
        client.disable(others)
        #: On both hosts, and on the source alone.
        self._held = client.images.upload('held')
        self._alone = client.images.upload('alone')
        both = client.aggregate('both', [self.source, self._target])
        client.precache(both, self._held)
        client.wait_for_holding(self._target, self._held)
        self.found: dict[str, str] = {}
        self._of: dict[str, servers.Server] = {
            name: self._boot(f'guest{number}', name)
            for number, name in enumerate(WITHOUT)
            if not name.startswith('boot')}

    def prepare(self) -> None:
        """Do what needs Glance."""
        self._sdk.shelve_server(self._of['unshelve'].id)
        self.wait(self._of['unshelve'], 'SHELVED_OFFLOADED')

    def run(self) -> None:
        """Try all operations."""
        for name, (act, status) in self._operations().items():
            self.found[name] = self._try(name, act, status)
        self.found['boot, held by the host'] = self._try_boot()
        self._evacuate()

    def _operations(self) -> dict[str, tuple[
            Callable[[servers.Server], object], str]]:
        sdk = self._sdk
        return {
            'stop and start': (self._stop_and_start, 'ACTIVE'),
            'hard reboot': (
                lambda one: sdk.reboot_server(one.id, 'HARD'), 'ACTIVE'),
            'rebuild, same image': (lambda one: sdk.rebuild_server(
                one.id, image=self._held), 'ACTIVE'),
            'snapshot': (lambda one: sdk.create_server_image(
                one.id, name='snapshot'), 'ACTIVE'),
            'shelve': (lambda one: sdk.shelve_server(one.id),
                       'SHELVED_OFFLOADED'),
            'unshelve': (
                lambda one: sdk.unshelve_server(one.id), 'ACTIVE'),
            'rescue': (lambda one: sdk.rescue_server(one.id), 'RESCUE'),
            **{f'{what}, {where}': (act, 'VERIFY_RESIZE')
               for what, act in (
                   ('resize', lambda one: sdk.resize_server(
                       one.id, self._servers.flavor('small'))),
                   ('cold migration',
                    lambda one: sdk.migrate_server(one.id)))
               for where in ('held by the host', 'not held')},
        }

    def _boot(self, name: str, operation: str) -> servers.Server:
        alone = operation.endswith('not held')
        server, _seconds = self._servers.boot(
            name, self._alone if alone else self._held, host=self.source)
        return server

    def _try(self, name: str, act: Callable[[servers.Server], object],
             status: str) -> str:
        """Return what becomes of an operation."""
        server = self._of[name]
        try:
            act(server)
        except exceptions.HttpException as error:
            return f'HTTP {error.status_code}'
        try:
            [found] = self._servers.wait([server.id], SOON)
        except service.Failed:
            return f'stays {self._servers.get(server.id).task}'
        # A server that was rebuilt in vain is ACTIVE too.
        last = next(iter(self._sdk.server_actions(server.id)))
        return (WORKS if found.status == status and not last.message
                else FAILS)

    def _try_boot(self) -> str:
        try:
            self._servers.boot('later', self._held)
        except exceptions.HttpException as error:
            return f'HTTP {error.status_code}'
        return WORKS

    def _stop_and_start(self, server: servers.Server) -> None:
        self._sdk.stop_server(server.id)
        self.wait(server, 'SHUTOFF')
        self._sdk.start_server(server.id)

    def _evacuate(self) -> None:
        names = [name for name in WITHOUT if name.startswith('evacuation')]
        self.fail(self.source)
        for name in names:
            self._sdk.evacuate_server(self._of[name].id)
        for name in names:
            [found] = self._servers.wait(
                [self._of[name].id], SOON, lambda one: one.status == 'ERROR'
                or (servers.settled(one) and one.host != self.source))
            self.found[name] = WORKS if found.status == 'SHUTOFF' else FAILS
        self.repair(self.source)


@scenario.scenario(name='outage-operations', order=105, computes=2)
def without(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """What works without Glance is what the documents say."""
    _play(cloud, facts, WITHOUT)


@scenario.scenario(name='outage-operations-more', order=106, computes=2)
def with_all(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """With all that helps in an outage more operations work."""
    cloud.configure({**openstack_conf.image_cache_filter(),
                     'cache_aware_sched': {'fetch_from_hosts': 'outage'}})
    cloud.control.restart_api(openstack_conf.image_records(cloud.settings))
    _play(cloud, facts, WITH)


def _play(cloud: scenario.Cloud, facts: scenario.Facts,
          expected: dict[str, str]) -> None:
    trials = _Trials(cloud)
    trials.prepare()
    cloud.control.stop('glance')

    trials.run()

    cloud.control.start('glance')
    facts.update(trials.found)
    assert trials.found == expected, trials.found
