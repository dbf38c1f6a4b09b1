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

"""The workload on a real nova in this process."""

# isort: off
# Must be imported before anything else of nova.
from tests.functional import base
# isort: on

from collections.abc import Callable
import logging
import threading
import time
import unittest

import fixtures

from cache_aware_sched import fetch_time
from cache_aware_sched.scheduler import decisions
from cache_aware_sched.scheduler import scoring
from cache_aware_sched.scheduler import weights
from cache_aware_sched.virt import fake
from tests.demo import reasons
from tests.demo import setups
from tests.demo import summary
from tests.demo import workload as workload_mod

#: Seconds; long enough for a burst to find the image on its way.
FETCH_SECONDS = 0.05
#: Seconds after which the API is asked about a server that no host has
#: started: it may be that none will.
BOOT_SECONDS = 2.0
ROOT_GB = 40
HOST = 'OS-EXT-SRV-ATTR:host'


class ExplainingWeigher(weights.ImageCacheWeigher):
    """The package's weigher; its reasons are kept.

    :cvar reasons: by the uuid of the server, by the name of the host; the
        first ones, as nova weighs again to find alternate hosts
    :cvar full: by the uuid of the server, how many hosts hold the image that
        the filter has left out
    :cvar hosts: the names of all hosts
    """

    reasons: dict[str, dict[str, scoring.Score]] = {}
    full: dict[str, int] = {}
    hosts: frozenset[str] = frozenset()

    def _decided(self, decision: decisions.Decision, full: int) -> None:
        super()._decided(decision, full)
        if fetch_time.benefit(decision.scores.seconds):
            self.reasons.setdefault(
                str(decision.request.instance),
                {decision.candidates[index].host: decision.scores[index]
                 for index in decision.scores.scored})
            left = {candidate.host for candidate in decision.candidates}
            self.full.setdefault(str(decision.request.instance), sum(
                fake.image_cache(host).has(decision.request.image)
                for host in self.hosts - left))


class CountingDriver(fake.FakeDriver):
    """The package's fake driver; who had to fetch an image is kept.

    :cvar fetched: uuids of servers
    :cvar started: uuids of servers
    """

    fetched: set[str] = set()
    started: set[str] = set()
    _spawning = threading.local()

    def spawn(self, context, instance, *args, **kwargs):
        self._spawning.uuid = instance.uuid
        super().spawn(context, instance, *args, **kwargs)
        self.started.add(instance.uuid)

    def _fetch(self, image_id, size, room):
        fetched = super()._fetch(image_id, size, room)
        if fetched:
            self.fetched.add(self._spawning.uuid)
        return fetched


class Cloud(base.CloudTestCase):
    """Plays a workload; a test case only because nova's fixtures want one.

    :ivar boots: what became of the servers, by name
    """

    VCPUS = setups.HOST_VCPUS
    MULTIPLIER = setups.MULTIPLIER

    def __init__(self, work: workload_mod.Workload, setup: setups.Setup,
                 advance: Callable[[str, int], None]) -> None:
        super().__init__('play')
        self._work = work
        self._setup = setup
        self._advance = advance
        self._uuids: dict[str, str] = {}
        self.boots: dict[str, summary.Boot] = {}

    def setUp(self):
        self.useFixture(fixtures.MonkeyPatch(
            'cache_aware_sched.virt.fake.FakeDriver', CountingDriver))
        self._advance('starting nova', 0)
        super().setUp()
        # nova's fixtures have every debug line formatted, to test them.
        logging.getLogger().setLevel(logging.WARNING)

    def configure(self):
        super().configure()
        self.set(fake_image_fetch_seconds=FETCH_SECONDS)
        if self._setup.cache_aware:
            name = f'{__name__}.{ExplainingWeigher.__name__}'
            self.flags(group='filter_scheduler',
                       weight_classes=[base.ALL_WEIGHERS, name])
            self.set(max_same_image_instances_per_host=setups.CAP)
        else:
            self.flags(group='filter_scheduler',
                       weight_classes=[base.ALL_WEIGHERS],
                       enabled_filters=base.STOCK_FILTERS)
            self.set(same_image_late_check=False)

    def play(self):
        ExplainingWeigher.hosts = frozenset(self._work.hosts)
        for host in self._work.hosts:
            self._advance(f'starting {host}', 0)
            self.start(host)
        self._flavors = {
            flavor: self.flavor_with(vcpu=flavor.vcpus, disk=ROOT_GB,
                                     memory_mb=flavor.memory_mb)
            for flavor in workload_mod.FLAVORS}
        self._images = {image: self.image(size=image.size)
                        for image in self._work.images}
        for host, images in self._work.cached.items():
            for image in images:
                fake.image_cache(host).put(self._images[image], image.size)
            self.report(host)
        for step in self._work.steps:
            self._play(step)

    def _play(self, step: workload_mod.Step) -> None:
        for request in step.requests:
            self._send(request)
        names = [name for request in step.requests
                 for name in request.servers]
        self._wait_for_start({self._uuids[name] for name in names})
        for name in names:
            self.boots[name] = self._boot(name)
            self._advance('booting', 1)
        for name in step.deletes:
            self._delete(name)
        # What the periodic update does, were there a minute between steps.
        for host in {self.boots[name].host for name in names} - {None}:
            self.report(host)

    def _send(self, request: workload_mod.Request) -> None:
        server = self.request(
            self._images[request.image], name=request.name,
            flavor=self._flavors[request.flavor], number=request.number)
        if request.number == 1:
            self._uuids[request.name] = server['id']
        else:
            self._uuids |= {one['name']: one['id'] for one
                            in self.api.get_servers(detail=False)}

    def _wait_for_start(self, uuids: set[str]) -> None:
        """Wait without asking the API, which costs as much as booting."""
        end = time.monotonic() + BOOT_SECONDS
        while (not uuids <= CountingDriver.started
               and time.monotonic() < end):
            time.sleep(0.02)

    def _boot(self, name: str) -> summary.Boot:
        """Wait for a server and return what became of it."""
        uuid = self._uuids[name]
        [server] = self.settle({'id': uuid})
        host = server[HOST] if server['status'] == 'ACTIVE' else None
        fetched = uuid in CountingDriver.fetched
        if not self._setup.cache_aware:
            return summary.Boot(host, fetched)
        scores = ExplainingWeigher.reasons.get(uuid)
        score = (scores or {}).get(str(host))
        return summary.Boot(
            host, fetched,
            reasons.why(host, scores, ExplainingWeigher.full.get(uuid, 0)),
            None if score is None else summary.Parts(
                score.benefit * score.holds, score.headroom, score.gate,
                score.weight, score.candidate.count,
                score.candidate.limit))

    def _delete(self, name: str) -> None:
        server = {'id': self._uuids[name]}
        self.api.delete_server(server['id'])
        self._wait_until_deleted(server)


def run(work: workload_mod.Workload, setup: setups.Setup,
        advance: Callable[[str, int], None]) -> dict[str, summary.Boot]:
    """Play a workload on a cloud; return what became of each server.

    :param advance: told what is done and how many servers were booted since;
        what it raises ends the run
    :raises RuntimeError: saying what went wrong
    """
    cloud = Cloud(work, setup, advance)
    boots = cloud.boots
    result = unittest.TestResult()
    cloud.run(result)
    for _case, text in result.errors + result.failures:
        raise RuntimeError(text)
    return boots
