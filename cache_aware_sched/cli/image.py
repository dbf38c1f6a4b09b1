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

"""``cache-aware-sched image``."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

from cliff import lister

from cache_aware_sched.cli import fleet_access
from cache_aware_sched import wording

COLUMNS = ('Image', 'Name', 'GiB', 'Holding', 'Arriving', 'Servers', 'Nodes',
           'Most on one')


class ImageList(fleet_access.NamingCommand, lister.Lister):
    """List the images that hosts hold or servers have.

    Holding and arriving are hosts; nodes are the compute nodes that run
    servers of the image. Those with most servers come first. An image of which
    nova has no server, not even a deleted one, is named as the reports name
    it, by a part of the SHA-1 of its id.
    """

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        images = fleet_access.images(self.app, parsed_args).all
        names = fleet_access.names(self.app, parsed_args,
                                   [image.id for image in images])
        return COLUMNS, [
            [image.name, names.get(image.id, ''),
             fleet_access.gib(image.size), len(image.holding),
             len(image.arriving), image.running, len(image.servers),
             image.most]
            for image in images]


class ImageShow(fleet_access.NamingCommand, lister.Lister):
    """Show which hosts hold an image or run servers of it.

    Cap is how many servers of it the host may run, for servers of a flavor
    without a cap of its own; of a project is the most that one project runs
    there, for a cap that counts each project on its own. A server that is
    moved counts here where nova has it now, but for the cap on both hosts
    until the move is confirmed or undone.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'image', metavar='IMAGE',
            help='Its id, or what "image list" calls it.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table.

        :raises RuntimeError: if no host and no server has the image
        """
        known = fleet_access.capped(self.app, parsed_args, with_ids=True)
        image = known.images.find(parsed_args.image)
        if image is None:
            raise RuntimeError(
                f'no host holds image {parsed_args.image!r}, and no server '
                'has it; give the id of an image, not its name: "image list" '
                'has both')
        names = fleet_access.names(self.app, parsed_args, [image.id])
        fleet_access.say(self.app, _summary(
            image, names.get(image.id, ''), known))
        state = {
            (host.name, host.node): what
            for what, hosts in (('arriving', image.arriving),
                                ('complete', image.holding))
            for host in hosts}
        caps = known.caps(None)
        limits = caps.limits(image.running)
        rows = []
        for node in sorted({*state, *image.servers}):
            host = known.images.hosts.get(node)
            rows.append([
                *node, host.zone if host else '',
                ', '.join(host.aggregates) if host else '',
                state.get(node, ''), image.servers.get(node, 0),
                max((counts.get(node, 0)
                     for counts in image.by_project.values()), default=0),
                limits[caps.of(node)] or ''])
        return ('Host', 'Node', 'Zone', 'Aggregates', 'Image', 'Servers',
                'Of a project', 'Cap'), rows


def _summary(image: Any, name: str, known: Any) -> Iterator[str]:
    """Say what an image is worth, and how its servers are spread."""
    from cache_aware_sched import fetch_time
    called = f' ({name})' if name else ''
    hosts = wording.counted(len(image.holding), 'host')
    yield f'Image {image.name}{called}: {hosts} with all of it.'
    rates = [host.reported.header.rate for host in known.fleet.hosts
             if host.reported is not None and host.reported.header.rate]
    if image.size:
        seconds = fetch_time.fetch_seconds(
            image.size, fetch_time.usual_rate(rates))
        rate = (f'the median rate of {wording.counted(len(rates), "host")}'
                if rates else 'a rate that is assumed: no host has fetched')
        yield (f'A host with it spares a server about {seconds:.1f} s: '
               f'{fleet_access.gib(image.size):g} GiB at {rate}.')
    if image.running:
        (host, _node), most = max(
            image.servers.items(), key=lambda one: (one[1], one[0]))
        places = {(one.zone, *one.aggregates) for node in image.servers
                  if (one := known.images.hosts.get(node)) is not None}
        yield (f'{wording.counted(image.running, "server")} on '
               f'{wording.counted(len(image.servers), "node")}, most on '
               f'{host}: {most}, {100 * most / image.running:.2g} % of all.')
        zones = sorted({place[0] for place in places} - {''})
        aggregates = sorted({name for place in places for name in place[1:]})
        if zones:
            yield f'Zones: {fleet_access.listed(zones)}.'
        if aggregates:
            yield f'Aggregates: {fleet_access.listed(aggregates)}.'
