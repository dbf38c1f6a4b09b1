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

"""The cloud as its users and administrators see it, and its database."""

from collections.abc import Collection
from collections.abc import Iterable
import json
from typing import Any

from openstack import connection as sdk_connection

from cache_aware_sched import report
from tests.cloud import catalog
from tests.cloud import images
from tests.cloud import infra
from tests.cloud import running
from tests.cloud import servers
from tests.cloud import service as service_mod
from tests.cloud import settings as settings_mod

_STATS = """
select stats from nova_cell1.compute_nodes
where deleted = 0 and host = '{host}';
"""


class Client:
    """An administrator's view of a cloud."""

    def __init__(self, settings: settings_mod.Settings,
                 database: infra.Infra) -> None:
        #: For whatever is not below.
        self.sdk: sdk_connection.Connection = catalog.connect(settings)
        self.servers = servers.Servers(self.sdk)
        self.images = images.Images(self.sdk, settings.run)
        self._database = database

    def sql(self, statements: str) -> list[str]:
        """Return what MariaDB says, a line a row; columns have tabs between.

        The databases are those of :data:`tests.cloud.infra.DATABASES`.
        """
        return self._database.sql(statements)

    def computes(self) -> dict[str, str]:
        """Return whether each nova-compute is 'up' or 'down', by its host."""
        return {str(one.host): str(one.state) for one in
                self.sdk.compute.services(binary='nova-compute')}

    def stats(self, host: str) -> dict[str, Any]:
        """Return the statistics of a host as they are in the database."""
        rows = self._database.sql(_STATS.format(host=host))
        if not rows or rows[0] == 'NULL':
            return {}
        stats: dict[str, Any] = json.loads(rows[0])
        return stats

    def cached_images(self, host: str) -> report.Report | None:
        """Return what a host reports of its image cache, None for nothing.

        :raises cache_aware_sched.report.UnreadableReport: if it is no report
        """
        text = self.stats(host).get(report.STATS_KEY)
        return None if text is None else report.Report(text)

    def holding(self, host: str, image_id: str) -> report.Holding:
        """Return whether a host is reported to hold an image."""
        found = self.cached_images(host)
        if found is None:
            return report.Holding.UNKNOWN
        return found.holding(report.image_key(image_id))

    def wait_for_holding(self, host: str, image_id: str,
                         *wanted: report.Holding,
                         within: float = 30.0) -> float:
        """Wait until a host is reported to hold an image, or not to.

        :returns: the seconds that it took
        :raises service.Failed: if it takes too long
        """
        wanted = wanted or (report.Holding.WARM, report.Holding.WARM_RESIZED)
        return running.wait_for(
            f'{host} is not reported as {wanted[0].name} for {image_id}',
            lambda: self.holding(host, image_id) in wanted, within, poll=0.05)

    def wait_for_no_builds(self, host: str) -> None:
        """Wait until nova has seen that a host builds no server any more.

        Until then its IoOpsWeigher keeps others away, by as much as an image
        cache can weigh.
        """
        running.wait_for(
            f'{host} still counts a build',
            lambda: int(self.stats(host).get('io_workload', 1)) == 0, 90.0)

    def aggregate(self, name: str, hosts: Iterable[str],
                  metadata: dict[str, str] | None = None) -> str:
        """Create an aggregate of hosts; return its id."""
        compute = self.sdk.compute
        made = str(compute.create_aggregate(name=name).id)
        for host in hosts:
            compute.add_host_to_aggregate(made, host)
        if metadata:
            compute.set_aggregate_metadata(made, metadata)
        return made

    def disable(self, hosts: Collection[str]) -> None:
        """Have no server placed on hosts."""
        compute = self.sdk.compute
        for one in compute.services(binary='nova-compute'):
            if one.host in hosts:
                compute.disable_service(one)

    def force_down(self, hosts: Collection[str]) -> None:
        """Have hosts count as down."""
        compute = self.sdk.compute
        for one in compute.services(binary='nova-compute'):
            if one.host in hosts:
                compute.update_service_forced_down(one, forced=True)

    def precache(self, aggregate: str, *image_ids: str) -> None:
        """Have the hosts of an aggregate fetch images; return at once."""
        answer = self.sdk.compute.post(
            f'/os-aggregates/{aggregate}/images', microversion='2.81',
            json={'cache': [{'id': image_id} for image_id in image_ids]})
        if answer.status_code != 202:
            raise service_mod.Failed(
                f'pre-cache: {answer.status_code} {answer.text}')

    def clear(self) -> None:
        """Delete all servers, aggregates and images; enable all computes."""
        compute = self.sdk.compute
        for one in compute.services(binary='nova-compute'):
            if one.is_forced_down:
                compute.update_service_forced_down(one, forced=False)
            if one.status == 'disabled':
                compute.enable_service(one)
        self.servers.delete_all()
        for aggregate in compute.aggregates():
            for host in aggregate.hosts or ():
                compute.remove_host_from_aggregate(aggregate.id, host)
            compute.delete_aggregate(aggregate.id)
        self.images.delete_all()
