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

"""How the command line has policies."""

import argparse
from collections.abc import Sequence
import re
import shlex

from cache_aware_sched.cli import arguments
from cache_aware_sched import masking
from cache_aware_sched.simulator import comparison
from cache_aware_sched.simulator import policy as policy_mod

#: Options whose values are fragments.
_FRAGMENTS = ('--policy', '--common')

#: In a fragment on one line. Other brackets are part of a value, as those of
#: an IPv6 address.
_SECTION = re.compile(
    r'(?:^|;)\s*(\[[^\]]*\])|(?<=\s)(\[[A-Za-z][\w.-]*\])(?=\s)')


def fragment(text: str) -> str:
    """Return the nova.conf fragment that an argument stands for.

    :param text: the path of a file; or a fragment, which begins with its first
        ``[section]`` and may have semicolons for ends of lines; or nothing
    :raises argparse.ArgumentTypeError: if the file cannot be read
    """
    if not text.strip():
        return ''
    if _is_fragment(text):
        if '\n' in text:
            return text
        lines = _SECTION.sub(r'\n\1\2\n', text).replace(';', '\n').splitlines()
        return '\n'.join(line.strip() for line in lines if line.strip())
    try:
        with open(text, encoding='utf-8') as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise argparse.ArgumentTypeError(
            f'{text} cannot be read: {reason}') from None


def _is_fragment(text: str) -> bool:
    """Return whether a text is a fragment itself, and no path of a file."""
    return '\n' in text or text.lstrip().startswith('[')


def option_set(text: str) -> tuple[str, str]:
    """Return the name and the fragment of NAME=FILE or NAME=FRAGMENT.

    :raises argparse.ArgumentTypeError: if it is none of them
    """
    name, separator, rest = text.partition('=')
    if not separator or not name.strip() or '[' in name:
        # Without the text: it may have a password.
        raise argparse.ArgumentTypeError(
            'it must be NAME=FILE or NAME=FRAGMENT')
    return name.strip(), fragment(rest)


def reference(text: str) -> tuple[str, float]:
    """Return the name and the multiplier of NAME or NAME:MULTIPLIER.

    :raises argparse.ArgumentTypeError: if there is no such score, or the
        multiplier is no number
    """
    name, separator, rest = text.partition(':')
    if name not in policy_mod.REFERENCES:
        raise argparse.ArgumentTypeError(
            f'{name!r} is not known: '
            f'{", ".join(policy_mod.REFERENCES)} are')
    return name, (arguments.number(rest) if separator
                  else comparison.PUBLISHED_MULTIPLIER)


def command_line(argv: Sequence[str]) -> str:
    """Return a command line for people, without secrets.

    :param argv: of a command that has run
    """
    shown: list[str] = []
    takes_fragment = False
    for argument in argv:
        name, equals, value = argument.partition('=')
        if takes_fragment:
            shown.append(_shown(argument))
        elif equals and _takes_fragment(name):
            shown.append(f'{name}={_shown(value)}')
        else:
            shown.append(masking.masked(argument))
        takes_fragment = not takes_fragment and _takes_fragment(argument)
    return shlex.join(shown)


def _takes_fragment(name: str) -> bool:
    """Return whether an argument names an option; it may be cut short."""
    return name.startswith('--') and len(name) > len('--') and any(
        option.startswith(name) for option in _FRAGMENTS)


def _shown(value: str) -> str:
    """Return a value; what may be a secret of a fragment is hidden."""
    name, equals, text = '', '', value
    if not _is_fragment(value):
        name, equals, text = value.partition('=')
    if not _is_fragment(text):  # the path of a file
        return masking.masked(value)
    # Only here: importing nova takes seconds.
    from cache_aware_sched.simulator.real_nova import fragments
    try:
        lines = fragments.shown_text(fragment(text)).replace('\n  ', ' ')
    except fragments.BadFragment:  # of an option that cannot be told for sure
        return f'{name}{equals}{masking.HIDDEN}'
    return name + equals + '; '.join(lines.splitlines()).replace(']; ', '] ')
