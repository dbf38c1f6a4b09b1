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

"""``cache-aware-sched status``."""

import argparse
import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import datetime
import itertools
from typing import Any

from cliff import show

from cache_aware_sched import aggregate_keys
from cache_aware_sched.checks import check
from cache_aware_sched.checks.cloud import cap_differences
from cache_aware_sched.checks.cloud import wants_late_check
from cache_aware_sched.cli import decision_log
from cache_aware_sched.cli import fleet_access
from cache_aware_sched.cli.host import cap_text
from cache_aware_sched.cli.host import number_text
from cache_aware_sched.decision_log import summary
from cache_aware_sched import wording


class Status(fleet_access.FleetCommand, show.ShowOne):
    """Show on one screen how the cloud is.

    Who reports, what the caches hold, whose cap differs from that of the
    nova.conf that was read, and how many servers of the last day found their
    image. "cache-aware-sched check" says what to mend.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        decision_log.add_argument(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the names and the values."""
        fleet, _now = fleet_access.hosts(self.app, parsed_args)
        with fleet_access.nova():
            from cache_aware_sched.checks import configuration
            scheduler = configuration.scheduler()
        fields = {**_hosts(fleet), **_caches(fleet.hosts),
                  **_caps(scheduler, fleet),
                  'last_day': self._last_day(parsed_args)}
        return tuple(fields), tuple(fields.values())

    def _last_day(self, parsed_args: argparse.Namespace) -> str:
        """Return what the decision log has of the last 24 hours."""
        since = datetime.datetime.now(datetime.UTC) - datetime.timedelta(
            hours=24)
        try:
            with decision_log.opened(
                    self.app, parsed_args, is_read=True) as log:
                return summary.sentence(
                    summary.summary(log.records(since), 'image')[0])
        except RuntimeError as error:
            return f'not known: {error}'


def _hosts(fleet: Any) -> dict[str, str]:
    """Return who reports."""
    with fleet_access.nova():
        from cache_aware_sched.fleet import hosts
        first, *others = hosts.totals(fleet.hosts)
    states = collections.Counter(host.state for host in fleet.hosts)
    return {
        'hosts': first,
        'not_reporting': '\n'.join(others),
        'states': _counted(states),
        'cells_not_read': check.listed(sorted(fleet.unread)),
    }


def _caches(hosts: Iterable[Any]) -> dict[str, str]:
    """Return what the caches hold, as far as the reports list it."""
    with fleet_access.nova():
        from cache_aware_sched import report
    reporting = [host for host in hosts if host.reported is not None]
    by_host = [[file for file in host.files
                if file.kind is report.FileKind.COMPLETE]
               for host in reporting]
    files = list(itertools.chain.from_iterable(by_host))
    holding = sum(map(bool, by_host))
    images = {file.sha1 for file in files}
    return {
        'caches': (
            f'{wording.counted(len(images), "image")}, '
            f'{wording.counted(len(files), "file")} on {holding} of '
            f'{wording.counted(len(reporting), "reporting host")}, '
            f'{fleet_access.gib(sum(file.size for file in files)):g} GiB'),
        'managers': _counted(collections.Counter(
            host.facts.manager or 'unknown' for host in reporting)),
        'truncated': check.listed([
            host.node for host in reporting if host.reported.header.truncated
        ]),
    }


def _caps(scheduler: Any, fleet: Any) -> dict[str, str]:
    """Return the cap of nova-scheduler, and whose cap differs."""
    return {
        'weigher': (f'{scheduler.mode}, multiplier {scheduler.multiplier:g}'
                    + _set_by(fleet.aggregates, aggregate_keys.IMAGE_CACHE)),
        # Without the late check, which is of hosts.
        'cap': ((number_text(scheduler.cap) if scheduler.asks_for_cap
                 else 'none asked for')
                + _set_by(fleet.aggregates, aggregate_keys.CAP)
                + _set_by(fleet.aggregates, aggregate_keys.SHARE, 'share ')),
        'other_caps': '\n'.join(_differing(scheduler, fleet.hosts)),
    }


def _set_by(aggregates: Iterable[Any], key: str, what: str = '') -> str:
    """Return what aggregates set instead of an option; '' if none does."""
    found = check.listed([
        f'{aggregate.name} {aggregate.metadata[key]}'
        for aggregate in aggregates if key in aggregate.metadata])
    return f'; {what}of aggregates: {found}' if found else ''


def _differing(scheduler: Any, hosts: Iterable[Any]) -> Iterator[str]:
    differing: dict[str, list[str]] = collections.defaultdict(list)
    for host in hosts:
        facts = host.facts
        if facts.asks_for_cap is False and wants_late_check(scheduler):
            differing['none asked for, so no late check'].append(host.node)
        elif facts.cap is not None and cap_differences(
                facts.cap, scheduler.cap):
            differing[cap_text(facts)].append(host.node)
    for text, nodes in sorted(
            differing.items(), key=lambda one: -len(one[1])):
        yield f'{text}: {check.listed(nodes)}'


def _counted(counts: collections.Counter[str]) -> str:
    return ', '.join(f'{number:,} {name}'
                     for name, number in counts.most_common())
