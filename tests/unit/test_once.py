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

from cache_aware_sched import once
from tests.unit import base

LOG = logging.getLogger(f'{base.PACKAGE}.test')


class TestOnce(base.TestCase):

    def setUp(self):
        super().setUp()
        self.once = once.Once(LOG)

    def test_warns_of_a_cause_once(self):
        for number in range(3):
            self.once.warning(('disk',), 'the %s', number)

        self.assertEqual(['the 0'], self.warnings())

    def test_warns_of_each_cause(self):
        for host in ('a', 'b', 'a'):
            self.once.warning(('disk', host), 'disk of %(host)s',
                              {'host': host})

        self.assertEqual(['disk of a', 'disk of b'], self.warnings())

    def test_warns_again_of_what_came_back(self):
        self.once.warning(('disk',), 'full')
        self.once.forget(('disk',))
        self.once.warning(('disk',), 'full')

        self.assertEqual(['full', 'full'], self.warnings())

    def test_forgets_what_it_never_saw(self):
        self.once.forget(('disk',))

        self.assertEqual([], self.warnings())

    def test_informs_of_a_cause_once(self):
        for _again in range(3):
            self.once.info(('disk',), 'seen')

        self.assertEqual(['seen'], self.logged(logging.INFO))
        self.assertEqual([], self.warnings())

    def test_long_text_that_names_a_cause_is_cut(self):
        """It may come from outside, and be as long as it likes."""
        text = 'x' * 100_000
        self.once.warning(('hint', text), 'seen')
        self.once.warning(('hint', f'{text} and more'), 'seen')

        [(_, kept)] = self.once._seen
        self.assertEqual(once.MAX_TEXT, len(kept))
        self.assertEqual(1, len(self.warnings()))

    def test_long_text_comes_back(self):
        cause = ('hint', 'x' * 100_000)
        self.once.warning(cause, 'seen')
        self.once.forget(cause)
        self.once.warning(cause, 'seen')

        self.assertEqual(2, len(self.warnings()))

    def test_memory_is_bounded(self):
        for number in range(once.MAX_CAUSES + 5):
            self.once.warning((number,), 'seen')

        self.assertEqual(once.MAX_CAUSES, len(self.once._seen))
        # The oldest was forgotten, the newest was not.
        self.once.warning((0,), 'again')
        self.once.warning((once.MAX_CAUSES,), 'again')
        self.assertEqual(1, self.warnings().count('again'))
