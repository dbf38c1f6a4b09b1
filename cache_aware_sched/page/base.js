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
  for (const name of ['xaxis', 'yaxis', 'yaxis2']) {
    if (name !== 'yaxis2' || merged[name]) {
      merged[name] = {...axis, ...merged[name]};
    }
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

// The look of a heat map.
function heat(title) {
  return {type: 'heatmap', hoverongaps: false,
    colorscale: [[0, variable('--heat-low')],
      [0.5, variable('--heat-middle')], [1, variable('--heat-high')]],
    colorbar: {title: {text: title, side: 'right'}, thickness: 12,
      outlinewidth: 0}};
}

// Draws all figures, and again when the theme or the size changes.
function start(drawAll) {
  matchMedia('(prefers-color-scheme: dark)').addEventListener(
    'change', drawAll);
  let resized;
  addEventListener('resize', () => {
    clearTimeout(resized);
    resized = setTimeout(drawAll, 200);
  });
  drawAll().then(() => { document.documentElement.dataset.drawn = 'yes'; });
}
