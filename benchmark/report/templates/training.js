// The course of the trainings: a panel a method, a line a training.
const panels = document.querySelector("#trainings .panels");
const quantity = document.querySelector("#trainings select");
// So few points are drawn as such: a line through them is short, or none.
const FEW = 5;
const known = methods.filter((name) => data.trainings.some((run) => data.policies[run.policy].method === name));
const figures = known.map((name) => {
  const drawing = svg("svg", { role: "img" });
  const panel = document.createElement("div");
  panel.append(Object.assign(document.createElement("h4"), { textContent: name }), drawing);
  panels.append(panel);
  return drawing;
});

function draw() {
  const name = quantity.value;
  const all = data.trainings.flatMap((run) => run[name].map(([, value]) => value));
  known.forEach((method, i) => {
    const runs = data.trainings.filter((run) => data.policies[run.policy].method === method);
    const points = runs.flatMap((run) => run[name]);
    figures[i].setAttribute("aria-label", `${quantity.selectedOptions[0].text} of ${method} against updates`);
    if (!points.length) {
      const why = `no ${quantity.selectedOptions[0].text} was measured in this training`;
      figures[i].replaceChildren(svg("text", { x: 0, y: 20 }, why));
      return void (figures[i].style.height = "32px");
    }
    // Losses of different methods measure different things; all else shares one scale.
    const values = name === "loss" ? points.map(([, value]) => value) : all;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const isLog = name === "loss" && low > 0;
    const y = isLog ? { low: low / 1.1, high: high * 1.1, isLog } : { low: Math.min(0, low), high: name === "validation_score" ? 1 : high || 1 };
    const x = { low: 0, high: Math.max(...points.map(([update]) => update)), title: "updates" };
    const at = axes(figures[i], x, { ...y, title: quantity.selectedOptions[0].text }, 210);
    for (const run of runs) {
      const policy = data.policies[run.policy];
      const places = run[name].map(([update, value]) => [at.x(update), at.y(value)]);
      figures[i].append(svg("path", { class: "line", d: path(places), style: look(policy) }, svg("title", {}, `${policy.name}, seed ${run.seed}`)));
      if (places.length > FEW) continue;
      for (const [cx, cy] of places) figures[i].append(svg("circle", { class: "line", cx, cy, r: 3, style: `${look(policy)}; stroke-dasharray: none` }));
    }
  });
}

// What nobody measured is no choice.
for (const option of [...quantity.options]) {
  if (!data.trainings.some((run) => run[option.value].length)) option.remove();
}
quantity.addEventListener("change", draw);
redrawn(panels, draw);
