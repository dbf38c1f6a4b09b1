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
"""Servers that ask for a host with their image."""

from tests.cloud import openstack_conf
from tests.cloud import scenario

HINTS = {'image_cache': 'require'}
SERVERS = 3

#: What the schedulers say of a request that the filter refuses.
REFUSED = 'No host is left'


@scenario.scenario(order=101, computes=2)
def require(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """They go to the one host that holds it, or to none."""
    client = cloud.client
    cloud.schedulers.restart(options={
        **openstack_conf.image_cache_filter(),
        # It shall not be the weigher that sends servers there.
        'cache_aware_sched': {'image_cache_weight_multiplier': -100.0}})
    second = cloud.computes.with_libvirt[1]
    golden = client.images.upload('golden')
    absent = client.images.upload('absent')
    client.precache(client.aggregate('golden', [second]), golden)
    client.wait_for_holding(second, golden)

    servers = [client.servers.boot(f'guest{number}', golden, hints=HINTS)[0]
               for number in range(SERVERS)]

    there = sum(one.host == second for one in servers)
    facts['of the image on one host'] = f'{there} of {SERVERS} went there'
    assert there == SERVERS, servers

    [server] = client.servers.wait([
        client.servers.request('nowhere', absent, hints=HINTS)])
    assert server.status == 'ERROR', server
    assert 'No valid host' in server.fault, server
    [line] = _said(cloud, server.id)
    assert '0 hold it; ' in line and absent in line, line
    facts['of an image on none'] = 'NoValidHost, and the log says why'

    # The hint stays with a server, and does not hold it.
    client.sdk.compute.migrate_server(servers[0].id)
    [moved] = client.servers.wait(
        [servers[0].id], until=lambda one: one.status == 'VERIFY_RESIZE')
    assert moved.host != second, moved
    facts['a migration of its server'] = 'to another host'


def _said(cloud: scenario.Cloud, server_id: str) -> list[str]:
    """Return the lines of the schedulers that tell of a refusal."""
    return [line for name in cloud.schedulers.names
            for line in cloud.schedulers.log(name).read_text().splitlines()
            if REFUSED in line and server_id in line]
