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

"""Reads of a nova.conf what the checks look at."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import configparser
import contextlib
import importlib.metadata
import os
import re
from typing import Any

from nova.scheduler import filters
from nova.scheduler import weights
from oslo_config import cfg

from cache_aware_sched.api import values as values_mod
from cache_aware_sched import cap_sources
from cache_aware_sched.checks.state import ApiConf
from cache_aware_sched.checks.state import ComputeConf
from cache_aware_sched.checks.state import NO_CAP
from cache_aware_sched.checks.state import SchedulerConf
from cache_aware_sched import conf as our_conf
from cache_aware_sched.config import CONF
from cache_aware_sched.lvm import settings
from cache_aware_sched import masking
from cache_aware_sched.neighbours import sources
from cache_aware_sched import report

_OURS = our_conf.GROUP.name
_FILTERS = 'filter_scheduler'
#: nova's name for them in its api-paste.ini (nova 31.3.1 to 34.0.0).
_PIPELINES = 'composite:openstack_compute_api_'
_MANAGERS = 'cache_aware_sched.image_cache_managers'

#: ``[libvirt] images_type`` of nova.virt.libvirt.imagebackend.Flat (nova
#: 31.3.1 to 34.0.0), which ``default`` is too without ``use_cow_images``.
_RAW_DISKS = ('raw', 'flat')

#: How oslo.config 9.7.2 to 10.7.0 writes where a value is from.
_LOCATION = re.compile(
    r" from LocationInfo\(location=<[^>]*>, detail='([^']*)'\)")

#: Options with a list of values of which one line counts.
_LISTS = ((_FILTERS, 'weight_classes'), (_FILTERS, 'enabled_filters'))


class _Values:
    """Reads options, and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.bad: list[str] = []

    def get(self, group: str | None, name: str, instead: Any) -> Any:
        """Return the value of an option, or what stands for it."""
        section = group or 'DEFAULT'
        try:
            where: Any = CONF if group is None else CONF[group]
            return getattr(where, name)
        except (cfg.Error, ValueError) as error:
            self.bad.append(f'[{section}] {name}: {_first_line(error)}')
            return instead

    def asks_for_cap(self) -> bool:
        """Return whether a cap is asked for."""
        try:
            return cap_sources.is_set_here()
        except (cfg.Error, ValueError):
            return True  # with a value that is wrong, which is noted elsewhere

    def check_ours(self) -> None:
        """Read every option of this package."""
        try:
            our_conf.check(CONF)
        except (cfg.Error, ValueError) as error:
            self.bad.append(_first_line(error))


def _first_line(error: Exception) -> str:
    text = _LOCATION.sub(r' in \1', str(error).partition('\n')[0])
    return masking.masked(text)


def scheduler() -> SchedulerConf:
    """Return what the configuration says to nova-scheduler.

    Of that which :func:`cache_aware_sched.nova_databases.configure` has read.
    """
    values = _Values()
    values.check_ours()

    def option(name: str, instead: Any) -> Any:
        return values.get(_FILTERS, name, instead)

    weight_classes = tuple(option('weight_classes', ()))
    weighers, unloadable = _classes(
        weights.HostWeightHandler().get_matching_classes, weight_classes)
    found, more = _classes(filters.HostFilterHandler().get_matching_classes,
                           option('available_filters', ()))
    return SchedulerConf(
        source=source(), repeated=tuple(_repeated(_files())),
        unloadable=(*unloadable, *more), filters=found,
        enabled=tuple(option('enabled_filters', ())), weighers=weighers,
        weight_classes=weight_classes,
        multiplier=values.get(_OURS, 'image_cache_weight_multiplier', 0.0),
        mode=values.get(_OURS, 'image_cache_weigher_mode', ''),
        cap=_cap(values), asks_for_cap=values.asks_for_cap(),
        host_subset_size=option('host_subset_size', 1),
        shuffles=option('shuffle_best_same_weighed_hosts', False),
        max_placement_results=values.get(
            'scheduler', 'max_placement_results', 1000),
        max_attempts=values.get('scheduler', 'max_attempts', 3),
        tracks_instances=option('track_instance_changes', True),
        workers=values.get('scheduler', 'workers', None),
        processors=os.cpu_count() or 1,
        cpu_multiplier=option('cpu_weight_multiplier', 1.0),
        ram_multiplier=option('ram_weight_multiplier', 1.0),
        bad=tuple(dict.fromkeys(values.bad)))


def compute() -> ComputeConf:
    """Return what the configuration says to nova-compute."""
    values = _Values()
    values.check_ours()
    images_type = values.get('libvirt', 'images_type', '')
    wrong = '' if values.bad else settings.contradiction(CONF)
    if wrong:
        values.bad.append(wrong)
    return ComputeConf(
        source=source(),
        driver=values.get(None, 'compute_driver', '') or '',
        cap=_cap(values), asks_for_cap=values.asks_for_cap(),
        manager=values.get(_OURS, 'image_cache_manager', ''),
        available_managers=tuple(sorted(
            point.name for point in importlib.metadata.entry_points(
                group=_MANAGERS))),
        fetches_from_hosts=values.get(_OURS, 'fetch_from_hosts', '')
        == sources.OUTAGE,
        images_type='' if images_type in sources.FILES else images_type,
        has_raw_disks=images_type in _RAW_DISKS or (
            images_type == 'default'
            and not values.get(None, 'use_cow_images', True)),
        bad=tuple(dict.fromkeys(values.bad)))


def api() -> ApiConf:
    """Return what the configuration says to nova-api."""
    values = _Values()
    paste = _found(values.get('wsgi', 'api_paste_config', '') or '')
    backend = values.get('cache', 'backend', '')
    values.check_ours()
    return ApiConf(
        paste=paste, pipelines=tuple(_pipelines(paste)) if paste else (),
        has_filter=_has_filter(paste), bad=tuple(dict.fromkeys(values.bad)),
        each_process=values_mod.each_process(
            values.get(_OURS, 'image_record_secret', ''),
            values.get('cache', 'enabled', False), backend),
        backend=backend, backend_seconds=values.get(
            'cache', 'backend_expiration_time', None),
        max_age=values.get(_OURS, 'image_record_max_age', 0))


def _found(name: str) -> str:
    """Return the path of a file that lies where nova looks, '' without it."""
    if not name or os.path.isabs(name):
        return name if os.path.isfile(name) else ''
    try:
        return str(CONF.find_file(name) or '')
    except cfg.Error:
        return ''


def _parsed(path: str) -> configparser.RawConfigParser:
    """Return what is in an api-paste.ini, as far as it can be read."""
    # As it is: the defaults of paste are not those of oslo.config.
    parser = configparser.RawConfigParser(strict=False)
    with contextlib.suppress(OSError, configparser.Error, UnicodeError):
        parser.read(path)
    return parser


def _has_filter(path: str) -> bool:
    """Return whether an api-paste.ini says what image_records is."""
    return bool(path) and _parsed(path).has_section('filter:image_records')


def _pipelines(path: str) -> list[str]:
    """Return the pipelines of the API that an api-paste.ini has."""
    parser = _parsed(path)
    return [parser[name]['keystone'] for name in parser.sections()
            if name.startswith(_PIPELINES) and 'keystone' in parser[name]]


def source() -> str:
    """Return the files that were read, for messages."""
    return ', '.join(_files()) or 'nova.conf (no file was found)'


def _files() -> list[str]:
    return list(getattr(CONF, 'config_file', None) or ())


def _cap(values: _Values) -> report.ReportedCap:
    names = {'number': cap_sources.OPTION, 'share': cap_sources.SHARE_OPTION,
             'policy': 'same_image_cap_policy', 'scope': 'same_image_scope',
             'checks': 'same_image_late_check'}
    return report.ReportedCap(**{
        field: values.get(_OURS, name, getattr(NO_CAP, field))
        for field, name in names.items()})


def _classes(load: Callable[[Sequence[str]], Iterable[type[Any]]],
             names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes that names of an option come to.

    :returns: their names, and why what cannot be loaded cannot
    """
    classes: list[str] = []
    failed: list[str] = []
    for name in names:
        try:
            classes += (class_.__name__ for class_ in load([name]))
        except Exception as error:
            # Whatever a plug-in raises when it is imported.
            failed.append(f'{name} ({_first_line(error)})')
    return tuple(classes), tuple(failed)


def _repeated(files: Iterable[str]) -> list[str]:
    """Return the lists of which a file has several lines."""
    found: list[str] = []
    for path in files:
        sections: dict[str, dict[str, list[str]]] = {}
        try:
            cfg.ConfigParser(path, sections).parse()
        except (OSError, cfg.Error, ValueError):
            continue  # it was read a moment ago
        found += (f'[{group}] {name}' for group, name in _LISTS
                  if len(sections.get(group, {}).get(name, ())) > 1)
    return list(dict.fromkeys(found))
