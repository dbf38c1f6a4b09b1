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

from cache_aware_sched.simulator import columns
from cache_aware_sched.simulator.suggest import Limits
from cache_aware_sched.simulator.suggest import Suggestion
from cache_aware_sched.simulator.suggest import Trial

#: The weigher and the filter; ``enabled_filters`` is the operator's own list.
_PLUGINS = """\
[filter_scheduler]
weight_classes = nova.scheduler.weights.all_weighers,\
cache_aware_sched.scheduler.weights.ImageCacheWeigher
available_filters = nova.scheduler.filters.all_filters
available_filters = \
cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter
# enabled_filters: your list, and ImageAntiAffinityFilter at its end
"""


def text(found: Suggestion, limits: Limits) -> str:
    """Return the suggestion: lines for nova.conf, and what to expect of them.

    All but the lines of nova.conf are comments of it.
    """
    wanted = (f'a vCPU imbalance up to {limits.max_imbalance:g} and at most '
              f'{limits.max_same_image} servers of an image on a host')
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


def _comment(lines: list[str]) -> str:
    return ''.join(f'# {line}\n' for line in lines)


def _expected(trial: Trial, found: Suggestion) -> list[str]:
    mine, its = trial.result, found.stock
    share = (f', {mine.fetched_bytes / its.fetched_bytes:.0%} of stock'
             if its.fetched_bytes else '')
    figures = (
        ('fetched', f'{columns.significant(mine.fetched_tb)} TB{share}',
         f'{columns.significant(its.fetched_tb)} TB'),
        ('cold boots', f'{mine.cold_share:.1%}', f'{its.cold_share:.1%}'),
        ('time to ACTIVE, mean', f'{mine.wait_mean:.1f} s',
         f'{its.wait_mean:.1f} s'),
        ('vCPU imbalance', f'{mine.vcpu_imbalance:.3f}',
         f'{its.vcpu_imbalance:.3f}'),
        ('most servers of an image on a host', mine.max_same_image,
         its.max_same_image),
        ('refused', mine.refused, its.refused))
    return [f'  {label}: {value} (stock nova: {other})'
            for label, value, other in figures]


def _configuration(trial: Trial) -> str:
    return (f'\n# nova.conf of each nova-scheduler:\n{_PLUGINS}'
            f'\n# And of each nova-scheduler and nova-compute:\n'
            f'{trial.policy.fragment}')
