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

"""Functions in turn, so that a busy machine is busy for all of them."""

from collections.abc import Callable
import statistics
import time

Call = Callable[[], object]
#: Returns what is timed; what it does itself is not.
Prepare = Callable[[], Call]

#: Seconds between two rounds, for whoever shares the machine.
PAUSE = 0.005


def seconds(call: Call) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(prepares: list[Prepare], rounds: int, turn: int = 1
            ) -> list[list[float]]:
    """Time several calls in turn, ``rounds`` times.

    :param turn: how many of them come last next time that came first now
    :returns: the seconds of each call, round by round
    """
    times: list[list[float]] = [[] for _prepare in prepares]
    order = list(range(len(prepares)))
    for _round in range(rounds):
        for place in order:
            times[place].append(seconds(prepares[place]()))
        order = order[turn:] + order[:turn]
        time.sleep(PAUSE)
    return times


def median(call: Call, rounds: int, calls: int = 1) -> float:
    """Return the median of the seconds of a call.

    :param calls: made in a round, for calls that are shorter than the clock
    """
    def many() -> None:
        for _call in range(calls):
            call()

    [taken] = in_turn([lambda: many], rounds)
    return statistics.median(taken) / calls
