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

from collections.abc import Sequence
import functools
from typing import Any
from typing import NamedTuple

from oslo_log import log as logging

from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched.scheduler import node_caches

LOG = logging.getLogger(__name__)

#: MB/s that no fetch exceeds: 16 Gbit/s, and conversion besides. Judgement. A
#: host that reports more must not make images look worthless.
MAX_RATE = 2048


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


class _Said:
    """What a host has said of an image, and where in its report.

    :ivar length: of the report
    :ivar head: its header
    :ivar at: where the image was looked up
    :ivar chars: the characters there
    :ivar answer: what they say
    """

    __slots__ = ('answer', 'at', 'chars', 'head', 'length')

    def __init__(self, found: report.Report, length: int, key: str,
                 answer: Answer) -> None:
        self.length = length
        self.head = found.head
        self.at, self.chars = found.around(key)
        self.answer = answer


class Reports:
    """Looks images up in the reports of hosts.

    Between two requests few reports change. So what was read of an image is
    kept with its characters, and only those are compared.
    """

    def __init__(self) -> None:
        self._said: node_caches.NodeCaches[tuple[str, int], _Said] = (
            node_caches.NodeCaches())

    def answers(self, hosts: Sequence[Any], wanted: tuple[str, int]
                ) -> list[Answer]:
        """Return what the reports of HostStates say of an image.

        Never raises.

        :param wanted: from :func:`wanted`
        """
        kept = self._said.of(wanted)
        found = []
        # Without a call for each: there are thousands.
        for host in hosts:
            try:
                text = host.stats[report.STATS_KEY]
                said = kept.get(host.nodename) or kept.older(host.nodename)
                if (said and len(text) == said.length
                        and text.startswith(said.head)
                        and text.startswith(said.chars, said.at)):
                    found.append(said.answer)
                    continue
            except (AttributeError, KeyError, TypeError):
                pass  # this is no report
            found.append(_read(host, kept, wanted))
        return found

    def sweep(self, now: float) -> None:
        """Forget nodes that were not asked for; see :mod:`.node_caches`."""
        self._said.sweep(now)


def _read(host: Any, kept: node_caches.NodeCache[_Said],
          wanted: tuple[str, int]) -> Answer:
    """Return what a report says, and keep it."""
    try:
        text = host.stats[report.STATS_KEY]
        found = report.Report(text)
        answer = _answer(found, wanted)
        kept[host.nodename] = _Said(found, len(text), wanted[0], answer)
    except Exception as error:
        _note_unread(host, error)
        return UNREADABLE
    return answer


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
        once.info(
            LOG, (host.host, 'absent'),
            'Host %(host)s does not report its image cache. What it holds '
            'counts as unknown. This is logged once for the host.',
            {'host': host.host})
        return
    once.warning(
        LOG, (host.host, str(error)),
        'The image cache report of host %(host)s cannot be read: %(error)s. '
        'What it holds counts as unknown. Check that its cache_aware_sched is '
        'not newer than the scheduler\'s. This is logged once for the host '
        'and cause.', {'host': host.host, 'error': error})
