"use strict";
/* The page of a cohort: filter, sort, page through scans, and save as CSV. Texts of data are only ever set as text. */
const find = (id) => document.getElementById(id);
const { names, scans, limit } = JSON.parse(find("cohort-data").textContent);
const body = find("rows");
const rows = [...body.rows];
const state = { key: "name", descending: false, structure: 0, shown: scans.map((_, place) => place), here: -1 };
const collator = new Intl.Collator(undefined, { numeric: true });
const digits = (value, places) => (value === null ? "–" : value.toFixed(places).replace("-", "−"));
const millilitres = (value) => digits(value, value === null || value >= 100 ? 0 : value >= 10 ? 1 : 2);
const isOut = (score) => score !== null && Math.abs(score) > limit;
const outliers = scans.map((scan) => scan.z.filter(isOut).length);

/* What each column is sorted by; what is unknown comes last in either direction. */
const KEYS = {
  name: (place) => scans[place].name,
  volume: (place) => scans[place].ml[state.structure],
  score: (place) => scans[place].z[state.structure],
  entropy: (place) => scans[place].entropy,
  outliers: (place) => outliers[place],
  warnings: (place) => scans[place].kinds.length,
};

function compare(left, right) {
  const [a, b] = [KEYS[state.key](left), KEYS[state.key](right)];
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? collator.compare(a, b) : a - b;
  return (state.descending ? -order : order) || left - right;
}

function isShown(place) {
  const scan = scans[place], words = find("search").value.trim().toLowerCase(), choice = find("filter").value;
  if (words && !`${scan.name} ${scan.labels}`.toLowerCase().includes(words)) return false;
  if (choice === "warned") return scan.kinds.length > 0;
  if (choice === "unwarned") return scan.kinds.length === 0;
  if (choice === "outliers") return outliers[place] > 0;
  return choice === "all" || scan.kinds.includes(choice);
}

function update() {
  state.shown = scans.map((_, place) => place).filter(isShown).sort(compare);
  const found = state.shown.map((place) => rows[place]);
  body.replaceChildren(...(found.length ? found : [nothing()]));
  for (const head of document.querySelectorAll("#scans th[data-sort]")) {
    if (head.dataset.sort === state.key) head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  find("status").textContent = `${state.shown.length.toLocaleString("en")} of ${scans.length.toLocaleString("en")} scans`;
}

function nothing() {
  const row = document.createElement("tr"), cell = row.insertCell();
  row.className = "empty";
  cell.colSpan = 7;
  cell.textContent = "No scan fits. Clear the search or show all scans.";
  return row;
}

function sortBy(key) {
  const isFirst = state.key !== key;
  state.descending = isFirst ? key !== "name" : !state.descending;
  state.key = key;
  update();
}

/* The columns of one structure, and its strip. */
function choose(structure) {
  state.structure = structure;
  find("volume-title").textContent = names[structure];
  rows.forEach((row, place) => {
    const score = scans[place].z[structure];
    row.cells[2].textContent = millilitres(scans[place].ml[structure]);
    row.cells[3].textContent = (score > 0 ? "+" : "") + digits(score, 1) + (isOut(score) ? " ●" : "");
    row.cells[3].classList.toggle("out", isOut(score));
  });
  strip();
  update();
}

const WIDE = 1000, TALL = 86;
function strip() {
  const values = scans.map((scan) => scan.ml[state.structure]), known = values.filter((value) => value !== null);
  find("strip-card").hidden = known.length < 3;
  if (known.length < 3) return;
  const least = Math.min(...known), span = Math.max(...known) - least || 1;
  const across = (value) => 12 + (value - least) / span * (WIDE - 24);
  const svg = find("strip");
  svg.replaceChildren(...band(values, across), ...dots(values, across));
  find("strip-title").textContent = `${names[state.structure]}: ${millilitres(least)} to ${millilitres(least + span)} mL`;
  mark();
}

/* The range without outliers, from any two scores: volumes and scores lie on one line. */
function band(values, across) {
  const pairs = scans.map((scan, place) => [values[place], scan.z[state.structure]]).filter((pair) => !pair.includes(null));
  pairs.sort((left, right) => left[0] - right[0]);
  const [first, last] = [pairs[0], pairs.at(-1)];
  if (!first || first[0] === last[0]) return [];
  const slope = (last[0] - first[0]) / (last[1] - first[1]), middle = first[0] - slope * first[1];
  const ends = [middle - limit * slope, middle + limit * slope].map((value) => Math.min(WIDE, Math.max(0, across(value))));
  return [shape("rect", { class: "usual", x: ends[0], y: 0, width: ends[1] - ends[0], height: TALL }),
    shape("line", { x1: across(middle), x2: across(middle), y1: 0, y2: TALL })];
}

/* Dots that would lie on each other are stacked. */
function dots(values, across) {
  const heights = new Map();
  return values.map((value, place) => {
    if (value === null) return null;
    const x = across(value), bin = Math.round(x / 5), count = heights.get(bin) ?? 0;
    heights.set(bin, count + 1);
    const y = TALL - 6 - (count * 5) % (TALL - 12);
    const dot = shape("path", { d: `M${x} ${y}h.01`, class: isOut(scans[place].z[state.structure]) ? "out" : "", "data-place": place });
    const title = shape("title", {});
    title.textContent = scans[place].name;
    dot.append(title);
    return dot;
  }).filter(Boolean);
}

function shape(kind, attributes) {
  const found = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  return found;
}

/* The current scan: in the table, in the strip, and in the reader while it is open. */
function go(place) {
  state.here = place;
  mark();
  rows[place].scrollIntoView({ block: "nearest" });
  if (find("reader").open) read();
}

function mark() {
  for (const row of document.querySelectorAll("#rows tr[aria-current]")) row.removeAttribute("aria-current");
  for (const dot of document.querySelectorAll("#strip .here")) dot.classList.remove("here");
  if (state.here < 0) return;
  rows[state.here].setAttribute("aria-current", "true");
  document.querySelector(`#strip [data-place="${state.here}"]`)?.classList.add("here");
}

function step(by) {
  if (!state.shown.length) return;
  const at = state.shown.indexOf(state.here);
  const next = at < 0 ? 0 : Math.min(state.shown.length - 1, Math.max(0, at + by));
  go(state.shown[next]);
}

function read() {
  const scan = scans[state.here];
  if (!scan?.page) return;
  find("reader-title").textContent = scan.name;
  find("reader-page").title = `Page of ${scan.name}`;
  find("reader-page").src = find("reader-link").href = scan.page;
  if (!find("reader").open) find("reader").showModal();
  find("next").focus(); // so that keys work here while the page loads
}

function press(key) {
  const isOpen = find("reader").open;
  if (key === "j" || (isOpen && key === "ArrowRight")) step(1);
  else if (key === "k" || (isOpen && key === "ArrowLeft")) step(-1);
  else if (key === "Enter" && !isOpen && state.here >= 0) read();
  else if (key === "/" && !isOpen) find("search").focus();
  else if (key === "Escape" && isOpen) find("reader").close();
  else return false;
  return true;
}

/* A text that a spreadsheet would run as a formula gets an apostrophe in front, as in volumes.csv. */
function cell(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const safe = /^'*[=+\-@＝＋－＠]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csv() {
  const head = ["scan", "labels", "made_by", "mean_entropy", "outliers", "warning", ...names.map((name) => `${name} (mL)`), ...names.map((name) => `${name} (robust z)`)];
  const lines = state.shown.map((place) => {
    const scan = scans[place];
    const out = names.filter((_, each) => isOut(scan.z[each])).join("; ");
    return [scan.name, scan.labels, scan.by, scan.entropy, out, scan.warning, ...scan.ml, ...scan.z];
  });
  return [head, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", csv()], { type: "text/csv" }));
  link.download = "cohort.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function connect() {
  for (const head of document.querySelectorAll("#scans th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(head.dataset.sort));
  }
  find("search").addEventListener("input", update);
  find("filter").addEventListener("change", update);
  find("structure").addEventListener("change", (event) => choose(+event.target.value));
  find("csv").addEventListener("click", save);
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  find("close").addEventListener("click", () => find("reader").close());
  find("reader").addEventListener("close", () => { find("reader-page").src = "about:blank"; });
  find("strip").addEventListener("click", (event) => { if (event.target.dataset.place) go(+event.target.dataset.place); });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr"), place = rows.indexOf(row);
    if (place < 0) return;
    go(place);
    const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey;
    if (event.target.closest("a") && scans[place].page && isPlain) { event.preventDefault(); read(); }
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey;
    const isButton = event.key === "Enter" && event.target.matches("button, a, summary");
    if (!isTyping && !isButton && press(event.key)) event.preventDefault();
  });
  /* Keys that were pressed inside the page of a scan. */
  window.addEventListener("message", (event) => {
    if (event.source === find("reader-page").contentWindow && typeof event.data?.recalib === "string") press(event.data.recalib);
  });
}

connect();
find("tools").hidden = false;
choose(0);
