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

"""What a scenario is.

A module below :mod:`tests.cloud.scenarios` has functions like::

    @scenario.scenario(computes=2)
    def second_boot(cloud: scenario.Cloud, facts: scenario.Facts) -> None:
        \"""The second server of an image goes where the first one is.\"""
        ...
        assert host == first, f'{host}, not {first}'
        facts['second boot'] = f'{seconds:.1f} s'

Each finds the cloud as it came up: no servers, aggregates and images, and all
services with their usual configuration. Servers are only placed on the kinds
of hosts that it asks for. What it changes through
:class:`~tests.cloud.cloud.Cloud` and its members is undone after it.
"""

from collections.abc import Callable
import dataclasses

from tests.cloud.cloud import Cloud

#: What was measured, by what it is called in the table.
Facts = dict[str, object]
Function = Callable[[Cloud, Facts], None]

__all__ = ['REGISTRY', 'Cloud', 'Facts', 'Scenario', 'scenario']


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario, and what it needs at least.

    :param order: smaller ones are played first
    :param computes: hosts with libvirt
    :param fakes: hosts that pretend
    """

    name: str
    function: Function
    order: int = 100
    computes: int = 0
    fakes: int = 0
    schedulers: int = 1

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or self.name).strip().split('\n')[0]


#: By their names.
REGISTRY: dict[str, Scenario] = {}


def scenario(*, name: str | None = None, order: int = 100, computes: int = 0,
             fakes: int = 0, schedulers: int = 1
             ) -> Callable[[Function], Function]:
    """Register a function as a scenario, by default under its own name."""
    def register(function: Function) -> Function:
        key = name or function.__name__.replace('_', '-')
        assert key not in REGISTRY, f'two scenarios are called {key}'
        REGISTRY[key] = Scenario(
            name=key, function=function, order=order, computes=computes,
            fakes=fakes, schedulers=schedulers)
        return function

    return register
