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

"""Which policies are compared."""

from collections.abc import Sequence
import dataclasses
import re

from cache_aware_sched.option import BadOption
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.policy import exact
from cache_aware_sched.simulator.policy import Policy

_MULTIPLIER = 'image_cache_weight_multiplier'

#: A multiplier in a nova.conf fragment.
_SETS_MULTIPLIER = re.compile(rf'^\s*{_MULTIPLIER}\s*[=:]', re.MULTILINE)

#: Of the score of CSIC, of the weighers of nova in general, and of the plugin
#: ImageLocality in Kubernetes' default profile; each is its author's default.
PUBLISHED_MULTIPLIER = 1.0


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
           common: str, precache: bool = False) -> list[Policy]:
    """Return the policies to compare, in the order of the output.

    :param option_sets: names and fragments of ours; without any its defaults
    :param multipliers: with each of which every option set is a policy, unless
        it sets one itself
    :param references: names and multipliers; None of all three: every
        reference with its published multiplier
    :param stock: whether nova as it comes is one of them, the first
    :param common: a fragment for all policies
    :param precache: whether each of ours is there once more, with images
        fetched ahead of time
    :raises BadOption: if two have the same name, or there is none
    """
    if not (option_sets or multipliers or references):
        references = [(name, PUBLISHED_MULTIPLIER)
                      for name in policy_mod.REFERENCES]
        option_sets = [(policy_mod.OURS, '')]
    elif multipliers and not option_sets:
        option_sets = [(policy_mod.OURS, '')]
    found = [policy_mod.stock()] if stock else []
    for name, text in option_sets:
        found += _ours(name, text, multipliers)
    found += [policy_mod.reference(name, multiplier)
              for name, multiplier in references]
    if precache:
        found = [other for policy in found for other in _with_precache(policy)]
    _check(found)
    if common.strip():
        found = [dataclasses.replace(policy, fragment='\n'.join(
            (common.rstrip(), policy.own))) for policy in found]
    return found


def _ours(name: str, text: str,
          multipliers: Sequence[float]) -> list[Policy]:
    if not multipliers or _SETS_MULTIPLIER.search(text):
        return [policy_mod.ours(name, text)]
    return [
        policy_mod.ours(
            f'{name} x {exact(multiplier)}',
            with_options(text, **{_MULTIPLIER: multiplier}), name)
        for multiplier in multipliers]


def _with_precache(policy: Policy) -> list[Policy]:
    """Return a policy and, if it is ours, the same with pre-caching.

    The hosts of others report no images, or nobody acts on what they report.
    """
    if policy.kind != policy_mod.OURS:
        return [policy]
    return [policy, dataclasses.replace(
        policy, name=f'{policy.name}, pre-cached',
        family=f'{policy.family}, pre-cached', precache=True)]


def _check(found: Sequence[Policy]) -> None:
    if not found:
        raise BadOption('there is no policy to simulate')
    names = [policy.name for policy in found]
    for name in names:
        if names.count(name) > 1:
            raise BadOption('there are two policies {!r}', name)
    for policy in found:
        if policy.kind == policy_mod.OURS and policy.family in (
                policy_mod.STOCK, *policy_mod.REFERENCES):
            raise BadOption('{!r} is the name of another policy',
                            policy.family)
