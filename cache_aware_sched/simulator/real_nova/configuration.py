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

"""A policy's nova.conf fragment, put into nova's configuration for a while."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
from typing import Any

from nova import exception
from oslo_config import cfg

from cache_aware_sched import config
from cache_aware_sched.option import BadOption
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator.real_nova.fragments import BadFragment
from cache_aware_sched.simulator.real_nova.fragments import Key
from cache_aware_sched.simulator.settings import Settings

CONF = config.CONF

FILTER = 'ImageAntiAffinityFilter'

#: What this package adds to the lists of nova, at their ends.
_PLUGINS: dict[Key, str] = {
    ('filter_scheduler', 'available_filters'):
        f'cache_aware_sched.scheduler.filters.{FILTER}',
    ('filter_scheduler', 'enabled_filters'): FILTER,
    ('filter_scheduler', 'weight_classes'):
        'cache_aware_sched.scheduler.weights.ImageCacheWeigher',
}

#: Settings that nova.conf has an option for.
_OPTIONS: dict[str, Key] = {
    field.name: field.metadata['nova']
    for field in dataclasses.fields(Settings) if field.metadata['nova']}

#: These make nova's weighers look at what simulated hosts do not have.
_NOT_SIMULATED: tuple[Key, ...] = (
    ('filter_scheduler', 'image_props_weight_multiplier'),
    ('metrics', 'weight_setting'),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Configured:
    """What is in force in one run.

    :param settings: with what the fragment sets
    :param capped: whether hosts check the cap of same-image servers when they
        spawn one, see ``same_image_late_check``
    """

    settings: Settings
    capped: bool


@contextlib.contextmanager
def applied(policy: policy_mod.Policy,
            settings: Settings) -> Iterator[Configured]:
    """Put a policy's options into nova's configuration while a block runs.

    :raises BadFragment: naming the option
    """
    overridden: list[Key] = []
    try:
        options = fragments.read(policy.fragment)
        for key, value in _all_options(policy, options).items():
            _override(key, value)
            overridden.append(key)
        yield _configured(policy, settings, options)
    finally:
        for group, name in overridden:
            CONF.clear_override(name, _group(group))


def _group(group: str) -> str | None:
    return None if group == 'DEFAULT' else group


def plugins(policy: policy_mod.Policy,
            options: Mapping[Key, Any]) -> dict[Key, list[str]]:
    """Return the lists of filters and weighers that a policy has.

    Those that its fragment sets, or nova's own. Ours have the plug-ins of this
    package besides, as the list may be from before it; no other has them, as
    the list may be from after it.

    :param options: that the fragment sets
    :returns: by the options of nova that have the lists
    :raises BadFragment: naming the option that is no list
    """
    lists = {}
    for key, plugin in _PLUGINS.items():
        listed = fragments.listed(options, key)
        if policy.kind != policy_mod.OURS:
            listed = [name for name in listed if name != plugin]
        elif plugin not in listed:
            listed.append(plugin)
        lists[key] = listed
    return lists


def _override(key: Key, value: Any) -> None:
    group, name = key
    try:
        CONF.set_override(name, value, _group(group))
    except ValueError as error:
        shown = (value if isinstance(value, list)
                 else fragments.hidden(key, str(value)))
        reason = (error if shown == value
                  else f'{type(error).__name__}, the value is hidden')
        raise BadFragment(f'[{group}] {name} = {shown}: {reason}') from None


def _all_options(policy: policy_mod.Policy,
                 options: Mapping[Key, Any]) -> dict[Key, Any]:
    """Return what the fragment sets, and what has to be set besides it."""
    return {
        **{key: value for key, value in options.items() if _is_there(key)},
        **plugins(policy, options),
        # The heartbeats of the hosts would be compared with today's time.
        ('DEFAULT', 'service_down_time'): 10 ** 10,
        # What is simulated was not decided.
        ('cache_aware_sched', 'decision_log_file'): None}


def _is_there(key: Key) -> bool:
    """Return whether anything in this process may ask for an option.

    What nova registers only where it is used, as what it logs in to other
    services with, it does not need for its decisions.
    """
    try:
        _value(key)
    except cfg.NoSuchOptError:
        return False
    return True


def _configured(policy: policy_mod.Policy, settings: Settings,
                options: Mapping[Key, Any]) -> Configured:
    """Return what is in force now that the options are set."""
    try:
        config.checked()
    except exception.InvalidConfiguration as error:
        raise BadFragment(str(error)) from None
    for key in _NOT_SIMULATED:
        if _value(key):
            raise BadFragment(f'[{key[0]}] {key[1]} cannot be simulated')
    return Configured(_settings(settings, options), _is_capped(policy))


def _settings(settings: Settings, options: Mapping[Key, Any]) -> Settings:
    """Return settings with what a fragment sets of them."""
    values: dict[str, Any] = {
        field: _value(key) for field, key in _OPTIONS.items()
        if key in options}
    if 'protected_images' in values:
        values['protected_images'] = tuple(values['protected_images'])
    try:
        return dataclasses.replace(settings, **values)
    except BadOption as error:
        raise BadFragment(error.named(
            lambda field: '[{}] {}'.format(*_OPTIONS[field]))) from None


def _value(key: Key) -> Any:
    group, name = key
    return (CONF if group == 'DEFAULT' else CONF[group])[name]


def _is_capped(policy: policy_mod.Policy) -> bool:
    """Return whether hosts check the cap; as virt.late_check does."""
    ours = CONF.cache_aware_sched
    return (policy.kind == policy_mod.OURS
            and bool(ours.same_image_late_check)
            and ours.same_image_cap_policy == 'hard')
