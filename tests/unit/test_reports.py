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

import logging

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import node_caches
from cache_aware_sched.scheduler import reports
from tests.unit import base
from tests.unit import factories

GIB = factories.GIB
IMAGE, OTHER_IMAGE = factories.IMAGE, factories.OTHER_IMAGE
IMAGES = [f'aaaaaaaa-0000-4000-8000-0000000000{number:02}'
          for number in range(8)]

#: Of few images, so that reports are much alike.
FILES = st.builds(
    factories.file_of, st.sampled_from(IMAGES),
    st.sampled_from([GIB, 20 * GIB]), st.sampled_from(report.FileKind),
    st.integers(0, 2))
TEXTS = st.one_of(
    st.sampled_from(['', 'v=9;|', None]),
    st.builds(
        report.encode, st.lists(FILES, max_size=6), caches=st.booleans(),
        rate=st.sampled_from([0, 100]),
        servers=st.sampled_from([None, 2, 3]),
        max_bytes=st.sampled_from([100, 16384])))


def answer(kept, host, wanted):
    [found] = kept.answers([host], wanted)
    return found


class ReportsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.reports = reports.Reports()
        self.now = 0.0

    def answer(self, text, image=IMAGE, disk_gb=0, **kwargs):
        return self.ask(factories.host(text=text, **kwargs), image, disk_gb)

    def ask(self, host, image=IMAGE, disk_gb=0):
        return answer(self.reports, host, reports.wanted(image, disk_gb))


class TestAnswer(ReportsTestCase):

    def test_whether_the_host_holds_the_image(self):
        for text, expected in (
                (factories.warm(), Holding.WARM),
                (factories.cold(), Holding.COLD),
                (factories.arriving(), Holding.ARRIVING),
                (factories.truncated(), Holding.UNKNOWN)):
            self.assertEqual(expected, self.answer(text).holding)

    def test_other_spelling_of_the_image(self):
        answer = self.answer(factories.warm(), IMAGE.upper())

        self.assertEqual(Holding.WARM, answer.holding)

    def test_resized_copy(self):
        text = factories.resized(20)

        self.assertEqual(
            [Holding.WARM_RESIZED, Holding.WARM, Holding.WARM],
            [self.answer(text, disk_gb=disk_gb).holding
             for disk_gb in (20, 40, 0)])

    def test_size(self):
        text = factories.warm(size=3 * GIB)

        self.assertEqual([3 * GIB, 0], [
            self.answer(text, image).size for image in (IMAGE, OTHER_IMAGE)])

    def test_users(self):
        text = factories.using(3, 5)

        self.assertEqual([(3, 5), (0, 5)], [
            (answer.users, answer.servers) for answer in (
                self.answer(text), self.answer(text, OTHER_IMAGE))])

    def test_users_of_an_image_without_a_file(self):
        text = report.encode(
            [factories.file_of(kind=report.FileKind.ABSENT, users=2)],
            servers=2, max_bytes=16384)

        answer = self.answer(text)

        self.assertEqual((Holding.COLD, 2), (answer.holding, answer.users))

    def test_old_release_does_not_say_who_uses_an_image(self):
        """It counted the users of the file, and not who is on the way."""
        answer = self.answer(factories.using(3))

        self.assertEqual((Holding.WARM, None, -1), (
            answer.holding, answer.users, answer.servers))

    def test_report_that_leaves_images_out_does_not_say_who_uses_them(self):
        text = report.encode(
            [factories.file_of(factories.new_uuid()) for _ in range(100)],
            servers=3, max_bytes=1024)

        answer = self.answer(text)

        self.assertEqual((None, 3), (answer.users, answer.servers))

    def test_host_that_keeps_no_images_holds_none(self):
        text = report.encode([factories.file_of(users=2)], caches=False,
                             servers=2, max_bytes=16384)

        answer = self.answer(text)

        self.assertEqual((Holding.COLD, False, 2), (
            answer.holding, answer.caches, answer.users))

    def test_rate(self):
        self.assertEqual([0, 100, reports.MAX_RATE], [
            self.answer(factories.warm(rate=rate)).rate
            for rate in (0, 100, 10 ** 6)])

    def test_long_report(self):
        files = [factories.file_of(factories.new_uuid())
                 for _ in range(1000)]
        text = report.encode([*files, factories.file_of(users=1)],
                             servers=1, max_bytes=65535)

        for _request in range(2):
            answer = self.answer(text)

            self.assertEqual((Holding.WARM, 1),
                             (answer.holding, answer.users))

    def test_very_many_images(self):
        text = factories.warm()
        for _ in range(node_caches.MAX_CACHES + 5):
            self.assertEqual(Holding.COLD, self.answer(
                text, factories.new_uuid()).holding)

        self.assertEqual(Holding.WARM, self.answer(text).holding)


class TestChange(ReportsTestCase):

    def holdings(self, *texts, **kwargs):
        return [self.answer(text, **kwargs).holding for text in texts]

    def test_is_seen_at_once(self):
        warm, cold = factories.warm(), factories.cold()

        self.assertEqual(
            [Holding.COLD, Holding.WARM, Holding.WARM, Holding.COLD],
            self.holdings(cold, warm, warm, cold))

    def test_hosts_and_nodes_are_told_apart(self):
        warm, cold = factories.warm(), factories.cold()
        hosts = [factories.host('a', text=warm),
                 factories.host('b', text=cold),
                 factories.host('ironic', node='n1', text=cold),
                 factories.host('ironic', node='n2', text=warm)]

        for _request in range(2):
            self.assertEqual(
                [Holding.WARM, Holding.COLD, Holding.COLD, Holding.WARM],
                [self.ask(host).holding for host in hosts])

    @hypothesis.given(st.lists(
        st.tuples(TEXTS, st.lists(st.sampled_from(IMAGES), max_size=3)),
        min_size=2, max_size=6))
    def test_whatever_changes_is_seen_at_once(self, steps):
        kept = reports.Reports()
        for text, images in steps:
            host = factories.host(text=text)
            for image in images:
                wanted = reports.wanted(image, 20)

                self.assertEqual(answer(reports.Reports(), host, wanted),
                                 answer(kept, host, wanted))

    @hypothesis.given(st.integers(1, 400), st.integers(0, 399),
                      st.sampled_from(report.FileKind), st.integers(0, 3))
    def test_change_in_a_long_report_is_seen_at_once(
            self, number, place, kind, users):
        files = [factories.file_of(f'image {one}') for one in range(number)]
        place %= number
        before = factories.host(text=self.encode(files))
        files[place] = factories.file_of(
            f'image {place}', kind=kind, users=users)
        after = factories.host(text=self.encode(files))
        wanted = reports.wanted(f'image {place}', 0)
        answer(self.reports, before, wanted)

        self.assertEqual(answer(reports.Reports(), after, wanted),
                         answer(self.reports, after, wanted))

    @hypothesis.given(st.integers(1, 400), st.integers(0, 399))
    def test_image_that_takes_the_place_of_another_is_seen_at_once(
            self, number, place):
        files = [factories.file_of(f'image {one}') for one in range(number)]
        before = factories.host(text=self.encode(files))
        files[place % number] = factories.file_of(users=1)
        after = factories.host(text=self.encode(files))
        wanted = reports.wanted(IMAGE, 0)
        self.assertEqual(Holding.COLD,
                         answer(self.reports, before, wanted).holding)

        self.assertEqual(Holding.WARM,
                         answer(self.reports, after, wanted).holding)

    def encode(self, files):
        return report.encode(files, servers=3, max_bytes=65535)

    def test_report_that_became_unreadable(self):
        self.holdings(factories.warm())

        self.assertIs(reports.UNREADABLE, self.answer('v=9;|'))
        self.assertEqual([Holding.WARM], self.holdings(factories.warm()))

    def test_after_a_sweep(self):
        warm, cold = factories.warm(), factories.cold()
        for text, expected in ((warm, Holding.WARM), (warm, Holding.WARM),
                               (cold, Holding.COLD), (warm, Holding.WARM)):
            self.assertEqual([expected], self.holdings(text))

            self.now += node_caches.SWEEP_EVERY
            self.reports.sweep(self.now)

    def test_hosts_that_are_gone_are_forgotten(self):
        for host in factories.hosts(5, text=factories.warm()):
            self.ask(host)

        for _ in range(2):
            self.now += node_caches.SWEEP_EVERY
            self.reports.sweep(self.now)
            self.answer(factories.warm())

        [cache] = self.reports._said._caches.values()
        self.assertEqual(1, len({**cache, **cache._older}))


class TestUnreadable(ReportsTestCase):

    def test_no_report(self):
        answer = self.answer(None)

        self.assertIs(reports.UNREADABLE, answer)
        self.assertFalse(answer.readable)
        self.assertEqual((Holding.UNKNOWN, None), (
            answer.holding, answer.users))

    def test_is_told_from_a_report_that_says_nothing(self):
        self.assertTrue(self.answer(factories.truncated()).readable)

    def test_host_without_a_report_is_told_once(self):
        for _request in range(3):
            self.answer(None, name='a')
            self.answer(None, name='b')

        self.assertEqual(2, len(self.logged(logging.INFO)))
        self.assertEqual([], self.warnings())

    def test_host_that_was_never_updated(self):
        host = factories.host()
        del host.stats

        self.assertIs(reports.UNREADABLE, self.ask(host))
        self.assertEqual([], self.warnings())

    def test_damaged_reports(self):
        warm = factories.warm()
        for text in ('', '|', 'v=1', 'v=9;w=16|', warm[:-1], warm[:20],
                     warm.replace('w=16', 'w=x'), 17, b'v=1', ['v=1']):
            self.assertIs(reports.UNREADABLE, self.answer(text), text)

    def test_damage_is_warned_of_once_for_a_host_and_cause(self):
        for _request in range(3):
            for text in ('v=9;|', factories.warm()[:-1]):
                for name in 'ab':
                    self.answer(text, name=name)

        self.assertEqual(4, len(self.warnings()))
