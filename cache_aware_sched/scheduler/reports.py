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
import dataclasses
import statistics
from typing import Any

from oslo_log import log as logging

from cache_aware_sched import once
from cache_aware_sched import report
from cache_aware_sched.report import Holding
from cache_aware_sched import request as request_mod

LOG = logging.getLogger(__name__)
_ONCE = once.Once(LOG)


@dataclasses.dataclass(slots=True)
class Survey:
    """The candidates' reports, read for one image.

    :param holdings: in the order of the candidates
    :param reporting: how many have a report that could be read
    :param size: of the image in bytes as hosts that hold it say; 0 if none
    :param rate: median of the fetch rates, in bytes a second; 0 if none
    """

    holdings: list[Holding]
    reporting: int
    size: int
    rate: float


def survey(request: request_mod.Request,
           host_states: Sequence[Any]) -> Survey:
    """Look an image up in the reports of all candidates; never raises."""
    key = report.image_key(str(request.image))
    disk = report.size_code(request.disk_gb << 30) if request.disk_gb else -1
    holdings: list[Holding] = []
    rates: list[int] = []
    reporting = size = 0
    size_wanted = not request.image_size
    for host in host_states:
        try:
            found = report.Report(host.stats[report.STATS_KEY])
        except Exception as error:
            _note_unread(host, error)
            holdings.append(Holding.UNKNOWN)
            continue
        reporting += 1
        if found.header.rate:
            rates.append(found.header.rate)
        holding = found.holding(key, disk)
        if size_wanted and holding >= Holding.ARRIVING:
            size = max([size, *(
                file.size for file in found.files(key)
                if file.kind is report.Kind.COMPLETE)])
        holdings.append(holding)
    rate = statistics.median_low(rates) * 1e6 if rates else 0.0
    return Survey(holdings, reporting, size, rate)


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
