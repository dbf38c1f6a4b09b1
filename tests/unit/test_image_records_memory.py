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

"""What nova-api remembers of images, and for whom."""

import datetime
import json
import string

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.api import breaker as breaker_mod
from cache_aware_sched.api.breaker import Leave
from cache_aware_sched.api import memory as memory_mod
from cache_aware_sched.api import records
from cache_aware_sched.api import signing
from cache_aware_sched.api import values as values_mod
from tests.unit import base
from tests.unit import factories

SECRET = b'a secret of this test'
IMAGE, OTHER = factories.IMAGE, 'f' * 8 + factories.IMAGE[8:]
OWNER = records.Asker('owner')
MEMBER = records.Asker('member')
ADMIN = records.Asker('cloud', is_admin=True)
USER_OF_CLOUD = records.Asker('cloud')
LIMITS = memory_mod.MemoryLimits(record=1000.0, question=10.0)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8)


def image(visibility='private', **more):
    return {'id': IMAGE, 'status': 'active', 'owner': 'owner',
            'visibility': visibility, 'properties': {}, **more}


def record(visibility='private', at=100.0, **more):
    return records.RememberedImage(image(visibility, **more), visibility, at)


class FailingRegion:
    """The servers of [cache], of which none answers."""

    @property
    def actual_backend(self):
        return self

    @property
    def client(self):
        return self

    def __getattr__(self, name):
        def fail(*args, **kwargs):
            raise OSError('no route to host')

        return fail


class DogpileRegion:
    """What nova gives, on a memory that two of these can share."""

    def __init__(self, kept):
        self.kept = kept
        self.actual_backend = object()

    def get(self, key, expiration_time=None):
        return self.kept.get(key)

    def set(self, key, value):
        self.kept[key] = value

    def delete(self, key):
        self.kept.pop(key, None)


class MemcachedRegion(DogpileRegion):

    def __init__(self, kept):
        super().__init__(kept)
        self.actual_backend = self.client = self

    def add(self, key, value, seconds):
        assert isinstance(seconds, int) and seconds > 0
        return self.kept.setdefault(key, value) is value and (
            key not in self.kept.get('claimed', ()) and not self.kept.update(
                claimed=(*self.kept.get('claimed', ()), key)))


class RedisRegion(DogpileRegion):

    def __init__(self, kept):
        super().__init__(kept)
        self.actual_backend = self
        self.writer_client = self

    def set(self, key, value, ex=None, nx=False):
        if nx and key in self.kept:
            return None
        self.kept[key] = value
        return True


class TestSigning(base.TestCase):

    @hypothesis.given(JSON, st.text(), st.floats(0, 1e10))
    def test_what_was_signed_is_read(self, value, key, at):
        text = signing.seal(SECRET, key, value, at)

        self.assertEqual((value, at), signing.unseal(SECRET, key, text))

    @hypothesis.given(st.text(), st.text())
    def test_it_is_nothing_for_another_key(self, key, other):
        hypothesis.assume(key != other)
        text = signing.seal(SECRET, key, 1, 1.0)

        self.assertIsNone(signing.unseal(SECRET, other, text))

    @hypothesis.given(st.data())
    def test_no_character_can_be_changed(self, data):
        text = signing.seal(SECRET, 'key', {'a': [1, 'x']}, 1.0)
        place = data.draw(st.integers(0, len(text) - 1))
        changed = data.draw(st.sampled_from(string.printable))
        hypothesis.assume(changed != text[place])

        self.assertIsNone(signing.unseal(
            SECRET, 'key', text[:place] + changed + text[place + 1:]))

    @hypothesis.given(st.one_of(st.text(), st.binary(), st.none(), JSON))
    def test_anything_else_is_nothing(self, text):
        self.assertIsNone(signing.unseal(SECRET, 'key', text))

    def test_forged_truncated_or_of_another_version(self):
        text = signing.seal(SECRET, 'key', 1, 1.0)
        for bad in (signing.seal(b'guessed', 'key', 1, 1.0), text[:-1],
                    text[1:], text.replace('1.', '2.', 1), text + '0',
                    'x' * (signing.MAX_CHARS + 1)):
            self.assertIsNone(signing.unseal(SECRET, 'key', bad), bad[:80])


class TestValues(base.TestCase):

    def test_not_more_than_so_many_characters(self):
        """A user may give an image as many properties as Glance allows."""
        values = values_mod.ProcessValues()
        large = 'x' * (values_mod.MAX_CHARS // 3)
        for key in 'abcb':
            values.set(key, large)

        self.assertEqual([large] * 3, [values.get(key, 1.0) for key in 'abc'])
        values.set('d', 'y')
        self.assertEqual(large, values.get('a', 1.0))
        values.set('e', large)
        self.assertIsNone(values.get('a', 1.0))
        self.assertEqual('y', values.get('d', 1.0))

    def test_a_process_forgets_the_oldest(self):
        values = values_mod.ProcessValues()
        for number in range(values_mod.MAX_VALUES + 1):
            values.set(str(number), 'x')

        self.assertIsNone(values.get('0', 1))
        self.assertEqual('x', values.get('1', 1))

    def test_one_of_eight_has_a_claim(self):
        for region in (MemcachedRegion, RedisRegion, DogpileRegion):
            kept = {}
            with self.subTest(region):
                self.assertEqual(1, sum(
                    values_mod.SharedValues(region(kept)).claim('now', 5)
                    for _worker in range(8)))
        values = values_mod.ProcessValues()
        self.assertEqual(1, sum(values.claim('now', 5) for _ in range(8)))

    def test_a_claim_ends(self):
        values = values_mod.ProcessValues()
        self.assertTrue(values.claim('now', 0))

        self.assertTrue(values.claim('now', 5))

    def test_servers_that_do_not_answer(self):
        values = values_mod.SharedValues(FailingRegion())

        self.assertIsNone(values.get('key', 1))
        self.assertFalse(values.set('key', 'x'))
        values.delete('key')
        # Better too many ask than nobody
        self.assertTrue(values.claim('key', 1))
        [line] = self.warnings()
        self.assertIn('no route to host', line)

    def test_keys_are_what_any_server_takes(self):
        kept = {}
        values_mod.SharedValues(DogpileRegion(kept)).set('ü \n' * 500, 'x')

        [key] = kept
        self.assertTrue(key.isascii() and len(key) < 250 and ' ' not in key)

    def test_nothing_from_the_future(self):
        signed = values_mod.SignedValues(values_mod.ProcessValues(), SECRET)
        signed.set('key', 1, 1000.0)

        self.assertIsNone(signed.get('key', 100, 900.0))
        self.assertIsNone(signed.get('key', 100, 1101.0))
        self.assertEqual(1, signed.get('key', 100, 1050.0).value)


class TestRecord(base.TestCase):

    def test_times_come_back(self):
        at = datetime.datetime(2026, 1, 2, 3, 4, 5,
                               tzinfo=datetime.UTC)
        encoded = record(created_at=at, deleted_at=None).encode()

        found = records.decode(json.loads(json.dumps(encoded)), 1.0)

        self.assertEqual(at, found.image['created_at'])
        self.assertIsNone(found.image['deleted_at'])

    @hypothesis.given(st.dictionaries(st.text(), JSON))
    def test_any_properties_come_back(self, properties):
        before = record(properties=properties)
        hypothesis.assume(before.encode())

        found = records.decode(
            json.loads(json.dumps(before.encode())), before.asked_at)

        self.assertEqual(before, found)

    @hypothesis.given(JSON)
    def test_anything_else_is_none(self, value):
        records.decode(value, 1.0)

    def test_what_is_never_remembered(self):
        self.assertIsNone(record(name='x' * 70_000).encode())
        self.assertIsNone(record(name=object()).encode())
        self.assertNotIn('locations', record(
            locations=['secret'], direct_url='secret').encode()['image'])


class MemoryTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.kept = {}
        self.memory = self.another()

    def another(self, secret=SECRET, host='api1'):
        """Return the memory of another process of nova-api."""
        return memory_mod.RememberedImages(
            values_mod.SignedValues(values_mod.SharedValues(
                DogpileRegion(self.kept)), secret), LIMITS, host)

    def given(self, asker, visibility='private', at=100.0, **more):
        self.memory.remember(
            asker, IMAGE, record(visibility, at, **more), at + 1)

    def knows(self, asker, at=200.0, image_id=IMAGE):
        return self.memory.find(asker, image_id, at) is not None


class TestMemory(MemoryTestCase):

    def test_for_those_who_were_given_it(self):
        self.given(MEMBER, 'shared')

        self.assertTrue(self.knows(MEMBER))
        self.assertFalse(self.knows(OWNER))
        self.assertFalse(self.knows(records.Asker('stranger')))

    def test_a_private_image_that_a_role_of_another_project_sees(self):
        """Others in that project need not have the role."""
        self.given(MEMBER, 'private')

        self.assertFalse(self.knows(MEMBER))

    def test_for_all(self):
        for visibility in ('public', 'community'):
            self.kept.clear()
            self.given(OWNER, visibility)

            self.assertTrue(self.knows(MEMBER))

    def test_what_an_administrator_was_given_of_others(self):
        self.given(ADMIN)

        self.assertTrue(self.knows(ADMIN))
        self.assertFalse(self.knows(USER_OF_CLOUD))
        self.assertFalse(self.knows(OWNER))

    def test_what_an_administrator_was_given_of_their_own(self):
        self.given(ADMIN, owner='cloud')

        self.assertTrue(self.knows(USER_OF_CLOUD))

    def test_an_id_in_upper_case(self):
        self.given(OWNER)

        self.assertTrue(self.knows(OWNER, image_id=IMAGE.upper()))

    def test_its_age(self):
        self.given(OWNER)

        self.assertTrue(self.knows(OWNER, 1099.0))
        self.assertFalse(self.knows(OWNER, 1101.0))

    def test_it_is_there_for_other_processes(self):
        self.given(OWNER)
        self.memory = self.another()

        self.assertTrue(self.knows(OWNER))

    def test_one_with_another_secret(self):
        self.given(OWNER)
        self.memory = self.another(b'of somebody else')

        self.assertFalse(self.knows(OWNER))

    def test_whoever_can_write_there_grants_nothing(self):
        """All that is there is put under each key that there can be."""
        self.given(OWNER)
        mine = list(self.kept.values())
        self.memory.remember(
            MEMBER, OTHER, record(at=100.0, id=OTHER), 101.0)
        theirs = {key: value for key, value in self.kept.items()
                  if value not in mine}

        self.kept.update(dict.fromkeys(theirs, mine[0]))

        self.assertFalse(self.knows(MEMBER))
        self.assertFalse(self.knows(MEMBER, image_id=OTHER))

    def test_another_image_than_asked_for(self):
        self.memory.remember(OWNER, OTHER, record(), 101.0)

        self.assertFalse(self.knows(OWNER, image_id=OTHER))

    def test_an_image_that_cannot_be_booted_yet(self):
        self.given(OWNER, status='queued')

        self.assertFalse(self.knows(OWNER))


class TestWhoMayHaveIt(MemoryTestCase):

    ASKERS = (OWNER, MEMBER, ADMIN, USER_OF_CLOUD)

    @hypothesis.given(st.lists(st.tuples(
        st.sampled_from(ASKERS), st.sampled_from((
            'private', 'shared', 'public', 'community', 'missing',
            'refused', 'deactivated'))), max_size=8))
    def test_nobody_who_was_not_given_it_or_was_refused_since(self, events):
        self.kept.clear()
        for number, (asker, what) in enumerate(events):
            at = 100.0 + 10 * number
            if what in ('missing', 'refused'):
                self.memory.is_refused(asker, IMAGE, what == 'missing', at)
            elif what == 'deactivated':
                self.given(asker, at=at - 1, status=what)
            else:
                self.given(asker, what, at=at - 1)

        for asker in self.ASKERS:
            if self.knows(asker, 300.0):
                self.assertTrue(self.may(asker, events), (asker, events))

    def may(self, asker, events):
        """Return whether the last word of Glance for somebody is yes."""
        for by, what in reversed(events):
            if what == 'deactivated' or (
                    by == asker and what in ('missing', 'refused')):
                return False
            if what in ('public', 'community') or (
                    (what == 'shared' or (what == 'private' and (
                        by.is_admin or by == OWNER)))
                    and by.project == asker.project
                    and (asker.is_admin or not by.is_admin)):
                return True
        return False


class TestForgetting(MemoryTestCase):

    def test_one_that_was_deactivated_is_forgotten_for_all(self):
        for status in ('deactivated', 'deleted', 'pending_delete', 'killed'):
            self.kept.clear()
            self.given(OWNER)
            self.given(MEMBER)
            self.given(ADMIN, at=150.0, status=status)

            for asker in (OWNER, MEMBER, ADMIN):
                self.assertFalse(self.knows(asker), status)

    def test_a_refusal_is_of_one_project(self):
        self.given(OWNER)
        self.given(MEMBER)

        self.memory.is_refused(MEMBER, IMAGE, False, 150.0)

        self.assertFalse(self.knows(MEMBER))
        self.assertTrue(self.knows(OWNER))

    def test_its_owner_has_it_no_more(self):
        self.given(OWNER)
        self.given(MEMBER)

        self.memory.is_refused(OWNER, IMAGE, True, 150.0)

        self.assertFalse(self.knows(MEMBER))

    def test_one_that_is_public_no_more(self):
        self.given(OWNER, 'public')

        self.memory.is_refused(MEMBER, IMAGE, True, 150.0)

        self.assertFalse(self.knows(records.Asker('stranger')))

    def test_its_owner_makes_it_private(self):
        self.given(OWNER, 'public')

        self.given(OWNER, 'private', at=150.0)

        self.assertFalse(self.knows(MEMBER))
        self.assertTrue(self.knows(OWNER))

    def test_a_refusal_to_a_role_leaves_a_public_image_to_others(self):
        self.given(OWNER, 'public')

        self.memory.is_refused(MEMBER, IMAGE, False, 150.0)

        self.assertFalse(self.knows(MEMBER))
        self.assertTrue(self.knows(OWNER))

    def test_strangers_cannot_have_others_forget(self):
        self.given(OWNER)
        before = dict(self.kept)

        self.memory.is_refused(records.Asker('stranger'), IMAGE, True, 150.0)

        self.assertEqual(before, self.kept)

    def test_an_answer_that_comes_late(self):
        """Glance was asked for it before it was refused."""
        self.given(OWNER, at=100.0)
        self.memory.is_refused(OWNER, IMAGE, True, 150.0)

        self.memory.remember(OWNER, IMAGE, record(at=149.0), 160.0)

        self.assertFalse(self.knows(OWNER))

    def test_a_host_whose_clock_is_behind(self):
        self.given(MEMBER, at=160.0)

        self.memory.is_refused(MEMBER, IMAGE, False, 150.0)

        self.assertFalse(self.knows(MEMBER))

    def test_a_server_drops_the_note(self):
        for asker, visibility in ((MEMBER, 'shared'), (OWNER, 'public')):
            self.given(asker, visibility)
            before = set(self.kept)

            self.memory.is_refused(MEMBER, IMAGE, True, 150.0)

            for key in set(self.kept) - before:
                del self.kept[key]
            self.assertFalse(self.knows(MEMBER), visibility)
            self.kept.clear()

    def test_it_is_given_again(self):
        self.given(OWNER, at=100.0)
        self.memory.is_refused(OWNER, IMAGE, False, 150.0)

        self.given(OWNER, at=160.0)

        self.assertTrue(self.knows(OWNER))


class TestLostAnswers(MemoryTestCase):

    def lost(self, asker=OWNER, at=200.0, down_since=None):
        return self.memory.has_lost_an_answer(asker, IMAGE, at, down_since)

    def test_a_process_ends_before_the_answer(self):
        self.given(OWNER)
        self.memory.asks(OWNER, IMAGE, 150.0)

        # Others may still wait for theirs
        self.assertFalse(self.lost(at=159.0))
        self.assertTrue(self.lost(at=161.0))
        self.assertFalse(self.lost(MEMBER, at=161.0))
        # Glance has not answered in an outage
        self.assertFalse(self.lost(at=161.0, down_since=149.0))
        self.assertTrue(self.lost(at=161.0, down_since=151.0))

    def test_another_host_reaches_glance_in_an_outage_of_this_one(self):
        self.given(OWNER)
        self.another(host='api2').asks(OWNER, IMAGE, 150.0)

        self.assertTrue(self.lost(at=161.0, down_since=149.0))

    def test_an_answer_that_was_noted(self):
        for note in (
                lambda: self.memory.is_silent(OWNER, IMAGE),
                lambda: self.given(OWNER, at=150.0),
                lambda: self.memory.is_refused(OWNER, IMAGE, True, 150.0)):
            self.given(OWNER, at=120.0)
            self.memory.asks(OWNER, IMAGE, 149.0)

            note()

            self.assertFalse(self.lost(at=500.0))

    def test_a_refusal_that_could_not_be_kept(self):
        self.given(OWNER)
        self.memory.asks(OWNER, IMAGE, 150.0)

        region = DogpileRegion(self.kept)
        region.set = lambda key, value: FailingRegion().set()
        memory_mod.RememberedImages(
            values_mod.SignedValues(values_mod.SharedValues(region), SECRET),
            LIMITS, 'api1').is_refused(OWNER, IMAGE, True, 151.0)

        self.assertTrue(self.lost(at=161.0))

    def test_nothing_is_noted_of_what_is_not_known(self):
        self.memory.asks(OWNER, IMAGE, 150.0)

        self.assertEqual({}, self.kept)


class TestBreaker(base.TestCase):

    def setUp(self):
        super().setUp()
        self.kept, self.now, self.told = {}, 1000.0, []
        self.workers = [self.worker() for _worker in range(8)]
        self.breaker = self.workers[0]

    def worker(self, host='api1'):
        return breaker_mod.GlanceBreaker(
            values_mod.SignedValues(values_mod.SharedValues(
                MemcachedRegion(self.kept)), SECRET), host, 4.0,
            lambda: self.now, lambda what, seconds: self.told.append(
                (what, seconds)))

    def fails(self, worker=None):
        (worker or self.breaker).failed('refused', IMAGE, False)

    def test_nobody_asks_while_it_is_open(self):
        self.fails()

        self.assertEqual({Leave.REFUSED},
                         {one.may_ask() for one in self.workers})
        self.assertEqual('refused', self.workers[7].outage().cause)

    def test_other_hosts_ask_for_themselves(self):
        """This one may be cut off, and Glance be well."""
        self.fails()

        self.assertIs(Leave.GIVEN, self.worker('api2').may_ask())

    def test_one_of_eight_asks_when_it_is_time(self):
        self.fails()
        for _attempt in range(3):
            self.now += breaker_mod.RETRY

            asking = [one for one in self.workers
                      if one.may_ask() is Leave.TO_PROBE]

            self.assertEqual(1, len(asking))
            self.fails(asking[0])

    def test_a_while_after_the_last_attempt_one_asks_and_waits(self):
        """Glance may be back for long: only it can tell."""
        self.fails()
        self.now += breaker_mod.KNOWN

        self.assertEqual([Leave.GIVEN, Leave.REFUSED],
                         [one.may_ask() for one in self.workers[:2]])

    def test_a_clock_that_is_put_back(self):
        self.fails()
        self.now -= 50.0

        self.assertEqual([Leave.GIVEN, Leave.REFUSED],
                         [one.may_ask() for one in self.workers[:2]])

    def test_it_closes_for_all(self):
        self.fails()
        self.now += 60.0

        self.workers[3].answered()

        self.assertEqual({Leave.GIVEN},
                         {one.may_ask() for one in self.workers})
        self.assertEqual([('begin', 0.0), ('end', 60.0)], self.told)
        begin, end = self.warnings()
        self.assertIn('for nova-api on host api1: refused', begin)
        self.assertIn('it was down for 60 seconds', end)

    def test_one_warning_for_one_outage(self):
        for worker in self.workers:
            self.fails(worker)
            self.now += 1

        self.assertEqual(1, len(self.warnings()))

    def test_one_image_that_glance_cannot_show(self):
        for _attempt in range(10):
            self.breaker.failed('HTTP 500', IMAGE, True)

        self.assertIsNone(self.breaker.outage())

    def test_all_images_that_glance_cannot_show(self):
        for number in range(breaker_mod.BAD_ANSWERS):
            self.assertIsNone(self.breaker.outage())
            self.breaker.failed('HTTP 500', str(number), True)

        self.assertIsNotNone(self.breaker.outage())

    def test_an_answer_between_them(self):
        for number in range(10):
            self.breaker.failed('HTTP 500', str(number), True)
            self.breaker.answered()

        self.assertEqual([], self.told)

    def test_what_others_write_there_is_no_outage(self):
        self.fails()
        for key in self.kept:
            self.kept[key] = 'x'

        self.assertIsNone(self.breaker.outage())
