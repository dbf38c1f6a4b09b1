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
"""Sends a server on if its image cannot be fetched while Glance is down.

nova counts most failed builds, and BuildFailureWeigher then pushes the host
behind all others. But an outage of Glance is no fault of the host, and servers
must still go there whose images it holds. So nova is told what it takes for a
refusal of a server group, as in :mod:`.late_check`: the server goes to its
next candidate host, and nothing is counted.
"""

from collections.abc import Iterator
import contextlib

from nova.compute import vm_states
from nova import exception
from nova import objects
from oslo_log import log as logging

from cache_aware_sched import glance_outage

LOG = logging.getLogger(__name__)


class ImageNotFetched(exception.GroupAffinityViolation):
    """Another host may hold the image; see the module's text."""

    # nova shows a user 255 characters, of which half are its own.
    msg_fmt = ('Glance is down for host %(host)s, which cannot fetch image '
               '%(image)s: %(cause)s')


@contextlib.contextmanager
def sent_on(instance: 'objects.Instance') -> Iterator[None]:
    """Send a server on if a block cannot fetch from Glance.

    Only one that is being created: nova has no next host for any other.

    :raises ImageNotFetched: then
    """
    try:
        yield
    except Exception as error:
        if (instance.vm_state != vm_states.BUILDING
                or not glance_outage.is_outage(error)):
            raise
        found = ImageNotFetched(
            host=instance.host, image=instance.image_ref,
            cause=cause_of(error))
        LOG.warning('Server %(server)s is sent to its next candidate host: '
                    '%(error)s', {'server': instance.uuid, 'error': found})
        raise found from error


def cause_of(error: Exception) -> str:
    """Return what an error says, such that it names Glance or its type."""
    text = str(error)
    return text if 'glance' in text.lower() else (
        f'{type(error).__name__}: {text}')
