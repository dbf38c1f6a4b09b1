function most(map) {
  return Math.max(1, ...map.servers.flat());
}

function drawMap(side, most) {
  const map = data.maps[
    document.querySelector(`[data-side=${side}] select`).value];
  const trace = heat('servers');
  return draw(`map-${side}`, {
    data: [{
      ...trace, z: map.servers, xgap: 1,
      x: map.images.map((image, index) => index + 1),
      customdata: map.hosts.map(host => map.images.map(
        image => [host, image])),
      hovertemplate: '%{z:,} servers<br>%{customdata[0]}<br>' +
        'image %{customdata[1]}<extra></extra>',
      zmin: 0, zmax: most,
      colorbar: {...trace.colorbar, tick0: 0, dtick: Math.ceil(most / 6)},
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
start(drawAll);
