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


"""How soon the scheduler knows what is in a cache.

It reads the row of the host in the database at each request: what is there,
is known.
"""

from cache_aware_sched.report import Holding
from tests.cloud import disk
from tests.cloud import images
from tests.cloud import running
from tests.cloud import scenario

#: Seconds from a file in the directory to the row in the database.
KNOWN_WITHIN = 2.0
SIZE = 64 * disk.MIB
WARM = (Holding.WARM, Holding.WARM_RESIZED)
POLL = 0.02


@scenario.scenario(name='known', order=20, computes=1)
def known(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """What is fetched or evicted is in the database within 2 s."""
    client, host = cloud.client, cloud.computes.with_libvirt[0]
    booted, precached, later = (
        client.images.upload(name, SIZE)
        for name in ('booted', 'precached', 'later'))
    aggregate = client.aggregate('known', [host])
    cloud.computes.restart(host, options={
        'cache_aware_sched': {
            'image_cache_manager': 'lru', 'image_cache_max_images': 2},
        # nova's own updates must not help.
        'DEFAULT': {'update_resources_interval': 600}})

    server = client.servers.request('guest', booted, host=host)
    facts['known after a boot'] = _seconds(cloud, host, booted, True)
    client.servers.wait([server])
    client.servers.delete(server)

    client.precache(aggregate, precached)
    facts['known after a pre-cache'] = _seconds(cloud, host, precached, True)

    # There is room for two: the one that was used first goes.
    client.precache(aggregate, later)
    facts['forgotten after an eviction'] = _seconds(
        cloud, host, booted, False)


def _seconds(cloud: scenario.Cloud, host: str, image_id: str,
             there: bool) -> str:
    """Wait for a file, or for its end; see how long until that is known."""
    name = images.sha1(image_id)
    running.wait_for(
        f'{host}: {name} is {"not " if there else ""}in the cache',
        lambda: (name in cloud.computes.images(host)) == there, 60.0, POLL)
    seconds = running.wait_for(
        f'the report of {host} is late',
        lambda: (cloud.client.holding(host, image_id) in WARM) == there,
        KNOWN_WITHIN, POLL)
    return f'{seconds:.2f} s'
