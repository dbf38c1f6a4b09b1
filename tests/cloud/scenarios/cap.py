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

"""The cap of servers of one image, under requests that come at once."""

import collections

from tests.cloud import conf
from tests.cloud import disk
from tests.cloud import scenario
from tests.cloud import servers

REQUESTS, CAP, HOSTS = 60, 10, 3
#: Half as many servers as there is room for.
FAKES, FEW_REQUESTS, SMALL_CAP = 12, 12, 2
SIZE = 256 * disk.MIB


def _configure(cloud: scenario.Cloud, policy: str, cap: int = CAP,
               multiplier: float = 5.0) -> None:
    options: conf.Conf = {'cache_aware_sched': {
        'max_same_image_instances_per_host': cap,
        'same_image_cap_policy': policy,
        'image_cache_weight_multiplier': multiplier}}
    cloud.configure(options)


def _boot(cloud: scenario.Cloud, image_id: str, number: int
          ) -> list[servers.Server]:
    asked = cloud.client.servers.request_at_once(
        [f'guest{one}' for one in range(number)], image_id)
    return cloud.client.servers.wait(asked, 600.0)


def _spread(found: list[servers.Server]) -> collections.Counter[str]:
    return collections.Counter(
        one.host for one in found if one.status == 'ACTIVE')


@scenario.scenario(name='hard-cap', order=30, computes=HOSTS, schedulers=2)
def hard_cap(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Of 60 servers asked for at once, as many start as the cap lets."""
    _configure(cloud, 'hard')
    image_id = cloud.client.images.upload('cap')

    found = _boot(cloud, image_id, REQUESTS)

    spread = _spread(found)
    facts['servers a host'] = ' + '.join(map(str, sorted(spread.values())))
    assert max(spread.values()) <= CAP, spread
    assert spread.total() == HOSTS * CAP, spread
    for host in cloud.computes.with_libvirt:
        failed = int(cloud.client.stats(host).get('failed_builds', 0))
        assert not failed, f'{host} counts {failed} failed builds'

    cloud.client.servers.delete(*(one.id for one in found))
    again = _spread(_boot(cloud, image_id, HOSTS))
    assert again.total() == HOSTS, f'after the deletion {again}'


@scenario.scenario(name='soft-cap', order=31, computes=HOSTS, schedulers=2)
def soft_cap(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """All of 60 servers start, as even as can be."""
    _configure(cloud, 'soft')
    image_id = cloud.client.images.upload('cap')

    spread = _spread(_boot(cloud, image_id, REQUESTS))

    facts['servers a host'] = ' + '.join(map(str, sorted(spread.values())))
    assert spread.total() == REQUESTS, spread
    # Two schedulers that do not see each other's last placements.
    assert max(spread.values()) <= 1.1 * REQUESTS / HOSTS, spread


@scenario.scenario(name='burst', order=32, fakes=FAKES, schedulers=2)
def burst(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """A burst finds room on other hosts than the one that holds the image."""
    client = cloud.client
    # So small an image attracts little; all shall go to its host at first.
    _configure(cloud, 'hard', SMALL_CAP, multiplier=100.0)
    image_id = client.images.upload('burst', SIZE)
    warm = cloud.computes.fakes[0]
    client.precache(client.aggregate('warm', [warm]), image_id)
    client.wait_for_holding(warm, image_id)

    found = _boot(cloud, image_id, FEW_REQUESTS)

    spread = _spread(found)
    facts['servers a host'] = ' + '.join(
        str(spread[host]) for host in cloud.computes.fakes)
    facts['sent on by a late check'] = sum(
        cloud.computes.times_said(host, 'is sent to its next candidate host')
        for host in cloud.computes.fakes)
    assert {one.status for one in found} == {'ACTIVE'}, found
    assert max(spread.values()) <= SMALL_CAP, spread
    assert spread[warm] == SMALL_CAP, spread
