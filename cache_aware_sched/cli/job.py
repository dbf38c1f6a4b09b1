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

"""The arguments of ``simulate``, and what they ask for."""

import argparse
from collections.abc import Collection
import dataclasses
import os
from typing import Any

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.cli import policies
from cache_aware_sched.conf import imagecache
from cache_aware_sched.option import BadOption
from cache_aware_sched.option import flag
from cache_aware_sched.option import options_of
from cache_aware_sched.simulator import comparison
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator import job as job_mod
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.policy import Policy
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import suggest

#: The options of each source.
_SOURCES: dict[str, type[Any]] = {
    job_mod.TRACE: options.Trace,
    job_mod.SYNTHETIC: options.Synthetic,
    job_mod.HISTORY: options.History,
}

#: How the command line calls all options.
_FLAGS = {
    field.name: flag(field)
    for class_ in (Settings, options.Options, options.Images,
                   suggest.SearchLimits, *_SOURCES.values())
    for field in options_of(class_)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all arguments of the command."""
    _add_input(parser.add_argument_group(
        'input', 'Exactly one of the first three is needed.'))
    _add_policies(parser.add_argument_group('policies', (
        'Without --policy, --multiplier and --reference: stock nova, this '
        'package with its defaults, and each reference with the multiplier '
        'that its authors have. A FRAGMENT is a file with lines of nova.conf, '
        'or such lines themselves, beginning with their [section] and '
        'separated by semicolons.')))
    _add_output(parser.add_argument_group('report and suggestion'))
    arguments.add(
        parser.add_argument_group(
            'the simulated cloud',
            'For all policies. What nova.conf has an option for, a FRAGMENT '
            'can set otherwise.'),
        Settings, choices={'cache_manager': imagecache.installed()})
    arguments.add(parser.add_argument_group(
        'images and projects', 'Of servers whose input names none; the sizes '
        'are also for images whose size it does not tell.'), options.Images)
    for source, class_ in _SOURCES.items():
        arguments.add(parser.add_argument_group(
            f'with {_flag(source)}'), class_)


def _flag(name: str) -> str:
    return '--' + name.replace('_', '-')


def told(error: BadOption) -> str:
    """Return what is wrong with options, by the names that one types."""
    return error.named(lambda name: _FLAGS.get(name, _flag(name)))


def _add_input(group: argparse._ArgumentGroup) -> None:
    sources = group.add_mutually_exclusive_group(required=True)
    sources.add_argument(
        '--trace', metavar='FILE',
        help='Arrivals of servers, as CSV, gzipped or not, with the columns '
        'arrival_s, batch, vcpus, ram_mb, lifetime_s and, if known, image_id, '
        'image_size_gb and project.')
    sources.add_argument(
        '--from-nova', action='store_true',
        help="The servers that were created in a cloud in a period, from "
        "nova's databases, which are only read.")
    sources.add_argument(
        '--synthetic', action='store_true',
        help='Made-up arrivals, like those of a public cloud; '
        f'{job_mod.BOOTS_PER_HOST} servers for each host unless --boots is '
        'given.')
    arguments.add(group, options.Options)


def _add_policies(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--policy', metavar='NAME=FRAGMENT', action='append', default=[],
        type=policies.option_set, dest='option_sets',
        help='Simulate this package with these options, and call it NAME; '
        '"NAME=" for its defaults. Its filter and its weigher are added to '
        'enabled_filters and weight_classes, also to those of a FRAGMENT. Can '
        'be repeated.')
    group.add_argument(
        '--multiplier', metavar='X', action='append', default=[],
        type=arguments.number, dest='multipliers',
        help='Simulate each --policy that sets no '
        'image_cache_weight_multiplier with this one, or the defaults of this '
        'package if there is no --policy. The larger, the less is fetched and '
        'the busier may a host become because of its images. Can be '
        'repeated.')
    group.add_argument(
        '--reference', metavar='NAME[:X]', action='append', default=[],
        type=policies.reference, dest='references',
        help='Simulate nova with the score of a peer, times X: '
        f'{", ".join(policy_mod.REFERENCES)}. Default of X: '
        f'{comparison.PUBLISHED_MULTIPLIER:g}. Can be repeated.')
    group.add_argument(
        '--common', metavar='FRAGMENT', type=policies.fragment, default='',
        help='Options of all policies, stock nova too: your nova.conf, or '
        "the lines of it with the multipliers of nova's weighers and your "
        'lists of filters and weighers. It may be from before or after this '
        'package was installed: stock nova and the references never have its '
        'filter and weigher, and each --policy always has.')
    group.add_argument(
        '--no-stock', action='store_false', dest='stock',
        help='Leave out stock nova.')
    group.add_argument(
        '--precache', action='store_true',
        help='Simulate each policy of this package once more, with hosts that '
        'fetch images ahead of time, as "cache-aware-sched precache watch" '
        'has them.')
    group.add_argument(
        '--workers', metavar='N', type=int, default=None,
        help='Policies that are simulated at the same time, each in a process '
        'of its own. The result does not depend on it. Default: as many as '
        'there are CPUs.')


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--report', metavar='DIR', default='',
        help='Also write a page with figures, index.html, and all results, '
        'results.json, into this directory, which is made if need be.')
    group.add_argument(
        '--attribution', metavar='TEXT', default='',
        help='A line about the source of the trace, for the end of the page '
        'of --report.')
    group.add_argument(
        '--suggest', action='store_true',
        help='Search the multiplier with which least is fetched within the '
        'limits of --max-imbalance and --max-same-image, both of which are '
        'needed, and with no more refused servers than stock nova has; and '
        'print the lines for nova.conf. One --policy may be given, with '
        'options that are to be set besides.')
    arguments.add(group, suggest.SearchLimits)


def job(found: argparse.Namespace) -> job_mod.Job:
    """Return what arguments ask for.

    :raises Usage: if it cannot be
    """
    source = next(name for name in _SOURCES if getattr(found, name))
    _refuse_unused(source, found)
    if found.attribution and not found.report:
        raise Usage('--attribution is of use only with --report')
    try:
        settings = arguments.make(Settings, found)
        limits = _limits(found)
        return job_mod.Job(
            source, found.trace or '', _options(source, found, settings),
            settings, _searched(found) if limits else comparison.chosen(
                found.option_sets, found.multipliers, found.references,
                found.stock, found.common, found.precache), limits)
    except BadOption as error:
        raise Usage(told(error)) from None


def workers(found: argparse.Namespace) -> int:
    """Return how many policies are simulated at the same time.

    :raises Usage: if nobody is to do it
    """
    if found.workers is None:
        return len(os.sched_getaffinity(0))
    if found.workers < 1:
        raise Usage(f'--workers must be at least 1, not {found.workers}')
    return int(found.workers)


def _refuse_unused(source: str, found: argparse.Namespace) -> None:
    """Refuse options of an input that is not the chosen one."""
    for name, class_ in _SOURCES.items():
        if name != source:
            for field in arguments.given(class_, found):
                raise Usage(f'{flag(field)} is of use only with '
                            f'{_flag(name)}')


def _options(source: str, found: argparse.Namespace,
             settings: Settings) -> options.Options:
    asked: Any = arguments.make(_SOURCES[source], found)
    more: dict[str, Any] = {'images': arguments.make(options.Images, found)}
    if isinstance(asked, options.Synthetic):
        more['synthetic'] = job_mod.synthetic(asked, settings)
        if not found.boots:
            more['boots'] = job_mod.BOOTS_PER_HOST * settings.hosts
            found = argparse.Namespace(**{**vars(found), 'boots': None})
    elif isinstance(asked, options.Trace):
        more['trace'] = asked
    else:
        more['history'] = asked
    return arguments.make(options.Options, found, **more)


def _limits(found: argparse.Namespace) -> suggest.SearchLimits | None:
    """Return the limits of a search, None if none is asked for.

    :raises BadOption: if a limit can never be kept to
    """
    given = arguments.given(suggest.SearchLimits, found)
    if not found.suggest:
        if given:
            raise Usage('--max-imbalance and --max-same-image are of use only '
                        'with --suggest')
        return None
    if len(given) < len(dataclasses.fields(suggest.SearchLimits)):
        raise Usage('--suggest needs --max-imbalance and --max-same-image')
    return arguments.make(suggest.SearchLimits, found)


def _searched(found: argparse.Namespace) -> list[Policy]:
    unused: Collection[Any] = (
        *found.multipliers, *found.references, *found.option_sets[1:])
    if unused or not found.stock or found.precache:
        raise Usage('--suggest compares with stock nova and tries multipliers '
                    'itself: at most one --policy can be given, and no '
                    '--multiplier, --reference, --precache or --no-stock')
    return comparison.chosen(found.option_sets or [(policy_mod.OURS, '')], [],
                             [], True, found.common)
