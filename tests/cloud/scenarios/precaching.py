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

"""Images that are fetched before a server needs them."""

import json
import time

from tests.cloud import disk
from tests.cloud import running
from tests.cloud import scenario

SIZE = 512 * disk.MIB
SERVERS = 2


@scenario.scenario(name='pre-cache', order=80, computes=3)
def precache(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Servers start on the host that fetched their image ahead of time."""
    client = cloud.client
    image_id = client.images.upload('golden', 2 * SIZE)  # seconds to fetch
    host = cloud.computes.with_libvirt[-1]

    client.precache(client.aggregate('golden', [host]), image_id)
    fetched = client.wait_for_holding(host, image_id, within=60.0)
    hosts = []
    for number in range(SERVERS):
        server, seconds = client.servers.boot(f'guest{number}', image_id)
        hosts.append(server.host)
        facts[f'boot {number + 1}'] = f'{seconds:.1f} s'
        client.wait_for_no_builds(server.host)

    assert set(hosts) == {host}, f'{hosts}, not {host}'
    assert cloud.computes.holders(image_id) == [host]
    facts['fetched in'] = f'{fetched:.1f} s'


@scenario.scenario(name='precache-apply', order=81, computes=3)
def apply(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """The command fetches what it plans, once, also after it was killed."""
    image_id = cloud.client.images.upload('release', 2 * SIZE)
    hosts = cloud.computes.with_libvirt
    asked = _Asked(cloud, image_id)

    planned = cloud.command(*asked.arguments('plan'))
    facts['planned'] = f'{planned[0]["Planned"]} of {len(hosts)}'
    first, second = (cloud.begin(*asked.arguments('apply'))
                     for _number in range(2))
    # Both together keep to one at a time.
    most = _most_at_once(cloud, image_id, until=1)
    first.kill()
    second.kill()
    for process in (first, second):
        process.communicate()
    killed_with = len(cloud.computes.holders(image_id))
    again = cloud.begin(*asked.arguments('apply'))
    most = max(most, _most_at_once(cloud, image_id, until=len(hosts)))
    _out, err = again.communicate(timeout=300)

    assert again.returncode == 0, err
    facts['there when it was killed'] = killed_with
    facts['said in the end'] = err.strip().splitlines()[-1]
    fetched = [cloud.computes.times_said(
        host, f'Caching image {image_id} by request') for host in hosts]
    assert fetched == [1] * len(hosts), fetched
    assert cloud.computes.holders(image_id) == hosts
    facts['fetched at once'] = most
    # What was begun by the killed ones may have gone on.
    assert most <= 2, most
    left = cloud.command(*asked.arguments('plan'))
    assert left == [], left


@scenario.scenario(name='precache-failures', order=82, computes=3)
def failures(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A host that hangs and one that dies are named, and hinder no other."""
    image_id = cloud.client.images.upload('release', 2 * SIZE)
    well, hung, dead = cloud.computes.with_libvirt
    asked = _Asked(cloud, image_id)
    cloud.processes.freeze(cloud.computes.process(hung))
    try:
        begun = cloud.begin(*asked.arguments('apply', '--concurrency', '3'))
        running.wait_for(f'{dead} does not fetch', lambda: bool(list(
            cloud.computes.cache(dead).glob('*.part'))), 60.0, 0.02)
        cloud.computes.kill(dead)
        out, err = begun.communicate(timeout=400)
    finally:
        cloud.processes.thaw(cloud.computes.process(hung))
        cloud.computes.start(dead)

    assert begun.returncode == 1, (out, err)
    failed = {row['Host']: row['Reason'] for row in json.loads(out)}
    assert set(failed) == {hung, dead}, failed
    facts.update({f'{name} host': failed[host].split(';')[0]
                  for name, host in (('hung', hung), ('dead', dead))})
    assert well in cloud.computes.holders(image_id)


@scenario.scenario(name='precache-watch', order=83, computes=3)
def watch(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Of two controllers one acts; when it is killed the other one does."""
    client, hosts = cloud.client, cloud.computes.with_libvirt
    first, second = (client.images.upload(name, SIZE)
                     for name in ('first', 'second'))
    asked = _Asked(cloud, first)
    arguments = ['precache', 'watch', '--config-file', str(asked.conf),
                 '--half-life-hours', '1', '--interval-minutes', '0.1']

    client.servers.boot('early', first)
    active = cloud.begin(*arguments)
    other = None
    try:
        _wait_for_copies(cloud, first)
        other = cloud.begin(*arguments)
        # Both plan now, if they both act.
        running.wait_for('the other controller waits', lambda: bool(
            other.stderr and 'Another controller' in other.stderr.readline()),
            60.0)
        active.kill()
        client.servers.boot('late', second)
        facts['the other acts after'] = (
            f'{_wait_for_copies(cloud, second):.1f} s')
    finally:
        for process in (active, other):
            if process is not None:
                process.terminate()
                process.communicate()
    for image_id in (first, second):
        fetched = sum(cloud.computes.times_said(
            host, f'Caching image {image_id} by request') for host in hosts)
        assert fetched == len(hosts) - 1, fetched


def _wait_for_copies(cloud: scenario.Cloud, image_id: str) -> float:
    """Wait until all hosts have an image; return the seconds."""
    start = time.monotonic()
    running.wait_for(
        f'not all hosts have image {image_id}', lambda: cloud.computes.holders(
            image_id) == cloud.computes.with_libvirt, 120.0, 0.2)
    return time.monotonic() - start


class _Asked:
    """What the commands are asked for: an image on all hosts.

    :ivar conf: lets them fetch any image, and tells where their locks are
    """

    def __init__(self, cloud: scenario.Cloud, image_id: str) -> None:
        self.conf = cloud.settings.run / 'precache.conf'
        self.conf.write_text('[cache_aware_sched]\nprecache_owners = *\n'
                             f'[DEFAULT]\nstate_path = {cloud.settings.run}\n')
        self._expect = ['--expect', f'{image_id}=60']

    def arguments(self, command: str, *more: str) -> list[str]:
        """Return the arguments of a command."""
        how = [] if command == 'plan' else [
            '--force', '--concurrency', '1', '-f', 'json', *more]
        return ['precache', command, '--config-file', str(self.conf),
                *self._expect, *how]


def _most_at_once(cloud: scenario.Cloud, image_id: str, until: int) -> int:
    """Return how many hosts have fetched an image at the same time.

    :param until: so many have it
    """
    most = 0

    def enough() -> bool:
        nonlocal most
        most = max(most, sum(
            bool(list(cloud.computes.cache(host).glob('*.part')))
            for host in cloud.computes.with_libvirt))
        return len(cloud.computes.holders(image_id)) >= until

    running.wait_for(f'{until} hosts do not have the image', enough, 300.0,
                     0.05)
    return most
