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

"""Images that come from another host while Glance is down."""

import hashlib
import json
import os
import pathlib
import signal
import time

from cache_aware_sched import report
from tests.cloud import conf
from tests.cloud import disk
from tests.cloud import images
from tests.cloud import moving
from tests.cloud import procfs
from tests.cloud import running
from tests.cloud import scenario
from tests.cloud import servers

#: Nobody listens there.
NOWHERE = 'http://127.0.0.1:1'

OUTAGE: conf.Conf = {'cache_aware_sched': {'fetch_from_hosts': 'outage'}}
CUT: conf.Conf = {**OUTAGE, 'glance': {'endpoint_override': NOWHERE}}

#: What nova-compute says when an image has come.
COPIED = 'has copied image {image}'

#: Of an image whose copy can be caught in the middle.
LARGE = 2 ** 30


class _Play(moving.Moving):
    """Three hosts: one has the images, one has a copy, one has nothing."""

    def __init__(self, cloud: scenario.Cloud) -> None:
        super().__init__(cloud)
        self.cloud, self.client = cloud, cloud.client
        self.first, self.second, self.third, *others = (
            cloud.computes.with_libvirt)
        self.client.disable(others)
        # They report too, and nobody can log in on them.
        self.client.force_down(cloud.computes.fakes)

    def hold(self, host: str, *image_ids: str) -> None:
        """Have a host fetch images while Glance is there."""
        self.client.precache(
            self.client.aggregate(f'{host}-{image_ids[0]}', [host]),
            *image_ids)
        for image_id in image_ids:
            self.client.wait_for_holding(host, image_id, within=120.0)

    def file(self, host: str, image_id: str) -> pathlib.Path:
        """Return the base file of an image on a host."""
        return self.cloud.computes.cache(host) / images.sha1(image_id)

    def check_copied(self, host: str, image_id: str) -> None:
        """See that a host has an image from another one, and all of it."""
        assert self.cloud.computes.said(
            host, COPIED.format(image=image_id)), f'{host} copied nothing'
        holders = self.cloud.computes.holders(image_id)
        sums = {_digest(self.file(one, image_id)) for one in holders}
        assert host in holders and len(sums) == 1, (holders, sums)
        left = [path.name for path in
                self.cloud.computes.cache(host).iterdir()
                if 'part' in path.name]
        assert not left, left

    def boot_on(self, host: str, image_id: str) -> tuple[servers.Server,
                                                         float]:
        """Boot a server on a host that lacks its image."""
        assert host not in self.cloud.computes.holders(image_id)
        server, seconds = self.client.servers.boot(
            f'on-{host}', image_id, host=host)
        assert server.host == host, server
        self.client.servers.check_alive(server.id)
        self.check_copied(host, image_id)
        return server, seconds

    def kill_the_copy(self, host: str, image_id: str) -> str:
        """Kill what sends an image to a host, in the middle of it."""
        part = self.file(host, image_id).with_name(
            f'{images.sha1(image_id)}.part')
        end = time.monotonic() + 60.0
        while not part.exists() or part.stat().st_size < LARGE // 20:
            assert time.monotonic() < end, 'no copy began'
            time.sleep(0.01)
        size = part.stat().st_size
        senders = [one.pid for one in procfs.processes()
                   if procfs.command(one.pid).startswith('cat ')
                   and procfs.command(one.pid).endswith(part.stem)]
        assert senders, 'nobody sends it'
        for pid in senders:
            os.kill(pid, signal.SIGKILL)
        return f'{size >> 20} of {LARGE >> 20} MiB'


@scenario.scenario(name='neighbour', order=103, computes=3)
def neighbour(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """While Glance is down, hosts have images from each other."""
    play = _Play(cloud)
    client, first, second, third = (
        cloud.client, play.first, play.second, play.third)
    cloud.computes.restart(first, second, third, options=OUTAGE)
    golden, moved, lost, absent = (
        client.images.upload(name, kind=kind) for name, kind in (
            ('golden', 'qcow2'), ('moved', 'raw'), ('lost', 'raw'),
            ('absent', 'raw')))
    large = client.images.upload('large', size=LARGE)
    play.hold(first, golden, large)
    play.hold(second, lost, large)
    east, west = (client.images.upload(name, 256 * disk.MIB)
                  for name in ('east', 'west'))
    play.hold(second, east)
    play.hold(third, west)
    migrant, _ = client.servers.boot('migrant', moved, host=first)
    victim, _ = client.servers.boot('victim', lost, host=first)
    shelved, _ = client.servers.boot('shelved', golden, host=first)
    snapshot = _shelve(play, shelved)
    play.hold(first, snapshot)

    facts['check --reach-hosts'] = _check(cloud, third)

    # nova-api asks Glance for each boot: only the hosts shall lack it.
    cloud.computes.restart(second, third, options=CUT)
    client.disable([first])
    _boots(play, facts, golden, absent)
    _cross(play, facts, east, west)

    client.disable([second])
    client.sdk.compute.unshelve_server(shelved.id)
    back = play.wait(shelved, 'ACTIVE')
    assert back.host == third, back
    play.check_copied(third, snapshot)
    facts['unshelve, snapshot on one host'] = f'works, on {third}'

    server = client.servers.request(
        'large', large, flavor='medium', host=third)
    facts['killed in the middle, at'] = play.kill_the_copy(third, large)
    [found] = client.servers.wait([server])
    assert found.status == 'ACTIVE', found
    play.check_copied(third, large)
    assert cloud.computes.said(third, 'could not copy image')
    facts['after that'] = 'copied from the other holder'
    client.servers.delete(found.id)

    cloud.control.stop('glance')
    _moves(play, facts, migrant, victim, (moved, lost))
    cloud.control.start('glance')


def _boots(play: _Play, facts: scenario.Facts, golden: str,
           absent: str) -> None:
    """Boot where the image is not, and where it is nowhere."""
    client = play.client
    server, seconds = play.boot_on(play.second, golden)
    facts['boot, image on a disabled host'] = f'works, {seconds:.1f} s'
    client.wait_for_holding(play.second, golden)
    facts['the copy is reported'] = report.Holding.WARM.name.lower()
    client.servers.delete(server.id)

    [refused] = client.servers.wait([
        client.servers.request('refused', absent, host=play.third)])
    assert refused.status == 'ERROR', refused
    assert 'no other host that is up reports it' in refused.fault, refused
    facts['boot, image on no host'] = refused.fault
    failed = int(client.stats(play.third).get('failed_builds', 0))
    assert not failed, failed
    facts['failed builds that the host counts'] = failed
    client.servers.delete(refused.id)


def _cross(play: _Play, facts: scenario.Facts, east: str, west: str) -> None:
    """Two hosts copy from each other at the same time."""
    client = play.client
    wanted = {play.second: west, play.third: east}
    found = client.servers.wait([
        client.servers.request(f'on-{host}', image_id, host=host)
        for host, image_id in wanted.items()])
    assert {one.status for one in found} == {'ACTIVE'}, found
    for host, image_id in wanted.items():
        play.check_copied(host, image_id)
    facts['two hosts copy from each other'] = 'both have the image'
    client.servers.delete(*(one.id for one in found))


def _moves(play: _Play, facts: scenario.Facts, migrant: servers.Server,
           victim: servers.Server, image_ids: tuple[str, str]) -> None:
    """Move servers to a host without their images; Glance is stopped."""
    moved, lost = image_ids
    assert play.cloud.computes.holders(moved) == [play.first]
    migrated = play.migrate(migrant)
    assert migrated.host == play.third, migrated
    play.check_copied(play.third, moved)
    facts['cold migration, image at its source only'] = 'works'

    evacuated = play.evacuate(victim)
    assert evacuated.host == play.third, evacuated
    play.check_copied(play.third, lost)
    facts['evacuation, image on a third host'] = 'works'
    play.repair(play.first)


def _check(cloud: scenario.Cloud, host: str) -> str:
    """Have a host try whether it can log in on another one."""
    computes = cloud.computes
    found = json.loads(computes.hosts.call(
        host, 'env', f'PATH={computes.hosts.environment()["PATH"]}',
        computes.settings.program('cache-aware-sched'), 'check', '--compute',
        str(computes.config_file(host)), '--reach-hosts', '-o', 'json'))
    [outcome] = [one for one in found if one['code'] == 'CAS213']
    assert outcome['level'] == 'ok', outcome
    return str(outcome['text'])


def _shelve(play: _Play, server: servers.Server) -> str:
    """Shelve a server, off its host; return the id of its snapshot."""
    client = play.client
    client.sdk.compute.shelve_server(server.id)
    play.wait(server, 'SHELVED_OFFLOADED')
    found: list[str] = []

    def named() -> bool:
        found[:] = [str(one.id) for one in client.sdk.image.images()
                    if one.name == f'{server.name}-shelved'
                    and one.status == 'active']
        return bool(found)

    running.wait_for('there is no snapshot', named, 60.0)
    return found[0]


def _digest(path: pathlib.Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
