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

"""What a process of the cloud is started with."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses


class Failed(Exception):
    """Something did not work; the text is for the user."""


def _at_once() -> bool:
    return True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A process that runs until it is stopped.

    :param name: also of its log file
    :param ready: whether it does what it is for
    :param within: seconds that it may need for that on a slow machine
    :param environment: in addition to what all of them have
    :param user: whom it runs as, if not root
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] = _at_once
    within: float = 120.0
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    user: str | None = None
