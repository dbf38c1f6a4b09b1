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

"""Gives the metrics away: over HTTP, or once as a text."""

from collections.abc import Iterator
import signal
import threading
from typing import Any

import prometheus_client
from prometheus_client import exposition
from prometheus_client.metrics_core import Metric

from cache_aware_sched.exporter.exporting import Exporter


class CannotServe(Exception):
    """The metrics cannot be given away; the message says why."""


class _GaugesOnly:
    """What of a registry is as true in a process that ends at once."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        return (family for family in self._registry.collect()
                if family.type == 'gauge')


def text(exporter: Exporter, counters: bool = True) -> str:
    """Return the metrics, in the text format of Prometheus.

    :param counters: whether counters and histograms are wanted
    """
    return exposition.generate_latest(
        exporter.registry if counters else _GaugesOnly(
            exporter.registry)).decode()


def address(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    :raises CannotServe: if it is none
    """
    host, _colon, port = listen.rpartition(':')
    if not (host and port.isdecimal() and int(port) < 2 ** 16):
        raise CannotServe(f'--listen must be HOST:PORT, not {listen!r}')
    return host.strip('[]'), int(port)


def start(exporter: Exporter, listen: str) -> Any:
    """Answer in threads; return the server, with its ``server_address``.

    :raises CannotServe: if the address cannot be used
    """
    host, port = address(listen)
    try:
        server, _thread = prometheus_client.start_http_server(
            port, host, registry=exporter.registry)
    except OSError as error:
        raise CannotServe(f'{listen} cannot be listened on: '
                          f'{error.strerror or error}') from None
    return server


def wait_for_signal() -> None:
    """Return when the process is to end."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: over.set())
    over.wait()
