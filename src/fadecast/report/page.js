"use strict";
const page = JSON.parse(document.getElementById("data").textContent);
const options = { responsive: true, displayModeBar: false };
const names = Object.keys(page.figures);

for (const name of names) {
  const figure = page.figures[name];
  figure.layout.template = page.template;
  Plotly.newPlot(`plot-${name}`, figure.data, figure.layout, options);
}

const picker = document.getElementById("cell");
picker.addEventListener("change", () => {
  const cell = page.cells[picker.value];
  const cycles = { "xaxis.range": [0, cell.end] };
  const draw = (place, traces, axes) =>
    Plotly.update(place, { x: traces.map((t) => t[0] || cell.x), y: traces.map((t) => t[1]) }, axes);
  draw("plot-one-fan", cell.fan, { ...cycles, "yaxis.range": [0, cell.top] });
  draw("plot-one-risk", cell.risk, cycles);
  document.getElementById("fate").textContent = cell.fate;
});

// On paper the page is as on a wide screen, made smaller: every figure is drawn at that width.
const resize = (width) =>
  names.forEach((name) => {
    const place = document.getElementById(`plot-${name}`);
    Plotly.relayout(place, { width: width(place) });
  });
window.addEventListener("beforeprint", () => {
  document.documentElement.classList.add("paper");
  resize((place) => place.clientWidth);
});
window.addEventListener("afterprint", () => {
  document.documentElement.classList.remove("paper");
  resize(() => null);
});

document.documentElement.dataset.drawn = names.length;
