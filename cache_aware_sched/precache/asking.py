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

"""Asks nova-compute to fetch images, by nova's own call for it.

One image a call: nova-compute fetches a list one after the other, and
nova-conductor waits for all of it within one time-out (nova.conductor.manager,
cache_images, nova 34.0.0). No private name of nova is used.
"""

import concurrent.futures
import threading

from nova.compute import rpcapi
from nova import conf as nova_conf
from nova import context as nova_context
from nova import objects
from nova import rpc
import oslo_messaging

from cache_aware_sched.precache.plan import PlannedCopy
from cache_aware_sched import service_account

CONF = nova_conf.CONF


class SilentHost(Exception):
    """A host does not answer; the message says why that may be."""


class HostAsker:
    """Asks hosts, each in a thread of its own.

    A host that dies is told within [DEFAULT] rpc_response_timeout, as
    nova-compute sends signs of life while it fetches.

    :param timeout: seconds for one image, from when its host was asked
    :raises cache_aware_sched.service_account.NoAccount: if nova.conf has no
        account with which Glance answers
    """

    def __init__(self, timeout: int) -> None:
        self._session = service_account.session()
        # What nova's call goes by; this process makes no other ones.
        CONF.set_override('long_rpc_timeout', timeout)
        objects.register_all()
        if rpc.TRANSPORT is None:
            rpc.init(CONF)
        self._rpcapi = rpcapi.ComputeAPI()

    def ask(self, copy: PlannedCopy) -> 'concurrent.futures.Future[str]':
        """Have a host fetch an image; the answer is nova-compute's word."""
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        # It must not keep the command from ending: the host fetches on.
        threading.Thread(target=self._answer, args=(copy, future),
                         daemon=True).start()
        return future

    def _answer(self, copy: PlannedCopy,
                future: 'concurrent.futures.Future[str]') -> None:
        try:
            future.set_result(self._fetch(copy))
        except BaseException as error:
            future.set_exception(error)

    def _fetch(self, copy: PlannedCopy) -> str:
        context = service_account.sent_context(self._session)
        cell = objects.HostMapping.get_by_host(
            context, copy.host).cell_mapping
        with nova_context.target_cell(context, cell) as target:
            try:
                answer = self._rpcapi.cache_images(
                    target, host=copy.host, image_ids=[copy.image_id])
            except oslo_messaging.MessagingTimeout:
                raise SilentHost(
                    'its nova-compute has died, hangs, or takes longer than '
                    '--timeout') from None
        return str(answer.get(copy.image_id, ''))
