// Replays a recorded launch. `at` steps have been taken; the step drawn boldly is the last of them.
const launches = JSON.parse(document.getElementById("data").textContent).launches;
const $ = (id) => document.getElementById(id);
const VERB = { load: "loads", store: "stores", atomic: "updates atomically" };
const MOST_BUTTONS = 64; // of programs

let launch, views, totals, at, timer;

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.append(text);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function clamp(number, low, high) {
  return Math.min(high, Math.max(low, Math.floor(number)));
}

function span(name, start, stop) {
  return stop - start === 1 ? `${name} ${start}` : `${name}s ${start}–${stop - 1}`;
}

function place([top, bottom, left, right], [rows, columns]) {
  const words = [];
  if (bottom - top < rows) words.push(span("row", top, bottom));
  if (right - left < columns) words.push(span("column", left, right));
  return words.length ? words : ["all of it"];
}

function programName(number) {
  const [, height, depth] = launch.grid;
  if (height === 1 && depth === 1) return `program ${number}`;
  const x = Math.floor(number / (height * depth));
  return `program (${x}, ${Math.floor(number / depth) % height}, ${number % depth})`;
}

// ---- a launch -------------------------------------------------------------------------------

function openLaunch(number) {
  launch = launches[number];
  const count = launch.grid[0] * launch.grid[1] * launch.grid[2];
  $("about").textContent =
    `${launch.kernel}, ${count === 1 ? "one program" : `${count} programs`}. ` +
    "Recorded one after another; on a GPU they run side by side, in any order." +
    (launch.untouched.length ? ` Not touched: ${launch.untouched.join(", ")}.` : "");
  $("inputs").replaceChildren();
  $("outputs").replaceChildren();
  views = launch.operands.map(openOperand);
  totals = { load: 0, store: 0, flops: 0 };
  for (const event of launch.events) add(totals, event);
  $("slider").max = launch.events.length;
  openPrograms(count);
  $("source").replaceChildren(...launch.functions.map(openFunction));
  layOut();
  go(0);
}

function openOperand(operand) {
  const figure = element("figure", "");
  const caption = element("figcaption", "");
  caption.append(element("code", operand.name), element("span", operand.matrix.join(" × ")), element("span", operand.dtype));
  caption.title = `shape (${operand.shape.join(", ")})`;
  const canvas = element("canvas", "", { role: "img" });
  const where = element("span", "");
  figure.append(caption, canvas, where);
  figure.dataset.name = operand.name;
  $(operand.output ? "outputs" : "inputs").append(figure);
  const elements = operand.matrix[0] * operand.matrix[1];
  // Who touched each rectangle; those of scattered accesses would only be confetti.
  const tiles = new Map();
  for (const event of launch.events)
    if (launch.operands[event.operand] === operand && event.boxes.length === 1)
      tiles.set(String(event.boxes[0]), { box: event.boxes[0], programs: new Set() });
  return { operand, figure, canvas, where, tiles, read: new Uint16Array(elements), written: new Uint16Array(elements) };
}

function openPrograms(count) {
  const buttons = [];
  for (let number = 0; number < count && count <= MOST_BUTTONS; number++) {
    const button = element("button", programName(number).replace("program ", ""), {
      type: "button", title: `To the first step of ${programName(number)}`,
    });
    const first = launch.events.findIndex((event) => event.program === number);
    button.disabled = first < 0; // it returned at once
    button.addEventListener("click", () => { pause(); go(first + 1); });
    buttons.push(button);
  }
  $("programs").replaceChildren(...(buttons.length ? ["programs", ...buttons] : []));
}

function openFunction(source) {
  const code = element("code", "");
  source.lines.forEach((text, i) => {
    const line = element("span", "", { class: "line" });
    line.append(element("i", source.first + i), text || " ");
    code.append(line);
  });
  const pre = element("pre", "", { tabindex: "0", role: "group", "aria-label": source.name });
  pre.append(code);
  const heading = element("h2", "");
  heading.append(element("code", source.name), element("span", `  ${source.file}`));
  const section = element("section", "");
  section.append(heading, pre);
  return section;
}

// ---- steps ----------------------------------------------------------------------------------

function add(counts, event) {
  if (event.kind === "dot") counts.flops += event.flops;
  else counts[event.kind === "load" ? "load" : "store"] += event.bytes;
}

function mark(event) {
  if (event.operand === null) return;
  const view = views[event.operand];
  const cells = event.kind === "load" ? view.read : view.written;
  const width = view.operand.matrix[1];
  for (const [top, bottom, left, right] of event.boxes)
    for (let row = top; row < bottom; row++)
      for (let i = row * width + left; i < row * width + right; i++) cells[i]++;
  if (event.boxes.length === 1) view.tiles.get(String(event.boxes[0])).programs.add(event.program);
}

function go(step) {
  step = clamp(step, 0, launch.events.length);
  if (at === undefined || step < at) {
    for (const view of views) {
      view.read.fill(0);
      view.written.fill(0);
      for (const tile of view.tiles.values()) tile.programs.clear();
    }
    at = 0;
  }
  for (; at < step; at++) mark(launch.events[at]);
  show();
}

function play() {
  if (at === launch.events.length) go(0);
  const wait = clamp(20000 / launch.events.length, 50, 900); // ms: the whole takes 20 s at most
  timer = setInterval(() => { go(at + 1); if (at === launch.events.length) pause(); }, wait);
  document.body.dataset.playing = "";
  label("Pause (space)");
  $("now").setAttribute("aria-live", "off"); // nobody listens that fast
}

function pause() {
  clearInterval(timer);
  timer = undefined;
  delete document.body.dataset.playing;
  label("Play (space)");
  $("now").setAttribute("aria-live", "polite");
}

function label(text) {
  $("play").title = text;
  $("play").setAttribute("aria-label", text);
}

// ---- the picture ----------------------------------------------------------------------------

function show() {
  const event = at ? launch.events[at - 1] : null;
  const counts = { load: 0, store: 0, flops: 0 };
  for (let i = 0; i < at; i++) add(counts, launch.events[i]);
  document.body.dataset.at = at;
  document.body.dataset.events = launch.events.length;
  document.body.dataset.loaded = counts.load;
  document.body.dataset.stored = counts.store;
  $("slider").value = at;
  $("slider").setAttribute("aria-valuetext", `step ${at} of ${launch.events.length}`);
  $("step").textContent = `${at} / ${launch.events.length}`;
  $("first").disabled = $("back").disabled = at === 0;
  $("next").disabled = $("last").disabled = at === launch.events.length;
  $("stage").classList.remove("load", "store", "atomic", "dot");
  if (event) $("stage").classList.add(event.kind);
  showWords(event);
  showPrograms(event);
  showLines(event);
  const unique = { read: 0, written: 0 };
  for (const view of views) {
    paint(view, event && views[event.operand] === view ? event : null);
    for (const kind of ["read", "written"])
      unique[kind] += Number(view.figure.dataset[kind]) * view.operand.itemsize;
  }
  paintTile(event);
  showCount("loaded", counts.load, totals.load, unique.read);
  showCount("stored", counts.store, totals.store, unique.written);
  $("dots").textContent = `${counts.flops.toLocaleString("en")} FLOP`;
  $("dots-bar").style.width = `${(100 * counts.flops) / (totals.flops || 1)}%`;
  for (const part of [$("dots").parentElement, $("dots").parentElement.previousElementSibling])
    part.hidden = totals.flops === 0;
}

function showWords(event) {
  if (!event) {
    $("now").textContent = "Nothing has run yet.";
    $("line").textContent = "";
    $("who").textContent = "no program";
    $("what").textContent = "is running";
    return;
  }
  const who = programName(event.program);
  const name = event.operand === null ? "" : launch.operands[event.operand].name;
  $("who").textContent = who;
  $("what").textContent = event.kind === "dot" ? "multiplies two tiles" : `${VERB[event.kind]} ${name}`;
  const parts = [element("b", who), ` ${$("what").textContent}`];
  if (event.kind === "dot") parts.push(`: ${event.flops.toLocaleString("en")} FLOP, no memory`);
  else if (event.boxes.length === 0) parts.push(": every lane is masked off");
  else {
    parts.push(`, ${place(event.boxes[0], launch.operands[event.operand].matrix).join(", ")}`);
    if (event.boxes.length > 1) parts.push(`, and ${event.boxes.length - 1} more`);
    parts.push(`: ${event.bytes.toLocaleString("en")} bytes`);
  }
  $("now").replaceChildren(...parts, ".");
  const [number, lineNumber] = event.lines[0];
  const source = launch.functions[number];
  $("line").textContent = source.lines[lineNumber - source.first].trim();
}

function showPrograms(event) {
  [...$("programs").children].forEach((button, number) => {
    button.classList.toggle("done", event !== null && number < event.program);
    if (event && number === event.program) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  });
}

function showLines(event) {
  for (const line of document.querySelectorAll(".line[aria-current]")) {
    line.className = "line";
    line.removeAttribute("aria-current");
  }
  for (const [number, lineNumber] of event ? event.lines : []) {
    const pre = $("source").children[number].querySelector("pre");
    const line = pre.querySelectorAll(".line")[lineNumber - launch.functions[number].first];
    line.classList.add(event.kind);
    line.setAttribute("aria-current", "true");
    // Not scrollIntoView, which would also scroll the page.
    if (line.offsetTop < pre.scrollTop || line.offsetTop + 20 > pre.scrollTop + pre.clientHeight)
      pre.scrollTop = line.offsetTop - pre.clientHeight / 3;
  }
}

function showCount(id, bytes, total, unique) {
  const times = unique ? `: ${unique.toLocaleString("en")} different ones, each ${(bytes / unique).toFixed(2)} times` : "";
  $(id).textContent = `${bytes.toLocaleString("en")} bytes${times}`;
  $(`${id}-bar`).style.width = `${(100 * bytes) / (total || 1)}%`;
}

// ---- the reader's hand ----------------------------------------------------------------------

function follow(hash) {
  if (hash === "#end") go(launch.events.length);
  else if (hash === "#playing") play();
  else if (/^#\d+$/.test(hash)) go(Number(hash.slice(1)));
}

const ACTIONS = {
  first: () => go(0),
  back: () => go(at - 1),
  next: () => go(at + 1),
  last: () => go(launch.events.length),
};
for (const [id, action] of Object.entries(ACTIONS))
  $(id).addEventListener("click", () => { pause(); action(); });
$("play").addEventListener("click", () => (timer === undefined ? play() : pause()));
$("slider").addEventListener("input", () => { pause(); go(Number($("slider").value)); });

const KEYS = { ArrowLeft: "back", ArrowRight: "next", Home: "first", End: "last", " ": "play" };
document.addEventListener("keydown", (key) => {
  // The slider, the list, a box that scrolls and a button have keys of their own.
  if (key.ctrlKey || key.altKey || key.metaKey || key.target.closest("input, select, pre")) return;
  if (!(key.key in KEYS) || (key.key === " " && key.target.closest("button"))) return;
  key.preventDefault();
  $(KEYS[key.key]).click();
});
window.addEventListener("resize", () => { layOut(); show(); });
window.addEventListener("hashchange", () => { pause(); follow(location.hash); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

launches.forEach((one, number) => $("launch").append(element("option", `${number + 1}. ${one.kernel}`, { value: number })));
$("launch").hidden = launches.length === 1;
$("launch").addEventListener("change", () => { pause(); at = undefined; openLaunch(Number($("launch").value)); });

openLaunch(0);
follow(location.hash);
