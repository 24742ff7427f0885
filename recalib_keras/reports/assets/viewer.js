/* The viewer of a scan: what is shown, and the controls that change it. Names of data are only ever set as text. */
const find = (id) => document.getElementById(id);

async function inflated(base64) {
  const bytes = Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* The voxels of a NIfTI file of one or two bytes each. */
function voxelsOf(file) {
  const header = new DataView(file.buffer);
  const offset = header.getFloat32(108, true);
  return header.getInt16(72, true) === 8 ? file.subarray(offset) : new Uint16Array(file.buffer.slice(offset));
}

async function read() {
  const data = JSON.parse(find("scan-data").textContent);
  const files = await Promise.all([inflated(data.scan), inflated(data.labels)]);
  return { ...data, files: files.map((file) => file.buffer), intensities: voxelsOf(files[0]), classes: voxelsOf(files[1]) };
}

/* Whether WebGL is missing, or computed by the processor and so slow that plain pictures serve better. In the address,
   `#plain` and `#niivue` choose. */
function isPlainBetter() {
  const context = document.createElement("canvas").getContext("webgl2");
  if (location.hash === "#plain" || !context) return true;
  const known = context.getExtension("WEBGL_debug_renderer_info");
  const renderer = known ? context.getParameter(known.UNMASKED_RENDERER_WEBGL) : "";
  context.getExtension("WEBGL_lose_context")?.loseContext();
  return location.hash !== "#niivue" && /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

class Viewer {
  constructor(scan) {
    this.scan = scan;
    this.state = { voxel: scan.centre, opacity: 0.45, hidden: new Set(), radiological: false };
    this.sliders = ["sagittal", "coronal", "axial"].map(find);
  }

  async open() {
    const onMove = (voxel) => this.move(voxel);
    try {
      this.view = isPlainBetter() ? null : await NiivueView.open(find("stage"), this.scan, onMove);
    } catch (error) {
      console.warn(`NiiVue cannot be used here: ${error}`);
    }
    this.view ??= new PlainView(find("stage"), this.scan, onMove);
    find("hint").textContent = this.view instanceof PlainView
      ? "Scroll with the wheel over a slice, or move the sliders; click to go to a place. (Plain pictures, since WebGL is missing or slow here.)"
      : "Scroll with the wheel over a slice, or move the sliders; click to go to a place, drag with the right button for contrast, drag the rendering to turn it.";
    this.connect();
    find("controls").hidden = false;
    document.documentElement.dataset.viewer = this.view instanceof PlainView ? "plain" : "niivue";
    this.move(this.state.voxel);
  }

  connect() {
    this.sliders.forEach((slider, axis) => {
      slider.max = this.scan.shape[axis] - 1;
      slider.addEventListener("input", () => this.move(this.state.voxel.map((at, each) => (each === axis ? +slider.value : at))));
    });
    find("opacity").addEventListener("input", (event) => {
      event.target.setAttribute("aria-valuetext", `${event.target.value} %`);
      this.change({ opacity: event.target.value / 100 });
    });
    for (const choice of document.getElementsByName("view")) {
      choice.addEventListener("change", () => this.change({ radiological: choice.value === "radiological" && choice.checked }));
    }
    const boxes = [...document.querySelectorAll("[data-classes]")];
    const hide = () => this.change({ hidden: new Set(boxes.filter((box) => !box.checked).flatMap((box) => JSON.parse(box.dataset.classes))) });
    const setAll = (checked) => { for (const box of boxes) if (!box.disabled) box.checked = checked; hide(); };
    boxes.forEach((box) => box.addEventListener("change", hide));
    find("all").addEventListener("click", () => setAll(true));
    find("none").addEventListener("click", () => setAll(false));
    for (const button of document.querySelectorAll("[data-go]")) {
      button.addEventListener("click", () => this.go(JSON.parse(button.dataset.go)));
    }
    hide();
  }

  /* Goes to the centre of a structure; of a pair to the one side, then to the other. */
  go(classes) {
    const places = classes.map((each) => this.scan.centres[each - 1]).filter(Boolean);
    if (!places.length) return;
    const here = places.findIndex((place) => place.every((at, axis) => at === this.state.voxel[axis]));
    this.move(places[(here + 1) % places.length]);
  }

  move(voxel) {
    this.change({ voxel: voxel.map((at, axis) => Math.min(this.scan.shape[axis] - 1, Math.max(0, at))) });
  }

  change(part) {
    Object.assign(this.state, part);
    this.view.show(this.state);
    this.tell();
  }

  millimetres() {
    const [i, j, k] = this.state.voxel;
    return this.scan.affine.slice(0, 3).map((row) => row[0] * i + row[1] * j + row[2] * k + row[3]);
  }

  tell() {
    const { voxel } = this.state, { shape, classes, names } = this.scan, places = this.millimetres();
    const half = (shape[0] - 1) / 2, side = voxel[0] < half ? "patient’s left" : "patient’s right";
    const words = places.map((place) => `${Math.round(place)} mm`.replace("-", "−"));
    const texts = [`x = ${words[0]}, ${side}`, `y = ${words[1]}`, `z = ${words[2]}`];
    this.sliders.forEach((slider, axis) => {
      slider.value = voxel[axis];
      slider.setAttribute("aria-valuetext", `slice ${voxel[axis] + 1} of ${shape[axis]}, ${texts[axis]}`);
      find(`${slider.id}-at`).textContent = texts[axis];
    });
    const found = classes[voxel[0] + shape[0] * (voxel[1] + shape[1] * voxel[2])];
    find("here").textContent = `At the crosshair: ${found ? names[found - 1] : "no structure"}`;
  }
}

/* In the page of a cohort, the keys that page through scans belong to that page. */
if (window.parent !== window) {
  document.addEventListener("keydown", (event) => {
    if (["j", "k", "Escape"].includes(event.key)) window.parent.postMessage({ recalib: event.key }, "*");
  });
}

/* Browsers that cannot inflate (before 2023) keep the still picture. */
if (typeof DecompressionStream !== "undefined") {
  read().then((scan) => new Viewer(scan).open()).catch((error) => console.error(error));
}
