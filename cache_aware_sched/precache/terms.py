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

"""The terms of the planner: hosts, wishes, and what is planned. No nova."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """An image that hosts of a zone are to hold.

    :param copies: hosts; with 0 nothing is planned, and the image is only not
        evicted for one that is asked for less
    :param boots_per_day: servers of it that are expected in the zone
    :param size: bytes that one copy takes of a cache; 0 if that is not known,
        and then nothing is planned
    """

    image: str
    zone: str
    copies: int
    boots_per_day: float
    size: int


@dataclasses.dataclass(frozen=True, slots=True)
class CacheHost:
    """A host, as far as it matters to a plan.

    :param zone: its availability zone
    :param domain: what fails as a whole with it, '' for the host alone
    :param room: bytes that may be fetched to it without an eviction
    :param evicts: whether it evicts images to make room for more than that
    :param load: how busy it is, from 0 to 1
    :param held: bytes of the images that are complete there, by image
    :param in_use: those that servers on the host use
    :param arriving: images that are on their way
    :param knows_all: whether it holds nothing else; if not, it may hold any
        other image as well
    :param unfit: why it gets no servers or keeps no images, '' if it does
    """

    name: str
    zone: str = ''
    domain: str = ''
    room: int = 0
    evicts: bool = False
    load: float = 0.0
    held: Mapping[str, int] = dataclasses.field(default_factory=dict)
    in_use: frozenset[str] = frozenset()
    arriving: frozenset[str] = frozenset()
    knows_all: bool = True
    unfit: str = ''

    def has(self, image: str) -> bool:
        """Return whether an image is there, or on its way."""
        return image in self.held or image in self.arriving

    def evictable(self) -> list[str]:
        """Return what it may evict, as far as can be told."""
        return [image for image in self.held if image not in self.in_use]


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedFetch:
    """A copy that is to be made.

    :param size: bytes
    :param evicts: whether the host evicts images for it
    """

    image: str
    zone: str
    host: str
    size: int
    evicts: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedImage:
    """What is planned for a wish.

    :param there: hosts of the zone that take servers and hold the image, or
        get it already
    :param unknown: hosts of the zone of which that cannot be told
    :param wanted: hosts of those of which it can be told that should hold it
    :param hosts: that are to fetch it, in the order of the plan
    :param short: why fewer are planned than are lacking, '' if they are not
    """

    wish: Wish
    there: int
    unknown: int
    wanted: int
    hosts: tuple[str, ...] = ()
    short: str = ''

    @property
    def bytes(self) -> int:
        """What is fetched for it."""
        return self.wish.size * len(self.hosts)


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched.

    :param fetches: in the order in which they are to be made
    :param images: one for each wish, the one that lacked most first
    """

    fetches: Sequence[PlannedFetch]
    images: Sequence[PlannedImage]
