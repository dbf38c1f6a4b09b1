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

"""The options of the simulator: fields with their bounds and their help.

The command makes its arguments of these fields, and the report its list of
assumptions. What nova.conf has an option for says so, and a policy's fragment
can set it.
"""

from collections.abc import Callable
import dataclasses
import math
from typing import Any
from typing import TypeVar

T = TypeVar('T')

#: An option of nova.conf by its group and name.
Key = tuple[str, str]


class Name(str):
    """The name of a field, in a message about its value."""

    __slots__ = ()


class BadOption(ValueError):
    """An option is out of its bounds; the message names it.

    :param text: with ``{}`` for each of the values
    :param values: the fields that it is about are each a :class:`Name`
    """

    def __init__(self, text: str, *values: object) -> None:
        super().__init__(text, *values)
        self._text = text
        self._values = values

    def __str__(self) -> str:
        return self.named(str)

    def named(self, called: Callable[[str], str]) -> str:
        """Return the message for those who know the fields by other names.

        :param called: returns how a field is called, by its own name
        """
        return self._text.format(*(
            called(value) if isinstance(value, Name) else value
            for value in self._values))


def option(default: T, help_: str, low: float | None = None,
           high: float | None = None, *, above: float | None = None,
           metavar: str | None = None, nova: Key | None = None,
           derived: bool = False) -> T:
    """Return a field of a dataclass that is an option.

    :param help_: what it is for, with its unit and its reason
    :param low: the least that is allowed; with ``above`` it must be more
    :param high: the most that is allowed
    :param metavar: what stands for a value in the help; None for the usual
    :param nova: the option of nova.conf that is the same
    :param derived: whether it follows from others, and nobody can give it
    """
    if nova:
        help_ += f' In nova.conf: [{nova[0]}] {nova[1]}.'
    field: T = dataclasses.field(default=default, metadata={
        'help': help_, 'low': low, 'high': high, 'above': above,
        'metavar': metavar, 'nova': nova, 'derived': derived})
    return field


def required(help_: str, low: float | None = None, *,
             above: float | None = None) -> Any:
    """Return a field of a dataclass that is an option without a default."""
    return option(dataclasses.MISSING, help_, low, above=above)


class Checked:
    """Keeps its fields within their bounds.

    :raises BadOption: when one is not
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        # Each heir is a dataclass, which a base class cannot tell mypy.
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(
            self)  # type: ignore[arg-type]
        for field in fields:
            _check(Name(field.name), getattr(self, field.name),
                   field.metadata)


def _check(name: Name, value: Any, bounds: Any) -> None:
    low, high, above = map(bounds.get, ('low', 'high', 'above'))
    if value is None or low is high is above is None:
        return
    if not math.isfinite(value):
        raise BadOption('{} must be a number, not {}', name, value)
    if above is not None and value <= above:
        raise BadOption('{} must be more than {}, not {}', name, above, value)
    if low is not None and value < low:
        raise BadOption('{} must be at least {}, not {}', name, low, value)
    if high is not None and value > high:
        raise BadOption('{} must be at most {}, not {}', name, high, value)


def options_of(class_: type[Any]) -> list[dataclasses.Field[Any]]:
    """Return the fields of a dataclass that can be given."""
    return [field for field in dataclasses.fields(class_)
            if 'help' in field.metadata and not field.metadata['derived']]


def flag(field: dataclasses.Field[Any]) -> str:
    """Return the name of an option as the command has it.

    What may be given more than once names one of them.
    """
    name = (field.name.removesuffix('s') if isinstance(field.default, tuple)
            else field.name)
    return '--' + name.replace('_', '-')


def readable(value: Any) -> str:
    """Return the value of an option for people; nothing for None."""
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, tuple):
        return ', '.join(
            ':'.join(readable(part) for part in item)
            if isinstance(item, tuple) else str(item) for item in value)
    if isinstance(value, float):
        return f'{value:g}'
    return ('' if value is None or value is dataclasses.MISSING
            else str(value))
