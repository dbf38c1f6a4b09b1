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


"""What the commands say of decisions, and what happens."""

from cache_aware_sched.decision_log import reader
from tests.cloud import disk
from tests.cloud import scenario

TRIES, BURST = 10, 36
SIZE = 256 * disk.MIB


@scenario.scenario(order=45, fakes=6, schedulers=2)
def explain(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """Servers go where "explain" says, and the decision log says why."""
    client, scheduler = cloud.client, cloud.schedulers.names[0]
    log = str(cloud.settings.run / 'decisions.json')
    cloud.configure({'cache_aware_sched': {'decision_log_file': log}})
    images = [client.images.upload(f'image{number}', SIZE)
              for number in range(3)]
    warm = cloud.computes.fakes[1]
    client.precache(client.aggregate('warm', [warm]), images[0])
    client.wait_for_holding(warm, images[0])

    agreed = []
    for number in range(TRIES):
        image = images[number % len(images)]
        [said] = cloud.command('explain', '--image', image, '--flavor',
                               'tiny', service=scheduler)
        server, _seconds = client.servers.boot(f'guest{number}', image)
        agreed.append(said['winner'] == server.host)
    names = {f'burst{number}': images[number % len(images)]
             for number in range(BURST)}
    found = client.servers.wait(client.servers.request_at_once(
        names, names.__getitem__))

    facts['went where explain said'] = f'{sum(agreed)} of {TRIES}'
    assert all(agreed), agreed
    assert {one.status for one in found} == {'ACTIVE'}, found
    decided = {record.server: record
               for record in reader.DecisionLog([log]).records()}
    there = [decided[one.id].winner == one.host for one in found]
    facts['of a burst went where it was decided'] = f'{sum(there)} of {BURST}'
    # Of requests in the same instant some are sent on by nova.
    for one, went in zip(found, there, strict=True):
        assert went or one.host in {
            host.host for host in decided[one.id].hosts}, one
    [past] = cloud.command('explain', '--past', found[0].id,
                           service=scheduler)
    assert past['winner'] == decided[found[0].id].winner, past
    rows = cloud.command('decisions', 'summary', service=scheduler)
    assert sum(row['Servers'] for row in rows) == TRIES + BURST, rows
    saved = sum(row['Saved s'] for row in rows)
    facts['fetches saved'] = f'{saved:.1f} s'
