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

"""What the candidates of a request say about an image."""

import functools
from typing import Any
from typing import NamedTuple

from oslo_log import log as logging

from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.report import Holding

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)

#: MB/s that no fetch exceeds: 16 Gbit/s, and conversion besides. Judgement. A
#: host that reports more must not make images look worthless.
MAX_RATE = 2048

#: Images of which it is kept what a host said. Beyond it all are forgotten.
MAX_KEPT_IMAGES = 32


class Answer(NamedTuple):
    """What one host reports, of an image and of itself.

    :param holding: whether it holds the image
    :param users: servers of the image on the host, here or on their way; None
        if it does not say
    :param size: of the image in bytes; 0 if it does not say
    :param servers: on the host when the report was made, -1 if it does not say
    :param rate: of its fetches in MB/s, 0 if nothing is known
    :param caches: whether it keeps images
    """

    holding: Holding
    users: int | None
    size: int
    servers: int
    rate: int
    caches: bool

    @property
    def readable(self) -> bool:
        """Return whether the host has a report that can be read."""
        return self is not UNREADABLE


UNREADABLE = Answer(Holding.UNKNOWN, None, 0, -1, 0, False)

#: Most hosts say the same, and what is in few places is read faster.
_shared = functools.lru_cache(maxsize=4096)(Answer)


class _Kept:
    """What a host has said, and where in its report.

    :ivar head: the header of the report
    :ivar length: of the report
    :ivar said: where an image was looked up, the characters there, and what
        they say
    """

    __slots__ = ('head', 'length', 'said')

    def __init__(self, head: str, length: int) -> None:
        self.head = head
        self.length = length
        self.said: dict[tuple[str, int], tuple[int, str, Answer]] = {}


class Reports:
    """Looks images up in the reports of hosts.

    Between two requests few reports change. So what was read of an image is
    kept with its characters, and only those are compared.
    """

    def __init__(self) -> None:
        # By node. The older ones were not asked for since the last sweep.
        self._kept: dict[str, _Kept] = {}
        self._older: dict[str, _Kept] = {}

    def answer(self, host: Any, wanted: tuple[str, int]) -> Answer:
        """Return what a HostState's report says of an image; never raises.

        :param wanted: from :func:`wanted`
        """
        try:
            text = host.stats[report.STATS_KEY]
            kept = self._kept.get(host.nodename)
            if (kept is not None and len(text) == kept.length
                    and text.startswith(kept.head)):
                said = kept.said.get(wanted)
                if said is not None and text.startswith(said[1], said[0]):
                    return said[2]
            return self._read(host.nodename, text, wanted)
        except Exception as error:
            _note_unread(host, error)
            return UNREADABLE

    def _read(self, node: str, text: object,
              wanted: tuple[str, int]) -> Answer:
        found = report.Report(text)
        answer = _answer(found, wanted)
        kept = self._kept.get(node) or self._older.get(node)
        if (kept is None or kept.head != found.head
                or kept.length != len(str(text))):
            kept = _Kept(found.head, len(str(text)))
        self._kept[node] = kept
        if len(kept.said) >= MAX_KEPT_IMAGES:
            kept.said.clear()
        kept.said[wanted] = *found.around(wanted[0]), answer
        return answer

    def sweep(self) -> None:
        """Forget the hosts that were not asked for since the last time."""
        self._older, self._kept = self._kept, {}


def _answer(found: report.Report, wanted: tuple[str, int]) -> Answer:
    """Return what a report says of an image."""
    header, said = found.header, found.look_up(*wanted)
    # A host that keeps no images holds none, whatever it lists. The first
    # releases counted the users of files only, and not who is coming.
    return _shared(
        said.holding if header.caches else Holding.COLD,
        said.users if header.servers >= 0 else None, said.size,
        header.servers, min(header.rate, MAX_RATE), header.caches)


@functools.lru_cache(maxsize=4096)
def wanted(image: str, disk_gb: int) -> tuple[str, int]:
    """Return what an image and the disk made of it are looked up by."""
    return (report.image_key(image),
            report.size_code(disk_gb << 30) if disk_gb else -1)


def _note_unread(host: Any, error: Exception) -> None:
    """Say why a host has no report that can be read."""
    # A HostState has no stats before its first update.
    stats = getattr(host, 'stats', None)
    if not isinstance(stats, dict) or stats.get(report.STATS_KEY) is None:
        # Not a warning: a cloud may have hosts with other drivers.
        _ONCE.info(
            (host.host, 'absent'),
            'Host %(host)s does not report its image cache. What it holds '
            'counts as unknown. This is logged once for the host.',
            {'host': host.host})
        return
    _ONCE.warning(
        (host.host, str(error)),
        'The image cache report of host %(host)s cannot be read: %(error)s. '
        'What it holds counts as unknown. Check that its cache_aware_sched is '
        'not newer than the scheduler\'s. This is logged once for the host '
        'and cause.', {'host': host.host, 'error': error})
