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

"""Puts a page together: the frame, its own files, its data and plotly.js."""

import importlib.metadata
import json
from typing import Any

import jinja2
import markupsafe
from plotly import offline


def render(package: str, title: str, data: Any, **values: Any) -> str:
    """Return a page.

    :param package: that has its ``page.html``, ``page.css`` and ``page.js``
    :param data: what its script gets, as JSON
    :param values: what its template gets
    """
    frame = jinja2.PackageLoader(__package__, '')
    own = jinja2.PackageLoader(package, '')
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([frame, own]), autoescape=True,
        trim_blocks=True, undefined=jinja2.StrictUndefined)

    def as_it_is(name: str) -> markupsafe.Markup:
        return markupsafe.Markup(''.join(
            loader.get_source(environment, f'{file}.{name}')[0]
            for loader, file in ((frame, 'base'), (own, 'page'))))

    return environment.get_template('page.html').render(
        title=title, data=_script_data(data), style=as_it_is('css'),
        script=as_it_is('js'),
        plotly=markupsafe.Markup(offline.get_plotlyjs()),
        version=importlib.metadata.version('cache-aware-sched'), **values)


def _script_data(value: Any) -> markupsafe.Markup:
    """Return JSON in which nothing ends the script element that has it."""
    return markupsafe.Markup(
        json.dumps(value, separators=(',', ':')).replace('<', '\\u003c'))
