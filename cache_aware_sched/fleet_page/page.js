function drawMap() {
  const map = data.map;
  return draw('map', {
    data: [{
      ...heat('% held'), z: map.percent, zmin: 0, zmax: 100,
      customdata: map.rows.map(row => map.columns.map(
        column => [row, column])),
      hovertemplate: '%{z} % held<br>%{customdata[0]}<br>' +
        '%{customdata[1]}<extra></extra>',
    }],
    layout: {
      height: 620, margin: {l: 40, r: 10, t: 30, b: 45},
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
      xaxis: {title: {text: 'images, the most held first'},
        showticklabels: false, ticks: '', showgrid: false, zeroline: false},
      yaxis: {title: {text: 'hosts, the fullest on top'},
        autorange: 'reversed', showticklabels: false, ticks: '',
        showgrid: false, zeroline: false},
    },
  });
}

function drawAll() {
  const figures = [['hit-rate', data.hitRate], ['saved', data.saved],
    ['concentration', data.concentration], ['fill', data.fill]];
  return Promise.all([drawMap(), ...figures.filter(pair => pair[1]).map(
    ([id, figure]) => draw(id, figure))]);
}

start(drawAll);
