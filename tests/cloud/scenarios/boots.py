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

"""How long a server takes to start, from a cold cache and from a warm one."""

from tests.cloud import disk
from tests.cloud import scenario

SIZE = 1024 * disk.MIB


@scenario.scenario(name='cold-warm', order=10, computes=3)
def cold_warm(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """The second server of a 1 GiB image starts where the first one did."""
    image_id = cloud.client.images.upload('large', SIZE)

    holders = _boot_two(cloud, facts, image_id, '')

    assert len(holders) == 1, f'fetched by {holders}'
    # The same by stock nova, with nothing cached again.
    cloud.configure(ours=False)
    cloud.computes.empty_caches()
    _boot_two(cloud, facts, image_id, ', stock nova')


def _boot_two(cloud: scenario.Cloud, facts: scenario.Facts, image_id: str,
              suffix: str) -> list[str]:
    """Boot two servers, and delete them; return the hosts that fetched."""
    client = cloud.client
    first, cold = client.servers.boot('first', image_id)
    client.wait_for_no_builds(first.host)
    second, warm = client.servers.boot('second', image_id)
    same = 'the same' if second.host == first.host else 'another'
    facts[f'first boot{suffix}'] = f'{cold:.1f} s'
    facts[f'second boot{suffix}'] = f'{warm:.1f} s on {same} host'
    client.servers.delete(first.id, second.id)
    return cloud.computes.holders(image_id)
