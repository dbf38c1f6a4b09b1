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

"""Searches the options that fetch least within limits.

The larger the multiplier, the more the image cache counts and the busier may a
host become because of it: less is fetched, and hosts are used more unevenly.
So the largest multiplier that keeps to the limits is looked for by halving,
with several runs at a time; the cap is what may be at most. Where servers are
sent on or refused because the scheduler forgets too early where it has placed
others, it is told to remember them for longer.
"""

import collections
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import re

from cache_aware_sched.option import Checked
from cache_aware_sched.option import required
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.results.result import Result

#: The multipliers that are tried: Renard numbers (ISO 3, R20) from 0.1 to 100,
#: 12 % from one to the next, and none at all.
_R20 = (1.0, 1.12, 1.25, 1.4, 1.6, 1.8, 2.0, 2.24, 2.5, 2.8, 3.15, 3.55, 4.0,
        4.5, 5.0, 5.6, 6.3, 7.1, 8.0, 9.0)
MULTIPLIERS = (
    0.0, *(round(decade * number, 4) for decade in (0.1, 1.0, 10.0)
           for number in _R20), 100.0)

#: A difference of this share of what stock nova fetches is not worth a run,
#: nor a larger multiplier.
NEGLIGIBLE = 0.01

#: Seconds for which the scheduler is told to remember its placements where it
#: forgets them too early. Until then each host has told what runs on it:
#: nova's update_resources_interval.
REMEMBER = 60

_SUBSET_SIZE, _RECENT = (
    re.compile(rf'^\s*{name}\s*[=:]\s*(\d+)', re.MULTILINE)
    for name in ('host_subset_size', 'recent_placement_seconds'))

#: Simulates policies; the results are in their order.
Run = Callable[[Sequence[Policy]], Sequence[Result]]


@dataclasses.dataclass(frozen=True, slots=True)
class SearchLimits(Checked):
    """What a cloud has to keep to."""

    max_imbalance: float = required(
        'With --suggest: the largest vCPU imbalance, as in the column '
        'vcpu_imbalance; look first what stock nova has.', above=0)
    max_same_image: int = required(
        'With --suggest: the most servers of one image on one host. It '
        'becomes the cap, max_same_image_instances_per_host.', 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """A multiplier, and what came of it.

    :param missed: the limits that were not kept to, and by how much
    """

    multiplier: float
    policy: Policy
    result: Result
    missed: tuple[str, ...]
    excess: float


@dataclasses.dataclass(frozen=True, slots=True)
class Suggestion:
    """What a search found.

    :param stock: what stock nova makes of it
    :param trials: by multiplier
    :param best: None if nothing keeps to the limits
    :param closest: to the limits; the best, if there is one
    """

    stock: Result
    trials: tuple[Trial, ...]
    best: Trial | None
    closest: Trial


def ours(base: Policy, multiplier: float, cap: int,
         remember: int = 0) -> Policy:
    """Return a policy with a multiplier and a cap besides its options.

    nova is told to take the best host if the policy lets it pick among
    several, which undoes the weigher.

    :param remember: recent_placement_seconds; 0 leaves them as they are
    """
    lines = ''
    if subset_size(base.fragment) > 1:
        lines += '[filter_scheduler]\nhost_subset_size = 1\n'
    lines += (f'[cache_aware_sched]\n'
              f'image_cache_weight_multiplier = {multiplier:g}\n'
              f'max_same_image_instances_per_host = {cap}\n')
    if remember:
        lines += f'recent_placement_seconds = {remember}\n'
    return dataclasses.replace(
        base, name=f'{base.family} x {multiplier:g}' + (
            f', {remember} s' if remember else ''),
        fragment=_with_lines(base.fragment, lines),
        own=_with_lines(base.own, lines))


def _with_lines(fragment: str, lines: str) -> str:
    end = '' if not fragment or fragment.endswith('\n') else '\n'
    return fragment + end + lines


def subset_size(fragment: str) -> int:
    """Return among how many hosts a fragment lets nova pick at random.

    :returns: 0 if it says nothing
    """
    return _last(_SUBSET_SIZE, fragment)


def _last(option: re.Pattern[str], fragment: str) -> int:
    """Return the value of an option; 0 if a fragment does not set it."""
    values = option.findall(fragment)
    return int(values[-1]) if values else 0


def judge(multiplier: float, policy: Policy, result: Result, stock: Result,
          limits: SearchLimits) -> Trial:
    """Return a trial with the limits that it does not keep to."""
    over = [
        (f'its vCPU imbalance is {result.vcpu_imbalance:.3f}',
         result.vcpu_imbalance / limits.max_imbalance - 1),
        (f'{result.max_same_image:,} servers of one image were on one host',
         result.max_same_image / limits.max_same_image - 1),
        (f'it refused {result.refused - stock.refused:,} servers more than '
         f'stock nova',
         (result.refused - stock.refused) / max(result.boots, 1)),
        ('it placed no server, so nothing is known of it',
         float(result.refused >= result.boots)),
    ]
    missed = [(text, excess) for text, excess in over if excess > 0]
    return Trial(multiplier, policy, result,
                 tuple(text for text, _excess in missed),
                 sum(excess for _text, excess in missed))


def search(run: Run, limits: SearchLimits, stock: Policy | None = None,
           base: Policy | None = None, workers: int = 1) -> Suggestion:
    """Search the multiplier with which least is fetched within the limits.

    What is looked at, and so what is found, does not depend on the workers.

    :param run: simulates as many policies as there are workers at a time
    :param stock: to compare with
    :param base: what the multipliers are added to
    :param workers: how many policies are worth simulating together
    """
    return _Search(
        run, limits, base or policy_mod.ours(), max(workers, 1)).search(
            stock or policy_mod.stock())


def _ahead(low: int, high: int, number: int) -> list[int]:
    """Return the indexes that halving may come to, the first one first.

    :param low: index below what is left
    :param high: index above it
    :param number: of indexes, if there are so many
    """
    indexes: list[int] = []
    spans = collections.deque([(low, high)])
    while spans and len(indexes) < number:
        low, high = spans.popleft()
        if high - low > 1:
            middle = (low + high) // 2
            indexes.append(middle)
            spans += [(low, middle), (middle, high)]
    return indexes


class _Search:
    """Halves what is left of MULTIPLIERS, one look at a time.

    Workers that would have nothing to do simulate what may be looked at next.
    What then is not looked at does not count: with another number of workers
    there would be no result of it.

    :ivar _results: of what was simulated, by its index in MULTIPLIERS and what
        is remembered
    :ivar _trials: of the indexes that were looked at
    :ivar _remember: recent_placement_seconds from now on; 0 as they are
    """

    def __init__(self, run: Run, limits: SearchLimits, base: Policy,
                 workers: int) -> None:
        self._run = run
        self._limits = limits
        self._base = base
        self._workers = workers
        self._results: dict[tuple[int, int], Result] = {}
        self._trials: dict[int, Trial] = {}
        self._remember = 0

    def search(self, stock: Policy) -> Suggestion:
        """Return what is found, by comparison with stock nova."""
        # The last index that keeps to the limits, and the first that does not.
        low, high = -1, len(MULTIPLIERS)
        self._stock = self._simulate(
            _ahead(low, high, max(self._workers - 1, 1)), [stock])[0]
        while high - low > 1 and self._worth_it(low, high):
            indexes = _ahead(low, high, self._workers)
            if self._look(*indexes).missed:
                high = indexes[0]
            else:
                low = indexes[0]
        return self._suggestion()

    def _policy(self, index: int) -> Policy:
        return ours(self._base, MULTIPLIERS[index],
                    self._limits.max_same_image, self._remember)

    def _simulate(self, indexes: Sequence[int],
                  others: Sequence[Policy] = ()) -> Sequence[Result]:
        """Simulate the policies of indexes; return the results of others."""
        results = self._run([*others, *map(self._policy, indexes)])
        self._results.update(zip(
            [(index, self._remember) for index in indexes],
            results[len(others):], strict=True))
        return results[:len(others)]

    def _look(self, index: int, *more: int) -> Trial:
        """Look at an index.

        :param more: that may be looked at next
        """
        trial = self._judged(index, *more)
        forgets = (trial.result.rescheduled
                   or trial.result.refused > self._stock.refused)
        if (forgets and not self._remember
                and _last(_RECENT, self._base.fragment) < REMEMBER):
            self._remember = REMEMBER
            longer = self._judged(index, *more)
            if ((longer.excess, longer.result.rescheduled)
                    < (trial.excess, trial.result.rescheduled)):
                trial = longer
            else:
                self._remember = 0
        self._trials[index] = trial
        return trial

    def _judged(self, *indexes: int) -> Trial:
        """Return what came of the first of some indexes."""
        known = indexes[0], self._remember
        if known not in self._results:
            self._simulate(indexes)
        return judge(
            MULTIPLIERS[indexes[0]], self._policy(indexes[0]),
            self._results[known], self._stock, self._limits)

    def _worth_it(self, low: int, high: int) -> bool:
        """Return whether what is left can fetch noticeably less."""
        below, above = self._trials.get(low), self._trials.get(high)
        return not below or not above or (
            below.result.fetched_bytes - above.result.fetched_bytes
            > self._negligible())

    def _negligible(self) -> float:
        return NEGLIGIBLE * self._stock.fetched_bytes

    def _suggestion(self) -> Suggestion:
        trials = tuple(self._trials[index] for index in sorted(self._trials))
        good = [trial for trial in trials if not trial.missed]
        best = None
        if good:
            least = min(trial.result.fetched_bytes for trial in good)
            # No larger multiplier than what it brings is worth.
            best = next(trial for trial in good
                        if trial.result.fetched_bytes
                        <= least + self._negligible())
        return Suggestion(
            self._stock, trials, best, best or min(
                trials, key=lambda trial: (trial.excess, trial.multiplier)))
