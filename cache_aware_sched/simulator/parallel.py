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

"""Runs policies side by side, each in a process of its own.

nova's configuration is one for a process, so a policy never sees what another
one set.
"""

from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import dataclasses
import logging
import multiprocessing
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
import signal
import traceback
import warnings

from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.results.result import Result
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator.workload import Workload

#: Seconds that a process has to end before it is killed.
_GRACE = 5.0

#: Called with the number of a policy and its boots that were asked for so far.
Progress = Callable[[int, int], None]


class PolicyFailed(Exception):
    """A policy could not be simulated; the message names it and says why."""


@dataclasses.dataclass(slots=True, eq=False)
class _Worker:
    number: int
    policy: Policy
    process: SpawnProcess


def run_all(
    workload: Workload, settings: Settings, policies: Sequence[Policy],
    seed: int = 0, workers: int = 1, progress: Progress | None = None,
) -> list[Result]:
    """Simulate a workload under several policies.

    :param workers: processes at a time
    :returns: in the order of the policies
    :raises PolicyFailed: for the first policy that fails; the others are ended
    :raises KeyboardInterrupt: on Ctrl-C, when all have been ended
    :raises ValueError: if there is to be no worker
    """
    if workers < 1:
        raise ValueError(f'workers is {workers}: at least 1 is wanted')
    waiting = list(enumerate(policies))[::-1]
    results: dict[int, Result] = {}
    jobs: dict[connection.Connection, _Worker] = {}
    try:
        while waiting or jobs:
            while waiting and len(jobs) < workers:
                number, policy = waiting.pop()
                # Those that wait are checked by the first one, so that what
                # is wrong with them is not told hours later.
                receiver, job = _start(
                    number, policy, policies[workers:] if not number else (),
                    (workload, settings, seed))
                jobs[receiver] = job
            for ready in connection.wait(list(jobs)):
                assert isinstance(ready, connection.Connection)
                done = _receive(ready, jobs[ready], results, progress)
                if done:
                    jobs.pop(ready).process.join()
                    ready.close()
    finally:
        _end([job.process for job in jobs.values()])
    return [results[number] for number in range(len(policies))]


def _start(number: int, policy: Policy, later: Sequence[Policy],
           about: tuple[Workload, Settings, int],
           ) -> tuple[connection.Connection, _Worker]:
    context = multiprocessing.get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_work, args=(sender, policy, later, *about), daemon=True,
        name=f'simulate {policy.name}')
    process.start()
    # Only the process has it open now, so its end can be told.
    sender.close()
    return receiver, _Worker(number, policy, process)


def _receive(receiver: connection.Connection, job: _Worker,
             results: dict[int, Result], progress: Progress | None) -> bool:
    """Take what a process says.

    :returns: whether it is done
    :raises PolicyFailed: if it has failed
    """
    try:
        message = receiver.recv()
    except EOFError:
        job.process.join()
        raise PolicyFailed(
            f'policy {job.policy.name!r}: its process ended with exit code '
            f'{job.process.exitcode}') from None
    if isinstance(message, Result):
        results[job.number] = message
        return True
    if isinstance(message, int):
        if progress:
            progress(job.number, message)
        return False
    raise PolicyFailed(str(message))


def _end(processes: Sequence[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_GRACE)
        if process.is_alive():
            process.kill()
            process.join()


def _work(sender: connection.Connection, policy: Policy,
          later: Sequence[Policy], workload: Workload, settings: Settings,
          seed: int) -> None:
    """Simulate a policy and send what comes of it; runs in the process.

    :param later: policies that are only checked
    """
    # Ctrl-C reaches all processes of a terminal; the first one ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Of libraries that nova imports; nobody can do anything about them here.
    warnings.simplefilter('ignore')
    logging.getLogger().setLevel(logging.WARNING)
    # Who started this may have gone.
    with contextlib.suppress(BrokenPipeError):
        sender.send(_outcome(
            sender, policy, later, workload, settings, seed))


def _outcome(sender: connection.Connection, policy: Policy,
             later: Sequence[Policy], workload: Workload, settings: Settings,
             seed: int) -> Result | str:
    """Return the result, or why there is none."""
    try:
        # Late: the process that starts this one needs no nova.
        from cache_aware_sched.simulator import engine
        from cache_aware_sched.simulator.real_nova import fragments
    except Exception:
        return f'policy {policy.name!r}: {traceback.format_exc()}'
    try:
        engine.check(settings, later)
        return engine.run(workload, settings, policy, seed, sender.send)
    except fragments.BadFragment as error:
        return str(error)
    except BrokenPipeError:
        raise
    except Exception:
        return f'policy {policy.name!r}: {traceback.format_exc()}'
