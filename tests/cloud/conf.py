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

"""Configuration files as dictionaries, so that a scenario can change any.

A value is a string, a number or a boolean, a list for an option that may be
given more than once, or None to leave the option out.
"""

from collections.abc import Mapping
import pathlib

from oslo_config import iniparser

Value = str | int | float | bool | list[str] | None
Section = Mapping[str, Value]
#: Sections by their names, with options by their names.
Conf = Mapping[str, Section]


def merge(*confs: Conf) -> dict[str, dict[str, Value]]:
    """Return one of several; of two that say the same the later one counts."""
    merged: dict[str, dict[str, Value]] = {}
    for conf in confs:
        for section, options in conf.items():
            merged.setdefault(section, {}).update(options)
    return merged


def render(conf: Conf) -> str:
    """Return the text of a file."""
    lines: list[str] = []
    for section, options in conf.items():
        lines.append(f'[{section}]')
        for name, value in options.items():
            values = value if isinstance(value, list) else [value]
            lines += [f'{name} = {_text(one)}' for one in values
                      if one is not None]
        lines.append('')
    return '\n'.join(lines)


class _Reader(iniparser.BaseParser):
    """Reads a file as oslo.config does."""

    def __init__(self) -> None:
        self.conf: dict[str, dict[str, Value]] = {}
        self._section = ''

    def new_section(self, section: str) -> None:
        self._section = section
        self.conf.setdefault(section, {})

    def assignment(self, key: str, value: list[str]) -> None:
        options = self.conf[self._section]
        # The lines of one value.
        text = ''.join(value)
        if key not in options:
            options[key] = text
            return
        before = options[key]
        options[key] = [*(before if isinstance(before, list) else
                          [str(before)]), text]


def read(path: pathlib.Path) -> dict[str, dict[str, Value]]:
    """Return what a file has in it."""
    reader = _Reader()
    with path.open() as lines:
        reader.parse(lines)
    return reader.conf


def write(path: pathlib.Path, conf: Conf) -> bool:
    """Write a file; return whether that changed it."""
    text = render(conf)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() == text:
        return False
    # It has passwords in it.
    path.touch(mode=0o600)
    path.write_text(text)
    return True


def _text(value: str | int | float | bool | None) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
