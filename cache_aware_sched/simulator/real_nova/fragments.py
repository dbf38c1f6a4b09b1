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

"""Reads fragments of nova.conf, as oslo.config reads all of it."""

from collections.abc import Mapping
import functools
import importlib.metadata
from typing import Any

from keystoneauth1 import loading as keystone
from nova.conf import opts as nova_opts
from oslo_config import cfg
from oslo_config import iniparser

from cache_aware_sched import conf
from cache_aware_sched import masking

#: An option by its group and name.
Key = tuple[str, str]

_DEFAULT = 'DEFAULT'


class BadFragment(ValueError):
    """A nova.conf fragment that cannot be used; the message says why."""


class _Parser(iniparser.BaseParser):
    """Reads the lines of a fragment as oslo.config reads nova.conf."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[Key, list[str]] = {}
        self._section: str | None = None

    def assignment(self, key: str, value: list[str]) -> None:
        """Keep a value; what is continued on further lines is one."""
        if self._section is None:
            raise BadFragment(f'line {self.lineno}: {key} is in no section')
        self.found.setdefault((self._section, key), []).append(
            '\n'.join(value))

    def new_section(self, section: str) -> None:
        """Go on in another section."""
        self._section = section


def read(fragment: str) -> dict[Key, Any]:
    """Return the options that a fragment sets, by their current names.

    Those of the libraries that nova uses, which its nova.conf has too, are
    left out: nothing that is simulated asks for them.

    :returns: a text, or a list of texts for an option that may come twice
    :raises BadFragment: naming the line or the option
    """
    known = _known()
    return {key: value for key, value in _read(fragment).items()
            if key in known}


def _read(fragment: str) -> dict[Key, Any]:
    """Return the options that a fragment sets, also those of libraries."""
    parser = _Parser()
    try:
        parser.parse(fragment.splitlines())
    except iniparser.ParseError as error:
        # Without the line, which may be a password.
        raise BadFragment(f'line {error.lineno}: {error.msg}') from None
    known = _known()
    options: dict[Key, Any] = {}
    for (group, name), values in parser.found.items():
        if (group, name) in known:
            key, option = known[group, name]
            options[key] = values if option.multi else values[-1]
        elif _of_library(group, name):
            options[group, name] = values[-1]
        else:
            raise BadFragment(f'[{group}] {name} is not an option of nova or '
                              f'of cache_aware_sched')
    return options


def listed(options: Mapping[Key, Any], key: Key) -> list[str]:
    """Return the value of an option that is a list, or else its default.

    :param options: as :func:`read` returns them
    :raises BadFragment: if its value is no list
    """
    option = _known()[key][1]
    value = options.get(key, option.default)
    try:
        return list(option.type(value) if isinstance(value, str) else value)
    except ValueError as error:
        raise BadFragment(f'[{key[0]}] {key[1]} = {value}: {error}') from None


def lines(options: Mapping[Key, Any]) -> dict[str, list[str]]:
    """Return the lines of nova.conf that set options, by their sections.

    :param options: as :func:`read` returns them; the values of lists may be
        lists too
    """
    found: dict[str, list[str]] = {}
    for (group, name), value in options.items():
        if not isinstance(value, list):
            # What begins with a space goes on with the line before.
            values = [value.replace('\n', '\n  ')]
        elif (group, name) in _known() and _known()[group, name][1].multi:
            values = value
        else:
            values = [','.join(value)]
        found.setdefault(group, []).extend(f'{name} = {one}' for one in values)
    return found


def shown(fragment: str) -> dict[Key, Any]:
    """Return what may be shown of the options that a fragment sets.

    It may be all of a cloud's nova.conf, which has the passwords of the
    database, the message queue and the service users. So the value is hidden
    of every option that nova has registered as secret, and of every option of
    a library: who knows which of theirs are.

    :raises BadFragment: as :func:`read`
    """
    known = _known()
    return {
        key: [_shown(known, key, one) for one in value]
        if isinstance(value, list) else _shown(known, key, value)
        for key, value in _read(fragment).items()}


def public(fragment: str) -> tuple[dict[Key, Any], int]:
    """Return the options of a fragment that hide nothing in :func:`shown`.

    :returns: these, and how many others there are
    :raises BadFragment: as :func:`read`
    """
    hidden = shown(fragment)
    every = _read(fragment)
    found = {key: value for key, value in every.items()
             if hidden[key] == value}
    return found, len(every) - len(found)


def hidden(key: Key, value: str) -> str:
    """Return the value of an option as it may be shown."""
    return _shown(_known(), key, value)


def shown_text(fragment: str) -> str:
    """Return the lines of :func:`shown`.

    :raises BadFragment: as :func:`read`
    """
    return ''.join(
        '\n'.join((f'[{section}]', *found, ''))
        for section, found in lines(shown(fragment)).items())


def _shown(known: Mapping[Key, tuple[Key, cfg.Opt]], key: Key,
           value: str) -> str:
    if key not in known or known[key][1].secret:
        return masking.HIDDEN
    return masking.masked(value)


@functools.cache
def _known() -> dict[Key, tuple[Key, cfg.Opt]]:
    """Return the current name of each option, and the option.

    By its current name and by those that it had before.
    """
    known: dict[Key, tuple[Key, cfg.Opt]] = {}
    for group, options in (*nova_opts.list_opts(), *conf.list_opts()):
        group_name = getattr(group, 'name', group)
        for option in options:
            found = (group_name, option.dest), option
            known[group_name, option.dest] = known[
                group_name, option.name] = found
            for old in option.deprecated_opts:
                known.setdefault((old.group or group_name,
                                  old.name or option.name), found)
    return known


def _of_library(group: str, name: str) -> bool:
    groups, names = _libraries()
    if group == _DEFAULT:
        return name in names
    return group in groups or (
        # Where nova logs in to another service.
        (group, 'auth_type') in _known() and name in _of_authentication())


@functools.cache
def _of_authentication() -> set[str]:
    """Return the names of the options of all ways to log in to Keystone."""
    loaders: dict[str, Any] = keystone.get_available_plugin_loaders()
    return {option.dest for loader in loaders.values()
            for option in loader.get_options()}


@functools.cache
def _libraries() -> tuple[set[str], set[str]]:
    """Return the groups that only libraries have, and their names in DEFAULT.

    Not the names in other groups: some depend on the values of others, as
    those that say how to authenticate.
    """
    groups: set[str] = set()
    names: set[str] = set()
    for library in importlib.metadata.entry_points(group='oslo.config.opts'):
        try:
            listed_by_it = library.load()()
        except (ImportError, AttributeError):
            # What it needs is not installed, so nova does not use it either.
            continue
        for group, options in listed_by_it:
            group_name = getattr(group, 'name', group) or _DEFAULT
            groups.add(group_name)
            if group_name == _DEFAULT:
                names.update(option.dest for option in options)
    return groups - {group for group, _name in _known()}, names
