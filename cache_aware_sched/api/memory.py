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

"""Which images nova-api remembers, and for whom.

What was learnt later wins, however the requests of several processes overlap:
a record has the time at which Glance was *asked*, and what is forgotten the
time at which that was *answered*.
"""

import dataclasses

from cache_aware_sched.api import records
from cache_aware_sched.api import values as values_mod
from cache_aware_sched import image_ids

#: Of an image that nobody may boot any more.
_ALL = 'all'


@dataclasses.dataclass(frozen=True, slots=True)
class MemoryLimits:
    """How long something counts, in seconds.

    :param record: what Glance told
    :param question: a question to Glance may be under way for that long; then
        the answer was lost
    """

    record: float
    question: float


class RememberedImages:
    """Remembers images for those who were given them.

    :param values: where; hosts may share them
    :param host: of this nova-api; another one may reach Glance when this one
        does not
    """

    def __init__(self, values: values_mod.SignedValues,
                 limits: MemoryLimits, host: str) -> None:
        self._values = values
        self._limits = limits
        self._host = host

    def find(self, asker: records.Asker, image_id: str,
             now: float) -> records.RememberedImage | None:
        """Return what may be told of an image, None for nothing.

        :param now: seconds since the epoch
        """
        gone = max(self._forgotten(_ALL, image_id, now),
                   *(self._forgotten(scope, image_id, now)
                     for scope in asker.scopes))
        found = []
        for scope in (*asker.scopes, records.EVERYONE):
            record = self._record(scope, image_id, now)
            if record is not None and record.asked_at > gone and (
                    scope != records.EVERYONE or record.asked_at
                    > self._forgotten(scope, image_id, now)):
                found.append(record)
        return max(found, key=lambda record: record.asked_at, default=None)

    def asks(self, asker: records.Asker, image_id: str, now: float) -> None:
        """Note that Glance is about to be asked, if anything is remembered.

        Glance may answer that the image is not for them. If this process ends
        before that is noted, nothing is told from memory until Glance was
        asked once more.
        """
        if self.find(asker, image_id, now) is not None:
            self._values.set(_key('asked', asker.scopes[0], image_id),
                             self._host, now)

    def has_lost_an_answer(self, asker: records.Asker, image_id: str,
                           now: float, down_since: float | None) -> bool:
        """Return whether Glance was asked, and nobody noted the answer.

        :param down_since: when Glance went down for this host; it has answered
            nothing here since. None if it is not down
        """
        return any(
            asked is not None and now - asked.at > self._limits.question
            and (down_since is None or asked.value != self._host
                 or asked.at < down_since)
            for asked in (
                self._values.get(_key('asked', scope, image_id),
                                 self._limits.record, now)
                for scope in asker.scopes))

    def is_silent(self, asker: records.Asker, image_id: str) -> None:
        """Note that Glance did not answer whether they may have the image."""
        for scope in asker.scopes:
            self._values.delete(_key('asked', scope, image_id))

    def remember(self, asker: records.Asker, image_id: str,
                 record: records.RememberedImage, now: float) -> None:
        """Note what Glance told somebody of an image."""
        if not record.is_of(image_id):
            return
        if record.is_gone:
            self._forget(_ALL, image_id, now)
        elif record.is_active:
            if record.visibility and not record.is_open:
                self._close(image_id, now)
            encoded = record.encode() if record.is_for(asker) else None
            if encoded is not None:
                self._values.set(
                    _key('record', record.scope(asker), image_id), encoded,
                    record.asked_at)
        self.is_silent(asker, image_id)

    def is_refused(self, asker: records.Asker, image_id: str, missing: bool,
                   now: float) -> None:
        """Note that Glance does not give somebody an image.

        :param missing: whether it says that there is none
        """
        known = self.find(asker, image_id, now)
        if known is None:
            self.is_silent(asker, image_id)
            return
        done = True
        if missing and (asker.is_admin
                        or known.image.get('owner') == asker.project):
            # They see every image that they have, or that there is.
            done = self._forget(_ALL, image_id, now)
        for scope in asker.scopes:
            done = self._forget(scope, image_id, now) and done
        if missing:
            done = self._close(image_id, now) and done
        if done:
            self.is_silent(asker, image_id)

    def is_gone(self, image_id: str, now: float) -> None:
        """Note that nobody may boot an image any more."""
        self._forget(_ALL, image_id, now)

    def is_closed(self, image_id: str, now: float) -> None:
        """Note that an image is not, or no more, for everybody."""
        self._close(image_id, now)

    def _close(self, image_id: str, now: float) -> bool:
        """Forget what everybody may be told of an image, if there is any."""
        if self._record(records.EVERYONE, image_id, now) is None:
            return True
        return self._forget(records.EVERYONE, image_id, now)

    def _record(self, scope: str, image_id: str,
                now: float) -> records.RememberedImage | None:
        signed = self._values.get(
            _key('record', scope, image_id), self._limits.record, now)
        if signed is None:
            return None
        record = records.decode(signed.value, signed.at)
        return record if record and record.is_of(image_id) else None

    def _forget(self, scope: str, image_id: str, now: float) -> bool:
        # A server may drop the small note before the large record, and the
        # record may be of a host whose clock is ahead.
        self._values.delete(_key('record', scope, image_id))
        return self._values.set(_key('forgotten', scope, image_id), 1, now)

    def _forgotten(self, scope: str, image_id: str, now: float) -> float:
        """Return when something was forgotten, 0 if it was not."""
        signed = self._values.get(
            _key('forgotten', scope, image_id), self._limits.record, now)
        return 0.0 if signed is None else signed.at


def _key(kind: str, scope: str, image_id: str) -> str:
    return f'{kind} {image_ids.canonical(image_id)} {scope}'
