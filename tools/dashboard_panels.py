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
"""The kinds of panels that the Grafana dashboard has."""

from typing import Any

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

#: Of all metrics.
PREFIX = "cache_aware_sched_"
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="$datasource")

#: Of a row; Grafana has 24 columns.
STAT_WIDTH, PANEL_WIDTH = 4, 12


def query(expr: str, legend: str = "", ref: str = "A") -> Any:
    """Return a query over the time range that is shown.

    :param expr: PromQL, with @ for the prefix of the metrics
    :param legend: of its series
    """
    made = prometheus.Dataquery().expr(expr.replace("@", PREFIX)).ref_id(ref)
    return made.legend_format(legend) if legend else made


def number(title: str, text: str, unit: str, expr: str) -> Any:
    """Return a panel with one number."""
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .datasource(DATASOURCE)
        .span(STAT_WIDTH)
        .height(4)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .no_value("nothing booted")
        .with_target(query(expr).instant())
    )


def lines(
    title: str, text: str, unit: str, *queries: tuple[str, str]
) -> timeseries.Panel:
    """Return a panel with lines.

    :param queries: an expression and a legend each
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .min(0)
        .datasource(DATASOURCE)
        .span(PANEL_WIDTH)
        .height(8)
        .fill_opacity(10)
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
    )
    for position, (expr, legend) in enumerate(queries):
        panel = panel.with_target(query(expr, legend, chr(65 + position)))
    return panel


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Return a panel whose lines add up."""
    return panel.fill_opacity(60).stacking(
        common.StackingConfig().mode(common_models.StackingMode.NORMAL)
    )


def images(title: str, text: str, *columns: tuple[str, str]) -> Any:
    """Return a table with a row for each image.

    :param columns: an expression and a name each
    """
    panel = (
        table.Panel()
        .title(title)
        .description(text)
        .datasource(DATASOURCE)
        .span(24)
        .height(9)
    )
    names = {}
    for position, (expr, name) in enumerate(columns):
        ref = chr(65 + position)
        names[f"Value #{ref}"] = name
        panel = panel.with_target(
            query(expr, ref=ref)
            .instant()
            .format(prometheus_models.PromQueryFormat.TABLE)
        )
    return panel.with_transformation(
        models.DataTransformerConfig(id_val="merge", options={})
    ).with_transformation(
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "renameByName": {"image": "Image", **names},
            },
        )
    )
