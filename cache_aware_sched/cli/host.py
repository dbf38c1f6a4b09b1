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

"""``cache-aware-sched host``."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
from typing import Any

from cliff import lister
from cliff import show

from cache_aware_sched.cli import fleet_access
from cache_aware_sched import wording

COLUMNS = ('Host', 'Cell', 'Zone', 'State', 'Images', 'GiB', 'In use',
           'Protected', 'Critical', 'Critical missing', 'Arriving',
           'Truncated', 'Free GiB', 'MB/s', 'Report', 'Age s', 'Why not')

#: Of one compute node.
_NAMES = ('host', 'node', 'cell', 'zone', 'aggregates', 'hypervisor', 'state',
          *(name.lower().replace(' ', '_') for name in COLUMNS[4:]),
          'critical_trouble', 'room_gib', 'evicts', 'manager', 'cap',
          'reflinks', 'own_device', 'package', 'nova', 'row_bytes', 'files')


class HostList(fleet_access.FleetCommand, lister.Lister):
    """List the compute nodes, and what they report of their image caches.

    Images are those in the cache and those that arrive, GiB what the complete
    ones take up, and in use those that servers use. Critical are those that
    the host must hold, and missing those of them that it does not. Free GiB is
    the room on the file system of the cache, coarsely. MB/s is how fast the
    host fetched lately. Report is the version of the report. Age is that of
    the row of the host in nova's database.
    """

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        fleet, now = fleet_access.hosts(self.app, parsed_args)
        from cache_aware_sched.fleet import hosts
        fleet_access.say(self.app, hosts.totals(fleet.hosts))
        return COLUMNS, [_row(host, now) for host in fleet.hosts]


class HostShow(fleet_access.NamingCommand, show.ShowOne):
    """Show what a compute node reports of its image cache.

    The room is what can be fetched without anything being evicted, coarsely.
    Files are listed with the image that they are of, the largest first. An
    image of which nova has no server, not even a deleted one, is named as the
    report names it, by a part of the SHA-1 of its id.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('host', metavar='HOST', help='Its name.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the names and the values.

        :raises RuntimeError: if there is no such host, or no one such
        """
        known = fleet_access.capped(self.app, parsed_args, with_ids=True)
        fleet, wanted = known.fleet, parsed_args.host
        found = ([host for host in fleet.hosts if host.node == wanted]
                 or [host for host in fleet.hosts if host.name == wanted])
        if not found:
            raise RuntimeError(
                f'there is no host {wanted!r} among the '
                f'{wording.counted(len(fleet.hosts), "compute node")} that '
                'could be read')
        if len(found) > 1:
            raise RuntimeError(
                f'host {wanted!r} has several compute nodes: name one of '
                + ', '.join(host.node for host in found))
        ids = {image.digest: image.id for image in known.images.all
               if image.id}
        ids = {file.sha1: ids[file.sha1] for file in found[0].files
               if file.sha1 in ids}
        names = fleet_access.names(self.app, parsed_args, ids.values())
        return _NAMES, _all(found[0], fleet_access.now_utc(), {
            digest: f'{one} ({names[one]})' if names.get(one) else one
            for digest, one in ids.items()})


def _row(host: Any, now: datetime.datetime) -> list[Any]:
    """Return the values of :data:`COLUMNS`."""
    values = _cache(host)
    age = host.age(now)
    return [host.name, host.cell, host.zone, host.state, *values,
            None if age is None else round(age), host.why]


def _cache(host: Any) -> list[Any]:
    """Return what a host says of its cache."""
    if host.reported is None:
        return [''] * 11
    from cache_aware_sched import report
    header, files, facts = host.reported.header, host.files, host.facts
    return [
        header.images if header.caches else 0,
        fleet_access.gib(sum(file.size for file in files if file.kind
                             is report.FileKind.COMPLETE)),
        len({file.sha1 for file in files if file.users}),
        _known(facts.protected), _known(facts.critical),
        _known(facts.critical_missing),
        sum(file.kind is report.FileKind.ARRIVING for file in files),
        'yes' if header.truncated else '', _known(facts.free_gib),
        header.rate or '', report.VERSION]


def _known(value: Any) -> Any:
    """Return a fact for the table, where unknown is empty."""
    return {None: '', True: 'yes', False: 'no'}[value] if isinstance(
        value, bool | None) else value


def _all(host: Any, now: datetime.datetime,
         called: Mapping[str, str]) -> list[Any]:
    """Return the values of :data:`_NAMES`.

    :param called: images by what the report calls them
    """
    row = _row(host, now)
    facts = host.facts
    return [host.name, host.node, host.cell, host.zone,
            ', '.join(host.aggregates), host.hypervisor, host.state, *row[4:],
            facts.critical_trouble, _known(facts.room_gib),
            _known(facts.evicts), facts.manager, cap_text(facts),
            _known(facts.reflinks), _known(facts.own_device), facts.package,
            facts.nova, host.stats_bytes, '\n'.join(
                f'{called.get(file.sha1, file.sha1)} '
                f'{file.kind.name.lower()} '
                f'{fleet_access.gib(file.size):g} GiB, '
                f'servers: {file.users}'
                for file in sorted(host.files, key=lambda file: -file.size))]


def cap_text(facts: Any) -> str:
    """Return the cap as the nova.conf of a host has it, in words."""
    if facts.asks_for_cap is False:
        return 'none asked for'
    cap = facts.cap
    if cap is None:
        return ''
    # With another policy there is none (virt/late_check.py).
    checks = cap.checks and cap.policy == 'hard'
    return f'{number_text(cap)}, {"late check" if checks else "no late check"}'


def number_text(cap: Any) -> str:
    """Return a cap in words.

    :param cap: as :class:`cache_aware_sched.report.ReportedCap`
    """
    return ', '.join((
        wording.counted(cap.number, 'server') if cap.number else 'no number',
        *((f'share {cap.share:g}',) if cap.share else ()), cap.policy,
        f'scope {cap.scope}'))
