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

"""Images that something in this process is just about to use."""

import collections
from collections.abc import Collection
from collections.abc import Iterator
import contextlib
import threading


class InProgress:
    """Counts who uses an image, so that nobody removes it meanwhile.

    Between the moment when nova sees that a file is there and the moment when
    a disk is made of it, nothing on the host shows that it is needed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users: collections.Counter[str] = collections.Counter()
        self._leaving: set[str] = set()
        self._blocks = 0

    @contextlib.contextmanager
    def using(self, sha1s: Collection[str]) -> Iterator[None]:
        """Keep images for as long as the block takes.

        Waits for one that is being removed, to find it gone.

        :param sha1s: of the ids of the images
        """
        with self._changed:
            while not self._leaving.isdisjoint(sha1s):
                self._changed.wait()
            self._users.update(sha1s)
            self._blocks += 1
        try:
            yield
        finally:
            with self._changed:
                self._blocks -= 1
                self._users.subtract(sha1s)
                self._users = +self._users

    @contextlib.contextmanager
    def holding_off(self, sha1: str | None) -> Iterator[bool]:
        """Let nobody begin to use an image while the block runs.

        :returns: whether the image is in use already
        """
        with self._changed:
            in_use = sha1 in self._users or sha1 in self._leaving
            if sha1 and not in_use:
                self._leaving.add(sha1)
        try:
            yield in_use
        finally:
            if sha1 and not in_use:
                with self._changed:
                    self._leaving.discard(sha1)
                    self._changed.notify_all()

    def __bool__(self) -> bool:
        """Return whether a server is being made now, if of no image."""
        return self._blocks > 0

    def sha1s(self) -> set[str]:
        """Return what is in use now."""
        with self._changed:
            return set(self._users)
