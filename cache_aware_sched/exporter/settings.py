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

"""The options of the exporter."""

import dataclasses

from cache_aware_sched.option import Checked
from cache_aware_sched.option import option


@dataclasses.dataclass(frozen=True, slots=True)
class ExporterSettings(Checked):
    """What is told, and how often nova's databases are read."""

    listen: str = option(
        '127.0.0.1:9917', 'Where to listen. There is no password: bind it to '
        'an address that only Prometheus reaches.', metavar='HOST:PORT')
    cache_seconds: float = option(
        60.0, "How long what was read of nova's databases is told again, "
        'however often Prometheus asks. nova-compute writes the row of its '
        'host once a minute.', 0, 3600)
    top_images: int = option(
        20, 'Images with series of their own, those with the most boots '
        'first. All others are summed up as the image "other".', 0, 1000)
    days: float = option(
        7.0, 'Boots of so many days decide which images are booted most and '
        'how many copies are wanted.', above=0, high=90)
    regret_hours: float = option(
        6.0, 'An image that a host fetches again so soon after it was evicted '
        'there is a regret.', above=0, high=720)
    decision_logs: tuple[str, ...] = option(
        (), 'A decision log of a nova-scheduler. Default: decision_log_file '
        "of nova's configuration.", metavar='FILE')
    notifications: bool = option(
        False, 'Listen to the notifications image_cache.* of all cells, in a '
        'pool of its own: no other consumer loses any. Boots and evictions '
        'are then counted by them, not by the decision log and the reports.')
    once: bool = option(
        False, 'Print all metrics once, and end. Counters are those of what '
        'the decision log still has.')
    output: str = option(
        '', "With --once: a file to replace, as one of node-exporter's "
        'textfile collector, where its name must end with .prom. It has the '
        'gauges: what a process counted that has ended is no counter.',
        metavar='FILE')
