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

"""The policies that a command line asks for."""

import argparse
from collections.abc import Sequence
import dataclasses
import re

from cache_aware_sched.cli import arguments
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.policy import exact
from cache_aware_sched.simulator.policy import Policy

_MULTIPLIER = 'image_cache_weight_multiplier'

#: A multiplier with a section before it, in a nova.conf fragment.
_SETS_MULTIPLIER = re.compile(rf'^\s*{_MULTIPLIER}\s*[=:]', re.MULTILINE)

#: In a fragment on one line. Other brackets are part of a value, as those of
#: an IPv6 address.
_SECTION = re.compile(
    r'(?:^|;)\s*(\[[^\]]*\])|(?<=\s)(\[[A-Za-z][\w.-]*\])(?=\s)')

#: Of the score of CSIC, of the weighers of nova in general, and of the plugin
#: ImageLocality in Kubernetes' default profile; each is its author's default.
PUBLISHED_MULTIPLIER = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A policy to compare.

    :param family: of policies that only differ in the multiplier
    :param own: its fragment without what is common to all policies
    """

    policy: Policy
    family: str
    own: str = ''


def fragment(text: str) -> str:
    """Return the nova.conf fragment that an argument stands for.

    :param text: the path of a file; or a fragment, which begins with its first
        ``[section]`` and may have semicolons for ends of lines; or nothing
    :raises argparse.ArgumentTypeError: if the file cannot be read
    """
    if not text.strip():
        return ''
    if text.lstrip().startswith('['):
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


def option_set(text: str) -> tuple[str, str]:
    """Return the name and the fragment of NAME=FILE or NAME=FRAGMENT.

    :raises argparse.ArgumentTypeError: if it is none of them
    """
    name, separator, rest = text.partition('=')
    if not separator or not name.strip() or '[' in name:
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither NAME=FILE nor NAME=FRAGMENT')
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
                  else PUBLISHED_MULTIPLIER)


def with_options(base: str, **options: float) -> str:
    """Return a fragment with options of this package added to it.

    Of an option that is there twice the last value counts.
    """
    lines = [base.rstrip()] if base.strip() else []
    lines += ['[cache_aware_sched]',
              *(f'{name} = {exact(value)}' for name, value in options.items())]
    return '\n'.join(lines) + '\n'


def chosen(option_sets: Sequence[tuple[str, str]],
           multipliers: Sequence[float],
           references: Sequence[tuple[str, float]], stock: bool,
           common: str) -> list[Candidate]:
    """Return the policies to compare, in the order of the output.

    :param option_sets: names and fragments of ours; without any its defaults
    :param multipliers: with each of which every option set is a policy, unless
        it sets one itself
    :param references: names and multipliers; None of all three: every
        reference with its published multiplier
    :param stock: whether nova as it comes is one of them, the first
    :param common: a fragment for all policies
    :raises Usage: if two have the same name
    """
    if not (option_sets or multipliers or references):
        references = [(name, PUBLISHED_MULTIPLIER)
                      for name in policy_mod.REFERENCES]
        option_sets = [(policy_mod.OURS, '')]
    elif multipliers and not option_sets:
        option_sets = [(policy_mod.OURS, '')]
    found = [Candidate(policy_mod.stock(), policy_mod.STOCK)] if stock else []
    for name, text in option_sets:
        found += _ours(name, text, multipliers)
    found += [Candidate(policy_mod.reference(name, multiplier), name)
              for name, multiplier in references]
    _check(found)
    if common.strip():
        found = [dataclasses.replace(candidate, policy=dataclasses.replace(
            candidate.policy, fragment='\n'.join(
                (common.rstrip(), candidate.own))))
            for candidate in found]
    return found


def _ours(name: str, text: str,
          multipliers: Sequence[float]) -> list[Candidate]:
    if not multipliers or _SETS_MULTIPLIER.search(text):
        return [Candidate(policy_mod.ours(name, text), name, text)]
    return [
        Candidate(policy_mod.ours(f'{name} x {exact(multiplier)}', own),
                  name, own)
        for multiplier in multipliers
        for own in [with_options(text, **{_MULTIPLIER: multiplier})]]


def _check(found: Sequence[Candidate]) -> None:
    if not found:
        raise arguments.Usage('there is no policy to simulate')
    names = [candidate.policy.name for candidate in found]
    for name in names:
        if names.count(name) > 1:
            raise arguments.Usage(f'there are two policies {name!r}')
    for candidate in found:
        if (candidate.policy.kind == policy_mod.OURS
                and candidate.family in (
                    policy_mod.STOCK, *policy_mod.REFERENCES)):
            raise arguments.Usage(
                f'{candidate.family!r} is the name of another policy')
