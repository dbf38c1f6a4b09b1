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


"""Reads a trace: one line for each server that was asked for.

A CSV file in UTF-8, gzipped or not, with a header. The columns may be in any
order, and others are ignored:

arrival_s
    When the server was asked for, in seconds. The first is the start.
batch
    Number of what it was asked for together with.
vcpus, ram_mb
    Of its flavor; MiB.
lifetime_s
    Seconds until it was deleted; empty if it was not before the trace ends.
image_id
    Optional. A uuid or any other name; empty if it is to be assigned.
image_size_gb
    Optional. GiB; one line with it is enough for all of the image, and two
    must agree. Empty if it is to be drawn.
project
    Optional. A uuid or any other name; empty if it is to be assigned.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import itertools
import math
import operator
import os

from cache_aware_sched.simulator.input.arrivals import Arrivals
from cache_aware_sched.simulator.input.chance import chance
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.input import trace_columns
from cache_aware_sched.simulator.input import trace_lines
from cache_aware_sched.simulator.input.trace_lines import BadTrace
from cache_aware_sched.simulator.workload import Boot
from cache_aware_sched.simulator.workload import GIB
from cache_aware_sched import wording

__all__ = ['BadTrace', 'read']

#: Arrivals are taken for bins if so many different ones are all multiples of
#: one number of seconds from MIN_BIN to MAX_BIN: by chance ten times in the
#: same second of a minute are one in 60 ** 9. What comes every night, or every
#: week, is asked for at that moment.
MIN_BINS = 10
MIN_BIN = 60
MAX_BIN = 3600


class _Sizes:
    """The sizes of the images that the lines give."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}
        self._lines: dict[str, int] = {}

    def add(self, line: int, image: str, size: int | None) -> None:
        if size is None:
            return
        if not image:
            raise BadTrace('there is a size, but no image_id', line,
                           'image_size_gb')
        known = self.bytes.setdefault(image, size)
        first = self._lines.setdefault(image, line)
        if known != size:
            raise BadTrace(
                f'{size / GIB:g}, but line {first} gives the same image '
                f'{known / GIB:g}', line, 'image_size_gb')


def _servers(lines: Iterator[tuple[int, list[str]]], sizes: _Sizes,
             names: dict[str, str]) -> Iterator[Boot]:
    number, columns = next(lines, (0, []))
    if not columns:
        raise BadTrace('the file is empty; a header is needed')
    header = trace_columns.Header(number, columns)
    for line, values in lines:
        at, batch, vcpus, ram_mb, lifetime = header.parse(
            line, values, header.required)
        image, project = '', ''
        if header.optional:
            more = dict(zip(
                (column.name for column in header.optional),
                header.parse(line, values, header.optional), strict=True))
            image, project = more.get('image_id', ''), more.get('project', '')
            sizes.add(line, image, more.get('image_size_gb'))
            if image:
                names[header.image_name(values)] = image
        yield Boot(at, batch, vcpus, ram_mb, lifetime, 0, image, project)


def found_bin(times: Iterable[float]) -> float:
    """Return the width of the bins that times are in, 0 if in none.

    :param times: seconds
    """
    milliseconds = sorted({round(1000 * time) for time in times})
    if len(milliseconds) < MIN_BINS:
        return 0
    width = math.gcd(*(
        later - earlier for earlier, later in itertools.pairwise(
            milliseconds))) / 1000
    return width if MIN_BIN <= width <= MAX_BIN else 0


def _spread(servers: Iterable[Boot], width: float, gap: float, seed: int,
            ) -> Iterator[Boot]:
    """Let each batch start at a random moment of its bin."""
    starts: dict[tuple[float, int], float] = {}
    for server in servers:
        key = (server.at, server.batch)
        if key not in starts:
            starts[key] = server.at + width * chance(
                seed, 'start', server.at, server.batch)
        yield server._replace(at=starts[key])
        starts[key] += gap


def read(path: str | os.PathLike[str], how: options.Trace, seed: int = 0,
         ) -> Arrivals:
    """Return the servers of a trace.

    :raises BadTrace: naming the line of the first value that is no good
    :raises OSError: if the file cannot be read
    """
    sizes = _Sizes()
    names: dict[str, str] = {}
    servers = sorted(_servers(trace_lines.rows(path), sizes, names),
                     key=operator.attrgetter('at'))
    if not servers:
        raise BadTrace('there is no server in the file')
    start = servers[0].at
    servers = [server._replace(at=server.at - start) for server in servers]
    width = how.bin_seconds
    if width is None:
        width = found_bin(server.at for server in servers)
    notes = [f'{wording.counted(len(servers), "server")} in the trace.']
    if width:
        servers = sorted(_spread(servers, width, how.gap_seconds, seed),
                         key=operator.attrgetter('at'))
        notes.append(f'The arrivals are in bins of {width:,g} s; each batch '
                     'starts at a random moment of its bin.')
    return Arrivals(servers, sizes.bytes, notes, names)
