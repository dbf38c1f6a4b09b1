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

"""``cache-aware-sched cap``."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from cliff import lister

from cache_aware_sched.cli import arguments
from cache_aware_sched.cli import fleet_access
from cache_aware_sched import wording

COLUMNS = ('Image', 'Name', 'Project', 'Servers', 'Cap', 'Full', 'Above',
           'Most', 'Fullest hosts', 'Headroom')

#: Hosts that are named in a line.
_NAMED = 3


class CapStatus(fleet_access.NamingCommand, lister.Lister):
    """List the images with servers, and how near they are to the cap.

    Full are the compute nodes at the cap or above it, most is the largest
    number of servers on one node. Headroom is how many more servers all nodes
    together have room for below the cap. Images without headroom come first.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--flavor', metavar='NAME',
            help='Go by the cap for servers of this flavor.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table.

        :raises RuntimeError: if there is no such flavor with a cap
        """
        known = fleet_access.capped(
            self.app, parsed_args, with_flavors=True)
        caps = known.caps(_flavor(known, parsed_args.flavor))
        found = sorted(known.image_caps(caps), key=_nearest_first)
        names = fleet_access.names(
            self.app, parsed_args, [one.image.id for one in found])
        fleet_access.say(self.app, _summary(found, known))
        return COLUMNS, [[
            one.image.name, names.get(one.image.id, ''), one.project,
            one.running, _cap(one), len(one.full), len(one.above),
            max(one.counts.values()), _fullest(one),
            'any' if one.headroom is None else one.headroom]
            for one in found]


class CapTry(fleet_access.FleetCommand, lister.Lister):
    """Show what the cap N would mean for the cloud as it is.

    Lists the hosts that run more than N servers of an image, and those whose
    servers of an image would not fit below the cap on the other hosts. Says
    how many of the last days' requests the cap would have refused; hosts are
    taken to have room for every server but for the cap, so a real cloud
    refuses as many or more. N stands for the option: the caps of aggregates
    and flavors stay.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('cap', metavar='N', type=int,
                            help='Servers of one image on a host.')
        parser.add_argument(
            '--days', metavar='N', type=arguments.number, default=7.0,
            help='Look at the servers created in so many days. Default: 7.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table.

        :raises RuntimeError: if the cap or the days are no such
        """
        cap, days = parsed_args.cap, parsed_args.days
        if not 1 <= cap <= 100_000:
            raise RuntimeError(f'a cap is a number from 1 to 100000: {cap}')
        if not 0 < days <= 3650:
            raise RuntimeError(f'days are a number up to 3650: {days:g}')
        known = fleet_access.capped(
            self.app, parsed_args, True, cap, days)
        from cache_aware_sched.fleet import cap_trial
        found = list(known.image_caps(known.caps(None)))
        stranded = cap_trial.stranded(found, known.caps(None))
        above: dict[Any, dict[str, int]] = {}
        for one in found:
            for node in one.above:
                above.setdefault(node, {})[one.image.name] = (
                    one.counts[node])
        fleet_access.say(
            self.app, _outcome(cap, days, known.replay(), above, stranded))
        return (('Host', 'Node', 'Above the cap', 'Most', 'Image',
                 'Do not fit elsewhere'), [
            [*node, len(above.get(node, ())), *_worst(above.get(node, {})),
             sum(stranded.get(node, {}).values())]
            for node in sorted(
                {*above, *stranded}, key=lambda node: (
                    -_worst(above.get(node, {}))[0], node))])


def _flavor(known: Any, name: str | None) -> Any:
    if name is None:
        return None
    for flavor in known.flavors:
        if flavor.name == name:
            return flavor
    raise RuntimeError(
        f'no flavor {name!r} has a cap of its own; these have: '
        + (', '.join(flavor.name for flavor in known.flavors) or 'none'))


def _nearest_first(one: Any) -> tuple[bool, int, int]:
    return (one.headroom is None, one.headroom or 0, -one.running)


def _cap(one: Any) -> str:
    """Return the limits of the nodes that run the image."""
    limits = sorted(set(one.limits.values()))
    return ', '.join(str(limit) if limit else 'none' for limit in limits)


def _fullest(one: Any) -> str:
    nodes = sorted(one.counts, key=lambda node: (-one.counts[node], node))
    return ', '.join(f'{node[1]} ({one.counts[node]})'
                     for node in nodes[:_NAMED])


def _summary(found: Sequence[Any], known: Any) -> Iterator[str]:
    scope = ('the servers of each project on their own'
             if known.by_project else 'the servers of all projects')
    if not known.is_set:
        yield ('The nova.conf that was read asks for no cap: it does not '
               'enable ImageAntiAffinityFilter. Below is what its options '
               'would allow.')
    yield (f'{wording.counted(len(found), "image")} with servers; the cap '
           f'counts {scope}.')
    full = [one for one in found if one.headroom == 0]
    if full:
        yield (f'At the cap on every host: '
               f'{fleet_access.listed([one.image.name for one in full])}.')
    if known.flavors:
        yield ('Flavors with a cap of their own, see --flavor: '
               + fleet_access.listed(
                   [flavor.name for flavor in known.flavors]) + '.')


def _outcome(cap: int, days: float, trial: Any, above: Any,
             stranded: Any) -> Iterator[str]:
    yield (f'Above a cap of {cap}: {wording.counted(len(above), "host")}.' + (
        ' Such a host keeps its servers, and gets no more of the image.'
        if above else ''))
    refused = sum(trial.refused.values())
    yield (f'Of {wording.counted(trial.asked, "server")} created in the last '
           f'{days:g} days {trial.elsewhere:,} would have gone to another '
           f'host, and {refused:,} would have been refused.')
    if refused:
        yield 'Refused: ' + fleet_access.listed([
            f'{image} ({number:,})'
            for image, number in trial.refused.most_common()]) + '.'
    yield (f'{wording.counted(len(stranded), "host")} with servers that would '
           'not fit below the cap elsewhere: an evacuation takes them beyond '
           'the cap, a migration that the scheduler places is refused.')


def _worst(counts: dict[str, int]) -> tuple[int, str]:
    """Return the most servers, and of which image."""
    if not counts:
        return 0, ''
    image = max(counts, key=lambda name: (counts[name], name))
    return counts[image], image
