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


"""Arrivals that are made up, for whoever has neither trace nor history.

Batches come at random (Poisson) in a daily wave. How large they are, of which
flavor, and how long they live is drawn for each on its own.
"""

from collections.abc import Sequence
import itertools
import math
import statistics
import typing

from cache_aware_sched.option import BadOption
from cache_aware_sched.option import Name
from cache_aware_sched.simulator.input.arrivals import Arrivals
from cache_aware_sched.simulator.input.chance import chance
from cache_aware_sched.simulator.input.chance import inner
from cache_aware_sched.simulator.input.chance import weighted
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.workload import Boot

_NORMAL = statistics.NormalDist()
_HOUR = 3600.0
_DAY = 24 * _HOUR

#: Seconds between the servers of a batch; as a trace has them by default.
_GAP = 1.0

#: Halvings of an interval, until it is as narrow as floats are.
_HALVINGS = 60

#: The shortest and the longest median of lifetimes that is tried, in seconds.
_LIFETIMES = (1e-3, 1e12)


class _Draft(typing.NamedTuple):
    """A server before the lifetimes are scaled.

    :param spread: its lifetime as a multiple of the median
    """

    at: float
    batch: int
    vcpus: int
    ram_mb: int
    spread: float


def batch_size(value: float, tail: float, largest: int) -> int:
    """Return how many servers a batch has.

    :param value: a chance; the larger, the more servers
    :param tail: n or more servers are as likely as n ** -tail
    """
    # The logarithm first: the power alone may be beyond any float.
    if -math.log(1 - value) / tail >= math.log(largest):
        return largest
    return min(int((1 - value) ** (-1 / tail)), largest)


def when(value: float, how: options.Synthetic) -> float:
    """Return the seconds of a batch after the start.

    The rate is 1 + wave * cos(2 pi (t - peak) / day), of which this is the
    inverse of the distribution function, found by halving.

    :param value: a chance; the larger, the later
    """
    length = how.hours * _HOUR
    wanted = value * _asked_until(length, how)
    low, high = 0.0, length
    for _halving in range(_HALVINGS):
        middle = (low + high) / 2
        if _asked_until(middle, how) <= wanted:
            low = middle
        else:
            high = middle
    return low


def _asked_until(time: float, how: options.Synthetic) -> float:
    """Return the integral of the rate from the start to a time."""
    turn, peak = 2 * math.pi / _DAY, how.peak_hour * _HOUR
    return time + how.daily_wave / turn * (
        math.sin(turn * (time - peak)) + math.sin(turn * peak))


def _batch_sizes(boots: int, how: options.Synthetic, seed: int) -> list[int]:
    """Return the sizes of batches that have so many servers together."""
    sizes = []
    left = boots
    for batch in itertools.count():
        size = min(left, batch_size(
            chance(seed, 'batch size', batch), how.batch_tail, how.max_batch))
        sizes.append(size)
        left -= size
        if not left:
            return sizes
    raise AssertionError('unreachable')


def _drafts(boots: int, how: options.Synthetic, seed: int) -> list[_Draft]:
    sizes = _batch_sizes(boots, how, seed)
    # That many independent times are what a Poisson process has, if it is
    # known how many it has.
    starts = sorted(when(chance(seed, 'start', batch), how)
                    for batch in range(len(sizes)))
    flavor_of = weighted([weight for *_flavor, weight in how.flavors])
    common = math.sqrt(how.lifetime_alike)
    own = math.sqrt(1 - how.lifetime_alike)
    drafts = []
    for batch, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        vcpus, ram_mb, _weight = how.flavors[
            flavor_of(chance(seed, 'flavor', batch))]
        shared = _normal(seed, 'lifetime of batch', batch)
        drafts += [_Draft(
            start + index * _GAP, batch, vcpus, ram_mb,
            math.exp(how.lifetime_sigma * (
                common * shared
                + own * _normal(seed, 'lifetime', batch, index))))
            for index in range(size)]
    return sorted(drafts)


def _normal(seed: int, *what: object) -> float:
    return _NORMAL.inv_cdf(inner(chance(seed, *what)))


def _vcpu_seconds(drafts: Sequence[_Draft], median: float,
                  length: float) -> float:
    """Return what the servers use within the length of the workload."""
    return math.fsum(
        draft.vcpus * min(draft.spread * median, max(length - draft.at, 0))
        for draft in drafts)


def _median_lifetime(drafts: Sequence[_Draft], how: options.Synthetic,
                     ) -> float:
    """Return the median lifetime with which the hosts are used as asked for.

    :raises BadOption: if they are not with any
    """
    length = how.hours * _HOUR
    wanted = how.used_share * how.hosts * how.host_vcpus * length
    low, high = map(math.log, _LIFETIMES)
    most = _vcpu_seconds(drafts, _LIFETIMES[1], length)
    if most < wanted:
        share = most / (how.hosts * how.host_vcpus * length)
        raise BadOption(
            '{} must be at most {:g} with {:,} servers for {:,} hosts: even '
            'if none of them were ever deleted, no more were used than that',
            Name('used_share'), math.floor(10000 * share) / 10000,
            len(drafts), how.hosts)
    for _halving in range(_HALVINGS):
        middle = (low + high) / 2
        if _vcpu_seconds(drafts, math.exp(middle), length) < wanted:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def make(how: options.Synthetic, boots: int = options.SYNTHETIC_BOOTS,
         seed: int = 0) -> Arrivals:
    """Return servers for hosts that are to be used as the options say.

    :param boots: how many servers
    :raises BadOption: if so few servers cannot use so much
    """
    drafts = _drafts(boots, how, seed)
    median = _median_lifetime(drafts, how)
    servers = [
        Boot(draft.at, draft.batch, draft.vcpus, draft.ram_mb,
             draft.spread * median)
        for draft in drafts]
    return Arrivals(servers, notes=[
        f'{len(servers):,} synthetic servers in {how.hours:,g} hours, whose '
        f'median lifetime is {_readable(median)}.'])


def _readable(seconds: float) -> str:
    for unit, name in ((_DAY, 'days'), (_HOUR, 'hours'), (60.0, 'minutes')):
        if seconds >= 2 * unit:
            return f'{seconds / unit:.1f} {name}'
    return f'{seconds:.0f} seconds'
