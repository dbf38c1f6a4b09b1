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

"""``cache-aware-sched image evict`` and ``image protect``."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from cliff import lister

from cache_aware_sched.cli import compute_access
from cache_aware_sched.cli.fleet_access import gib
from cache_aware_sched import wording


class ImageEvict(compute_access.ComputeCommand, lister.Lister):
    """Evict an image from the cache of this host, unless something keeps it.

    To be run on the compute host itself, as the user of nova-compute. It asks
    nova who uses the image and takes nova's locks, as the image cache manager
    does. What is in use, protected or was used in the last five minutes stays,
    and the exit status is 1.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Return the parser of the arguments."""
        parser = super().get_parser(prog_name)
        parser.add_argument('host', metavar='HOST',
                            help='The name by which nova knows this host.')
        parser.add_argument(
            'image', metavar='IMAGE',
            help='Its id, or what "image list" calls it.')
        parser.add_argument('--dry-run', action='store_true',
                            help='Only tell what would be evicted.')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table.

        :raises RuntimeError: if nothing can be evicted here
        """
        cache = compute_access.image_cache(parsed_args)
        host, path = compute_access.this_host(), compute_access.place()
        if parsed_args.host != host:
            raise RuntimeError(
                f'this is host {host!r}: to evict an image from host '
                f'{parsed_args.host!r}, run the command there')
        try:
            compute_access.check_user()
        except FileNotFoundError:
            raise RuntimeError(_not_there(host, parsed_args, path)) from None
        try:
            with compute_access.asking_conductor():
                compute_access.check_host()
                answers = cache.evict_image(
                    parsed_args.image, parsed_args.dry_run)
        except (Exception, compute_access.NoAnswer) as error:
            # It has a line for each exchange and queue.
            reason = str(error).partition('\n')[0]
            raise RuntimeError(
                f'nothing was evicted, as it cannot be told who uses image '
                f'{parsed_args.image}: {type(error).__name__}: {reason}. Is '
                f'nova-conductor up, and is this the nova.conf of '
                f'nova-compute?') from error
        if not answers:
            raise RuntimeError(_not_there(host, parsed_args, path))
        self.status = int(any(answer.kept for answer in answers))
        done = 'would be' if cache.is_dry_run else 'yes'
        return ('File', 'GiB', 'Evicted', 'Why not'), [
            [answer.entry.name, gib(answer.entry.size),
             'no' if answer.kept else done, answer.kept]
            for answer in answers]


class ImageProtect(compute_access.ComputeCommand, lister.Lister):
    """Show which images are protected on this host, and by what.

    Files are those of the image in the cache of this host: 0 means that the
    image is not in it, or that its id is a mistake.
    """

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """Return the names and the rows of the table."""
        cache = compute_access.image_cache(parsed_args)
        from cache_aware_sched.imagecache import on_request
        keep = cache.protected_images
        sources = keep.sources()
        entries = cache.look().entries
        rows = []
        for image_id, where in sorted(sources.items()):
            found = on_request.entries_of(image_id, entries)
            rows.append([image_id, ', '.join(where), len(found),
                         gib(sum(entry.size for entry in found))])
        self.status = int(bool(keep.unread))
        if self.app.options.verbose_level:
            self._sum_up(rows, keep.unread)
        return ('Image', 'Protected by', 'Files', 'GiB'), rows

    def _sum_up(self, rows: list[list[Any]], unread: list[str]) -> None:
        """Say how many there are, on stderr."""
        there = sum(1 for row in rows if row[2])
        write = self.app.stderr.write
        write(f'{wording.counted(len(rows), "image")} protected on host '
              f'{compute_access.this_host()}; {there} in '
              f'{compute_access.place()}.\n')
        for option in unread:
            write(f'{option} cannot be read: until it can be, nothing is '
                  'evicted.\n')


def _not_there(host: str, parsed_args: argparse.Namespace, path: str) -> str:
    return (f'image {parsed_args.image} is not in the cache of host {host} '
            f'({path})')
