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

"""What the checks look at, as it was gathered. No nova."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
from typing import Protocol

from cache_aware_sched import report


#: For a nova.conf that asks for none.
NO_CAP = report.ReportedCap(0, 0.0, 'hard', 'all')


@dataclasses.dataclass(frozen=True, slots=True)
class SchedulerConf:
    """What the nova.conf of nova-scheduler says.

    :param source: its files, for messages
    :param bad: options that cannot be read, and why
    :param repeated: options of one value that are written several times
    :param unloadable: names of filters and weighers that cannot be loaded
        here, and why
    :param filters: the classes that available_filters comes to
    :param enabled: enabled_filters
    :param weighers: the classes that weight_classes comes to, in their order
    :param weight_classes: the option itself
    :param asks_for_cap: whether it is meant to cap servers
    :param processors: of the machine that this runs on
    """

    source: str = 'nova.conf'
    bad: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    unloadable: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    weighers: tuple[str, ...] = ()
    weight_classes: tuple[str, ...] = ()
    multiplier: float = 0.0
    mode: str = 'enforce'
    cap: report.ReportedCap = NO_CAP
    asks_for_cap: bool = False
    host_subset_size: int = 1
    shuffles: bool = False
    max_placement_results: int = 1000
    max_attempts: int = 3
    tracks_instances: bool = True
    workers: int | None = None
    processors: int = 1
    cpu_multiplier: float = 1.0
    ram_multiplier: float = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class ComputeConf:
    """What the nova.conf of nova-compute says.

    :param driver: compute_driver
    :param bad: options that cannot be read, and why
    :param asks_for_cap: whether it is meant to cap servers
    :param available_managers: that can be loaded here
    :param fetches_from_hosts: whether it copies images from other hosts
    :param images_type: of [libvirt], if no image can be copied with it
    :param has_raw_disks: whether disks are copies of their images
    """

    source: str = 'nova.conf'
    driver: str = ''
    bad: tuple[str, ...] = ()
    cap: report.ReportedCap = NO_CAP
    asks_for_cap: bool = False
    manager: str = 'age'
    available_managers: tuple[str, ...] = ()
    fetches_from_hosts: bool = False
    images_type: str = ''
    has_raw_disks: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ReachedHost:
    """Another host, on which this one tried to log in.

    :param user: that tried it
    :param host: the other host; '' if there is none to try it with
    :param error: what was wrong; '' if nothing was
    """

    user: str
    host: str = ''
    error: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class TriedCopy:
    """A small copy from the image cache to the disks of instances.

    :param path: the directory of the instances
    :param kind: of its file system
    :param shares: whether the copy shared all of its blocks
    :param reflinks: whether the file system can have that; None if nobody
        tells, as of one of another machine
    :param own_device: whether the image cache is on another one
    :param disks: how many there are of instances, as far as can be read
    :param disk_bytes: that they have
    :param shared_bytes: that others have too
    :param error: why nothing was copied; '' if it was
    """

    path: str
    kind: str = ''
    shares: bool = False
    reflinks: bool | None = None
    own_device: bool = False
    disks: int = 0
    disk_bytes: int = 0
    shared_bytes: int = 0
    error: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class ApiConf:
    """What the nova.conf of nova-api says, and its api-paste.ini.

    :param paste: the path of the latter; '' if there is none
    :param pipelines: the lines with the names of the filters
    :param has_filter: whether it says what the filter is
    :param bad: options of which the value cannot be read
    :param each_process: why image records are of one process only; '' if they
        are not
    :param backend: of ``[cache]``
    :param backend_seconds: after which the backend forgets; None for never
    :param max_age: image_record_max_age
    """

    paste: str = ''
    pipelines: tuple[str, ...] = ()
    has_filter: bool = True
    bad: tuple[str, ...] = ()
    each_process: str = ''
    backend: str = ''
    backend_seconds: int | None = None
    max_age: int = 0

    @property
    def remembers(self) -> bool:
        """Whether the filter image_records is in a pipeline."""
        return any('image_records' in self.filter_names(line)
                   for line in self.pipelines)

    @staticmethod
    def filter_names(line: str) -> list[str]:
        """Return the names in a pipeline, in their order."""
        return line.split()


class CheckedHost(Protocol):
    """A compute node: :class:`cache_aware_sched.fleet.hosts.ReportingHost`."""

    @property
    def name(self) -> str:
        """Of the host."""

    @property
    def node(self) -> str:
        """Of the compute node."""

    @property
    def state(self) -> str:
        """``up``, ``down``, ``disabled`` or ``no service``."""

    @property
    def hypervisor(self) -> str:
        """Its type."""

    @property
    def updated(self) -> datetime.datetime | None:
        """When its row was written last, UTC."""

    @property
    def reported(self) -> report.Report | None:
        """The report, if there is one that can be read."""

    @property
    def why(self) -> str:
        """Why there is none."""

    @property
    def facts(self) -> report.HostFacts:
        """What it says beyond its files."""

    @property
    def stats_bytes(self) -> int:
        """What its statistics take of the database column."""

    @property
    def uptime(self) -> str:
        """What the command of this name has said on it."""

    def age(self, now: datetime.datetime) -> float | None:
        """Return how old the row is, in seconds."""


class CheckedAggregate(Protocol):
    """An aggregate: :class:`cache_aware_sched.fleet.hosts.FleetAggregate`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Its metadata."""


@dataclasses.dataclass(frozen=True, slots=True)
class Overfull:
    """A compute node that runs more servers of an image than the cap."""

    image: str
    node: str
    servers: int
    cap: int


@dataclasses.dataclass(frozen=True, slots=True)
class CloudState:
    """What nova's databases say.

    :param now: UTC, without a zone
    :param unread: why a cell could not be read, by its name
    :param overfull: the worst first; None if servers were not read
    :param schedulers: the hosts of nova-scheduler that are up
    :param newest: the latest time that a nova service has noted, UTC
    """

    hosts: Sequence[CheckedHost] = ()
    now: datetime.datetime = datetime.datetime.min
    unread: Mapping[str, str] = dataclasses.field(default_factory=dict)
    aggregates: Sequence[CheckedAggregate] = ()
    overfull: Sequence[Overfull] | None = ()
    schedulers: Sequence[str] = ()
    newest: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SetUp:
    """All that was gathered; None is what was not asked for.

    :param nova: the release that is installed here
    :param tried: releases of nova that this package was tried with
    :param package: the version of this package here
    :param reached: None if it was not tried
    :param copied: None if it was not tried
    """

    scheduler: SchedulerConf | None = None
    compute: ComputeConf | None = None
    cloud: CloudState | None = None
    nova: str = ''
    tried: tuple[str, ...] = ()
    package: str = ''
    api: ApiConf | None = None
    reached: ReachedHost | None = None
    copied: TriedCopy | None = None
