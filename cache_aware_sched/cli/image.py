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
from collections.abc import Sequence
from typing import Any

from cliff import lister

from cache_aware_sched.cli import fleet_access

COLUMNS = ('Image', 'GiB', 'Holding', 'Arriving', 'Servers', 'Nodes',
           'Most on one')


class ImageList(fleet_access.FleetCommand, lister.Lister):
    """List the images that hosts hold or servers have.

    Holding and arriving are hosts; nodes are the compute nodes that run
    servers of the image. Those with most servers come first. An image that no
    server has is named as the reports name it, by a part of the SHA-1 of its
    id.
    """

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        return COLUMNS, [
            [image.name, fleet_access.gib(image.size), len(image.holding),
             len(image.arriving), image.running, len(image.servers),
             image.most]
            for image in fleet_access.images(self.app, parsed_args).all]


class ImageShow(fleet_access.FleetCommand, lister.Lister):
    """Show which hosts hold an image or run servers of it."""

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
        images = fleet_access.images(self.app, parsed_args)
        image = images.find(parsed_args.image)
        if image is None:
            raise RuntimeError(f'no host holds image {parsed_args.image!r}, '
                               'and no server has it')
        state = {
            (host.name, host.node): what
            for what, hosts in (('arriving', image.arriving),
                                ('complete', image.holding))
            for host in hosts}
        rows = []
        for node in sorted({*state, *image.servers}):
            host = images.hosts.get(node)
            rows.append([
                *node, host.zone if host else '',
                ', '.join(host.aggregates) if host else '',
                state.get(node, ''), image.servers.get(node, 0)])
        return ('Host', 'Node', 'Zone', 'Aggregates', 'Image', 'Servers'), rows
