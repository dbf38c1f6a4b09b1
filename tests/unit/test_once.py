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

    def test_warns_of_a_cause_once(self):
        for number in range(3):
            once.warning(LOG, ('disk',), 'the %s', number)

        self.assertEqual(['the 0'], self.warnings())

    def test_warns_of_each_cause(self):
        for host in ('a', 'b', 'a'):
            once.warning(LOG, ('disk', host), 'disk of %(host)s',
                         {'host': host})

        self.assertEqual(['disk of a', 'disk of b'], self.warnings())

    def test_warns_again_of_what_came_back(self):
        once.warning(LOG, ('disk',), 'full')
        once.forget(LOG, ('disk',))
        once.warning(LOG, ('disk',), 'full')

        self.assertEqual(['full', 'full'], self.warnings())

    def test_forgets_what_it_never_saw(self):
        once.forget(LOG, ('disk',))

        self.assertEqual([], self.warnings())

    def test_informs_of_a_cause_once(self):
        for _again in range(3):
            once.info(LOG, ('disk',), 'seen')

        self.assertEqual(['seen'], self.logged(logging.INFO))
        self.assertEqual([], self.warnings())

    def test_long_text_that_names_a_cause_is_cut(self):
        """It may come from outside, and be as long as it likes."""
        text = 'x' * 100_000
        once.warning(LOG, ('hint', text), 'seen')
        once.warning(LOG, ('hint', f'{text} and more'), 'seen')

        [(_, kept)] = once._said[LOG.name]
        self.assertEqual(once.MAX_TEXT, len(kept))
        self.assertEqual(1, len(self.warnings()))

    def test_long_text_comes_back(self):
        cause = ('hint', 'x' * 100_000)
        once.warning(LOG, cause, 'seen')
        once.forget(LOG, cause)
        once.warning(LOG, cause, 'seen')

        self.assertEqual(2, len(self.warnings()))

    def test_memory_is_bounded(self):
        for number in range(once.MAX_CAUSES + 5):
            once.warning(LOG, (number,), 'seen')

        self.assertEqual(once.MAX_CAUSES, len(once._said[LOG.name]))
        # The oldest was forgotten, the newest was not.
        once.warning(LOG, (0,), 'again')
        once.warning(LOG, (once.MAX_CAUSES,), 'again')
        self.assertEqual(1, self.warnings().count('again'))

    def test_loggers_do_not_share_a_cause(self):
        for log in (LOG, LOG.getChild('other'), LOG):
            once.warning(log, ('disk',), 'full')

        self.assertEqual(['full', 'full'], self.warnings())

    def test_many_causes_of_one_logger_leave_those_of_others(self):
        once.warning(LOG, ('disk',), 'full')
        for number in range(once.MAX_CAUSES + 1):
            once.warning(LOG.getChild('other'), (number,), 'seen')
        once.warning(LOG, ('disk',), 'full')

        self.assertEqual(1, self.warnings().count('full'))

    def test_all_is_forgotten(self):
        once.warning(LOG, ('disk',), 'full')
        once.forget_all()
        once.warning(LOG, ('disk',), 'full')

        self.assertEqual(['full', 'full'], self.warnings())
