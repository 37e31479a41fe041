// Time to success: a curve a policy; the legend shows and hides them, and the table's filters do.
const figure = document.querySelector("#times-figure svg");
const legend = document.querySelector("#times-figure .legend");
const rows = [...document.querySelectorAll("#results-table tbody tr")];
const numbers = data.policies.flatMap((policy, number) => (policy.curve ? [number] : []));
// At first the better control mode of each method: all at once are hard to read.
const on = new Set(
  numbers.filter((n) => numbers.find((other) => data.policies[other].method === data.policies[n].method) === n),
);
let marked = numbers[0];

function fits(number) {
  return !rows.find((row) => Number(row.dataset.policy) === number).hidden;
}

function draw() {
  const x = { low: 0, high: data.limit, title: `time (${data.time})` };
  const at = axes(figure, x, { low: 0, high: 1, title: "share of episodes solved" }, 340);
  const point = (value, i) => [at.x(data.at[i]), at.y(value)];
  const shown = numbers.filter((number) => on.has(number) && fits(number));
  for (const number of shown) {
    const { curve, name } = data.policies[number];
    const style = look(data.policies[number]);
    if (number === marked) {
      const band = [...curve.high.map(point), ...curve.low.map(point).reverse()];
      figure.append(svg("path", { class: "band", d: `${path(band)}Z`, style }));
    }
    const line = svg("path", { class: number === marked ? "line marked" : "line", d: path(curve.solved.map(point)), style });
    line.append(svg("title", {}, name));
    figure.append(line);
  }
}

function mark(number) {
  if (marked !== number) {
    marked = number;
    draw();
  }
}

function list() {
  legend.replaceChildren();
  for (const number of numbers.filter(fits)) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", on.has(number));
    const line = svg("line", { class: "line", x1: 0, x2: 26, y1: 6, y2: 6, style: look(data.policies[number]) });
    button.append(svg("svg", { width: 26, height: 12, "aria-hidden": "true" }, line), data.policies[number].name);
    button.addEventListener("click", () => {
      if (!on.delete(number)) on.add(number);
      button.setAttribute("aria-pressed", on.has(number));
      marked = number;
      draw();
    });
    button.addEventListener("pointerenter", () => mark(number));
    button.addEventListener("focus", () => mark(number));
    legend.append(button);
  }
}

list();
redrawn(figure, draw);
document.addEventListener("filter", () => {
  list();
  draw();
});
