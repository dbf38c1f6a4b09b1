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
from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli.arguments import Usage
from cache_aware_sched.cli import policies
from cache_aware_sched.conf import imagecache
from cache_aware_sched.simulator.input import options
from cache_aware_sched.simulator.option import BadOption
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.settings import Settings
from cache_aware_sched.simulator import suggest

#: What a synthetic workload has for each host if nothing else is said.
BOOTS_PER_HOST = options.SYNTHETIC_BOOTS // options.Synthetic().hosts

#: These follow from the simulated cloud.
FROM_CLOUD = ('hosts', 'host_vcpus')

_GENERAL = 'input'
_SOURCES = {
    'trace': (options.Trace, ()),
    'synthetic': (options.Synthetic, FROM_CLOUD),
    'from_nova': (options.History, ()),
}

#: How the command line calls the fields of all options.
_FLAGS = {
    field.name: arguments.option(field)
    for class_ in (Settings, options.Options, options.Images, suggest.Limits,
                   *(class_ for class_, _skip in _SOURCES.values()))
    for field in dataclasses.fields(class_)}


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What is to be simulated.

    :param source: ``trace``, ``synthetic`` or ``from_nova``
    :param trace: its path, if that is the source
    :param candidates: the policies; of a search, stock nova and what the
        options are added to
    :param report: the directory of the report, '' for none
    :param limits: of a search, if one is asked for
    """

    source: str
    trace: str
    options: options.Options
    settings: Settings
    candidates: Sequence[policies.Candidate]
    workers: int
    report: str
    attribution: str
    limits: suggest.Limits | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all arguments of the command."""
    _add_input(parser.add_argument_group(
        _GENERAL, 'Exactly one of the first three is needed.'))
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
    for source, (class_, skip) in _SOURCES.items():
        arguments.add(parser.add_argument_group(
            f'with {_flag(source)}'), class_, skip)


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
        f'{BOOTS_PER_HOST} servers for each host unless --boots is given.')
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
        f'{policies.PUBLISHED_MULTIPLIER:g}. Can be repeated.')
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
    arguments.add(group, suggest.Limits)


def job(found: argparse.Namespace) -> Job:
    """Return what arguments ask for.

    :raises Usage: if it cannot be
    """
    source = next(name for name in _SOURCES if getattr(found, name))
    _refuse_unused(source, found)
    if found.attribution and not found.report:
        raise Usage('--attribution is of use only with --report')
    try:
        settings = arguments.make(Settings, found)
        how = _options(source, found, settings)
        limits = _limits(found)
    except BadOption as error:
        raise Usage(told(error)) from None
    workers = (len(os.sched_getaffinity(0)) if found.workers is None
               else found.workers)
    if workers < 1:
        raise Usage(f'--workers must be at least 1, not {workers}')
    return Job(
        source, found.trace or '', how, settings,
        _searched(found) if limits else policies.chosen(
            found.option_sets, found.multipliers, found.references,
            found.stock, found.common),
        workers, found.report, found.attribution, limits)


def _refuse_unused(source: str, found: argparse.Namespace) -> None:
    """Refuse options of an input that is not the chosen one."""
    for name, (class_, skip) in _SOURCES.items():
        if name != source:
            for field in arguments.given(class_, found, skip):
                raise Usage(f'{arguments.option(field)} is of use only with '
                            f'{_flag(name)}')


def _options(source: str, found: argparse.Namespace,
             settings: Settings) -> options.Options:
    images = arguments.make(options.Images, found)
    more: dict[str, Any] = {'images': images}
    if source == 'synthetic':
        more['synthetic'] = _synthetic(found, settings)
        if not found.boots:
            found = argparse.Namespace(
                **{**vars(found), 'boots': BOOTS_PER_HOST * settings.hosts})
    elif source == 'trace':
        more['trace'] = arguments.make(options.Trace, found)
    else:
        more['history'] = arguments.make(options.History, found)
    return arguments.make(options.Options, found, **more)


def _synthetic(found: argparse.Namespace,
               settings: Settings) -> options.Synthetic:
    """Return the options for the simulated hosts.

    Their CPUs count once: what servers use is told as a share of the machine,
    however far the operator lets nova overcommit it. Where memory runs out
    before, that is all they have.
    """
    asked = arguments.make(options.Synthetic, found, FROM_CLOUD)
    vcpus_per_mb = (sum(vcpus * weight for vcpus, _mb, weight in asked.flavors)
                    / sum(mb * weight for _vcpus, mb, weight in asked.flavors))
    memory = (settings.host_ram_mb * settings.ram_allocation_ratio
              - settings.reserved_host_memory_mb)
    if memory * vcpus_per_mb < 1:
        raise Usage(f'--host-ram-mb and --reserved-host-memory-mb leave '
                    f'{max(memory, 0):,g} MiB of a host for servers, less '
                    'than a mean --flavor has for one vCPU')
    return dataclasses.replace(
        asked, hosts=settings.hosts, host_vcpus=min(
            settings.host_vcpus, memory * vcpus_per_mb))


def _limits(found: argparse.Namespace) -> suggest.Limits | None:
    """Return the limits of a search, None if none is asked for.

    :raises BadOption: if a limit can never be kept to
    """
    given = arguments.given(suggest.Limits, found)
    if not found.suggest:
        if given:
            raise Usage('--max-imbalance and --max-same-image are of use only '
                        'with --suggest')
        return None
    if len(given) < len(dataclasses.fields(suggest.Limits)):
        raise Usage('--suggest needs --max-imbalance and --max-same-image')
    return arguments.make(suggest.Limits, found)


def _searched(found: argparse.Namespace) -> list[policies.Candidate]:
    unused: Collection[Any] = (
        *found.multipliers, *found.references, *found.option_sets[1:])
    if unused or not found.stock:
        raise Usage('--suggest compares with stock nova and tries multipliers '
                    'itself: at most one --policy can be given, and no '
                    '--multiplier, --reference or --no-stock')
    return policies.chosen(found.option_sets or [(policy_mod.OURS, '')], [],
                           [], True, found.common)
