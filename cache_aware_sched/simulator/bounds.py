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

"""Options that are out of bounds, by whatever names their readers know."""

from collections.abc import Callable


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
