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

"""How the findings of the checks are shown."""

from collections.abc import Iterator
from collections.abc import Sequence
import itertools
import json
import textwrap

from cache_aware_sched.checks.check import CheckFinding
from cache_aware_sched.checks.check import Level

#: As many characters wide, so that they line up, and ASCII for every console.
_MARKS = {Level.OK: '[ok]', Level.SKIPPED: '[--]', Level.WARN: '[!!]',
          Level.FAIL: '[XX]'}
_MUTED = '[~~]'
_WIDTH = 78


def text(findings: Sequence[CheckFinding], short: bool) -> Iterator[str]:
    """Return the lines, grouped.

    :param short: whether to leave out what is well, and why it matters
    """
    shown = [one for one in findings if not short or one.counts]
    for group, members in itertools.groupby(
            shown, key=lambda one: one.check.group):
        if not short:
            yield group
            yield '-' * len(group)
        for finding in members:
            yield _line(finding)
            if finding.counts and not short:
                yield from _under(finding)
        if not short:
            yield ''
    yield totals(findings)


def _line(finding: CheckFinding) -> str:
    mark = _MUTED if finding.muted else _MARKS[finding.outcome.level]
    until = f' (muted until {finding.muted} UTC)' if finding.muted else ''
    return (f'{mark} {finding.check.code} {finding.check.title}: '
            f'{finding.outcome.text}{until}')


def _under(finding: CheckFinding) -> Iterator[str]:
    for label, words in (('why', finding.check.why),
                         ('mend', finding.outcome.mend),
                         ('see', finding.check.link)):
        yield from textwrap.wrap(
            words, _WIDTH, initial_indent=f'       {label:5}',
            subsequent_indent=' ' * 12, break_long_words=False,
            break_on_hyphens=False)


def totals(findings: Sequence[CheckFinding]) -> str:
    """Return how many checks ended how, in one line."""
    counts = {level: sum(one.outcome.level is level and not one.muted
                         for one in findings) for level in Level}
    muted = sum(bool(one.muted) for one in findings)
    return (f'{counts[Level.OK]} ok, {counts[Level.WARN]} to look at, '
            f'{counts[Level.FAIL]} failed, {muted} muted, '
            f'{counts[Level.SKIPPED]} not looked at')


def as_json(findings: Sequence[CheckFinding]) -> str:
    """Return everything, for programs."""
    return json.dumps([{
        'code': one.check.code, 'group': one.check.group,
        'title': one.check.title, 'level': one.outcome.level.name.lower(),
        'text': one.outcome.text, 'why': one.check.why,
        'mend': one.outcome.mend, 'see': one.check.link,
        'muted_until': one.muted or None} for one in findings], indent=2)
