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

"""The image cache manager on a real disk, beside running guests."""

from cache_aware_sched.report import Holding
from tests.cloud import disk
from tests.cloud import images
from tests.cloud import running
from tests.cloud import scenario

#: Three of these fit into the limit, in GiB; four do not.
SIZE, LIMIT = 300 * disk.MIB, 1
#: Seconds until an eviction is in the database.
KNOWN_WITHIN = 2.0
REFUSED = 'is not fetched ahead of time'


@scenario.scenario(name='image-cache', order=90, computes=1)
def image_cache(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A full cache lets go of what nobody needs, and of nothing else."""
    client = cloud.client
    host = cloud.computes.with_libvirt[0]
    protected, used, unused, new = (
        client.images.upload(name, SIZE)
        for name in ('protected', 'used', 'unused', 'new'))
    cloud.configure({'cache_aware_sched': {
        'image_cache_manager': 'lru', 'image_cache_max_size_gb': LIMIT,
        'protected_images': protected}})

    def boot(image_id: str) -> str:
        return client.servers.boot('guest', image_id, host=host)[0].id

    running_guest = boot(used)
    client.servers.delete(boot(protected), boot(unused))
    boot(new)
    forgotten = client.wait_for_holding(host, unused, Holding.COLD)
    assert forgotten <= KNOWN_WITHIN, f'{forgotten:.1f} s'

    kept = {images.sha1(image_id) for image_id in (protected, used, new)}
    assert cloud.computes.images(host) == kept
    client.servers.check_alive(running_guest)

    _refuse(cloud, host)
    assert cloud.computes.images(host) == kept
    client.servers.check_alive(running_guest)
    facts['images kept'] = f'{len(kept)} of 4'


def _refuse(cloud: scenario.Cloud, host: str) -> None:
    """See that what is larger than the limit is not fetched ahead of time."""
    large = cloud.client.images.upload('large', (LIMIT << 30) + disk.MIB)
    aggregate = cloud.client.aggregate('large', [host])
    cloud.client.precache(aggregate, large)
    running.wait_for(
        f'{host} does not refuse a large image',
        lambda: cloud.computes.said(host, f'{large} {REFUSED}'), 30.0)
