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
"""Builds on a host that cannot reach Glance."""

from tests.cloud import conf
from tests.cloud import scenario

#: Nobody listens there.
NOWHERE = 'http://127.0.0.1:1'

#: What nova-compute says of a server that it sends on.
SENT_ON = 'is sent to its next candidate host: Glance is down for host'

SERVERS = 3


@scenario.scenario(name='sent-on', order=102, computes=2)
def sent_on(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Its servers go to the host that holds the image, and it counts none."""
    client = cloud.client
    first, second, *others = cloud.computes.with_libvirt
    client.disable(others)
    golden = client.images.upload('golden')
    client.precache(client.aggregate('golden', [second]), golden)
    client.wait_for_holding(second, golden)
    # The weigher shall try the host without the image first.
    cloud.schedulers.restart(options={'cache_aware_sched': {
        'image_cache_weight_multiplier': -100.0}})
    cut: conf.Conf = {'glance': {'endpoint_override': NOWHERE}}
    cloud.computes.restart(first, options=cut)

    servers = [client.servers.boot(f'guest{number}', golden)[0]
               for number in range(SERVERS)]

    assert {one.host for one in servers} == {second}, servers
    log = cloud.computes.process(first)
    times = cloud.processes.times_said(log, SENT_ON)
    assert times, f'{first} was not asked'
    facts['sent on'] = f'{times} of {SERVERS}'

    [server] = client.servers.wait([
        client.servers.request('forced', golden, host=first)])
    assert server.status == 'ERROR', server
    assert f'Glance is down for host {first}' in server.fault, server
    facts['what the user of a forced host sees'] = server.fault

    failed = int(client.stats(first).get('failed_builds', 0))
    assert not failed, f'{first} counts {failed} failed builds'
    facts['failed builds that the host counts'] = failed
