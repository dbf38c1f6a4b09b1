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


"""Tests of what the filter and the weigher put into the decision log."""

from hypothesis import given
from hypothesis import strategies as st

from cache_aware_sched.decision_log import record as record_mod
from cache_aware_sched.decision_log import writer
from cache_aware_sched.scheduler import filters
from cache_aware_sched.scheduler.same_image import count
from cache_aware_sched.scheduler import weights
from tests.unit import base
from tests.unit import factories


class Kept(writer.DecisionWriter):
    """Keeps what would be written."""

    def __init__(self):
        super().__init__()
        self.records = []

    def put(self, record):
        self.records.append(record)


class RecordingTests(base.TestCase):

    def setUp(self):
        super().setUp()
        self.set(decision_log_file='/not/used',
                 max_same_image_instances_per_host=2)
        self.set_nova(
            group='filter_scheduler', enabled_filters=[
                'ImageAntiAffinityFilter'])
        self.kept = Kept()
        writer.share(self.kept)
        self.filter = filters.ImageAntiAffinityFilter()
        self.weigher = weights.ImageCacheWeigher()

    def place(self, *hosts, number=1, **spec):
        factories.schedule(
            factories.spec(number=number, **spec), list(hosts), number,
            [self.filter], [self.weigher])

    def test_the_weigher_records_the_best_hosts(self):
        self.place(
            factories.host('warm', text=factories.warm(),
                           aggregates=[factories.aggregate('ssd')]),
            factories.host('full', servers=2, text=factories.warm()),
            *(factories.host(f'cold{number}', text=factories.cold())
              for number in range(8)), name='m1')

        [record] = self.kept.records
        self.assertEqual(
            (record_mod.CHOSEN, 'warm', 'warm', 9, 1, 1, 'm1', False),
            (record.outcome, record.winner, record.cached, record.candidates,
             record.holding, record.full, record.flavor, record.move))
        # Without the image cache all are equal, and any of them may lead.
        self.assertEqual(record.stock != 'warm', bool(record.fetches_saved))
        first = record.hosts[0]
        self.assertEqual(('warm', 'warm', 0, 2, ('ssd',)), (
            first.host, first.holding, first.count, first.cap,
            first.aggregates))
        self.assertAlmostEqual(
            first.benefit * first.holds * first.headroom * first.gate,
            first.weight, places=4)
        self.assertLessEqual(len(record.hosts), record_mod.MAX_HOSTS)
        self.assertEqual(
            sorted((host.total for host in record.hosts[:5]), reverse=True),
            [host.total for host in record.hosts[:5]])

    def test_observed(self):
        self.set(image_cache_weigher_mode='observe')

        self.place(factories.host('cold', text=factories.cold()),
                   factories.host('warm', text=factories.warm()))

        [record] = self.kept.records
        self.assertTrue(record.observed)
        self.assertEqual(('cold', 'cold', 'warm'), (
            record.winner, record.stock, record.cached))
        self.assertEqual(1, record.fetches_saved)

    def test_only_one_host(self):
        self.place(factories.host('warm', text=factories.warm()),
                   factories.host('full', servers=2))

        [record] = self.kept.records
        self.assertEqual((record_mod.ONLY, 'warm', 1, True), (
            record.outcome, record.winner, record.full, record.warm))

    def test_a_refusal(self):
        self.place(*factories.hosts(7, servers=2))

        [record] = self.kept.records
        self.assertEqual((record_mod.REFUSED, '', 7, 7, 5), (
            record.outcome, record.winner, record.candidates, record.full,
            len(record.hosts)))
        self.assertEqual((2, 2), (record.hosts[0].count, record.hosts[0].cap))

    def test_one_record_a_server(self):
        self.place(*factories.hosts(4), number=4)

        self.assertEqual(4, len({record.server
                                 for record in self.kept.records}))
        self.assertEqual(4, len(self.kept.records))

    def test_ignored_image_cache(self):
        self.place(factories.host('a', text=factories.warm()),
                   factories.host('b', text=factories.cold()),
                   hints={'image_cache': ['ignore']})

        [record] = self.kept.records
        self.assertEqual(0.0, record.hosts[0].benefit)
        # Less than is drawn by.
        self.assertLess(record.hosts[0].weight, 1e-5)

    def test_every_record_can_be_written_and_read(self):
        self.place(*factories.hosts(3, text=factories.warm(), servers=1))
        self.place(*factories.hosts(3, servers=2))

        for record in self.kept.records:
            read = record_mod.parse(record_mod.dump(record))
            self.assertEqual(record.winner, read.winner)
            self.assertEqual(len(record.hosts), len(read.hosts))

    def test_boots_from_a_volume_are_not_recorded(self):
        self.place(*factories.hosts(3), is_bfv=True)

        self.assertEqual([], self.kept.records)

    def test_moves_are_marked(self):
        factories.schedule(
            factories.move(), factories.hosts(3), 1, [self.filter],
            [self.weigher])

        self.assertTrue(self.kept.records[0].move)


_HOSTS = st.lists(st.tuples(
    st.sampled_from([None, factories.warm(), factories.cold(),
                     factories.arriving(), 'v=9', '']),
    st.integers(0, 3), st.integers(0, 99)), min_size=1, max_size=8)


class NoInfluenceTests(base.TestCase):
    """That decisions are logged changes none of them."""

    @given(_HOSTS, st.integers(1, 5), st.integers(0, 3),
           st.sampled_from(['enforce', 'observe']),
           st.sampled_from(['hard', 'soft', 'observe']),
           st.sampled_from([-1, 0, 1]), st.integers(1, 10 ** 6))
    def test_servers_go_where_they_would_go(
            self, hosts, number, cap, mode, policy, multiplier, spec_id):
        self.set(max_same_image_instances_per_host=cap,
                 image_cache_weigher_mode=mode, same_image_cap_policy=policy,
                 image_cache_weight_multiplier=multiplier)
        self.set_nova(group='filter_scheduler', enabled_filters=[
            'ImageAntiAffinityFilter'])

        without = self.place(hosts, number, spec_id, writer.DecisionWriter())
        self.set(decision_log_file='/not/used')
        kept = Kept()

        self.assertEqual(without, self.place(hosts, number, spec_id, kept))
        if multiplier:  # of 0 the weigher decides nothing
            self.assertEqual([host for host, _weights in without], [
                record.winner for record in kept.records
                if record.outcome != record_mod.REFUSED])
        self.set(decision_log_file=None)

    def place(self, hosts, number, spec_id, log):
        """Return the hosts of the servers, and all weights of each."""
        writer.share(log)
        count.share(None)
        weigher = Weights()
        states = [factories.host(f'h{index}', servers=servers, text=text,
                                 vcpus_used=used)
                  for index, (text, servers, used) in enumerate(hosts)]
        placed = factories.schedule(
            factories.spec(number=number, spec_id=spec_id), states, number,
            [filters.ImageAntiAffinityFilter()], [weigher])
        # Of one candidate nova asks no weigher.
        weigher.said += [None] * (len(placed) - len(weigher.said))
        return list(zip(placed, weigher.said, strict=False))


class Weights(weights.ImageCacheWeigher):
    """Notes what it says."""

    def __init__(self):
        super().__init__()
        self.said = []

    def weigh_objects(self, weighed, properties):
        result = super().weigh_objects(weighed, properties)
        self.said.append(sorted(zip(
            [item.obj.host for item in weighed], result, strict=True)))
        return result
