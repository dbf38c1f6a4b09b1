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

"""What a check is, and what comes of it. No nova."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import enum

from cache_aware_sched.checks.state import CloudState
from cache_aware_sched.checks.state import SchedulerConf
from cache_aware_sched.checks.state import SetUp

#: The page with an anchor for each code, as the documentation is built.
PAGE = 'admin/checks.html'

#: Names that a line has, with the rest counted.
_LISTED = 5


class Level(enum.IntEnum):
    """How a check ended; the worst is the largest."""

    OK = 0
    #: It could not be looked at, or does not apply.
    SKIPPED = 1
    WARN = 2
    FAIL = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a check has found.

    :param text: in one line
    :param mend: the command or the lines that mend it
    """

    level: Level
    text: str
    mend: str = ''


def ok(text: str) -> Outcome:
    """Return that all is well."""
    return Outcome(Level.OK, text)


def skipped(text: str) -> Outcome:
    """Return that it could not be looked at, or does not apply."""
    return Outcome(Level.SKIPPED, text)


def warn(text: str, mend: str) -> Outcome:
    """Return something that an operator ought to know."""
    return Outcome(Level.WARN, text, mend)


def fail(text: str, mend: str) -> Outcome:
    """Return something that keeps the package from working."""
    return Outcome(Level.FAIL, text, mend)


@dataclasses.dataclass(frozen=True, slots=True)
class SetUpCheck:
    """One check.

    :param code: which is never used again, whatever becomes of the check
    :param group: that it is shown in
    :param title: what is the case if all is well
    :param why: it matters
    :param look: looks at what was gathered; None if it was not
    """

    code: str
    group: str
    title: str
    why: str
    look: Callable[[SetUp], Outcome | None]

    @property
    def link(self) -> str:
        """Where the documentation says more."""
        return f'{PAGE}#{self.code.lower()}'


def scheduler_check(
    code: str, title: str, why: str,
    look: Callable[[SchedulerConf, SetUp], Outcome | None],
) -> SetUpCheck:
    """Return a check that looks at the nova.conf of nova-scheduler."""
    def guarded(set_up: SetUp) -> Outcome | None:
        if set_up.scheduler is None:
            return skipped('no nova.conf of nova-scheduler was given')
        return look(set_up.scheduler, set_up)

    return SetUpCheck(code, 'nova-scheduler', title, why, guarded)


def cloud_check(
    code: str, group: str, title: str, why: str,
    look: Callable[[CloudState, SetUp], Outcome | None],
) -> SetUpCheck:
    """Return a check that looks at what nova's databases have."""
    def guarded(set_up: SetUp) -> Outcome | None:
        if set_up.cloud is None:
            return skipped("nova's databases were not read")
        return look(set_up.cloud, set_up)

    return SetUpCheck(code, group, title, why, guarded)


@dataclasses.dataclass(frozen=True, slots=True)
class CheckFinding:
    """A check and what it has found.

    :param muted: until when it is muted; '' if it is not
    """

    check: SetUpCheck
    outcome: Outcome
    muted: str = ''

    @property
    def counts(self) -> bool:
        """Whether it needs attention."""
        return self.outcome.level >= Level.WARN and not self.muted


def run(checks: Sequence[SetUpCheck], set_up: SetUp) -> list[CheckFinding]:
    """Return what all checks find.

    A check that raises is a mistake of ours, which must not hide the others.
    """
    found = []
    for check in checks:
        try:
            outcome = check.look(set_up)
        except Exception as error:
            outcome = warn(f'the check itself failed: {error!r}',
                           'Report this as a bug of cache-aware-sched.')
        found.append(CheckFinding(check, outcome or skipped('not looked at')))
    return found


def listed(names: Sequence[str]) -> str:
    """Return some names, and how many more there are."""
    more = len(names) - _LISTED
    return ', '.join(names[:_LISTED]) + (
        f' and {more:,} more' if more > 0 else '')
