// Two policies on the same initial states: a point an episode, and who solved how many.
const figure = document.querySelector("#pairs svg");
const [across, up, by] = document.querySelectorAll("#pairs select");
const table = document.querySelector("#pairs table");
const counted = document.querySelector("#pairs [role=status]");

function pairs() {
  const [a, b] = [across, up].map((select) => data.policies[select.value].episodes);
  const other = new Map(b.seed.map((seed, i) => [seed, i]));
  return a.seed.flatMap((seed, i) =>
    other.has(seed)
      ? [{ seed, x: a[by.value][i], y: b[by.value][other.get(seed)], a: a.success[i], b: b.success[other.get(seed)] }]
      : [],
  );
}

// Solved by whom, where training seeds differ by most of them.
const kind = ({ a, b }) => (a >= 0.5 ? (b >= 0.5 ? "both" : "first") : b >= 0.5 ? "second" : "neither");

function draw() {
  const found = pairs();
  const names = [across, up].map((select) => data.policies[select.value].name);
  const high = by.value === "score" ? 1 : data.limit;
  const title = by.value === "score" ? "score" : `length (${data.time})`;
  const axis = (name) => ({ low: 0, high, title: `${title} of ${name}` });
  const at = axes(figure, axis(names[0]), axis(names[1]), Math.min(480, Math.max(300, figure.clientWidth)));
  figure.append(svg("line", { class: "diagonal", x1: at.x(0), y1: at.y(0), x2: at.x(high), y2: at.y(high) }));
  const places = new Map();
  for (const pair of found) {
    const place = `${kind(pair)} ${(pair.x / high).toFixed(2)} ${(pair.y / high).toFixed(2)}`;
    places.set(place, [...(places.get(place) ?? []), pair]);
  }
  // Episodes at one place are one larger point; the large ones lie below.
  for (const group of [...places.values()].sort((p, q) => q.length - p.length)) {
    const { x, y } = group[0];
    const attributes = { class: `pair ${kind(group[0])}`, cx: at.x(x), cy: at.y(y), r: 4 * group.length ** 0.35 };
    const text = `${group.map(({ seed }) => seed).join(", ")}: ${short(x)}, ${short(y)}`;
    figure.append(svg("circle", attributes, svg("title", {}, text)));
  }
  tell(found, names);
}

function tell(found, names) {
  const count = Object.fromEntries(["both", "first", "second", "neither"].map((name) => [name, 0]));
  for (const pair of found) count[kind(pair)]++;
  for (const [name, number] of Object.entries(count)) table.querySelector(`td.${name}`).textContent = number;
  const text = found.length
    ? `${found.length} shared initial states: both solve ${count.both}; ${names[0]} alone ${count.first}; ` +
      `${names[1]} alone ${count.second}; neither ${count.neither}.`
    : `${names[0]} and ${names[1]} share no initial states.`;
  counted.textContent = text;
  figure.setAttribute("aria-label", `${by.value} of two policies, a point an episode. ${text}`);
}

for (const select of [across, up, by]) select.addEventListener("change", draw);
redrawn(figure, draw);
