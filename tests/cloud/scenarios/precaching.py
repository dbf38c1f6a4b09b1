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

from tests.cloud import disk
from tests.cloud import scenario

SIZE = 512 * disk.MIB
SERVERS = 2


@scenario.scenario(name='pre-cache', order=80, computes=3)
def precache(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Servers start on the host that fetched their image ahead of time."""
    client = cloud.client
    image_id = client.images.upload('golden', SIZE)
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
