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

"""What a search for options says."""

from collections.abc import Sequence
import warnings

from cache_aware_sched.simulator.results import columns
from cache_aware_sched.simulator.suggest import SearchLimits
from cache_aware_sched.simulator.suggest import Suggestion
from cache_aware_sched.simulator.suggest import Trial

_SCHEDULER = 'filter_scheduler'

_ABOUT_LISTS = (
    'The lists are those of --common and --policy, or else the defaults of',
    'nova, with the plug-ins of this package. If your nova.conf has other',
    'lists, add ImageAntiAffinityFilter and ImageCacheWeigher at their ends',
    'instead, and simulate again with your lists in --common.')


def text(found: Suggestion, limits: SearchLimits) -> str:
    """Return the suggestion: lines for nova.conf, and what to expect of them.

    All but the lines of nova.conf are comments of it. What is common to all
    policies, nova.conf has already.
    What may be a secret of the policy is left out.
    """
    wanted = (f'a vCPU imbalance up to {limits.max_imbalance:g} and at most '
              f'{limits.max_same_image:,} servers of an image on a host')
    if found.best:
        lines = [f'For {wanted}, expect:',
                 *_expected(found.best, found)]
        return _comment(lines) + _configuration(found.best)
    return _comment([
        f'Nothing that was tried keeps to {wanted}, with no more refused '
        f'servers than stock nova has.',
        f'Closest comes the multiplier {found.closest.multiplier:g}, but '
        f'{" and ".join(found.closest.missed)}:',
        *_expected(found.closest, found)])


def _comment(lines: Sequence[str]) -> str:
    return ''.join(f'# {line}\n' for line in lines)


def _expected(trial: Trial, found: Suggestion) -> list[str]:
    mine, its = trial.result, found.stock
    share = (f', {mine.fetched_bytes / its.fetched_bytes:.0%} of stock'
             if its.fetched_bytes else '')
    figures = (
        ('fetched', f'{columns.significant(mine.fetched_tb)} TB{share}',
         f'{columns.significant(its.fetched_tb)} TB'),
        ('cold boots', f'{mine.cold_share:.1%}', f'{its.cold_share:.1%}'),
        ('time to ACTIVE, mean', f'{mine.wait_mean:,.1f} s',
         f'{its.wait_mean:,.1f} s'),
        ('vCPU imbalance', f'{mine.vcpu_imbalance:.3f}',
         f'{its.vcpu_imbalance:.3f}'),
        ('most servers of an image on a host', f'{mine.max_same_image:,}',
         f'{its.max_same_image:,}'),
        ('refused', f'{mine.refused:,}', f'{its.refused:,}'),
        ('rescheduled', f'{mine.rescheduled:,}', f'{its.rescheduled:,}'))
    return [f'  {label}: {value} (stock nova: {other})'
            for label, value, other in figures]


def _configuration(trial: Trial) -> str:
    """Return lines that can be added to a nova.conf as they are."""
    with warnings.catch_warnings():
        # Of libraries that nova imports; nobody can do anything about it.
        warnings.simplefilter('ignore')
        # Only here: importing nova takes seconds.
        from cache_aware_sched.simulator.real_nova import configuration
        from cache_aware_sched.simulator.real_nova import fragments
        lists = configuration.plugins(
            trial.policy, fragments.read(trial.policy.fragment))
        own, secrets = fragments.public(trial.policy.own)
        sections = fragments.lines({**lists, **{
            key: value for key, value in own.items() if key not in lists}})
    scheduler = _section(_SCHEDULER, sections.pop(_SCHEDULER))
    return (
        f'\n# nova.conf of each nova-scheduler:\n{_comment(_ABOUT_LISTS)}'
        f'{scheduler}\n# And of each nova-scheduler; each nova-compute needs '
        'the cap as well:\n'
        + _comment([f'{secrets} more of --policy may be secrets and are not '
                    'repeated here.'] if secrets else [])
        + ''.join(_section(*section) for section in sections.items()))


def _section(name: str, lines: Sequence[str]) -> str:
    return '\n'.join((f'[{name}]', *lines, ''))
