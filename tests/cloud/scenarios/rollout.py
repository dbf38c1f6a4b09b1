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

"""The page "Installation", "Roll-out", played from stock nova to the end."""

import collections
from collections.abc import Iterable

from tests.cloud import conf
from tests.cloud import disk
from tests.cloud import environment
from tests.cloud import moving
from tests.cloud import running
from tests.cloud import scenario
from tests.cloud import servers

#: What each step of the page has the operator write into nova.conf.
LINES = environment.CHECKOUT / 'doc/source/install/rollout'

#: Large enough to be worth a way.
SIZE = 1024 * disk.MIB

#: Instead of the page's 10: it is reached with fewer servers.
CAP = 2
GROUP = CAP + 1

#: Seconds until a host that has just started has reported.
REPORTED = 60.0


class _Operator:
    """Does what the page says, and looks at what it says to look at."""

    def __init__(self, cloud: scenario.Cloud) -> None:
        self.cloud = cloud
        self.client = cloud.client
        self.hosts = cloud.computes.with_libvirt
        self.moving = moving.Moving(cloud)

    def computes(self, *hosts: str, step: int = 1) -> None:
        """Give hosts the lines of a step, besides those of the first."""
        self.cloud.computes.restart(*hosts, ours=False, options=conf.merge(
            _lines(1, 'computes'), _lines(step, 'computes')))

    def schedulers(self, step: int, **others: conf.Value) -> None:
        """Give the schedulers the lines of a step.

        :param others: options of the package with another value
        """
        self.cloud.schedulers.restart(ours=False, options=conf.merge(
            {'filter_scheduler': _lines(2, 'schedulers')['filter_scheduler']},
            _lines(step, 'schedulers'),
            {'cache_aware_sched': others}))

    def reporting(self) -> list[str]:
        """Return the hosts that report, as "host list" tells."""
        return [row['Host'] for row in self.cloud.command('host', 'list')
                if row['Host'] in self.hosts and not row['Why not']]

    def wait_for_reports(self, *hosts: str) -> None:
        """Wait until some hosts report, and no other."""
        running.wait_for(
            f'not {hosts} report', lambda: self.reporting() == list(hosts),
            REPORTED, poll=1.0)

    def no_complaints(self) -> None:
        """See that no service warns of the package, or fails in it."""
        for members in (self.cloud.computes, self.cloud.schedulers):
            for name in members.names:
                for level in (' WARNING ', ' ERROR '):
                    assert not members.said(
                        name, f'{level}cache_aware_sched'), name

    def boot(self, name: str, image_id: str) -> servers.Server:
        """Boot a server, and wait until nova has seen that it is built."""
        server = self.client.servers.boot(name, image_id)[0]
        self.client.wait_for_no_builds(server.host)
        return server

    def decision(self, server: servers.Server) -> str:
        """Return what the weigher logged of a server."""
        [line] = self._logged('host ', f'Server {server.id}', 'leads among')
        return line

    def above_the_cap(self, server_id: str) -> str:
        """Return why a server went above the cap, as the log says."""
        line = self._logged('', f'Server {server_id}', 'above the cap')[-1]
        return line.partition('), as ')[2].partition(':')[0]

    def _logged(self, *texts: str) -> list[str]:
        return [line for name in self.cloud.schedulers.names
                for line in self.cloud.schedulers.log(
                    name).read_text().splitlines()
                if all(text in line for text in texts)]

    def spread(self, image_id: str) -> collections.Counter[str]:
        """Return how many servers of an image each host runs, by "image"."""
        return collections.Counter({
            row['Host']: row['Servers'] for row in
            self.cloud.command('image', 'show', image_id) if row['Servers']})

    def group(self, image_id: str) -> list[servers.Server]:
        """Boot an affinity group that is larger than the cap, one by one."""
        group = self.client.sdk.compute.create_server_group(
            name='group', policy='affinity')
        found = [self.client.servers.boot(
            f'member{number}', image_id, hints={'group': group.id})[0]
            for number in range(GROUP)]
        assert len({one.host for one in found}) == 1, found
        return found

    def delete(self, found: Iterable[servers.Server]) -> None:
        """Delete servers."""
        self.client.servers.delete(*(one.id for one in found))


def _lines(step: int, service: str) -> dict[str, dict[str, conf.Value]]:
    return conf.read(LINES / f'{step}-{service}.conf')


@scenario.scenario(order=75, computes=3)
def rollout(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
    """The roll-out of the installation page, from stock nova to the end."""
    cloud.configure(ours=False)
    operator = _Operator(cloud)
    small = cloud.client.images.upload('small')
    large = cloud.client.images.upload('large', SIZE)
    facts['stock'] = _stock(operator)
    facts['1, the computes'] = _computes(operator, small)
    facts['2, observing'] = _observing(operator, large)
    facts['3, a few hosts'] = _few_hosts(operator, large)
    facts['4, all'] = _all(operator, large)
    facts['5, soft'] = _soft(operator, small)
    facts['6, hard'] = _hard(operator, small)
    facts['7, late check'] = _late(operator, small)
    facts['undone'] = _undo(operator)


def _stock(operator: _Operator) -> str:
    assert not operator.reporting()
    for host in operator.hosts:
        assert not operator.cloud.client.stats(host).get('cached_images')
    return 'no host reports'


def _computes(operator: _Operator, image_id: str) -> str:
    first, *others = operator.hosts
    before = operator.client.servers.boot('before', image_id, host=first)[0]
    operator.client.servers.check_alive(before.id)

    operator.computes(first)

    operator.wait_for_reports(first)
    operator.client.servers.check_alive(before.id)
    operator.no_complaints()
    operator.computes(*others)
    operator.wait_for_reports(*operator.hosts)
    moved = operator.moving.migrate(before)
    assert moved.host != first, moved
    away = operator.moving.evacuate(moved)
    operator.moving.repair(moved.host)
    operator.wait_for_reports(*operator.hosts)
    operator.no_complaints()
    operator.delete([away])
    return 'the guest lived on; migrated and evacuated'


def _observing(operator: _Operator, image_id: str) -> str:
    operator.schedulers(2)

    found = [operator.boot(f'seen{number}', image_id) for number in range(2)]

    for one in found:
        line = operator.decision(one)
        assert f'host {one.host} leads among 3 candidates, with 0.000' in line
        assert 'Observed only: ' in line, line
    operator.no_complaints()
    would = operator.decision(found[1]).partition('Observed only: ')[2]
    operator.delete(found)
    return would.rstrip('.')


def _few_hosts(operator: _Operator, image_id: str) -> str:
    operator.schedulers(3)
    [holder, other] = operator.hosts[:2]
    for one in operator.hosts:
        operator.client.servers.delete(operator.client.servers.boot(
            'fetch', image_id, host=one)[0].id)
    aggregate = operator.client.aggregate(
        'friday', [holder], {'image_cache_weight_multiplier': '1'})

    attracted = operator.boot('attracted', image_id)

    weight = float(operator.decision(attracted).partition(
        ', with ')[2].partition(' ')[0])
    assert attracted.host == holder, attracted
    assert weight > 0, weight
    operator.no_complaints()
    operator.delete([attracted])
    compute = operator.client.sdk.compute
    compute.remove_host_from_aggregate(aggregate, holder)
    compute.delete_aggregate(aggregate)
    return f'{holder} attracts with {weight:.3f}, {other} with nothing'


def _all(operator: _Operator, image_id: str) -> str:
    operator.schedulers(4)
    first = operator.boot('one', image_id)
    second = operator.boot('two', image_id)
    operator.no_complaints()
    assert ', with 0.000' not in operator.decision(second)
    operator.delete([first, second])
    return 'every host attracts'


def _soft(operator: _Operator, image_id: str) -> str:
    operator.schedulers(5, max_same_image_instances_per_host=CAP)
    many = len(operator.hosts) * CAP + 1

    found = [operator.boot(f'soft{number}', image_id)
             for number in range(many)]

    spread = operator.spread(image_id)
    assert spread.total() == many, spread
    assert sorted(spread.values()) == [CAP, CAP, CAP + 1], spread
    why = operator.above_the_cap(found[-1].id)
    group = operator.group(image_id)
    operator.delete([*found, *group])
    return f'{_sum(spread)} servers; above the cap as {why}'


def _hard(operator: _Operator, image_id: str) -> str:
    client = operator.client
    operator.schedulers(6, max_same_image_instances_per_host=CAP)
    found = [operator.boot(f'hard{number}', image_id)
             for number in range(len(operator.hosts) * CAP)]
    spread = operator.spread(image_id)

    refused = client.servers.wait(
        [client.servers.request('refused', image_id)])[0]

    assert set(spread.values()) == {CAP}, spread
    assert refused.status == 'ERROR', refused
    client.sdk.compute.migrate_server(found[0].id)
    stayed = operator.moving.wait(found[0], 'ACTIVE')
    assert stayed.host == found[0].host, stayed
    group = operator.group(image_id)
    away = operator.moving.evacuate(stayed)
    why = [operator.above_the_cap(one.id) for one in (group[-1], away)]
    operator.moving.repair(stayed.host)
    operator.delete([*found, *group, refused])
    return (f'{_sum(spread)} servers, one more and a migration refused; '
            f'above the cap as {" and as ".join(why)}')


def _late(operator: _Operator, image_id: str) -> str:
    client = operator.client
    options = conf.merge(
        _lines(1, 'computes'), _lines(7, 'computes'), {'cache_aware_sched': {
            'max_same_image_instances_per_host': CAP}})
    # The hosts that pretend, of other scenarios, have no libvirt.
    operator.cloud.computes.restart(
        *operator.hosts, ours=False, options=options)
    operator.wait_for_reports(*operator.hosts)

    found = client.servers.wait(client.servers.request_at_once(
        [f'late{number}' for number in range(3 * len(operator.hosts) * CAP)],
        image_id))

    spread = collections.Counter(
        one.host for one in found if one.status == 'ACTIVE')
    assert max(spread.values()) <= CAP, spread
    sent_on = sum(
        operator.cloud.computes.times_said(
            host, 'is sent to its next candidate host')
        for host in operator.hosts)
    operator.delete(found)
    return f'{_sum(spread)} of {len(found)} at once, {sent_on} sent on'


def _undo(operator: _Operator) -> str:
    operator.cloud.configure(ours=False)
    running.wait_for(
        'hosts report still', lambda: not operator.reporting(), REPORTED, 1.0)
    return 'no host reports'


def _sum(spread: collections.Counter[str]) -> str:
    return ' + '.join(map(str, sorted(spread.values())))
