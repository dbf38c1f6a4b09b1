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

"""Arguments of the command line that are made of the fields of dataclasses."""

import argparse
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import datetime
import functools
import math
from typing import Any
from typing import TypeVar

from cache_aware_sched import masking
from cache_aware_sched.option import flag
from cache_aware_sched.option import options_of
from cache_aware_sched.option import readable

T = TypeVar('T')
Field = dataclasses.Field[Any]


class Usage(Exception):
    """The command line asks for what cannot be; the message says why."""


def number(text: str) -> float:
    """Return a number.

    :raises argparse.ArgumentTypeError: if it is none, or infinite
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number')
    return value


def _moment(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a time like 2026-01-31T12:00') from None


def _cell_database(text: str) -> tuple[str, str]:
    name, separator, value = text.partition('=')
    # The messages have no part of the text: it may be a password.
    if not (name and separator and value) or '://' in name:
        raise argparse.ArgumentTypeError('it must be CELL=FILE')
    if masking.has_password(value):
        raise argparse.ArgumentTypeError(
            'an address with a password is not taken, because all users of '
            'this machine could see it; name a file that has it as [database] '
            'connection')
    return name, value


def _flavor(text: str) -> tuple[int, int, float]:
    try:
        vcpus, ram_mb, weight = text.split(':')
        return int(vcpus), int(ram_mb), float(weight)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not VCPUS:RAM_MB:WEIGHT') from None


#: How a text becomes a value, and what stands for it in the help. Those of a
#: tuple are of one of its items.
_TYPES: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, 'N'),
    float: (number, 'X'),
    str: (str, 'NAME'),
    float | None: (number, 'X'),
    datetime.datetime | None: (_moment, 'TIME'),
    tuple[str, ...]: (str, 'VALUE'),
    tuple[tuple[str, str], ...]: (_cell_database, 'CELL=FILE'),
    tuple[tuple[int, int, float], ...]: (_flavor, 'VCPUS:RAM_MB:WEIGHT'),
}


def add(group: argparse._ActionsContainer, class_: type[Any],
        choices: Mapping[str, Collection[str]] | None = None) -> None:
    """Add an argument for each option.

    None stands for an argument that is not given.

    :param choices: the allowed values of options
    """
    for field in options_of(class_):
        _add(group, field, field.metadata['help'],
             (choices or {}).get(field.name))


def _add(group: argparse._ActionsContainer, field: Field, text: str,
         choices: Collection[str] | None) -> None:
    if isinstance(field.default, tuple):
        text += ' Can be repeated.'
    default = readable(field.default)
    if default:
        text += f' Default: {default}.'
    add_to = functools.partial(
        group.add_argument, flag(field), dest=field.name, default=None,
        help=text.replace('%', '%%'))
    if field.type is bool:
        add_to(action=argparse.BooleanOptionalAction)
        return
    parse, metavar = _TYPES[field.type]
    metavar = field.metadata.get('metavar') or metavar
    if choices:
        add_to(choices=tuple(choices))
    elif isinstance(field.default, tuple):
        add_to(type=parse, metavar=metavar, action='append')
    else:
        add_to(type=parse, metavar=metavar)


def given(class_: type[Any], arguments: argparse.Namespace) -> list[Field]:
    """Return the options that arguments were given for."""
    return [field for field in options_of(class_)
            if getattr(arguments, field.name, None) is not None]


def make(class_: type[T], arguments: argparse.Namespace, **more: Any) -> T:
    """Return an instance with what was given, and the rest as it is.

    :param more: fields that have no argument
    :raises ValueError: as the class does
    """
    values = {field.name: getattr(arguments, field.name)
              for field in given(class_, arguments)}
    return class_(**{
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()}, **more)
