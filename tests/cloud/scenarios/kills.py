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

"""Services that end in the middle of their work, as by a power failure."""

from cache_aware_sched.report import Holding
from tests.cloud import disk
from tests.cloud import images
from tests.cloud import running
from tests.cloud import scenario

SIZE = 1024 * disk.MIB
#: Bytes that are there of a fetch that has begun.
BEGUN = 16 * disk.MIB
CAP = {'max_same_image_instances_per_host': '1'}
WARM = (Holding.WARM, Holding.WARM_RESIZED)


@scenario.scenario(name='kill-compute', order=60, computes=1)
def kill_compute(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """What a killed nova-compute was fetching is never taken for an image."""
    client, host = cloud.client, cloud.computes.with_libvirt[0]
    image_id = client.images.upload('large', SIZE)
    part = cloud.computes.cache(host) / f'{images.sha1(image_id)}.part'

    lost = client.servers.request('lost', image_id, host=host)
    running.wait_for(f'{part} does not grow', lambda: part.exists()
                     and part.stat().st_size > BEGUN, 60.0, 0.02)
    cloud.computes.kill(host)

    facts['bytes there at the end'] = part.stat().st_size
    _check_not_held(cloud, host, image_id)
    cloud.computes.start(host)
    server = client.servers.wait([lost])[0]
    facts['its server'] = server.status
    _check_not_held(cloud, host, image_id)
    client.servers.boot('next', image_id, host=host)
    client.wait_for_holding(host, image_id)
    assert not part.exists()


@scenario.scenario(name='kill-scheduler', order=61, computes=3, schedulers=2)
def kill_scheduler(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A scheduler that has just started keeps to the cap."""
    servers = cloud.client.servers
    image_id = cloud.client.images.upload('cap')
    first, _ = servers.boot('first', image_id, hints=CAP)
    second, _ = servers.boot('second', image_id, hints=CAP)

    cloud.schedulers.kill()
    cloud.schedulers.start()
    third, _ = servers.boot('third', image_id, hints=CAP)
    fourth = servers.wait([servers.request('fourth', image_id, hints=CAP)])[0]

    hosts = {first.host, second.host, third.host}
    assert hosts == set(cloud.computes.with_libvirt), hosts
    assert fourth.status == 'ERROR', fourth
    facts['servers a host'] = '1 + 1 + 1'


def _check_not_held(cloud: scenario.Cloud, host: str, image_id: str) -> None:
    holding = cloud.client.holding(host, image_id)
    assert holding not in WARM, f'{host} is reported as {holding.name}'
    assert host not in cloud.computes.holders(image_id)
