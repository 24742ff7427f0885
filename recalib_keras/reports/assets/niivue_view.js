/* Slices and a rendering by NiiVue, which needs WebGL 2. */
class NiivueView {
  static async open(stage, scan, onMove) {
    const code = await inflated(document.getElementById("niivue").textContent);
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(code);
    document.head.append(script);
    const view = new NiivueView();
    await view.start(stage, scan, onMove);
    return view;
  }

  async start(stage, scan, onMove) {
    this.scan = scan;
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "Sagittal, coronal and axial slice, and the structures in three dimensions");
    canvas.className = "waiting"; // the still picture stays in front until there is something to see
    stage.append(canvas);
    this.nv = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.75, 0.8, 0.85, 0.4], crosshairWidth: 0.5, crosshairWidthUnit: "voxels", fontColor: [0.91, 0.93, 0.95, 1],
      fontMinPx: 12, isOrientationTextVisible: true, showAllOrientationMarkers: true, multiplanarLayout: niivue.MULTIPLANAR_TYPE.GRID,
      multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS, multiplanarPadPixels: 6, dragAndDropEnabled: false, logLevel: "warn",
      show3Dcrosshair: true, isNearestInterpolation: false, loadingText: "", sagittalNoseLeft: false,
    });
    await this.nv.attachToCanvas(canvas);
    const options = (name) => [name, "gray", 1, null, 0, 255, true];
    this.nv.addVolume(await niivue.NVImage.new(scan.files[0], ...options("scan.nii")));
    const labels = await niivue.NVImage.new(scan.files[1], ...options("labels.nii"));
    this.colour(labels, new Set());
    this.nv.addVolume(labels);
    this.nv.setSliceType(this.nv.sliceTypeMultiplanar);
    canvas.classList.remove("waiting");
    find("still").remove(); // the canvas itself must not leave the page, not even for a moment: NiiVue then stops listening
    canvas.addEventListener("wheel", () => { this.isWheel = true; setTimeout(() => { this.isWheel = false; }); }, { capture: true });
    this.nv.onLocationChange = (place) => { if (!this.isShowing) onMove(this.isWheel ? this.scrolled() : place.vox.map(Math.round)); };
  }

  /* NiiVue scrolls by a hundredth of the scan; a notch of the wheel should go to the next slice. */
  scrolled() {
    const changes = [...this.nv.scene.crosshairPos].map((at, axis) => at - this.shown[axis]);
    const axis = changes.reduce((most, change, each) => (Math.abs(change) > Math.abs(changes[most]) ? each : most), 0);
    return this.voxel.map((at, each) => (each === axis ? at + Math.sign(changes[axis]) : at));
  }

  /* Colours of the classes; the hidden ones and the background are transparent. */
  colour(labels, hidden) {
    const column = (part) => [0, ...this.scan.colors.map((color) => color[part])];
    const alpha = [0, ...this.scan.colors.map((_, place) => (hidden.has(place + 1) ? 0 : 255))];
    const names = ["", ...this.scan.names];
    labels.setColormapLabel({ R: column(0), G: column(1), B: column(2), A: alpha, I: [...names.keys()], labels: names });
  }

  show({ voxel, opacity, hidden, radiological }) {
    this.isShowing = true;
    const labels = this.nv.volumes[1], key = [...hidden].join();
    if (key !== this.key) this.colour(labels, hidden);
    if (key !== this.key || opacity !== this.opacity) {
      labels.opacity = opacity;
      this.nv.updateGLVolume();
    }
    Object.assign(this, { key, opacity });
    this.nv.opts.isRadiologicalConvention = radiological;
    this.nv.scene.crosshairPos = this.nv.vox2frac(voxel);
    Object.assign(this, { voxel, shown: [...this.nv.scene.crosshairPos] });
    this.nv.drawScene();
    this.isShowing = false;
  }
}
