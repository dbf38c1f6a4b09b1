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

"""Carries plans out for ``cache-aware-sched precache``, and shows how far."""

import collections
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import importlib.util
from typing import Any

from cache_aware_sched.cli import fleet_access
from cache_aware_sched.precache import coordination
from cache_aware_sched.precache.results import CopyResult
from cache_aware_sched.precache.results import FetchOutcome
from cache_aware_sched.precache import watching

_Ask = Callable[[Any], Any]

#: Outcomes that a summary has only if there are any.
_RARE = (FetchOutcome.BEGUN, FetchOutcome.RENEWED)


@contextlib.contextmanager
def fetcher(app: Any, how: Any) -> Iterator[tuple[coordination.Locks, _Ask]]:
    """Give the locks, and what asks a host to fetch.

    :param how: :class:`cache_aware_sched.precache.pace.FetchOptions`
    :raises RuntimeError: if one of them cannot be had
    """
    with fleet_access.nova():
        from cache_aware_sched.config import CONF
        from cache_aware_sched.precache import asking
        from cache_aware_sched import service_account
        try:
            asker = asking.HostAsker(how.timeout)
        except service_account.NoAccount as error:
            raise RuntimeError(
                f'{error}, with which hosts could fetch from Glance') from None
        except Exception as error:
            raise RuntimeError(
                f'hosts cannot be asked: {type(error).__name__}: {error}'
            ) from None
    try:
        with coordination.locks(
                CONF.cache_aware_sched.precache_coordination_url,
                CONF.state_path) as locks:
            yield locks, asker.ask
    except coordination.NotCoordinated as error:
        raise RuntimeError(f'no locks: {error}') from None


def carry_out(app: Any, acting: Any, plan: Any, how: tuple[Any, Any],
              locks: coordination.Locks, ask: _Ask,
              active: Callable[[], bool] = lambda: True) -> list[CopyResult]:
    """Have a plan carried out, and show how far it is.

    Ctrl-C starts nothing more, and does not wait for what was begun.

    :param how: :class:`cache_aware_sched.precache.pace.FetchOptions` and
        :class:`cache_aware_sched.precache.pace.PaceOptions`
    :returns: what became of each copy
    """
    results: list[CopyResult] = []
    with _shown(app, len(plan.all_copies)) as show:
        def tell(result: CopyResult) -> None:
            results.append(result)
            show(result)

        def waits(why: str) -> None:
            fleet_access.say(app, [f'Waiting: {why}.' if why else 'Going on.'])

        run = acting.run(plan, *how, locks, ask, tell, active, waits)
        try:
            run.run(plan.all_copies)
        except KeyboardInterrupt:
            fleet_access.say(app, [*(
                f'{one.copy.host} goes on to fetch image {one.copy.image_id}.'
                for one in results if one.outcome is FetchOutcome.BEGUN
                and not one.copy.renews),
                summary(results)])
            raise
    fleet_access.say(app, [summary(results)])
    return results


def summary(results: Sequence[CopyResult]) -> str:
    """Return what a run came to."""
    counts = collections.Counter(one.outcome for one in results)
    return ', '.join(
        f'{counts[outcome]:,} {outcome.value}' for outcome in FetchOutcome
        if counts[outcome] or outcome not in _RARE) + '.'


def row(result: CopyResult) -> list[str]:
    """Return a result as a row of a table."""
    return [result.copy.host, result.copy.image_id, result.copy.zone,
            result.outcome.value, result.reason]


def watch(app: Any, plan: Callable[[], Any],
          carry: Callable[[Any, Callable[[], bool]], Any],
          locks: coordination.Locks, often: watching.WatchOptions) -> int:
    """Plan and carry out until the process is ended.

    :returns: the exit status: 2 if the only round found its inputs wrong
    """
    from cache_aware_sched import nova_databases
    watch_ = watching.Watch(plan, carry, locks, often,
                            lambda line: fleet_access.say(app, [line]),
                            nova_databases.Unreadable)
    return 0 if watch_.run() else 2


@contextlib.contextmanager
def _shown(app: Any, total: int) -> Iterator[Callable[[CopyResult], None]]:
    """Show a bar on a terminal, and what fails as a line.

    :returns: what to call with each result
    """
    def say(result: CopyResult) -> None:
        if result.outcome is FetchOutcome.FAILED:
            what = 'renewed' if result.copy.renews else 'there'
            fleet_access.say(app, [
                f'{result.copy.host}: image {result.copy.image_id} is not '
                f'{what}: {result.reason}.'])

    if (not app.stderr.isatty() or not app.options.verbose_level
            or importlib.util.find_spec('rich') is None):
        yield say
        return
    from rich import console
    from rich import progress
    with progress.Progress(
            progress.TextColumn('{task.description}', markup=False),
            progress.BarColumn(), progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(), progress.TextColumn('left'),
            console=console.Console(file=app.stderr.raw), transient=True,
            ) as bars:
        task = bars.add_task('copies', total=total)

        def show(result: CopyResult) -> None:
            say(result)
            bars.advance(task)

        yield show
