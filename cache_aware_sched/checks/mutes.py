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

"""Which checks an operator does not want to hear of, and for how long."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import re
import tempfile

from cache_aware_sched.checks.check import CheckFinding
from cache_aware_sched.checks.check import Level

_UNITS = {'m': 'minutes', 'h': 'hours', 'd': 'days', 'w': 'weeks'}

#: A mute is not for ever: what nobody looks at for a year is no mute.
LONGEST = datetime.timedelta(days=366)


class BadMutes(Exception):
    """The mutes cannot be read or written; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mute:
    """A mute of one check.

    :param until: UTC
    :param level: that was found when it was muted: a worse one is heard
    """

    until: datetime.datetime
    level: Level


def duration(text: str) -> datetime.timedelta:
    """Return how long ``7d``, ``12h``, ``30m`` or ``2w`` is.

    :raises ValueError: saying what is wanted
    """
    found = re.fullmatch(r'(\d{1,6})([mhdw])', text)
    length = found and datetime.timedelta(
        **{_UNITS[found[2]]: int(found[1])})
    if not length or length > LONGEST:
        raise ValueError(
            f'{text!r} is no duration like 30m, 12h, 7d or 2w, of a year at '
            'most')
    return length


def default_path() -> pathlib.Path:
    """Return where the mutes of a user are, by the XDG base directories."""
    home = os.environ.get('XDG_STATE_HOME') or os.path.expanduser(
        '~/.local/state')
    return pathlib.Path(home, 'cache-aware-sched', 'mutes.json')


class Mutes:
    """The mutes, in a file.

    :param path: of the file, which need not be there
    :raises BadMutes: if it cannot be read
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._known = dict(_read(path))

    def apply(self, findings: Iterable[CheckFinding],
              now: datetime.datetime) -> list[CheckFinding]:
        """Return the findings, with those marked that are muted.

        :param now: UTC
        """
        return [self._apply(finding, now) for finding in findings]

    def _apply(self, finding: CheckFinding,
               now: datetime.datetime) -> CheckFinding:
        mute = self._known.get(finding.check.code)
        if (mute is None or mute.until <= now
                or not Level.WARN <= finding.outcome.level <= mute.level):
            return finding
        return dataclasses.replace(
            finding, muted=f'{mute.until:%Y-%m-%d %H:%M}')

    def add(self, finding: CheckFinding, until: datetime.datetime) -> None:
        """Mute a check as it is, or less bad.

        :raises BadMutes: if that cannot be kept
        """
        self._known[finding.check.code] = Mute(
            until, max(finding.outcome.level, Level.WARN))
        self._write()

    def remove(self, code: str) -> None:
        """Hear of a check again.

        :raises BadMutes: if that cannot be kept
        """
        if self._known.pop(code, None) is not None:
            self._write()

    def _write(self) -> None:
        text = json.dumps({
            code: {'until': mute.until.isoformat(), 'level': mute.level.name}
            for code, mute in sorted(self._known.items())}, indent=2)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # In one step, so that no other call reads half of it.
            descriptor, name = tempfile.mkstemp(dir=self._path.parent)
            try:
                with open(descriptor, 'w', encoding='utf-8') as file:
                    file.write(f'{text}\n')
                os.replace(name, self._path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as error:
            raise BadMutes(
                f'the mutes cannot be written to {self._path}: '
                f'{error.strerror or error}; name another file: --mute-file'
            ) from None


def _read(path: pathlib.Path) -> Iterator[tuple[str, Mute]]:
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        for code, mute in found.items():
            until = datetime.datetime.fromisoformat(mute['until'])
            yield code, Mute(until.astimezone(datetime.UTC),
                             Level[mute['level']])
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadMutes(f'the mutes in {path} cannot be read: '
                       f'{error.strerror or error}') from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError,
            RecursionError):
        raise BadMutes(
            f'{path} is no file with mutes: remove it, or name another one: '
            '--mute-file') from None
