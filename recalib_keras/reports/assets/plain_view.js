"use strict";
/* Slices on plain canvases, for browsers without WebGL: scrolled, faded and toggled like the other view. */
const PLANES = [
  { axis: 0, across: 1, up: 2, name: "sagittal", letters: ["P", "A", "S", "I"] },
  { axis: 1, across: 0, up: 2, name: "coronal", letters: ["L", "R", "S", "I"] },
  { axis: 2, across: 0, up: 1, name: "axial", letters: ["L", "R", "A", "P"] },
];

class PlainView {
  constructor(stage, scan, onMove) {
    this.scan = scan;
    this.onMove = onMove;
    this.host = document.createElement("div");
    this.host.className = "planes";
    this.planes = PLANES.map((plane) => this.add(plane));
    this.bar = document.createElement("div");
    this.bar.className = "scale";
    const tile = document.createElement("div");
    tile.className = "plane";
    tile.append(this.bar);
    this.host.append(tile);
    stage.replaceChildren(this.host);
    new ResizeObserver(() => this.fit()).observe(this.host);
  }

  add(plane) {
    const figure = document.createElement("figure");
    figure.className = "plane";
    const canvas = document.createElement("canvas");
    canvas.width = this.scan.shape[plane.across];
    canvas.height = this.scan.shape[plane.up];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${plane.name} slice`);
    figure.append(canvas);
    const letters = ["west", "east", "north", "south"].map((side) => {
      const span = document.createElement("span");
      span.className = side;
      span.setAttribute("aria-hidden", "true");
      figure.append(span);
      return span;
    });
    this.host.append(figure);
    const found = { ...plane, canvas, figure, spans: letters };
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.pick(found, event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.pick(found, event); });
    figure.addEventListener("wheel", (event) => { event.preventDefault(); this.scroll(found, Math.sign(event.deltaY)); }, { passive: false });
    return found;
  }

  /* Makes each canvas as large as its tile allows, in the proportions of millimetres, and the scale bar to fit. */
  fit() {
    const wide = (plane) => this.scan.shape[plane.across] * this.scan.spacing[plane.across];
    const tall = (plane) => this.scan.shape[plane.up] * this.scan.spacing[plane.up];
    const scale = Math.min(...this.planes.map((plane) =>
      Math.min(plane.figure.clientWidth / wide(plane), plane.figure.clientHeight / tall(plane))));
    for (const plane of this.planes) {
      plane.canvas.style.width = `${wide(plane) * scale}px`;
      plane.canvas.style.height = `${tall(plane) * scale}px`;
    }
    const length = [100, 50, 20, 10, 5, 2, 1].find((each) => each * scale < this.host.clientWidth / 4) ?? 1;
    this.bar.style.width = `${length * scale}px`;
    this.bar.textContent = `${length} mm`;
  }

  isTurned(plane) { return this.radiological && plane.across === 0; }

  pick(plane, event) {
    const box = plane.canvas.getBoundingClientRect();
    const [columns, rows] = [this.scan.shape[plane.across], this.scan.shape[plane.up]];
    const column = Math.floor((event.clientX - box.left) / box.width * columns);
    const row = Math.floor((event.clientY - box.top) / box.height * rows);
    const voxel = [...this.voxel];
    voxel[plane.across] = this.isTurned(plane) ? columns - 1 - column : column;
    voxel[plane.up] = rows - 1 - row;
    this.onMove(voxel);
  }

  scroll(plane, step) {
    const voxel = [...this.voxel];
    voxel[plane.axis] += step;
    this.onMove(voxel);
  }

  show({ voxel, opacity, hidden, radiological }) {
    Object.assign(this, { voxel, radiological });
    for (const plane of this.planes) {
      this.paint(plane, opacity, hidden);
      const letters = [...plane.letters];
      if (this.isTurned(plane)) [letters[0], letters[1]] = [letters[1], letters[0]];
      plane.spans.forEach((span, place) => { span.textContent = letters[place]; });
    }
  }

  paint(plane, opacity, hidden) {
    const { shape, intensities, classes, colors } = this.scan;
    const steps = [1, shape[0], shape[0] * shape[1]];
    const [columns, rows] = [shape[plane.across], shape[plane.up]];
    const context = plane.canvas.getContext("2d");
    const image = context.createImageData(columns, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const across = this.isTurned(plane) ? columns - 1 - column : column;
        const at = this.voxel[plane.axis] * steps[plane.axis] + across * steps[plane.across]
          + (rows - 1 - row) * steps[plane.up];
        const found = classes[at], to = 4 * (row * columns + column);
        const share = found && !hidden.has(found) ? opacity : 0;
        for (let part = 0; part < 3; part++) {
          image.data[to + part] = intensities[at] * (1 - share) + (share ? colors[found - 1][part] * share : 0);
        }
        image.data[to + 3] = 255;
      }
    }
    context.putImageData(image, 0, 0);
    this.cross(plane, context, columns, rows);
  }

  cross(plane, context, columns, rows) {
    const across = this.voxel[plane.across], column = this.isTurned(plane) ? columns - 1 - across : across;
    context.fillStyle = "rgb(255 255 255 / .35)";
    context.fillRect(column, 0, 1, rows);
    context.fillRect(0, rows - 1 - this.voxel[plane.up], columns, 1);
  }
}
