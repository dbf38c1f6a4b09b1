#!/usr/bin/env python3
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
"""Write the Grafana dashboard of the exporter.

Needs grafana-foundation-sdk::

    python3 tools/dashboard.py > etc/grafana/image_caches.json
"""

import sys

from dashboard_panels import DATASOURCE
from dashboard_panels import PREFIX
import dashboard_rows as rows
from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    made = (
        dashboard.Dashboard("Image caches of the compute hosts")
        .uid("cache-aware-sched")
        .description("cache-aware-sched exporter: nova's image caches.")
        .tags(["openstack", "nova", "cache-aware-sched"])
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Prometheus")
            .type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("cell")
            .label("Cell")
            .datasource(DATASOURCE)
            .query(f"label_values({PREFIX}cell_up, cell)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(models.VariableOption(text="All", value="$__all"))
        )
    )
    for title, panels in (
        ("At a glance", rows.overview()),
        ("Boots", rows.boots()),
        ("Caches", rows.caches()),
        ("Images", rows.copies()),
        ("Reports", rows.reports()),
    ):
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def text() -> str:
    """Return the dashboard as JSON, with the end of its last line."""
    return JSONEncoder(sort_keys=True, indent=1).encode(build().build()) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
