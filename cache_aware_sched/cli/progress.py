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

"""Bars that show how far a simulation is."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
from typing import TextIO

from rich.console import Console
from rich import progress as bars_mod

from cache_aware_sched.simulator.parallel import Progress
from cache_aware_sched.simulator.policy import Policy


@contextlib.contextmanager
def shown(stream: TextIO, policies: Sequence[Policy],
          boots: int) -> Iterator[Progress]:
    """Show a bar for each policy that is simulated, and one for all of them.

    They are gone when the block ends.

    :param boots: of each policy
    :returns: what to call with the number of a policy and its boots so far
    """
    with bars_mod.Progress(
            bars_mod.TextColumn('{task.description}', markup=False),
            bars_mod.BarColumn(), bars_mod.TaskProgressColumn(),
            bars_mod.TimeRemainingColumn(),
            bars_mod.TextColumn('left'),
            console=Console(file=stream), transient=True) as bars:
        yield _teller(bars, policies, boots)


def _teller(bars: bars_mod.Progress, policies: Sequence[Policy],
            boots: int) -> Progress:
    total = bars.add_task('all policies', total=boots * len(policies))
    tasks: dict[int, bars_mod.TaskID] = {}
    done = [0] * len(policies)

    def tell(number: int, so_far: int) -> None:
        if number not in tasks:
            tasks[number] = bars.add_task(policies[number].name, total=boots)
        done[number] = so_far
        bars.update(tasks[number], completed=so_far, visible=so_far < boots)
        bars.update(total, completed=sum(done))

    return tell
