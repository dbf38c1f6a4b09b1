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

"""A copy that a host was asked for, and what the host answered. No nova."""

import concurrent.futures
import dataclasses
from typing import Any

from cache_aware_sched.precache.plan import PlannedCopy

#: What nova-compute says of an image that is there, and of others
#: (nova.compute.manager, cache_images, nova 34.0.0).
THERE = ('cached', 'existing')
_SAID = {
    'error': 'the host could not fetch it: its nova-compute log says why',
    'unsupported': 'its compute driver cannot fetch ahead of time',
}


@dataclasses.dataclass(slots=True)
class AskedCopy:
    """A copy that a host was asked for.

    :param answer: of the host
    :param slot: its lock, None for a renewal, which needs none
    :param frees_slot_at: no sooner
    :param answered_at: None before
    """

    copy: PlannedCopy
    answer: 'concurrent.futures.Future[str]'
    started: float
    host_lock: Any
    slot: Any
    frees_slot_at: float
    answered_at: float | None = None

    @property
    def said(self) -> str:
        """What nova-compute has answered; '' if it has not."""
        return '' if self.answer.exception() else self.answer.result()

    @property
    def why(self) -> str:
        """Why the copy is not there, by the answer."""
        if error := self.answer.exception():
            return (str(error).partition('\n')[0]
                    or type(error).__name__)[:300]
        return _SAID.get(self.said, (
            f'the host says {self.said!r} and does not report the image'))
