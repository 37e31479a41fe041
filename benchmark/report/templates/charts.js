// What the page draws, and how: axes and marks as SVG, colours and lines from the style sheet.
const data = JSON.parse(document.getElementById("data").textContent);
data.steps = Math.round(data.limit * data.rate);

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of high / low > 1000 ? [1] : [1, 2, 5]) {
      const at = factor * 10 ** power;
      if (at >= low && at <= high) found.push(at);
    }
  }
  return found;
}

const short = (number) => String(Number(number.toPrecision(3)));

// Draws axes into an empty SVG; an axis is {low, high, title, isLog}. Returns where values lie.
function axes(figure, x, y, height) {
  const width = Math.max(figure.clientWidth, 200);
  const [left, right, top, bottom] = [52, 12, 10, 42];
  figure.setAttribute("viewBox", `0 0 ${width} ${height}`);
  figure.style.height = `${height}px`;
  figure.replaceChildren();
  const share = (axis, value) =>
    axis.isLog
      ? Math.log(value / axis.low) / Math.log(axis.high / axis.low)
      : (value - axis.low) / (axis.high - axis.low);
  const at = {
    x: (value) => left + share(x, value) * (width - left - right),
    y: (value) => height - bottom - share(y, value) * (height - top - bottom),
  };
  const of = (axis, count) =>
    axis.isLog ? logTicks(axis.low, axis.high) : ticks(axis.low, axis.high, count);
  for (const value of of(y, height / 60)) {
    figure.append(
      svg("line", { class: "grid", x1: left, x2: width - right, y1: at.y(value), y2: at.y(value) }),
      svg("text", { class: "tick", x: left - 6, y: at.y(value) + 4, "text-anchor": "end" }, short(value)),
    );
  }
  for (const value of of(x, width / 110)) {
    figure.append(
      svg("line", { class: "grid", y1: top, y2: height - bottom, x1: at.x(value), x2: at.x(value) }),
      svg("text", { class: "tick", x: at.x(value), y: height - bottom + 16, "text-anchor": "middle" }, short(value)),
    );
  }
  const middle = top + (height - top - bottom) / 2;
  figure.append(
    svg("text", { class: "tick", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, x.title),
    svg("text", { class: "tick", transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, y.title),
  );
  return at;
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// How a policy is drawn: a colour a method, dashes a control mode.
const methods = [...new Set(data.policies.map((policy) => policy.method))];
const colours = ["blue", "red", "green", "pink", "orange", "violet", "black"];
function look(policy) {
  const number = methods.filter((name) => data.policies.find((p) => p.method === name).control).indexOf(policy.method);
  const colour = `var(--${colours[number % colours.length]})`;
  return `stroke: ${colour}; ${policy.control === "velocity" ? "stroke-dasharray: 6 3" : ""}`;
}

// Draws now, and again when the figure gets another width.
function redrawn(figure, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (figure.clientWidth !== width) {
      width = figure.clientWidth;
      draw();
    }
  }).observe(figure);
  addEventListener("beforeprint", draw);
}
