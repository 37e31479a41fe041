// Recorded episodes of a policy, played side by side.
const choice = document.querySelector("#explorer select");
const stage = document.querySelector("#explorer .stage");
const play = document.querySelector("#explorer button");
const slider = document.querySelector("#explorer input");
const clock = document.querySelector("#explorer output");
let shown = [];
let running = 0;

const colour = (name) => getComputedStyle(stage).getPropertyValue(name);

function polygon(context, outline, [x, y, angle]) {
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  context.beginPath();
  for (const [u, v] of outline) context.lineTo(x + cos * u - sin * v, y + sin * u + cos * v);
  context.closePath();
}

// The table of Push-T; the agent's way so far is a line.
function drawStates(context, { states }, look) {
  const { size, outline, goal, radius } = data.scene;
  context.setTransform(context.canvas.width / size, 0, 0, context.canvas.height / size, 0, 0);
  context.clearRect(0, 0, size, size);
  polygon(context, outline, goal);
  context.fillStyle = colour("--stage-goal");
  context.fill();
  const [x, y, ...block] = states[look];
  polygon(context, outline, block);
  context.fillStyle = colour("--stage-block");
  context.fill();
  context.strokeStyle = context.fillStyle = colour("--stage-agent");
  context.globalAlpha = 0.5;
  context.lineWidth = 3;
  context.beginPath();
  for (const [u, v] of states.slice(0, look + 1)) context.lineTo(u, v);
  context.stroke();
  context.globalAlpha = 1;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

function drawFrame(context, { picture, looks }, look) {
  const { width, height } = context.canvas;
  const frame = picture.naturalWidth / looks;
  if (picture.complete) context.drawImage(picture, look * frame, 0, frame, picture.naturalHeight, 0, 0, width, height);
}

function draw() {
  const time = Number(slider.value);
  for (const episode of shown) {
    const look = Math.min(Math.ceil(time / episode.every), episode.looks - 1);
    (episode.states ? drawStates : drawFrame)(episode.context, episode, look);
  }
  clock.textContent = `${((time * data.limit) / data.steps).toFixed(1)} ${data.time}`;
}

function caption({ kind, seed, score, is_success, length, states }) {
  const time = ((length * data.limit) / data.steps).toFixed(1);
  const outcome = is_success ? `solved after ${time} ${data.time}` : `not solved in ${time} ${data.time}`;
  const start = states ? `; starts with the agent at ${states[0].slice(0, 2).map(Math.round).join(", ")} and the T at ` +
    `${states[0].slice(2, 4).map(Math.round).join(", ")} px, turned by ${Math.round((states[0][4] * 180) / Math.PI)} degrees` : "";
  return `${kind[0].toUpperCase()}${kind.slice(1)} episode: ${outcome}, score ${score}, ${length} steps, seed ${seed}${start}.`;
}

function show() {
  stop();
  shown = ["best", "median", "worst"].flatMap((kind) =>
    data.policies[choice.value].recorded.filter((episode) => episode.kind === kind),
  ).map((episode) => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 512, height: 512 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", caption(episode));
    const looks = 1 + Math.ceil(episode.length / episode.every);
    const picture = episode.frames ? Object.assign(new Image(), { src: episode.frames, onload: draw }) : null;
    return { ...episode, looks, picture, canvas, context: canvas.getContext("2d") };
  });
  stage.replaceChildren(
    ...shown.map((episode) => {
      const figure = document.createElement("figure");
      figure.append(episode.canvas, Object.assign(document.createElement("figcaption"), { textContent: caption(episode) }));
      return figure;
    }),
  );
  slider.max = Math.max(...shown.map(({ length }) => length));
  slider.value = 0;
  draw();
}

function stop() {
  clearInterval(running);
  running = 0;
  play.textContent = "Play";
}

play.addEventListener("click", () => {
  if (running) return stop();
  if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
  play.textContent = "Pause";
  // Twice as fast as it was.
  running = setInterval(() => {
    slider.value = Number(slider.value) + 2;
    draw();
    if (Number(slider.value) >= Number(slider.max)) stop();
  }, (1000 * data.limit) / data.steps);
});
slider.addEventListener("input", () => {
  stop();
  draw();
});
choice.addEventListener("change", show);
document.addEventListener("theme", draw);
if (choice.value) show();
