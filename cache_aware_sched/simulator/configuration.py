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
import functools
from typing import Any

from nova.conf import opts as nova_opts
from nova import exception
from oslo_config import iniparser

from cache_aware_sched import conf
from cache_aware_sched import config
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.settings import Settings

CONF = config.CONF

FILTER = 'ImageAntiAffinityFilter'
_FILTER_CLASS = f'cache_aware_sched.scheduler.filters.{FILTER}'
_WEIGHER_CLASS = 'cache_aware_sched.scheduler.weights.ImageCacheWeigher'
_STOCK_WEIGHERS = 'nova.scheduler.weights.all_weighers'
_STOCK_FILTERS = 'nova.scheduler.filters.all_filters'

#: An option by its group and name.
Key = tuple[str, str]

#: Settings that nova.conf has an option for.
_OPTIONS: dict[str, Key] = {
    'cache_manager': ('cache_aware_sched', 'image_cache_manager'),
    **{name: ('cache_aware_sched', name) for name in (
        'image_cache_max_size_gb', 'image_cache_max_images',
        'image_cache_high_watermark_percent',
        'image_cache_low_watermark_percent', 'image_cache_min_free_gb',
        'image_cache_popularity_half_life_hours', 'protected_images')},
    'cache_manager_interval': ('image_cache', 'manager_interval'),
    'remove_unused_base_images': ('image_cache', 'remove_unused_base_images'),
    'minimum_age': (
        'image_cache', 'remove_unused_original_minimum_age_seconds'),
    'update_interval': ('DEFAULT', 'update_resources_interval'),
    'max_concurrent_builds': ('DEFAULT', 'max_concurrent_builds'),
    'max_attempts': ('scheduler', 'max_attempts'),
}

#: These make nova's weighers look at what simulated hosts do not have.
_NOT_SIMULATED: tuple[Key, ...] = (
    ('filter_scheduler', 'image_props_weight_multiplier'),
    ('metrics', 'weight_setting'),
)

class BadFragment(ValueError):
    """A nova.conf fragment that cannot be used; the message says why."""


class _Parser(iniparser.BaseParser):
    """Reads the lines of a fragment as oslo.config reads nova.conf."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[Key, list[str]] = {}
        self._section: str | None = None

    def assignment(self, key: str, value: list[str]) -> None:
        """Keep a value; what is continued on further lines is one."""
        if self._section is None:
            raise BadFragment(f'line {self.lineno}: {key} is in no section')
        self.found.setdefault((self._section, key), []).append(
            '\n'.join(value))

    def new_section(self, section: str) -> None:
        """Go on in another section."""
        self._section = section


def read(fragment: str) -> dict[Key, Any]:
    """Return the options that a fragment sets, by their current names.

    :returns: a text, or a list of texts for an option that may come twice
    :raises BadFragment: naming the line or the option
    """
    parser = _Parser()
    try:
        parser.parse(fragment.splitlines())
    except iniparser.ParseError as error:
        raise BadFragment(str(error)) from None
    known = _known()
    options: dict[Key, Any] = {}
    for (group, name), values in parser.found.items():
        if (group, name) not in known:
            raise BadFragment(f'[{group}] {name} is not an option of nova or '
                              f'of cache_aware_sched')
        key, multi = known[group, name]
        options[key] = values if multi else values[-1]
    return options


@functools.cache
def _known() -> dict[Key, tuple[Key, bool]]:
    """Return the current name of each option, and whether it may come twice.

    By its current name and by those that it had before.
    """
    known: dict[Key, tuple[Key, bool]] = {}
    for group, options in (*nova_opts.list_opts(), *conf.list_opts()):
        group_name = getattr(group, 'name', group)
        for option in options:
            found = (group_name, option.dest), bool(option.multi)
            known[group_name, option.dest] = known[
                group_name, option.name] = found
            for old in option.deprecated_opts:
                known.setdefault((old.group or group_name,
                                  old.name or option.name), found)
    return known


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
        options = read(policy.fragment)
        for key, value in _all_options(policy, options).items():
            _override(key, value)
            overridden.append(key)
        yield _configured(policy, settings, options)
    finally:
        for group, name in overridden:
            CONF.clear_override(name, _group(group))


def _group(group: str) -> str | None:
    return None if group == 'DEFAULT' else group


def _override(key: Key, value: Any) -> None:
    group, name = key
    try:
        CONF.set_override(name, value, _group(group))
    except ValueError as error:
        raise BadFragment(f'[{group}] {name} = {value}: {error}') from None


def _all_options(policy: policy_mod.Policy,
                 options: Mapping[Key, Any]) -> dict[Key, Any]:
    """Return what the fragment sets, and what has to be set besides it."""
    # The heartbeats of the hosts would be compared with today's time.
    result: dict[Key, Any] = {
        **options, ('DEFAULT', 'service_down_time'): 10 ** 10}
    if policy.kind == policy_mod.OURS:
        available = 'filter_scheduler', 'available_filters'
        enabled = 'filter_scheduler', 'enabled_filters'
        weighers = 'filter_scheduler', 'weight_classes'
        result[available] = list(dict.fromkeys(
            [*options.get(available, [_STOCK_FILTERS]), _FILTER_CLASS]))
        if enabled not in options:
            result[enabled] = [
                *CONF.filter_scheduler.enabled_filters, FILTER]
        if weighers not in options:
            result[weighers] = [_STOCK_WEIGHERS, _WEIGHER_CLASS]
    return result


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
    for field, key in _OPTIONS.items():
        if key in options:
            value = _value(key)
            if isinstance(value, list):
                value = tuple(value)
            try:
                settings = dataclasses.replace(settings, **{field: value})
            except ValueError as error:
                raise BadFragment(
                    f'[{key[0]}] {key[1]} = {value}: {error}') from None
    return Configured(settings, _is_capped(policy, options))


def _value(key: Key) -> Any:
    group, name = key
    return (CONF if group == 'DEFAULT' else CONF[group])[name]


def _is_capped(policy: policy_mod.Policy,
               options: Mapping[Key, Any]) -> bool:
    """Return whether hosts check the cap; as virt.late_check does."""
    ours = CONF.cache_aware_sched
    return (
        policy.kind == policy_mod.OURS
        and bool(ours.same_image_late_check)
        and ours.same_image_cap_policy == 'hard'
        and (FILTER in CONF.filter_scheduler.enabled_filters
             or ('cache_aware_sched', 'max_same_image_instances_per_host')
             in options))
