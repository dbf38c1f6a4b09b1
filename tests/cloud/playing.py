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

"""Playing scenarios one after the other, whatever becomes of each."""

from collections.abc import Sequence
import dataclasses
import datetime
import pathlib
import shutil
import time
import traceback

from tests.cloud import cloud as cloud_mod
from tests.cloud import scenario as scenario_mod

PASSED, FAILED, SKIPPED = 'passed', 'failed', 'skipped'


@dataclasses.dataclass(slots=True)
class Result:
    """What became of a scenario.

    :param why: it failed or was skipped
    """

    name: str
    outcome: str
    seconds: float = 0.0
    facts: scenario_mod.Facts = dataclasses.field(default_factory=dict)
    why: str = ''


def play(cloud: cloud_mod.Cloud,
         scenarios: Sequence[scenario_mod.Scenario]) -> list[Result]:
    """Play scenarios; return a result for each."""
    results: list[Result] = []
    broken = ''
    for one in scenarios:
        lacking = broken or _lacking(cloud, one)
        if lacking:
            results.append(Result(
                one.name, FAILED if broken else SKIPPED, why=lacking))
            continue
        cloud.say(f'{one.name}: {one.summary}')
        result = _play(cloud, one)
        results.append(result)
        cloud.say(f'{one.name}: {result.outcome} after '
                  f'{result.seconds:.1f} s')
        if result.outcome == FAILED:
            cloud.say(result.why)
        broken = _reset(cloud)
    if broken:
        cloud.say(broken)
        results[-1].outcome = FAILED
        results[-1].why = results[-1].why or broken
    return results


def _lacking(cloud: cloud_mod.Cloud, one: scenario_mod.Scenario) -> str:
    """Return what a scenario needs and the cloud has not, '' for nothing."""
    has = cloud.settings
    lacking = [f'{needed} {what}' for what, needed, there in (
        ('computes', one.computes, has.computes),
        ('fakes', one.fakes, has.fakes),
        ('schedulers', one.schedulers, has.schedulers)) if needed > there]
    return f'needs {", ".join(lacking)}' if lacking else ''


def _play(cloud: cloud_mod.Cloud, one: scenario_mod.Scenario) -> Result:
    result = Result(one.name, PASSED)
    start = time.monotonic()
    try:
        cloud.offer(computes=bool(one.computes), fakes=bool(one.fakes))
        one.function(cloud, result.facts)
    except Exception:
        result.outcome = FAILED
        result.why = traceback.format_exc()
    result.seconds = time.monotonic() - start
    return result


def _reset(cloud: cloud_mod.Cloud) -> str:
    """Have the cloud as it was; return why that is impossible, or ''."""
    try:
        cloud.reset()
    except Exception:
        return f'the cloud could not be reset:\n{traceback.format_exc()}'
    return ''


def collect(cloud: cloud_mod.Cloud, results: Sequence[Result],
            why: str = '') -> pathlib.Path:
    """Copy all that may tell what went wrong into one directory.

    :param why: the cloud itself failed
    """
    now = datetime.datetime.now().strftime('%Y%m%d-%H%M%S')
    target = cloud.tree.failures / now
    target.mkdir(parents=True)
    shutil.copytree(cloud.tree.logs, target / 'log', dirs_exist_ok=True)
    run = cloud.settings.run
    if cloud.settings.etc.exists():
        shutil.copytree(cloud.settings.etc, target / 'etc')
    for pattern in ('hosts/*/log-libvirt/qemu/*.log',
                    'hosts/*/instances/*/console.log',
                    'hosts/*/instances/_base/*.info'):
        for path in run.glob(pattern):
            copy = target / path.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    (target / 'results.txt').write_text('\n'.join([why, *(
        f'{one.name}: {one.outcome}, {one.seconds:.1f} s, {one.facts}\n'
        f'{one.why}' for one in results)]))
    return target
