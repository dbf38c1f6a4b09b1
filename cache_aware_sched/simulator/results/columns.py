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

"""How the figures of a result are called and written, for people."""

from collections.abc import Callable
import dataclasses
import math
from typing import Any

from cache_aware_sched.simulator.results.result import TB


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A figure.

    :param name: what programs get
    :param short: title where there is little room
    :param title: with its unit, in lines
    :param meaning: a sentence
    :param text: how its value is written
    :param shown: whether people see it without asking for it
    """

    name: str
    short: str
    title: str
    meaning: str
    text: Callable[[Any], str]
    shown: bool = True


def significant(value: float, digits: int = 3) -> str:
    """Return a number with so many digits, and no more zeros than these."""
    if not value:
        return '0'
    after = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f'{value:,.{after}f}'


def _terabytes(value: float) -> str:
    return significant(value / TB)


def _count(value: float) -> str:
    return f'{value:,}'


def _percent(value: float) -> str:
    return f'{100 * value:.1f}'


def _seconds(value: float) -> str:
    return f'{value:,.1f}'


def _ratio(value: float) -> str:
    return f'{value:.3f}'


def _share(value: float) -> str:
    return f'{value:g}'


#: All figures of a result, by :meth:`.result.Result.columns`, in this order.
COLUMNS = (
    Column('policy', 'Policy', 'Policy',
           'What decides where servers go.', str),
    Column('cold_boots', 'Cold', 'Cold\nboots',
           'Servers for which the image had to be fetched.', _count),
    Column('cold_share', 'Cold %', 'Cold\n%',
           'The same, of all servers that were not refused.', _percent),
    Column('fetched_bytes', 'TB', 'Fetched\nTB',
           'Image data that all hosts fetched; 10**12 bytes.', _terabytes),
    Column('floor_bytes', 'Floor TB', 'Floor\nTB',
           "The least that had to be fetched: each image once for as many "
           "servers as the policy's cap lets one host run.", _terabytes),
    Column('wait_mean', 'Mean s', 'ACTIVE\nmean s',
           'Seconds from the request to ACTIVE.', _seconds),
    Column('wait_p50', 'p50 s', '\np50 s',
           'Half of the servers were ACTIVE within these seconds.', _seconds),
    Column('wait_p95', 'p95 s', '\np95 s',
           '95 % of the servers were ACTIVE within these seconds.', _seconds),
    Column('wait_p99', 'p99 s', '\np99 s',
           '99 % of the servers were ACTIVE within these seconds.', _seconds),
    Column('max_same_image', 'Image max', 'Same\nimage',
           'Most servers of one image on one host at any time.', _count),
    Column('max_same_image_project', 'Project max', 'in one\nproject',
           'The same for the servers of one project.', _count),
    Column('worst_host_share', 'Loss %', 'Worst\nhost, %',
           'Share of its servers that a project would lose with the one host '
           'that is worst for it; a mean.', _percent),
    Column('vcpu_imbalance', 'vCPU imb.', 'vCPU im-\nbalance',
           "Standard deviation / mean of the hosts' allocated vCPUs; a mean "
           'over time.', _ratio),
    Column('ram_imbalance', 'RAM imb.', 'RAM im-\nbalance',
           'The same for memory.', _ratio),
    Column('refused', 'Refused', '\nRefused',
           'Servers that no host was left for.', _count),
    Column('rescheduled', 'Resched.', 'Resched-\nuled',
           'Times that a host sent a server to another one because of the '
           'cap.', _count),
    Column('kind', 'Kind', 'Kind', 'Stock nova, this package, or the score of '
           'a peer.', str, shown=False),
    Column('multiplier', 'x', 'Multi-\nplier', 'The multiplier of the image '
           "cache's weight; 0 for stock nova.", _share, shown=False),
    Column('boots', 'Boots', 'Boots', 'Servers that were asked for.', _count,
           shown=False),
    Column('late_boots', 'Late', 'Late\nboots', 'Servers that waited for an '
           'image that was being fetched already.', _count, shown=False),
    Column('evicted', 'Evicted', 'Evicted', 'Images that left a cache.',
           _count, shown=False),
    Column('waiting_share', 'Wait %', 'Waited\n%',
           'Servers that waited for a fetch, whoever it was begun for; of '
           'those that were asked for after the warm-up.', _percent,
           shown=False),
    Column('settled_bytes', 'Later TB', 'Later\nTB',
           'Image data that all hosts fetched after the warm-up.', _terabytes,
           shown=False),
    Column('ahead_bytes', 'Ahead TB', 'Ahead\nTB',
           'The part of it that was fetched ahead of time.', _terabytes,
           shown=False),
    Column('public_waiting_share', 'Public wait %', 'Public\nwaited, %',
           'As the servers that waited, of those of public images.', _percent,
           shown=False),
    Column('public_wait_p50', 'Public p50 s', 'Public\np50 s',
           'Half of the servers of public images were ACTIVE within these '
           'seconds, of those that were asked for after the warm-up.',
           _seconds, shown=False),
    Column('public_wait_p95', 'Public p95 s', 'Public\np95 s',
           'The same for 95 % of them.', _seconds, shown=False),
    Column('worst_host_share_p95', 'Loss p95 %', 'Worst host\np95, %',
           'As the worst host, exceeded by one project in twenty.', _percent,
           shown=False),
    Column('seconds', 'Run s', 'Run\ns', 'Seconds that the simulation took.',
           _seconds, shown=False),
    Column('cap', 'Cap', 'Cap', 'The cap of servers of one image on a host '
           'that was in force; 0 for none.', _count, shown=False),
    Column('fetched_tb', 'Fetched TB', 'Fetched\nTB',
           'As fetched_bytes, in TB; 10**12 bytes.', significant,
           shown=False),
)

BY_NAME = {column.name: column for column in COLUMNS}
SHOWN = tuple(column.name for column in COLUMNS if column.shown)

#: What people see of pre-caching besides.
OF_PRECACHING = ('waiting_share', 'settled_bytes', 'ahead_bytes',
                 'public_waiting_share', 'public_wait_p50', 'public_wait_p95')

#: Beside what a policy fetched; only where stock nova is among the policies.
OF_STOCK = Column('of_stock', 'of stock', 'of stock,\n%',
                  'The same, of what stock nova fetched.', '{:.1f}'.format)
