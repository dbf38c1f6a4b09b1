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

"""Requests that come at the same time."""

import collections

from tests.cloud import conf
from tests.cloud import disk
from tests.cloud import scenario

HOSTS, SERVERS = 4, 12
SIZE = 256 * disk.MIB

#: The first host holds all images, and nothing may weigh more than that.
OPTIONS: conf.Conf = {
    'cache_aware_sched': {'image_cache_weight_multiplier': 100.0},
    # Stock nova sends requests of the same instant to the same one of equal
    # hosts. Those that the image cache does not draw go anywhere.
    'filter_scheduler': {'shuffle_best_same_weighed_hosts': True},
    # A host that pretends has 1,000 CPUs: 16 are left of them, so that a
    # server weighs as much on it as on others.
    'DEFAULT': {'cpu_allocation_ratio': 0.016},
}


@scenario.scenario(name='herd', order=40, fakes=HOSTS, schedulers=2)
def herd(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Servers of 12 images that one host holds do not all go there."""
    client = cloud.client
    names = [f'guest{number}' for number in range(SERVERS)]
    images = {name: client.images.upload(name, SIZE) for name in names}
    cloud.configure(OPTIONS)
    warm = cloud.computes.fakes[0]
    client.precache(client.aggregate('warm', [warm]), *images.values())
    for image_id in images.values():
        client.wait_for_holding(warm, image_id)

    found = client.servers.wait(client.servers.request_at_once(
        names, images.__getitem__))

    assert {one.status for one in found} == {'ACTIVE'}, found
    spread = collections.Counter(one.host for one in found)
    # For the others another host led, which is where they are first fetched.
    drawn = sum(cloud.schedulers.times_said(name, f'host {warm} leads among')
                for name in cloud.schedulers.names)
    facts['servers a host'] = ' + '.join(
        str(spread[host]) for host in cloud.computes.fakes)
    facts['drawn by the image cache'] = f'{drawn} of {SERVERS}'
    assert 1 <= drawn <= SERVERS / 2, drawn
    assert spread[warm] < SERVERS, spread

