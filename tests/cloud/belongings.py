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

"""What the user of a cloud would miss."""

import sys

from tests.cloud import cloud as cloud_mod
from tests.cloud import service as service_mod

#: How many of one kind are named.
_NAMED = 5


def found(cloud: cloud_mod.Cloud) -> list[str]:
    """Return what is in a cloud that did not come with it, a line a kind."""
    try:
        kinds = {
            'servers': [
                one.name for one in cloud.client.servers.all().values()],
            'images': [name for name in cloud.client.images.names()
                       if name != cloud_mod.TRY],
            'aggregates': [str(one.name) for one in
                           cloud.client.sdk.compute.aggregates()],
        }
    except Exception as error:
        return [f'what cannot be told: {error}']
    kinds['edits of nova.conf'] = [
        *cloud.schedulers.edited(), *cloud.computes.edited()]
    return [f'{what}: {_named(names)}'
            for what, names in kinds.items() if names]


def ask(cloud: cloud_mod.Cloud) -> None:
    """Ask whether all of it may be deleted, if there is anything.

    :raises service.Failed: if not
    """
    there = found(cloud)
    if not there:
        return
    lines = ''.join(f'  {line}\n' for line in there)
    text = f'A cloud is up, and a scenario deletes of it:\n{lines}'
    if not sys.stdin.isatty():
        raise service_mod.Failed(f'{text}Say --yes if it may, or take that '
                                 f'cloud down first.')
    sys.stdout.write(f'{text}Delete all of it? [y/N] ')
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ('y', 'yes'):
        raise service_mod.Failed('Nothing was deleted.')


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ', '.join(sorted(names)[:_NAMED]) + (
        f' and {more} more' if more > 0 else '')
