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

import os

import hypothesis
from hypothesis import strategies as st

from cache_aware_sched.imagecache import entry
from cache_aware_sched.imagecache import evictable
from cache_aware_sched.imagecache import on_request
from cache_aware_sched import report
from tests.unit import managers
from tests.unit.managers import GIB
from tests.unit.managers import image
from tests.unit.managers import OTHER_HOST
from tests.unit.managers import sha1

NAMES = st.lists(st.sampled_from([
    sha1(number) + ending for number in (1, 2)
    for ending in ('', '_20', '.part')] + ['swap_64']), unique=True)


class OnRequestTestCase(managers.ManagerTestCase):

    def ask(self, number=1, dry_run=False, manager=None):
        """Ask for an image; return why each file is kept, by its name."""
        cache = (manager or self.start()).cache
        return {answer.entry.name: answer.kept
                for answer in cache.evict_image(image(number), dry_run)}

    def names(self):
        return sorted(os.listdir(self.cache))


class TestEvicted(OnRequestTestCase):

    def test_image_that_nothing_keeps(self):
        self.put_images(1, 2)

        self.assertEqual({sha1(1): ''}, self.ask())

        self.assertEqual([sha1(2)], self.names())
        self.assertEqual(1, self.changes)

    def test_however_its_id_is_spelt(self):
        for spelt in (image(1).replace('-', ''), image(1).upper(),
                      f'urn:uuid:{image(1)}'):
            self.put_images(1)

            self.assertEqual([''], [
                answer.kept for answer in self.start().cache.evict_image(
                    spelt)], spelt)

    def test_its_copies_and_what_a_killed_fetch_left(self):
        names = [sha1(1), f'{sha1(1)}_20', f'{sha1(1)}.part']
        for name in names:
            self.put(name, age=2 * evictable.ABANDONED_SECONDS)

        self.assertEqual(dict.fromkeys(names, ''), self.ask())

        self.assertEqual([], self.names())

    def test_it_is_told_on_the_bus(self):
        notifier = self.listen()
        self.put_images(1)

        self.ask()

        self.assertIn(f"'reason': '{on_request.REASON}'",
                      str(notifier.mock_calls))

    def test_no_limit_and_no_policy_is_asked(self):
        self.put_images(1)
        self.set(image_cache_max_size_gb=100)

        self.assertEqual({sha1(1): ''}, self.ask(
            manager=self.start('protected')))

    def test_dry_run(self):
        self.put_images(1)

        self.assertEqual({sha1(1): ''}, self.ask(dry_run=True))

        self.assertEqual([sha1(1)], self.names())
        self.assertEqual(0, self.changes)

    def test_dry_run_by_option(self):
        self.put_images(1)
        self.set(image_cache_dry_run=True)

        self.assertEqual({sha1(1): ''}, self.ask())

        self.assertEqual([sha1(1)], self.names())


class TestKept(OnRequestTestCase):

    def assert_kept(self, *reasons, name=None, **how):
        name = name or sha1(1)
        answers = self.ask(**how)
        for reason in reasons:
            self.assertIn(reason, answers[name])
        self.assertIn(name, self.names())

    def test_a_server_uses_it(self):
        self.put_images(1)
        booted = self.boot(1)

        self.assert_kept(f'1 server of this cache uses it: {booted.uuid}')

    def test_many_servers_use_it(self):
        self.put_images(1)
        for _number in range(5):
            self.boot(1)

        self.assert_kept('5 servers of this cache use it: ', ' and 2 more')

    def test_a_server_of_a_host_that_shares_the_storage(self):
        self.put_images(1)
        self.share_storage(OTHER_HOST)
        booted = self.boot(1, host=OTHER_HOST)

        self.assert_kept(booted.uuid)

    def test_a_server_of_another_host_does_not_matter(self):
        self.put_images(1)
        self.boot(1, host=OTHER_HOST)

        self.assertEqual({sha1(1): ''}, self.ask())

    def test_a_server_that_moves_here(self):
        self.put_images(1)
        booted = self.boot(1, host=OTHER_HOST)
        self.migrate(booted, 'migrating', source=OTHER_HOST,
                     destination=managers.HOST)

        self.assert_kept(booted.uuid)

    def test_a_disk_is_made_on_top_of_it(self):
        self.put_images(1)
        self.make_disk(backing=sha1(1))

        self.assert_kept('a disk, or another file of the cache, is made on '
                         'top of it')

    def test_a_disk_that_cannot_be_read(self):
        self.put_images(1)
        path = self.make_disk()
        os.unlink(path)
        os.symlink('/proc/self/mem', path)

        self.assert_kept('cannot be told', path)

    def test_option_protects_it(self):
        self.put_images(1)
        self.set(protected_images=[image(1).upper()])

        self.assert_kept('protected by [cache_aware_sched] protected_images')

    def test_file_protects_it(self):
        path = os.path.join(self.path, 'golden')
        with open(path, 'w') as file:
            file.write(image(1))
        self.set(protected_images_file=path)
        self.put_images(1)

        self.assert_kept(f'protected_images_file {path}')

    def test_file_that_cannot_be_read(self):
        self.set(protected_images_file=os.path.join(self.path, 'none'))
        self.put_images(1)

        self.assert_kept('protected_images_file cannot be read')

    def test_just_used(self):
        self.put_images(1, age=10, step=0)

        self.assert_kept('it was used 10 s ago', 'try again in 290 s')

    def test_it_is_being_fetched(self):
        name = self.put(f'{sha1(1)}.part', age=10)

        self.assert_kept('it is being fetched', name=name)

    def test_another_process_has_its_lock(self):
        self.put_images(1)

        with self.locked_elsewhere(sha1(1)):
            self.assert_kept('has its lock')

    def test_it_is_used_just_before_it_would_go(self):
        self.put_images(1)
        store = managers.MeddlingStore(managers.HOST, lambda entry: os.utime(
            os.path.join(self.cache, entry.name)))

        self.assert_kept('somebody has begun to use it',
                         manager=self.start(store=store))

    def test_nova_does_not_say_who_uses_it(self):
        self.put_images(1)
        manager = self.start()
        manager.store.hosts = self.fail

        self.assertRaises(self.failureException, self.ask, manager=manager)

        self.assertEqual([sha1(1)], self.names())


class TestEntries(managers.ManagerTestCase):

    def entries(self, *names):
        return [entry.Entry(name, found.kind, found.sha1, GIB, 0)
                for name in names if (found := entry.parse(name))]

    def test_every_name_of_an_image(self):
        names = [sha1(1), f'{sha1(1)}_20', f'{sha1(1)}.part']
        entries = self.entries(*names, sha1(2), 'swap_64')

        for word in (image(1), image(1).upper(), sha1(1),
                     report.image_key(image(1))):
            self.assertEqual(names, [
                one.name for one in on_request.entries_of(word, entries)])

    def test_id_that_was_typed_in_upper_case(self):
        [typed] = self.entries(report.image_sha1(image(1).upper()))

        self.assertEqual([typed], on_request.entries_of(image(1), [typed]))

    @hypothesis.given(st.text(), NAMES)
    def test_anything_else_is_no_image(self, word, names):
        hypothesis.assume(word not in {sha1(1), sha1(2)})

        self.assertEqual([], on_request.entries_of(
            word, self.entries(*names)))
