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

"""The look that all figures have.

They have no colours of text, axes and background: the page gives them those
of the reader's theme.
"""

from typing import Any

from plotly import graph_objects

#: Okabe and Ito, "Color Universal Design" (2008): colours that people with any
#: kind of colour vision tell apart. Without black and yellow, of which each is
#: invisible on one of the backgrounds.
PALETTE = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')
GREY = '#808080'


def finished(figure: graph_objects.Figure, **layout: Any) -> dict[str, Any]:
    """Return a figure as JSON, with the layout that all have."""
    figure.update_layout(
        template='none', margin={'l': 60, 'r': 20, 't': 30, 'b': 10},
        legend={'orientation': 'h', 'x': 0, 'y': 0, 'yref': 'container',
                'yanchor': 'bottom', 'maxheight': 2000},
        paper_bgcolor='rgba(0,0,0,0)',
        plot_bgcolor='rgba(0,0,0,0)', **layout)
    figure.update_xaxes(automargin=True, zeroline=False)
    figure.update_yaxes(automargin=True, zeroline=False)
    made: dict[str, Any] = figure.to_plotly_json()
    return made
