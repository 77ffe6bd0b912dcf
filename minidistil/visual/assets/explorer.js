// Shows one head of one layer, and the answer with or without it. Everything was computed before.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const { tokens, heads, norms, answer, without } = data;
const size = tokens.length;
const bytes = Uint8Array.from(atob(data.weights), (character) => character.charCodeAt(0));
const ROW = 27.2; // pixels: the 1.7rem of a token

// `chosen` counts heads through all layers; `looking` is a token, or -1 for all of them.
const all = heads.flatMap((numbers, layer) => numbers.map((head, place) => ({ layer, head, place })));
let chosen = 0;
let looking = -1;
let off = false;

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.append(text); // an empty text would be the first child
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const shortcut = (event) => event.ctrlKey || event.altKey || event.metaKey; // the browser's own
const weight = (number, from, to) => bytes[(number * size + from) * size + to] / 255;
const named = ({ layer, head }) => `layer ${layer}, head ${head}`;
const shown = (score) => score.toFixed(answer.kind === "labels" && Math.abs(score) > 1 ? 2 : 3);
const scoresWithout = ({ layer, place }) => without[layer][place];

// How far the answer moves: the largest change of a score.
const moved = (one) =>
  Math.max(...scoresWithout(one).map((score, i) => Math.abs(score - answer.scores[i])));
const most = Math.max(...all.map(moved), 1e-9);

// ---- the answer -----------------------------------------------------------------------------

const TITLES = { labels: "What the model says", words: "What stands for [MASK]", vector: "The sentence vector" };

function openAnswer() {
  $("answer-title").textContent = TITLES[answer.kind];
  answer.names.forEach((name) => {
    const bar = element("dd", "", { class: "bar", "aria-hidden": "true" });
    bar.append(element("i"), element("i", "", { class: "before" }));
    $("scores").append(element("dt", name), element("dd"), bar);
  });
}

function drawAnswer() {
  const one = all[chosen];
  const scores = off ? scoresWithout(one) : answer.scores;
  const width = (score) => `${100 * Math.min(1, Math.max(0, score))}%`;
  scores.forEach((score, i) => {
    const [, value, bar] = [...$("scores").children].slice(3 * i, 3 * i + 3);
    value.textContent = shown(score);
    bar.children[0].style.width = width(score);
    bar.children[1].style.width = off ? width(answer.scores[i]) : "0";
    bar.children[1].hidden = !off;
  });
  const changes = scoresWithout(one).map((score, i) => `${answer.names[i]} ${shown(answer.scores[i])} → ${shown(score)}`);
  $("effect").textContent = `Without ${named(one)}: ${changes.slice(0, 3).join(", ")}`;
  $("off").setAttribute("aria-pressed", String(off));
}

// ---- the heads ------------------------------------------------------------------------------

function openGrid() {
  const columns = Math.max(...heads.map((numbers) => numbers.length));
  $("grid").style.gridTemplateColumns = `auto repeat(${columns}, minmax(1.2rem, 2.7rem))`;
  all.forEach((one, number) => {
    if (one.place === 0) {
      const title = element("span", String(one.layer), { "aria-hidden": "true" });
      title.style.gridColumn = 1;
      $("grid").append(title);
    }
    const button = element("button", "", { type: "button", tabindex: "-1" });
    button.setAttribute("aria-label", `${named(one)}; without it the answer moves by ${moved(one).toFixed(3)}`);
    const canvas = element("canvas", "", { width: size, height: size });
    const bar = element("i");
    bar.style.width = `${(100 * moved(one)) / most}%`;
    button.append(canvas, bar);
    button.addEventListener("click", () => choose(number));
    $("grid").append(button);
  });
}

function paintGrid() {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--weight");
  $("grid").querySelectorAll("canvas").forEach((canvas, number) => {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, size, size);
    pen.fillStyle = ink;
    for (let from = 0; from < size; from++) {
      for (let to = 0; to < size; to++) {
        pen.globalAlpha = Math.sqrt(weight(number, from, to)); // or small weights would be unseen
        pen.fillRect(to, from, 1, 1);
      }
    }
  });
}

const buttons = () => [...$("grid").querySelectorAll("button")];

function drawGrid() {
  buttons().forEach((button, number) => {
    const here = number === chosen;
    button.setAttribute("aria-current", String(here));
    button.tabIndex = here ? 0 : -1;
    button.toggleAttribute("data-off", here && off);
  });
}

function choose(number) {
  chosen = Math.min(all.length - 1, Math.max(0, number));
  off = false;
  draw();
}

function beside(key) {
  const { layer, place } = all[chosen];
  if (key === "ArrowLeft") return chosen - 1;
  if (key === "ArrowRight") return chosen + 1;
  const step = key === "ArrowUp" ? -1 : 1;
  const same = all.findIndex((one) => one.layer === layer + step && one.place === place);
  return same < 0 ? chosen : same;
}

// ---- token to token -------------------------------------------------------------------------

function openPairs() {
  tokens.forEach((token, number) => {
    const button = element("button", token, { type: "button", tabindex: number ? "-1" : "0" });
    button.addEventListener("click", () => look(looking === number ? -1 : number));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (step === undefined || shortcut(event)) return;
      event.preventDefault();
      const next = Math.min(size - 1, Math.max(0, number + step));
      look(next);
      $("from").children[next].focus();
    });
    $("from").append(button);
    $("to").append(element("span", token));
    $("norms").append(element("li"));
    $("norms").lastChild.append(element("code", token), element("b"), element("span", "", { class: "bar" }));
    $("norms").lastChild.lastChild.append(element("i"));
  });
  $("lines").style.height = `${size * 1.7}rem`;
  $("lines").setAttribute("viewBox", `0 0 100 ${size * ROW}`);
  $("lines").setAttribute("preserveAspectRatio", "none");
}

function look(number) {
  looking = number;
  drawPairs();
}

function drawPairs() {
  $("which").textContent = `Layer ${all[chosen].layer}, head ${all[chosen].head}`;
  const lines = [];
  const towards = new Array(size).fill(0);
  for (let from = 0; from < size; from++) {
    $("from").children[from].setAttribute("aria-pressed", String(from === looking));
    $("from").children[from].tabIndex = from === Math.max(looking, 0) ? 0 : -1;
    if (looking >= 0 && from !== looking) continue;
    for (let to = 0; to < size; to++) {
      const w = off ? 0 : weight(chosen, from, to);
      towards[to] += looking >= 0 ? w : w / size;
      if (w < 0.02) continue;
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      const at = { x1: 0, y1: (from + 0.5) * ROW, x2: 100, y2: (to + 0.5) * ROW };
      for (const [name, value] of Object.entries({ ...at, "stroke-opacity": w })) line.setAttribute(name, value);
      lines.push(line);
    }
  }
  $("lines").replaceChildren(...lines);
  towards.forEach((w, to) => {
    $("to").children[to].style.background = `color-mix(in srgb, var(--weight) ${Math.round(45 * w)}%, transparent)`;
  });
  if (looking < 0) {
    $("words").textContent = off ? "This head is off: its context is zero." : "All tokens. Weights below 0.02 are not drawn.";
    return;
  }
  const order = towards.map((w, to) => [w, to]).sort((a, b) => b[0] - a[0]).slice(0, 5);
  const said = order.filter(([w]) => w > 0).map(([w, to]) => `${tokens[to]} ${w.toFixed(2)}`);
  $("words").textContent = `“${tokens[looking]}” looks at ${said.join(", ") || "nothing: this head is off"}`;
}

function drawNorms() {
  const { layer } = all[chosen];
  const row = norms[layer + 1];
  const longest = Math.max(...norms.flat());
  $("norms-title").textContent = `Lengths behind layer ${layer}`;
  row.forEach((norm, number) => {
    const [, value, bar] = $("norms").children[number].children;
    value.textContent = norm.toFixed(2);
    bar.firstElementChild.style.width = `${(100 * norm) / longest}%`;
  });
}

// ---- everything -----------------------------------------------------------------------------

function draw() {
  drawAnswer();
  drawGrid();
  drawPairs();
  drawNorms();
}

$("about").textContent = `${size} tokens, ${heads.length} layers, ${all.length} heads.`;
openAnswer();
openGrid();
paintGrid();
openPairs();
$("off").addEventListener("click", () => { off = !off; draw(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintGrid);
$("grid").addEventListener("keydown", (event) => {
  if (shortcut(event)) return;
  if (event.key.toLowerCase() === "o" && !event.repeat) $("off").click();
  if (!event.key.startsWith("Arrow")) return;
  event.preventDefault();
  choose(beside(event.key));
  buttons()[chosen].focus();
});
draw();
