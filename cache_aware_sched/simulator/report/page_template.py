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

"""The text of the report page, with ``{{names}}`` for what differs."""

STYLE = """
:root {
  color-scheme: light dark;
  --surface: #ffffff; --text: #1b1f24; --quiet: #5b6570; --line: #d8dde3;
  --heat-low: #d6e6f4; --heat-middle: #4a98c9; --heat-high: #08306b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --surface: #15181c; --text: #e4e7eb; --quiet: #9aa4af; --line: #353b43;
    --heat-low: #163a5c; --heat-middle: #3d8bc4; --heat-high: #d9ecfb;
  }
}
@media print { :root { color-scheme: light; } }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 84rem;
  background: var(--surface); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
p { margin: .25rem 0 .75rem; max-width: 48rem; }
.quiet, figcaption, footer { color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; vertical-align: bottom; white-space: pre; }
.results { font-size: .875rem; width: 100%; }
.results th, .results td { padding: .3rem .45rem; }
.results th { font-size: .8rem; }
.results th, .results td { text-align: right; white-space: pre; }
.results th:first-child, .results td:first-child {
  text-align: left; position: sticky; left: 0; background: var(--surface);
}
.results abbr { text-decoration: none; cursor: help; }
.swatch {
  display: inline-block; width: .7em; height: .7em; margin-right: .5em;
  border-radius: 50%;
}
.figure { width: 100%; min-height: 440px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit,
  minmax(min(100%, 26rem), 1fr)); gap: 1rem 2rem; }
.pair > div { min-width: 0; }
select {
  font: inherit; color: inherit; background: var(--surface);
  border: 1px solid var(--line); border-radius: .3rem; padding: .2rem .4rem;
  max-width: 100%;
}
pre {
  overflow-x: auto; padding: .75rem 1rem; border: 1px solid var(--line);
  border-radius: .3rem; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere;
}
summary { cursor: pointer; margin: .5rem 0; }
.assumptions { font-size: .875rem; }
.assumptions td { vertical-align: top; }
.assumptions td:nth-child(2) { text-align: right; overflow-wrap: anywhere; }
.assumptions code { white-space: nowrap; }
footer { margin-top: 2.5rem; font-size: .875rem; overflow-wrap: anywhere; }
"""

SCRIPT = """
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
// Only these buttons: some versions of plotly.js have one that sends the
// figure to a server.
const config = {responsive: true, displaylogo: false, plotlyServerURL: '',
  modeBarButtons: [['toImage'], ['zoom2d', 'pan2d'],
    ['zoomIn2d', 'zoomOut2d', 'resetScale2d']],
  toImageButtonOptions: {format: 'svg'}};

function variable(name) {
  return getComputedStyle(document.documentElement)
    .getPropertyValue(name).trim();
}

function themed(layout) {
  const axis = {gridcolor: variable('--line'), linecolor: variable('--line'),
    tickcolor: variable('--line'), ticks: 'outside'};
  const merged = structuredClone(layout);
  merged.font = {...merged.font, color: variable('--text'),
    family: getComputedStyle(document.body).fontFamily};
  merged.hoverlabel = {bgcolor: variable('--surface'), align: 'left',
    bordercolor: variable('--line'), font: {color: variable('--text')}};
  merged.modebar = {bgcolor: 'rgba(0,0,0,0)', color: variable('--quiet'),
    activecolor: variable('--text')};
  for (const name of ['xaxis', 'yaxis']) {
    merged[name] = {...axis, ...merged[name]};
  }
  return merged;
}

// A legend of many names takes more rows where the page is narrow.
function height(element, names) {
  const columns = Math.max(1, Math.floor(element.clientWidth / 190));
  return 420 + 20 * Math.ceil(names / columns);
}

function draw(id, figure) {
  const element = document.getElementById(id);
  const layout = {height: height(element, figure.data.length),
    ...themed(figure.layout)};
  return Plotly.react(element, figure.data, layout, config);
}

function most(map) {
  return Math.max(1, ...map.servers.flat());
}

function drawMap(side, most) {
  const map = data.maps[
    document.querySelector(`[data-side=${side}] select`).value];
  return draw(`map-${side}`, {
    data: [{
      type: 'heatmap', z: map.servers, xgap: 1,
      x: map.images.map((image, index) => index + 1),
      customdata: map.hosts.map(host => map.images.map(
        image => [host, image])),
      hovertemplate: '%{z:,} servers<br>%{customdata[0]}<br>' +
        'image %{customdata[1]}<extra></extra>',
      zmin: 0, zmax: most, hoverongaps: false,
      colorscale: [[0, variable('--heat-low')],
        [0.5, variable('--heat-middle')], [1, variable('--heat-high')]],
      colorbar: {title: {text: 'servers', side: 'right'}, thickness: 12,
        outlinewidth: 0, tick0: 0, dtick: Math.ceil(most / 6)},
    }],
    layout: {
      height: 460, margin: {l: 40, r: 10, t: 30, b: 45},
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      xaxis: {title: {text: 'image, the most used first'},
        showgrid: false, zeroline: false},
      yaxis: {title: {text: map.hosts.length.toLocaleString('en') +
        ' hosts, the fullest on top'},
        autorange: 'reversed', showticklabels: false, ticks: '',
        showgrid: false, zeroline: false},
    },
  });
}

function drawMaps() {
  const sides = [...document.querySelectorAll('[data-side]')];
  // One scale for both, so that they can be compared.
  const largest = Math.max(...sides.map(
    side => most(data.maps[side.querySelector('select').value])));
  return Promise.all(sides.map(
    side => drawMap(side.dataset.side, largest)));
}

function drawAll() {
  return Promise.all([draw('frontier', data.frontier),
    draw('hit-rates', data.hitRates), drawMaps()]);
}

for (const select of document.querySelectorAll('select')) {
  select.addEventListener('change', drawMaps);
}
matchMedia('(prefers-color-scheme: dark)').addEventListener(
  'change', drawAll);
let resized;
addEventListener('resize', () => {
  clearTimeout(resized);
  resized = setTimeout(drawAll, 200);
});
drawAll().then(() => { document.documentElement.dataset.drawn = 'yes'; });
"""

# The policy keeps the page from fetching anything, whatever is in it.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
 script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cache-aware-sched: {{title}}</title>
<style>{{style}}</style>
</head>
<body>
<header>
<h1>{{title}}</h1>
<p class="quiet">{{about}}</p>
</header>
<main>
{{suggestion}}
<section>
<h2>Results</h2>
<div class="scroll">{{table}}</div>
</section>
<section>
<h2>What is fetched, and how unevenly hosts are used</h2>
<p class="quiet">Below and left is better. Each line is one way to prefer
hosts with the image, from a small multiplier to a large one. Point at a mark
for its options.</p>
<div class="figure" id="frontier"></div>
</section>
<section>
<h2>Hit rate over time</h2>
<p class="quiet">Boots whose host had the image already, or was fetching it.
Click a name to hide or show its line.</p>
<div class="figure" id="hit-rates"></div>
</section>
<section>
<h2>Servers of each image on each host</h2>
<p class="quiet">At the moment with the most servers, {{busiest}}. A long
streak is a host that carries much of an image: what a cap prevents.</p>
<div class="pair">{{maps}}</div>
</section>
<section>
<h2>Assumptions</h2>
{{notes}}
{{assumptions}}
<h2>Command</h2>
<pre>{{command}}</pre>
</section>
</main>
<footer>{{footer}}</footer>
<script type="application/json" id="data">{{data}}</script>
<script>{{plotly}}</script>
<script>{{script}}</script>
</body>
</html>
"""
