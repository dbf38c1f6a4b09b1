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


"""What is asked of a simulated cloud: servers to boot, and their images."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import NamedTuple
import uuid

GIB = 2 ** 30


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """An image of the simulated cloud.

    :param id: uuid
    :param size: bytes
    :param private: whether it is for the servers of one project only
    """

    id: str
    size: int
    private: bool


class Boot(NamedTuple):
    """The request for one server.

    Whoever reads the input leaves out what the input does not tell;
    :mod:`.input.images` fills that in.

    :param at: seconds since the start
    :param batch: number of what it was asked for together with
    :param vcpus: of its flavor
    :param ram_mb: MiB of its flavor
    :param lifetime: seconds from the request to its end; None if it runs
        until the simulation ends
    :param disk_gb: GiB of its flavor, in the end never less than its image
        has; 0 if the input does not tell
    :param image: id of its image
    :param project: id of its project, 32 hexadecimal digits
    """

    at: float
    batch: int
    vcpus: int
    ram_mb: int
    lifetime: float | None
    disk_gb: int = 0
    image: str = ''
    project: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class Workload:
    """All that is asked of a simulated cloud.

    :param boots: in the order of their time
    :param images: those that the boots name, by id
    :param notes: what one should know of it, a sentence each
    :param names: ids of images by what the input calls them, where that is
        something else
    """

    boots: Sequence[Boot]
    images: Mapping[str, Image]
    notes: Sequence[str] = ()
    # Ids of a cloud, which are to be in no message.
    names: Mapping[str, str] = dataclasses.field(
        default_factory=dict, repr=False)

    def find_image(self, name: str) -> str | None:
        """Return the id of an image that some server has.

        :param name: its id here, or what the input calls it
        :returns: None if no server has it
        """
        for text in (name.strip(), _as_uuid(name)):
            found = self.names.get(text, text)
            if found in self.images:
                return found
        return None


def _as_uuid(text: str) -> str:
    """Return a uuid as all others are written; other texts as they are."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text
