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

"""What became of the copies of a plan. No nova."""

import dataclasses
import datetime
import enum
import json

from cache_aware_sched.precache.plan import PlannedCopy


class FetchOutcome(enum.Enum):
    """What became of a copy."""

    CACHED = 'cached'
    EXISTING = 'existing'
    FAILED = 'failed'
    NOT_TRIED = 'not tried'
    #: The command ended, and the host goes on.
    BEGUN = 'begun'
    #: It was there, and counts as used now.
    RENEWED = 'renewed'


@dataclasses.dataclass(frozen=True, slots=True)
class CopyResult:
    """What became of a copy, and why.

    :param seconds: that it took, 0 if nothing was fetched
    """

    copy: PlannedCopy
    outcome: FetchOutcome
    reason: str = ''
    seconds: float = 0.0

    def line(self) -> bytes:
        """Return it for ``--results``, with the time: JSON in one line."""
        return (json.dumps({
            'time': datetime.datetime.now(datetime.UTC).isoformat(
                timespec='seconds'),
            'host': self.copy.host, 'image': self.copy.image_id,
            'zone': self.copy.zone, 'bytes': self.copy.size,
            'outcome': self.outcome.value, 'reason': self.reason,
            'seconds': round(self.seconds, 1)}) + '\n').encode()
