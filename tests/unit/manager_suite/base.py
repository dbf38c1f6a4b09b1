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

"""What the tests of the suite start from."""

import os

from tests.unit import managers
from tests.unit.managers import DAY
from tests.unit.managers import GIB
from tests.unit.managers import image

NOBODY = 65534
MIB = 2 ** 20


class SuiteTestCase(managers.ManagerTestCase):
    """A cache in which everything has to go that can."""

    #: Whether the manager lets go of anything.
    evicts = True
    #: Whether it keeps what nobody uses until a limit asks for room.
    keeps_unused = True

    def squeeze(self):
        """Have nothing fit but one image that is needed.

        :returns: what nobody needs: larger than the cache may be, and old
        """
        self.set(image_cache_max_size_gb=1, image_cache_max_images=1)
        return self.put_images(901, 902, size=2 * GIB, age=9 * DAY)

    def assert_stays(self, *names, manager=None):
        """See files stay in a pass and before a fetch, and others go."""
        kept = set(names)
        self.glance.add(900, GIB)
        manager = manager or self.start()

        for make_room in (self.run_pass, self.fetch):
            unused = set(self.squeeze())
            for name in kept:
                self.set_age(os.path.join(self.cache, name), 10 * DAY)
            # The options are read when the service starts.
            manager = self.start(type(manager), manager.host)
            make_room(manager)
            self.assert_left(*kept, *(() if self.evicts else unused))

    def fetch(self, manager, number=900, ahead=False, **purpose):
        """Make room for an image; return what is there then."""
        with manager.cache.fetching(
                self.context, image(number), ahead, **purpose):
            return self.names()

    def unneeded(self, *names, of=1):
        """Return those of the files that a manager keeps that evicts some.

        :param of: how many go, the first of them first
        """
        if not self.evicts:
            return set(names)
        return set(names[of:]) if self.keeps_unused else set()
