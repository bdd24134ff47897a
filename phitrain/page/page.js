"use strict";
// The page is whole without this; here every chart is given a reader that says what its curves are at a step.

const charts = JSON.parse(document.getElementById("points").textContent);
const figures = [...document.querySelectorAll(".chart")];

const count = (number, options) => number.toLocaleString("en", options);

function written(value, unit) {
  const size = Math.abs(value);
  const plain = size === 0 || (size >= 1e-3 && size < 1e7);
  const shown = plain ? count(value, { maximumSignificantDigits: 4 }) : value.toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  return unit.startsWith("/") ? shown + unit : `${shown} ${unit}`.trim();
}

// The place of the point that is nearest to a step.
function nearest(steps, step) {
  let [low, high] = [0, steps.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle;
    else high = middle;
  }
  return step - steps[low] <= steps[high] - step ? low : high;
}

const share = ([low, high], value, logarithmic) =>
  logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);

const readers = figures.map((figure, number) => {
  const chart = charts[number];
  const plot = figure.querySelector(".plot");
  const cursor = figure.querySelector(".cursor");
  const keys = [...figure.querySelectorAll(".key")];
  const values = keys.map((key) => key.querySelector("b"));
  const atRest = values.map((node) => node.textContent);
  const dots = keys.map((key) => {
    const dot = document.createElement("i");
    dot.className = `dot ${key.classList[1]}`;
    dot.hidden = true;
    plot.append(dot);
    return dot;
  });
  return {
    plot,
    steps: chart.curves[0].steps,
    stepAt: (left) => chart.x[0] + left * (chart.x[1] - chart.x[0]),
    read(step) {
      const { steps } = chart.curves[0];
      const there = steps[nearest(steps, step)];
      cursor.style.display = "block";
      cursor.style.left = `${100 * share(chart.x, there)}%`;
      cursor.firstChild.textContent = `step ${count(there)}`;
      chart.curves.forEach((curve, place) => {
        const value = curve.values[nearest(curve.steps, there)];
        values[place].textContent = value === null ? "none" : written(value, chart.unit);
        dots[place].hidden = value === null;
        if (value === null) return;
        dots[place].style.left = `${100 * share(chart.x, curve.steps[nearest(curve.steps, there)])}%`;
        dots[place].style.bottom = `${100 * share(chart.y, value, chart.logarithmic)}%`;
      });
    },
    rest() {
      cursor.style.display = "none";
      dots.forEach((dot) => (dot.hidden = true));
      values.forEach((node, place) => (node.textContent = atRest[place]));
    },
  };
});

const readAll = (step) => readers.forEach((reader) => reader.read(step));
const restAll = () => readers.forEach((reader) => reader.rest());

readers.forEach((reader, number) => {
  const figure = figures[number];
  let place = reader.steps.length - 1;
  reader.plot.addEventListener("pointermove", (event) => {
    const box = reader.plot.getBoundingClientRect();
    readAll(reader.stepAt(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))));
  });
  reader.plot.addEventListener("pointerleave", restAll);
  figure.addEventListener("blur", restAll);
  figure.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way) return;
    event.preventDefault();
    place = Math.min(reader.steps.length - 1, Math.max(0, place + way));
    readAll(reader.steps[place]);
  });
});

addEventListener("beforeprint", restAll);
