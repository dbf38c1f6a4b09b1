# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""The rows of the Grafana dashboard, with their queries.

All shares are of increase(): below one boot a second rate() with a floor would
be wrong. Evictions have no threshold: a cache at its limit always evicts.
"""

from typing import Any

from dashboard_panels import images
from dashboard_panels import lines
from dashboard_panels import number
from dashboard_panels import stacked


def overview() -> list[Any]:
    """Return the numbers at the top."""
    booted = 'increase(@boots_total{cache=~"warm|cold"}[$__range])'
    return [
        number(
            "Hosts that report",
            "Of those with a driver of this package.",
            "percentunit",
            'sum(@hosts{cell=~"$cell",'
            'state=~"uncached|truncated|complete"}) / (sum(@hosts{'
            'cell=~"$cell",state!="none"}) > 0)',
        ),
        number(
            "Warm boots",
            "Boots whose host held the image, of all in the time range.",
            "percentunit",
            'sum(increase(@boots_total{cache="warm"}[$__range])) '
            f"/ (sum({booted}) > 0)",
        ),
        number(
            "Boots", "In the time range.", "short", f"round(sum({booted}))"
        ),
        number(
            "Fetches spared",
            "Bytes that servers did not wait for, compared with the hosts "
            "that nova's own weighers would have chosen; in observe mode: "
            "would not have waited for.",
            "bytes",
            "sum(increase(@fetch_saved_bytes_total[$__range]))",
        ),
        number(
            "Waiting spared",
            "The same in time, less what servers waited longer.",
            "s",
            "sum(increase(@fetch_saved_seconds_total[$__range])) "
            "- sum(increase(@fetch_added_seconds_total[$__range]))",
        ),
        number(
            "Worst host failure",
            "The most servers of one image on one host.",
            "short",
            "max(@same_image_servers_most_on_host)",
        ),
    ]


def boots() -> list[Any]:
    """Return what is about boots."""
    seconds = (
        "histogram_quantile({}, sum by (le, cache) (increase("
        '@boot_seconds_bucket{{cache=~"warm|cold"}}[1h])))'
    )
    return [
        stacked(
            lines(
                "Boots an hour",
                "By whether the host held the image. Unknown: its report did "
                "not tell.",
                "short",
                ("sum by (cache) (increase(@boots_total[1h]))", "{{cache}}"),
            )
        ),
        lines(
            "Share of warm boots",
            "Compare it with itself a week ago, not with another cloud. "
            "Hours without a boot have no share.",
            "percentunit",
            (
                'sum(increase(@boots_total{cache="warm"}[1h])) / (sum('
                'increase(@boots_total{cache=~"warm|cold"}[1h])) > 0)',
                "last hour",
            ),
            (
                'sum(increase(@boots_total{cache="warm"}[1d])) / (sum('
                'increase(@boots_total{cache=~"warm|cold"}[1d])) > 0)',
                "last day",
            ),
        ).max(1),
        lines(
            "Time to ACTIVE",
            "From the request to ACTIVE, of the boots of an hour.",
            "s",
            (seconds.format(0.5), "{{cache}}, half of the servers"),
            (seconds.format(0.95), "{{cache}}, 95 %"),
        ),
        lines(
            "Waiting spared an hour",
            "Fetches that servers did not wait for, compared with nova's own "
            "weighers; and those that they waited for because of ours.",
            "s",
            (
                "sum by (mode) (increase(@fetch_saved_seconds_total[1h]))",
                "spared, {{mode}}",
            ),
            (
                "sum by (mode) (increase(@fetch_added_seconds_total[1h]))",
                "added, {{mode}}",
            ),
        ),
    ]


def caches() -> list[Any]:
    """Return what is about the image caches."""
    return [
        lines(
            "Cached bytes of a host",
            "What the complete images take up.",
            "bytes",
            ('max(@host_image_bytes{cell=~"$cell"})', "fullest host"),
            (
                'quantile(0.5, @host_image_bytes{cell=~"$cell"})',
                "half of the hosts have less",
            ),
            ('min(@host_image_bytes{cell=~"$cell"})', "emptiest host"),
        ),
        lines(
            "Images of a host",
            "In the cache, and used by servers of the host.",
            "short",
            ('max(@host_images{cell=~"$cell"})', "most"),
            ('quantile(0.5, @host_images{cell=~"$cell"})', "median"),
            (
                'quantile(0.5, @host_images_in_use{cell=~"$cell"})',
                "in use, median",
            ),
        ),
        stacked(
            lines(
                "Evictions an hour",
                "By reason. A cache at its limit evicts for each fetch, as "
                "it should.",
                "short",
                (
                    "sum by (reason) (increase(@evictions_total[1h]))",
                    "{{reason}}",
                ),
            )
        ),
        lines(
            "Fetches and regrets an hour",
            "A regret is a fetch of what the same host evicted hours before. "
            "Many of them: the limits are too small.",
            "short",
            ("sum(increase(@fetches_total[1h]))", "fetches"),
            ("sum(increase(@evictions_regretted_total[1h]))", "regrets"),
            (
                'sum(@host_images_arriving{cell=~"$cell"})',
                "fetches in progress",
            ),
        ),
    ]


def copies() -> list[Any]:
    """Return what is about images."""
    return [
        images(
            "Most booted images",
            "Wanted copies: one for every 20 boots within ten minutes, 3 to "
            "50. The other images are summed up in one row.",
            ("max by (image) (@image_recent_boots)", "Boots, last days"),
            ("max by (image) (@image_copies)", "Copies"),
            ("max by (image) (@image_copies_arriving)", "Arriving"),
            ("max by (image) (@image_copies_wanted)", "Wanted"),
            ("max by (image) (@image_servers)", "Servers"),
            ("max by (image) (@image_servers_most_on_host)", "Most on a host"),
            ("max by (image) (@image_cap_headroom)", "Below the cap by"),
            ("max by (image) (@image_hosts_at_cap)", "Hosts at the cap"),
            ("max by (image) (@image_bytes)", "Bytes"),
        ),
        lines(
            "Copies that are missing",
            "Wanted copies that no host holds or fetches.",
            "short",
            (
                'clamp_min(@image_copies_wanted{image!="other"} '
                "- @image_copies - @image_copies_arriving, 0)",
                "{{image}}",
            ),
        ),
        lines(
            "Critical images that hosts are missing",
            "Of hosts that are up. They fetch what they are missing.",
            "short",
            (
                'sum((@host_critical_images_missing{cell=~"$cell"}) and on '
                "(hostname, cell) @host_up == 1)",
                "missing copies",
            ),
            (
                'sum(@host_critical_images{cell=~"$cell"})',
                "copies that hosts must hold",
            ),
        ),
        lines(
            "Servers of an image on its fullest host",
            "What the failure of one host takes.",
            "short",
            ("topk(5, @image_servers_most_on_host)", "{{image}}"),
            ("max(@same_image_cap > 0)", "cap of the option"),
        ),
    ]


def reports() -> list[Any]:
    """Return what is about the reports, and about the exporter."""
    return [
        stacked(
            lines(
                "Hosts by report",
                "none: no driver of this package. stale: nova does not see "
                "the host. truncated: the report has no room for all images.",
                "short",
                (
                    'sum by (state) (@hosts{cell=~"$cell"})',
                    "{{state}}",
                ),
            )
        ),
        lines(
            "Age of the reports",
            "Of hosts that are up.",
            "s",
            (
                'max(@host_report_age_seconds{cell=~"$cell"} and on '
                "(hostname, cell) @host_up == 1)",
                "oldest",
            ),
            (
                "quantile(0.5, @host_report_age_seconds"
                '{cell=~"$cell"})',
                "median",
            ),
        ),
        lines(
            "Cells and databases that answer",
            "0: it does not.",
            "short",
            ('min by (cell) (@cell_up{cell=~"$cell"})', "{{cell}}"),
            ("min(@databases_up)", "API database"),
        ),
        lines(
            "Exporter",
            "How long it reads nova's databases, and what it misses of the "
            "decision log.",
            "short",
            ("max(@read_seconds)", "seconds of a reading"),
            (
                "sum(increase(@decision_log_lost_total[1h]))",
                "decisions lost, last hour",
            ),
            (
                "sum(increase(@decision_log_bad_lines_total[1h]))",
                "bad lines, last hour",
            ),
        ),
    ]
