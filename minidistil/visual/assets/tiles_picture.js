// The pictures of tiles.js: tensors as grids of cells, and the lanes of one access.
// Sizes and positions are pairs [down, across]; a box is [top, bottom, left, right] in elements.

const MOST_CELLS = 160; // a side of a picture; past that, several elements share a cell
const TALL = 460, LARGE = 18; // pixels: of a picture, of a cell

function layOut() {
  for (const view of views) {
    view.group = view.operand.matrix.map((n) => Math.ceil(n / MOST_CELLS));
    view.cells = view.operand.matrix.map((n, axis) => Math.ceil(n / view.group[axis]));
  }
  const moves = launch.events.filter((event) => event.operand !== null);
  const widest = Math.max(...views.map((view) => view.cells[1]),
    ...moves.map((event) => event.tile[1] / views[event.operand].group[1]));
  const tallest = Math.max(...views.map((view) => view.cells[0]));
  const tall = tallest > widest;
  const room = $("picture").clientWidth - 40;
  const down = !tall || room < 560;
  $("stage").classList.toggle("down", down);
  for (const id of ["inputs", "outputs"]) $(id).classList.toggle("wide", !tall);
  let height, width;
  if (tall) {
    const columns = views.reduce((sum, view) => sum + view.cells[1], widest);
    height = clamp((down ? TALL / 2 : TALL) / tallest, 2, LARGE);
    width = clamp((down ? room : room - 260) / columns, 2, Math.min(LARGE, 2 * height));
  } else {
    const rows = views.reduce((sum, view) => sum + view.cells[0], 0);
    width = clamp(room / widest, 2, LARGE);
    height = clamp(TALL / rows, 2, Math.max(10, width));
  }
  for (const view of views) {
    view.scale = [height / view.group[0], width / view.group[1]];
    if (view.operand.matrix[1] === 1) view.scale[1] = Math.max(width, 10); // a column can be seen
    size(view.canvas, view.operand.matrix, view.scale);
  }
  // As large as the largest tile, so that nothing moves from step to step.
  const tiles = launch.events.filter((event) => event.kind !== "dot")
    .map((event) => event.tile.map((n, axis) => n * scaleOf(event)[axis]));
  size($("tile"), [0, 1].map((axis) => Math.max(8, ...tiles.map((tile) => tile[axis]))), [1, 1]);
}

function size(canvas, matrix, scale) {
  const [height, width] = matrix.map((n, axis) => Math.ceil(n * scale[axis]) + 2);
  const dense = window.devicePixelRatio || 1;
  canvas.height = height * dense;
  canvas.width = width * dense;
  canvas.style.height = `${height}px`;
  canvas.style.width = `${width}px`;
}

function brush(canvas) {
  const context = canvas.getContext("2d");
  const dense = window.devicePixelRatio || 1;
  context.setTransform(dense, 0, 0, dense, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.translate(1, 1); // room for outlines
  return context;
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const known = {}; // asking the style once for every cell would be slow
  return (name) => (known[name] ??= style.getPropertyValue(`--${name}`));
}

function scaleOf(event) {
  return event.operand === null ? [LARGE / 2, LARGE / 2] : views[event.operand].scale;
}

function paint(view, event) {
  const colour = colours();
  const context = brush(view.canvas);
  const [rows, columns] = view.operand.matrix;
  const [tall, wide] = view.group;
  const [height, width] = [view.scale[0] * tall, view.scale[1] * wide];
  const gap = [height, width].map((side) => (side >= 6 ? 1 : 0));
  for (let top = 0; top < rows; top += tall)
    for (let left = 0; left < columns; left += wide) {
      let read = 0, written = 0;
      for (let row = top; row < Math.min(rows, top + tall); row++)
        for (let i = row * columns + left; i < row * columns + Math.min(columns, left + wide); i++) {
          read = Math.max(read, view.read[i]);
          written = Math.max(written, view.written[i]);
        }
      const box = [left * view.scale[1], top * view.scale[0], width - gap[1], height - gap[0]];
      context.fillStyle = colour(read > 1 ? "read-often" : read ? "read" : written ? "written" : "empty");
      context.fillRect(...box);
      if (read && written) corner(context, box, colour("written"));
    }
  if (height < 6) paintEdges(context, view, colour("paper"));
  if (event)
    for (const box of event.boxes) outline(context, box, view.scale, colour(event.kind === "load" ? "load" : "store"));
  paintNumbers(context, view, colour("ink"));
  const count = (cells) => cells.reduce((sum, n) => sum + (n > 0), 0);
  Object.assign(view.figure.dataset, { elements: rows * columns, read: count(view.read), written: count(view.written) });
  view.canvas.setAttribute("aria-label",
    `${view.operand.name}: ${view.figure.dataset.read} of ${rows * columns} elements read, ${view.figure.dataset.written} written`);
  const shared = tall * wide > 1 ? [`a cell is ${tall} × ${wide}`] : [];
  const words = event && event.boxes.length ? place(event.boxes[0], view.operand.matrix) : shared;
  view.where.replaceChildren(...words.map((text) => element("span", text)));
}

function paintEdges(context, view, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  for (const { box } of view.tiles.values()) {
    const [x, y, width, height] = rectangle(box, view.scale);
    if (height >= 4 && width >= 4) context.strokeRect(x - 0.5, y - 0.5, width, height);
  }
}

function paintNumbers(context, view, colour) {
  context.font = "bold 11px ui-monospace, monospace";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colour;
  for (const { box, programs } of view.tiles.values()) {
    const [x, y, width, height] = rectangle(box, view.scale);
    const numbers = [...programs].join(" ");
    const needed = context.measureText(numbers).width + 2;
    const room = needed <= view.scale[1] ? view.scale[1] : width; // the first cell, or the middle
    if (height >= 12 && needed <= width) context.fillText(numbers, x + room / 2, y + height / 2 + 1);
  }
}

function corner(context, [x, y, width, height], colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.moveTo(x + width, y);
  context.lineTo(x + width, y + height);
  context.lineTo(x, y + height);
  context.fill();
}

function rectangle([top, bottom, left, right], [tall, wide]) {
  return [left * wide, top * tall, (right - left) * wide, (bottom - top) * tall];
}

function outline(context, box, scale, colour) {
  const [x, y, width, height] = rectangle(box, scale);
  context.globalAlpha = 0.45;
  context.fillStyle = colour;
  context.fillRect(x, y, width, height);
  context.globalAlpha = 1;
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(x, y, Math.max(1, width - 1), Math.max(1, height - 1));
}

function paintTile(event) {
  const colour = colours();
  const context = brush($("tile"));
  if (!event || event.kind === "dot") {
    $("tile").setAttribute("aria-label", "no lanes touch memory");
    $("lanes").replaceChildren(element("span", event ? `${event.flops.toLocaleString("en")} FLOP` : ""));
    return;
  }
  const scale = scaleOf(event);
  const [rows, columns] = event.tile;
  context.fillStyle = colour(event.kind === "load" ? "load" : "store");
  context.fillRect(0, 0, columns * scale[1], rows * scale[0]);
  let masked = 0;
  for (const box of event.masked) {
    masked += (box[1] - box[0]) * (box[3] - box[2]);
    hatch(context, rectangle(box, scale), colour);
  }
  context.strokeStyle = colour("panel");
  context.lineWidth = 1;
  for (let axis = 0; axis < 2; axis++)
    for (let i = 1; i < event.tile[axis] && scale[axis] >= 6; i++) {
      context.beginPath();
      if (axis) { context.moveTo(i * scale[1] - 0.5, 0); context.lineTo(i * scale[1] - 0.5, rows * scale[0]); }
      else { context.moveTo(0, i * scale[0] - 0.5); context.lineTo(columns * scale[1], i * scale[0] - 0.5); }
      context.stroke();
    }
  const words = [`${rows * columns} lanes`, masked ? `${masked} masked off` : "none masked off"];
  $("lanes").replaceChildren(...words.map((text) => element("span", text)));
  $("tile").setAttribute("aria-label", words.join(", "));
}

function hatch(context, [x, y, width, height], colour) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = colour("panel");
  context.fillRect(x, y, width, height);
  context.strokeStyle = colour("hatch");
  context.lineWidth = 1;
  for (let i = -height; i < width; i += 4) {
    context.beginPath();
    context.moveTo(x + i, y + height);
    context.lineTo(x + i + height, y);
    context.stroke();
  }
  context.restore();
}
