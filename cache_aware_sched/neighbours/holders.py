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

"""Asks the conductor which hosts report an image."""

import threading
import time
from typing import Any

from nova import context as nova_context
from nova import objects
from nova import servicegroup

from cache_aware_sched.neighbours.sources import Source
from cache_aware_sched import report

#: Rows of compute nodes in an answer of the conductor. One takes 5 to 70 KB,
#: most of it the report and the NUMA topology.
PAGE_NODES = 50

#: Rows that are read in all. Judgement: twice the largest cell that is usual;
#: of a larger one these are hosts enough.
MAX_NODES = 2_000

#: Seconds for which an answer is used. Reports are as old, and each host asks
#: so often at most while it waits.
FRESH_SECONDS = 30.0

_BINARY = 'nova-compute'


class Holders:
    """Which hosts of the cell report an image, remembered for a moment.

    Only for a host whose fetch has failed: a question reads the reports of the
    whole cell. Threads that ask at a time wait for one answer.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, list[Source]]] = {}

    def of(self, sha1: str) -> list[Source]:
        """Return the hosts that are up and report the complete image.

        :param sha1: of the image id, as the base file is named
        :raises Exception: if the conductor does not tell
        """
        with self._lock:
            now = time.monotonic()
            self._known = {
                known: answer for known, answer in self._known.items()
                if now - answer[0] < FRESH_SECONDS}
            if sha1 not in self._known:
                self._known[sha1] = time.monotonic(), _ask(sha1)
            return self._known[sha1][1]


def address_of(host: str) -> Source | None:
    """Return a host of the cell, whatever it reports; None if there is none.

    :raises Exception: if the conductor does not tell
    """
    nodes = objects.ComputeNodeList.get_all_by_host(
        nova_context.get_admin_context(), host)
    return next((Source(str(node.host), str(node.host_ip))
                 for node in nodes if node.host_ip), None)


def reporting(context: nova_context.RequestContext) -> list[Source]:
    """Return the hosts that are up and report, whatever they hold.

    :raises Exception: if the conductor does not tell
    """
    return _up(context, [
        Source(str(node.host), str(node.host_ip)) for node in _nodes(context)
        if node.host_ip and report.STATS_KEY in (node.stats or {})])


def _ask(sha1: str) -> list[Source]:
    context = nova_context.get_admin_context()
    return _up(context, [
        source for node in _nodes(context)
        if (source := _source(node, sha1)) is not None])


def _up(context: nova_context.RequestContext,
        found: list[Source]) -> list[Source]:
    """Return the hosts whose nova-compute is up, disabled or not."""
    if not found:
        return []
    group = servicegroup.API()
    up = {service.host for service in objects.ServiceList.get_by_binary(
        context, _BINARY, include_disabled=True)
        if group.service_is_up(service)}
    return [source for source in found if source.host in up]


def _nodes(context: nova_context.RequestContext) -> Any:
    """Return the compute nodes of the cell, a page at a time."""
    marker = None
    for _page in range(0, MAX_NODES, PAGE_NODES):
        page = objects.ComputeNodeList.get_by_pagination(
            context, limit=PAGE_NODES, marker=marker)
        yield from page
        if len(page) < PAGE_NODES:
            return
        marker = page[-1].id


def _source(node: Any, sha1: str) -> Source | None:
    """Return a compute node if it reports the complete image."""
    text = (node.stats or {}).get(report.STATS_KEY)
    if text is None or not node.host or not node.host_ip:
        return None
    try:
        found = report.Report(text).look_up(report.sha1_key(sha1))
    except report.UnreadableReport:
        return None
    if found.holding < report.Holding.WARM:
        return None
    return Source(str(node.host), str(node.host_ip),
                  report.size_code(found.size))
