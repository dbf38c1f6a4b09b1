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

"""What is known of a server, and where it is."""

import dataclasses
from typing import NamedTuple


class Spot(NamedTuple):
    """Where servers are: a host, and one of the nodes that it manages.

    :param node: '' where it is not known, as of a migration that names its
        host already
    """

    host: str
    node: str

    @property
    def anywhere(self) -> 'Spot':
        """Return the host without the node."""
        return Spot(self.host, '')


@dataclasses.dataclass(frozen=True, slots=True)
class Server:
    """A server, of the image that was asked for or by its uuid.

    :param uuid: of the instance
    :param image: id of its image, '' for none
    :param project: id of its project
    :param spots: where it is, comes from or goes to; empty before the claim
    :param building: whether it was never started yet
    :param evacuated: whether it is being evacuated
    """

    uuid: str
    image: str
    project: str | None
    spots: frozenset[Spot]
    building: bool
    evacuated: bool = False

    def is_on(self, spot: Spot) -> bool:
        """Return whether it is on a node, as far as that is known."""
        return spot in self.spots or spot.anywhere in self.spots
